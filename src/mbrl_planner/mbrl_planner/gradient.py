"""Planning by backpropagation: the gradient of the return with respect to the actions, by the chain
rule through the model, followed by Adam (Kingma and Ba, 2015) from several starts.

As in Bharadhwaj et al. (2020), "Model-Predictive Control via Cross-Entropy and Gradient-Based
Optimization". Actions are scaled to -1 to 1, long gradients are shortened, and each step is
projected onto the bounds. Of all sequences evaluated on the way the best is returned.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from typing import ClassVar

import torch

from mbrl_planner.draws import uniform
from mbrl_planner.optimizer import Evaluate, Iteration, Solution, Start
from mbrl_planner.optimizer_settings import GradientSettings, OptimizerSettings

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class Gradient:
    """See the module; the interface is ``mbrl_planner.optimizer.Optimizer``."""

    needs_gradient: ClassVar[bool] = True

    def __init__(self, settings: OptimizerSettings) -> None:
        self._steps = settings.iterations
        self._settings = settings.gradient

    def optimize(
        self,
        evaluate: Evaluate,
        low: torch.Tensor,
        high: torch.Tensor,
        start: Start,
        generators: Sequence[torch.Generator],
        deadline: float = math.inf,
    ) -> Solution:
        """Optimise R problems at once; see ``Optimizer``. Starts are the mean, the elites given,
        and random sequences."""
        count = self._settings.starts
        share = uniform((count, *start.mean.shape[1:]), generators, start.mean.dtype)
        candidates = low + (high - low) * share
        given = torch.cat([start.mean[:, None], start.elites], dim=1)[:, :count]
        candidates[:, : given.shape[1]] = given.clamp(low, high)
        found = ascend(evaluate, candidates, low, high, self._settings, self._steps, deadline)
        # Half of the others begin the next plan, and random sequences take the place of the rest.
        return Solution(
            actions=found.actions[:, 0],
            mean=found.actions[:, 0],
            elites=found.actions[:, 1 : 1 + (count - 1) // 2],
            value=found.returns[:, 0],
            index=None,
            iterations=found.iterations,
        )


@dataclasses.dataclass(frozen=True)
class Ascent:
    """Where an ascent came from its N starts, the best first.

    Attributes:
        actions: [R, N, H, A], the best evaluated from each start.
        returns: [R, N], theirs; -inf if none was finite.
        iterations: a step each.
    """

    actions: torch.Tensor
    returns: torch.Tensor
    iterations: tuple[Iteration, ...]


def ascend(
    evaluate: Evaluate,
    candidates: torch.Tensor,
    low: torch.Tensor,
    high: torch.Tensor,
    settings: GradientSettings,
    steps: int,
    deadline: float = math.inf,
) -> Ascent:
    """Improve ``candidates`` [R, N, H, A], within the bounds, by ``steps`` steps of Adam each.

    A candidate whose return or gradient is not finite stays where it is, and never wins.
    """
    middle, half = (low + high) / 2, (high - low) / 2
    scaled = ((candidates - middle) / half).nan_to_num(0.0)  # an action that cannot move
    first = torch.zeros_like(scaled)
    second = torch.zeros_like(scaled)
    best = candidates.clone()
    best_returns = torch.full_like(candidates[:, :, 0, 0], -math.inf)
    iterations: list[Iteration] = []

    def note(actions: torch.Tensor, returns: torch.Tensor) -> None:
        nonlocal best, best_returns
        better = torch.isfinite(returns) & (returns > best_returns)
        best = torch.where(better[:, :, None, None], actions, best)
        best_returns = torch.where(better, returns, best_returns)

    for step in range(1, steps + 1):
        if iterations and time.perf_counter() > deadline:
            break
        with torch.enable_grad():
            leaf = scaled.detach().clone().requires_grad_()
            actions = torch.clamp(middle + half * leaf, low, high)
            returns = evaluate(actions)
            summed = torch.where(torch.isfinite(returns), returns, 0.0).sum()
            # The clamp has no gradient beyond the bounds; the leaf is never there.
            (slope,) = torch.autograd.grad(summed, leaf)
        actions, returns = actions.detach(), returns.detach()
        note(actions, returns)
        iterations.append(Iteration.of(actions, returns, low, high))
        good = torch.isfinite(returns) & torch.isfinite(slope).all(-1).all(-1)
        slope = torch.where(good[:, :, None, None], slope, 0.0)
        norm = slope.flatten(2).norm(dim=2)[:, :, None, None]
        slope = slope * (settings.clip / norm.clamp(min=settings.clip))
        first = torch.lerp(slope, first, BETAS[0])
        second = torch.lerp(slope.square(), second, BETAS[1])
        change = (first / (1 - BETAS[0] ** step)) / (
            (second / (1 - BETAS[1] ** step)).sqrt() + EPSILON
        )
        moved = (scaled + settings.learning_rate * change).clamp(-1.0, 1.0)
        scaled = torch.where(good[:, :, None, None], moved, scaled)
    else:
        actions = torch.clamp(middle + half * scaled, low, high)
        note(actions, evaluate(actions))
    best_returns, order = best_returns.sort(dim=1, descending=True, stable=True)
    best = best.gather(1, order[:, :, None, None].expand_as(best))
    return Ascent(best, best_returns, tuple(iterations))
