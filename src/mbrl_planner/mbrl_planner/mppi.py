"""MPPI: Williams et al. (2017), "Information Theoretic MPC for Model-Based Reinforcement Learning".

Gaussian noise of constant variance around the mean; the new mean is that of all candidates,
weighted by the exponential of their returns. The candidates are cut off at the bounds, and
weighted as such. The mean is a candidate too; further iterations start from the new mean.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import ClassVar

import torch

from mbrl_planner.draws import normal
from mbrl_planner.optimizer import Evaluate, Iteration, Solution, Start
from mbrl_planner.optimizer_settings import OptimizerSettings
from mbrl_planner.reward_weighted import weighted_mean


class Mppi:
    """See the module; the interface is ``mbrl_planner.optimizer.Optimizer``."""

    needs_gradient: ClassVar[bool] = False

    def __init__(self, settings: OptimizerSettings) -> None:
        self._common = settings
        self._settings = settings.mppi

    def optimize(
        self,
        evaluate: Evaluate,
        low: torch.Tensor,
        high: torch.Tensor,
        start: Start,
        generators: Sequence[torch.Generator],
        deadline: float = math.inf,
    ) -> Solution:
        """Optimise R problems at once; see ``Optimizer``."""
        settings = self._settings
        std = settings.sigma * (high - low) / 2
        mean = start.mean.clamp(low, high)
        iterations: list[Iteration] = []
        for _ in range(self._common.iterations):
            if iterations and time.perf_counter() > deadline:
                break
            noise = normal((self._common.candidates, *mean.shape[1:]), generators, mean.dtype)
            noise[:, 0] = 0.0
            candidates = torch.addcmul(mean[:, None], noise, std).clamp_(low, high)
            returns = evaluate(candidates)
            iterations.append(Iteration.of(candidates, returns, low, high))
            if settings.noise_cost > 0:
                # What was really added, after the bounds; effort counts from the middle.
                effort = (mean - (low + high) / 2)[:, None] * (candidates - mean[:, None])
                returns = returns - settings.noise_cost * (effort / std.square()).sum((2, 3))
            mean = weighted_mean(candidates, returns, 1 / settings.temperature, mean)
        return Solution(
            actions=mean,
            mean=mean,
            elites=mean[:, None][:, :0],
            value=iterations[-1].best,
            index=None,
            iterations=tuple(iterations),
        )
