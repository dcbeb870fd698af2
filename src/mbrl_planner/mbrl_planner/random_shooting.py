"""Random shooting: uniform action sequences, and the best of them is executed.

As in Nagabandi et al. (2018), "Neural Network Dynamics for Model-Based Deep Reinforcement Learning
with Model-Free Fine-Tuning", and the baseline of PETS. Every iteration draws afresh; the best so
far, and the warm start, are candidates again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import ClassVar

import torch

from mbrl_planner.draws import uniform
from mbrl_planner.optimizer import Evaluate, Iteration, Solution, Start, select_elites
from mbrl_planner.optimizer_settings import OptimizerSettings


class RandomShooting:
    """See the module; the interface is ``mbrl_planner.optimizer.Optimizer``."""

    needs_gradient: ClassVar[bool] = False

    def __init__(self, settings: OptimizerSettings) -> None:
        self._common = settings
        self._hold = settings.random_shooting.hold

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
        horizon, action_dim = start.mean.shape[1:]
        drawn = -(-horizon // self._hold)
        best = start.mean.clamp(low, high)
        iterations: list[Iteration] = []
        for _ in range(self._common.iterations):
            if iterations and time.perf_counter() > deadline:
                break
            shape = (self._common.candidates, drawn, action_dim)
            share = uniform(shape, generators, best.dtype)
            share = share.repeat_interleave(self._hold, dim=2)[:, :, :horizon]
            candidates = torch.lerp(low.expand_as(share), high.expand_as(share), share)
            candidates[:, 0] = best
            returns = evaluate(candidates)
            iterations.append(Iteration.of(candidates, returns, low, high))
            chosen = select_elites(candidates, returns, 1)
            any_finite = torch.isfinite(chosen.returns[:, 0])[:, None, None]
            best = torch.where(any_finite, chosen.actions[:, 0], best)
        return Solution(
            actions=best,
            mean=best,
            elites=best[:, None][:, :0],
            value=chosen.returns[:, 0],
            index=chosen.index[:, 0],
            iterations=tuple(iterations),
        )
