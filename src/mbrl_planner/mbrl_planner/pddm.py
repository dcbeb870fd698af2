"""PDDM's planner: Nagabandi et al. (2019), "Deep Dynamics Models for Learning Dexterous
Manipulation".

MPPI's reward-weighted refinement with noise that is filtered in time:
``n_t = beta u_t + (1 - beta) n_(t-1)``, u_t normal and n_(-1) = 0, as the paper has it (its
released code filters the actions, mean included). A tenth of the candidates has less noise, which
the code does for tasks driven by velocities; here for all.
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


class Pddm:
    """See the module; the interface is ``mbrl_planner.optimizer.Optimizer``."""

    needs_gradient: ClassVar[bool] = False

    def __init__(self, settings: OptimizerSettings) -> None:
        self._common = settings
        self._settings = settings.pddm

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
        settings, count = self._settings, self._common.candidates
        calm = round(settings.calm_share * count)
        std = settings.sigma * (high - low) / 2
        mean = start.mean.clamp(low, high)
        iterations: list[Iteration] = []
        for _ in range(self._common.iterations):
            if iterations and time.perf_counter() > deadline:
                break
            noise = normal((count, *mean.shape[1:]), generators, mean.dtype) * std
            noise[:, count - calm :] *= settings.calm_sigma
            candidates = (mean[:, None] + filtered(noise, settings.beta)).clamp_(low, high)
            returns = evaluate(candidates)
            iterations.append(Iteration.of(candidates, returns, low, high))
            mean = weighted_mean(candidates, returns, settings.kappa, mean)
        return Solution(
            actions=mean,
            mean=mean,
            elites=mean[:, None][:, :0],
            value=iterations[-1].best,
            index=None,
            iterations=tuple(iterations),
        )


def filtered(noise: torch.Tensor, beta: float) -> torch.Tensor:
    """Noise [R, N, H, A] after the filter along H."""
    last = torch.zeros_like(noise[:, :, 0])
    steps = []
    for step in noise.unbind(2):
        last = torch.lerp(last, step, beta)
        steps.append(last)
    return torch.stack(steps, dim=2)
