"""iCEM: Pinneri et al. (2020), "Sample-efficient Cross-Entropy Method for Real-time Planning".

CEM with noise that is correlated in time, fewer candidates from iteration to iteration, elites
kept within a plan and from plan to plan, the mean tried in the last iteration, and the best
candidate executed. One departure: kept elites and the mean take the place of drawn candidates
instead of joining them, so that the number of candidates says what a plan costs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import ClassVar

import torch

from mbrl_planner.colored_noise import colored_noise
from mbrl_planner.optimizer import Evaluate, Iteration, Solution, Start, select_elites
from mbrl_planner.optimizer_settings import OptimizerSettings


class Icem:
    """See the module; the interface is ``mbrl_planner.optimizer.Optimizer``."""

    needs_gradient: ClassVar[bool] = False

    def __init__(self, settings: OptimizerSettings) -> None:
        self._common = settings
        self._settings = settings.icem
        self._kept = round(settings.icem.keep_fraction * settings.elites)

    def population(self, iteration: int) -> int:
        """Number of candidates in an iteration: decaying, but not below two per elite."""
        decayed = round(self._common.candidates / self._settings.decay**iteration)
        return min(max(decayed, 2 * self._common.elites), self._common.candidates)

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
        horizon, action_dim = start.mean.shape[1:]
        mean = start.mean.clamp(low, high)
        std = (settings.initial_std * (high - low) / 2).expand_as(mean)
        kept = start.elites[:, : self._kept].clamp(low, high)
        last = self._common.iterations - 1
        iterations: list[Iteration] = []
        for iteration in range(self._common.iterations):
            if iterations and time.perf_counter() > deadline:
                break
            population = self.population(iteration)
            noise = colored_noise(
                settings.colour_beta, (population, action_dim, horizon), generators, mean.dtype
            )
            candidates = torch.addcmul(mean[:, None], noise.transpose(2, 3), std[:, None])
            candidates.clamp_(low, high)
            candidates[:, : kept.shape[1]] = kept
            if settings.add_mean and iteration == last:
                candidates[:, -1] = mean
            returns = evaluate(candidates)
            iterations.append(Iteration.of(candidates, returns, low, high))
            elites = select_elites(candidates, returns, self._common.elites)
            new_mean, new_variance = elites.fit(mean, std.square())
            mean = torch.lerp(new_mean, mean, settings.alpha)
            std = torch.lerp(new_variance.sqrt(), std, settings.alpha)
            kept = elites.actions[:, : self._kept]
        best = settings.execute_best
        return Solution(
            actions=elites.actions[:, 0] if best else mean,
            mean=mean,
            elites=kept,
            value=elites.returns[:, 0],
            index=elites.index[:, 0] if best else None,
            iterations=tuple(iterations),
        )
