"""What every optimiser of action sequences takes and gives. It knows nothing of models.

Shapes: R problems at once (robots), N candidates, horizon H, A entries of the action.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol

import torch

Evaluate = Callable[[torch.Tensor], torch.Tensor]
"""``evaluate(actions [R, N, H, A]) -> returns [R, N]``, to be maximised. The candidates belong to
the optimiser: an evaluation must not change them. A return that is not finite is the worst. Where
the candidates require a gradient, the returns carry one, if the backend can (``Planner`` refuses an
optimiser with ``needs_gradient`` on one that cannot)."""


@dataclasses.dataclass(frozen=True)
class Iteration:
    """What one iteration looked like, for whoever tunes.

    Attributes:
        best: [R], the best return of it; -inf if none was finite.
        mean: [R], mean of its finite returns; NaN if there was none.
        spread: [R], standard deviation of its candidates, mean over steps and entries, as a share
            of half the action's range.
    """

    best: torch.Tensor
    mean: torch.Tensor
    spread: torch.Tensor

    @classmethod
    def of(
        cls, candidates: torch.Tensor, returns: torch.Tensor, low: torch.Tensor, high: torch.Tensor
    ) -> Iteration:
        """Of candidates [R, N, H, A] with returns [R, N], within bounds [A]."""
        finite = torch.isfinite(returns)
        best = torch.where(finite, returns, -math.inf).amax(1)
        mean = torch.where(finite, returns, math.nan).nanmean(1)
        # by hand: over a dimension that is not the last, ``std`` takes ten times as long
        deviation = (candidates - candidates.mean(1, keepdim=True)).square().mean(1).sqrt()
        spread = (deviation / ((high - low) / 2)).mean((1, 2))
        return cls(best, mean, spread)


@dataclasses.dataclass(frozen=True)
class Start:
    """Where to begin: ``mean`` [R, H, A] and candidates to try again, ``elites`` [R, K, H, A]."""

    mean: torch.Tensor
    elites: torch.Tensor


@dataclasses.dataclass(frozen=True)
class Solution:
    """What an optimiser found.

    Attributes:
        actions: [R, H, A], the chosen sequences, within the bounds.
        mean: [R, H, A], mean of the final distribution.
        elites: [R, K, H, A], candidates worth trying again in the next plan, best first.
        value: [R], best return of the last evaluation; -inf if none was finite.
        index: [R], which candidate of the last evaluation was chosen; None: none of them.
        iterations: of the optimisation, first to last; for diagnostics alone.
    """

    actions: torch.Tensor
    mean: torch.Tensor
    elites: torch.Tensor
    value: torch.Tensor
    index: torch.Tensor | None
    iterations: tuple[Iteration, ...] = ()


class Optimizer(Protocol):
    """Maximises returns over action sequences in a box. It remembers nothing between two calls."""

    needs_gradient: ClassVar[bool]
    """Whether ``evaluate`` must be differentiable."""

    def optimize(
        self,
        evaluate: Evaluate,
        low: torch.Tensor,
        high: torch.Tensor,
        start: Start,
        generators: Sequence[torch.Generator],
        deadline: float = math.inf,
    ) -> Solution:
        """Optimise R problems at once.

        Args:
            evaluate: the objective function.
            low, high: bounds of the action, [A].
            start: warm or cold start.
            generators: one per problem, so that a problem's plan does not depend on its company.
            deadline: reading of ``time.perf_counter`` after which no further iteration begins; the
                first is always made. What is returned is then the best so far.
        """
        ...


def cold_start(low: torch.Tensor, high: torch.Tensor, problems: int, horizon: int) -> Start:
    """The middle of the range, and no elites."""
    middle = ((low + high) / 2).expand(problems, horizon, -1)
    return Start(middle, middle.new_empty(problems, 0, horizon, low.shape[0]))


@dataclasses.dataclass(frozen=True)
class Elites:
    """The best candidates of a population.

    Attributes:
        actions: [R, K, H, A], best first.
        returns: [R, K], with -inf for one that is not finite.
        index: [R, K], where they stood in the population.
    """

    actions: torch.Tensor
    returns: torch.Tensor
    index: torch.Tensor

    def fit(self, mean: torch.Tensor, variance: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and (population) variance of the elites with a finite return, each [R, H, A].

        A problem without any such elite keeps the given ``mean`` and ``variance``.
        """
        valid = torch.isfinite(self.returns)
        if bool(valid.all()):
            new_variance, new_mean = torch.var_mean(self.actions, dim=1, correction=0)
            return new_mean, new_variance
        share = (valid / valid.sum(1, keepdim=True).clamp(min=1))[:, :, None, None]
        share = share.to(self.actions.dtype)
        new_mean = (self.actions * share).sum(1)
        new_variance = ((self.actions - new_mean[:, None]).square() * share).sum(1)
        any_valid = valid.any(1)[:, None, None]
        return (
            torch.where(any_valid, new_mean, mean),
            torch.where(any_valid, new_variance, variance),
        )


def select_elites(candidates: torch.Tensor, returns: torch.Tensor, count: int) -> Elites:
    """The ``count`` best of ``candidates`` [R, N, H, A] by ``returns`` [R, N].

    Returns that are not finite, of either sign, rank below every finite one.
    """
    ranked = torch.where(torch.isfinite(returns), returns, -math.inf)
    best, index = ranked.topk(count, dim=1)
    rows = index[:, :, None, None].expand(-1, -1, *candidates.shape[2:])
    return Elites(candidates.gather(1, rows), best, index)
