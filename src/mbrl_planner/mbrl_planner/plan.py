"""What a planner is asked, what it answers, and what it says where it cannot."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from mbrl_planner.warm_start import WarmStart


class PlannerError(RuntimeError):
    """No plan could be made; the text says what, where, and what would be right."""


class NoModelError(PlannerError):
    """There is no model yet."""


class ModelOutdatedError(PlannerError):
    """The model is older than the request wants."""


class PlanRequestError(PlannerError):
    """The request is wrong: dimensions, numbers that are not finite, or the goal."""


class PlanningFailedError(PlannerError):
    """No candidate had a finite return."""


@dataclasses.dataclass(frozen=True)
class PlanRequest:
    """All that a plan depends on, besides the model.

    A plan takes effect where the lead ends. Without one that is at ``state``.

    Attributes:
        state: [S], the newest that is known, units as the task declares them.
        goal: as the objective says, as it is when the plan takes effect; empty: its default.
        past_states: [k, S], the states before it in this episode, oldest first; as many as
            ``PlanResult.history`` asks for, less one, fewer at the start of an episode.
        past_actions: [k, A], the action that followed each of them.
        seed: of all randomness of this plan, 0 to 2**64 - 1.
        min_model_version: refuse to plan with an older model; 0: any.
        warm_start: the last plan's, shifted to when this one takes effect (``WarmStart.shifted``);
            None: cold start.
        lead_actions: [n, A], what will be executed between ``state`` and when the plan takes
            effect, oldest first; physical units; n is at most the horizon.
        lead_durations: [n], how long each is in force, in control periods, above 0 and at most 1.
    """

    state: Sequence[float] | np.ndarray
    goal: Sequence[float] | np.ndarray = ()
    seed: int = 0
    min_model_version: int = 0
    warm_start: WarmStart | None = None
    past_states: Sequence[Sequence[float]] | np.ndarray = ()
    past_actions: Sequence[Sequence[float]] | np.ndarray = ()
    lead_actions: Sequence[Sequence[float]] | np.ndarray = ()
    lead_durations: Sequence[float] | np.ndarray = ()


def _nothing() -> np.ndarray:
    return np.empty(0)


@dataclasses.dataclass(frozen=True)
class PlanResult:
    """A plan, all float64 and in physical units.

    Attributes:
        actions: [H, A], within the task's bounds.
        state_mean, state_std: [H + 1, S], what the members (and particles) predict, from where
            the plan takes effect on: their mean and their standard deviation. The first state is
            planned from as if it were certain, also at the end of a lead: its deviation is 0.
        predicted_return: sum of predicted rewards over the horizon.
        warm_start: of this plan, not shifted yet.
        model_version: of the model planned with; 0: planned in the true model.
        model_steps: rows x members x steps spent, all of them; in a batch, an equal share, also of
            what was spent while others were not done yet; those of the lead are one's own.
        planning_time: wall clock [s]; in a batch, that of the whole batch.
        history: K, states that the model sees: the next request wants K - 1 past ones.
        iteration_best, iteration_mean, iteration_spread: [iterations], how the optimisation went,
            as ``optimizer.Iteration`` says.
        term_returns: what each term of the objective adds to the return, by its weight: summed
            over the horizon until the episode ends, mean over the particles; a learned
            reward is the one term ``model``. What the objective makes of the last state, and what
            risk and disagreement cost, is not in it.
    """

    actions: np.ndarray
    state_mean: np.ndarray
    state_std: np.ndarray
    predicted_return: float
    warm_start: WarmStart
    model_version: int
    model_steps: int
    planning_time: float
    history: int = 1
    iteration_best: np.ndarray = dataclasses.field(default_factory=_nothing)
    iteration_mean: np.ndarray = dataclasses.field(default_factory=_nothing)
    iteration_spread: np.ndarray = dataclasses.field(default_factory=_nothing)
    term_returns: Mapping[str, float] = dataclasses.field(default_factory=dict)
