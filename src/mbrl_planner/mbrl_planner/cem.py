"""CEM as PETS does it: Chua et al. (2018), "Deep Reinforcement Learning in a Handful of Trials
using Probabilistic Dynamics Models", after Botev et al. (2013), "The cross-entropy method".

Candidates come from a normal distribution cut off at two standard deviations, whose variance is
held so small that they lie within the bounds; the elites' mean and variance replace the old ones
but for a share alpha; the mean is returned.
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

CUT = 2.0
"""Where the normal distribution is cut off [standard deviations]."""


class Cem:
    """See the module; the interface is ``mbrl_planner.optimizer.Optimizer``."""

    needs_gradient: ClassVar[bool] = False

    def __init__(self, settings: OptimizerSettings) -> None:
        self._common = settings
        self._settings = settings.cem

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
        alpha = self._settings.alpha
        mean = start.mean.clamp(low, high)
        variance = ((high - low) / 4).square().expand_as(mean)
        value = mean.new_full(mean.shape[:1], -math.inf)
        iterations: list[Iteration] = []
        for _ in range(self._common.iterations):
            if iterations and time.perf_counter() > deadline:
                break
            active = (variance.amax((1, 2)) > self._settings.epsilon)[:, None, None]
            if not bool(active.any()):
                break
            to_bound = torch.minimum(mean - low, high - mean)
            std = torch.minimum((to_bound / CUT).square(), variance).sqrt()
            noise = truncated_normal((self._common.candidates, *mean.shape[1:]), generators, mean)
            candidates = torch.addcmul(mean[:, None], noise, std[:, None]).clamp_(low, high)
            returns = evaluate(candidates)
            iterations.append(Iteration.of(candidates, returns, low, high))
            elites = select_elites(candidates, returns, self._common.elites)
            new_mean, new_variance = elites.fit(mean, variance)
            mean = torch.where(active, torch.lerp(new_mean, mean, alpha), mean)
            variance = torch.where(active, torch.lerp(new_variance, variance, alpha), variance)
            value = torch.where(active[:, 0, 0], elites.returns[:, 0], value)
        return Solution(
            actions=mean,
            mean=mean,
            elites=mean[:, None][:, :0],
            value=value,
            index=None,
            iterations=tuple(iterations),
        )


def truncated_normal(
    shape: tuple[int, ...], generators: Sequence[torch.Generator], like: torch.Tensor
) -> torch.Tensor:
    """Standard normal numbers within ``CUT``, [R, *shape], one generator per problem."""
    inside = math.erf(CUT / math.sqrt(2))
    noise = uniform(shape, generators, like.dtype, -inside, inside)
    return noise.erfinv_().mul_(math.sqrt(2)).clamp_(-CUT, CUT)
