"""Sampling first, then the gradient: iCEM finds the neighbourhood, a few steps of Adam its top.

After Bharadhwaj et al. (2020), "Model-Predictive Control via Cross-Entropy and Gradient-Based
Optimization", with the refinement after the sampling instead of within it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import ClassVar

import torch

from mbrl_planner.gradient import ascend
from mbrl_planner.icem import Icem
from mbrl_planner.optimizer import Evaluate, Solution, Start
from mbrl_planner.optimizer_settings import OptimizerSettings


class Hybrid:
    """See the module; the interface is ``mbrl_planner.optimizer.Optimizer``."""

    needs_gradient: ClassVar[bool] = True

    def __init__(self, settings: OptimizerSettings) -> None:
        self._sampling = Icem(settings)
        self._gradient = settings.gradient
        self._settings = settings.hybrid

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
        sampled = self._sampling.optimize(evaluate, low, high, start, generators, deadline)
        if time.perf_counter() > deadline:
            return sampled
        # The best kept elite is the sequence that iCEM would execute.
        others = sampled.elites[:, 1 : self._settings.refined]
        candidates = torch.cat([sampled.actions[:, None], others], dim=1)
        found = ascend(
            evaluate, candidates, low, high, self._gradient, self._settings.steps, deadline
        )
        return Solution(
            actions=found.actions[:, 0],
            mean=sampled.mean,
            elites=found.actions,
            value=found.returns[:, 0],
            index=None,
            iterations=(*sampled.iterations, *found.iterations),
        )
