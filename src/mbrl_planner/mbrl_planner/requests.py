"""A request, checked and as the optimiser and the rollout take it."""

from __future__ import annotations

import dataclasses

import numpy as np

from mbrl_common.task import TaskSettings
from mbrl_planner.objectives import Objective
from mbrl_planner.plan import PlanRequest, PlanRequestError
from mbrl_planner.warm_start import WarmStart


@dataclasses.dataclass(frozen=True)
class Problem:
    """One robot's problem, float64.

    Attributes:
        state: [S], where the lead begins; once that was carried out, where the plan does.
        goal: [G], at the plan's first step.
        window: [K * S], the last states that the model sees, the newest first.
        past_actions: [(K - 1) * A], the actions that led to them, the newest first.
        seed: of all randomness.
        warm_start: None: cold.
        lead_actions: [n, A], executed before the plan takes effect, oldest first.
        lead_durations: [n], how long each is in force, in control periods.
    """

    state: np.ndarray
    goal: np.ndarray
    window: np.ndarray
    past_actions: np.ndarray
    seed: int
    warm_start: WarmStart | None
    lead_actions: np.ndarray
    lead_durations: np.ndarray

    @property
    def lead_steps(self) -> int:
        """Steps of the lead, n."""
        return len(self.lead_durations)

    @property
    def elites(self) -> int:
        """Candidates that it brings along."""
        return 0 if self.warm_start is None else len(self.warm_start.elites)


def check_request(
    request: PlanRequest, task: TaskSettings, objective: Objective, horizon: int, history: int
) -> Problem:
    """The problem that a request poses.

    Args:
        request: to be checked.
        task: says dimensions and names.
        objective: says what a goal is.
        horizon: H.
        history: K, states that the model sees.

    Raises:
        PlanRequestError: it says what is wrong and what would be right.
    """
    state = _state(request, task)
    if not 0 <= request.seed < 2**64:
        raise PlanRequestError(f'the seed is {request.seed}; it must be from 0 to 2**64 - 1')
    try:
        goal = objective.check_goal(request.goal)
    except ValueError as error:
        raise PlanRequestError(str(error)) from error
    window, past_actions = _window(state, request, task, history)
    if request.warm_start is not None:
        _check_warm_start(request.warm_start, (horizon, task.action_dim))
    return Problem(
        state,
        goal,
        window,
        past_actions,
        request.seed,
        request.warm_start,
        *_lead(request, task, horizon),
    )


def _state(request: PlanRequest, task: TaskSettings) -> np.ndarray:
    state = np.asarray(request.state, dtype=np.float64)
    if state.shape != (task.state_dim,):
        raise PlanRequestError(
            f'the state has shape {list(state.shape)}; the task has {task.state_dim} '
            f'entries: {", ".join(task.state)}'
        )
    if not np.isfinite(state).all():
        bad = int(np.argmin(np.isfinite(state)))
        raise PlanRequestError(
            f'the state has {task.state[bad]} = {state[bad]}; every entry must be finite'
        )
    return state


def _window(
    state: np.ndarray, request: PlanRequest, task: TaskSettings, history: int
) -> tuple[np.ndarray, np.ndarray]:
    """What a model with a history sees before its first step, newest first, flat; filled up as
    ``mbrl_dynamics.history`` does."""
    past = _rows('past states', request.past_states, task.state_dim)
    actions = _rows('past actions', request.past_actions, task.action_dim)
    if len(past) != len(actions):
        raise PlanRequestError(
            f'{len(past)} past states come with {len(actions)} past actions; there must be '
            'one for each'
        )
    if not (np.isfinite(past).all() and np.isfinite(actions).all()):
        raise PlanRequestError('past states and past actions must be finite')
    states = np.concatenate([past, state[None]])[::-1][:history]
    missing = history - len(states)
    states = np.concatenate([states, np.repeat(states[-1:], missing, axis=0)])
    actions = np.concatenate([actions[::-1], np.zeros((history, task.action_dim))])
    return states.reshape(-1), actions[: history - 1].reshape(-1)


def _rows(name: str, values: object, width: int) -> np.ndarray:
    try:
        rows = np.asarray(values, dtype=np.float64)
    except ValueError as error:  # rows of different lengths
        raise PlanRequestError(f'{name}: {error}; there must be {width} entries in each') from error
    if rows.size == 0:
        return rows.reshape(0, width)
    if rows.ndim != 2 or rows.shape[1] != width:
        raise PlanRequestError(
            f'the {name} have shape {list(rows.shape)}; it must be [k, {width}]: '
            f'{width} entries in each'
        )
    return rows


def _lead(request: PlanRequest, task: TaskSettings, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """Actions [n, A] and durations [n] of the lead."""
    actions = _rows('lead_actions', request.lead_actions, task.action_dim)
    durations = np.asarray(request.lead_durations, dtype=np.float64)
    if durations.shape != (len(actions),):
        raise PlanRequestError(
            f'lead_durations has shape {list(durations.shape)} and lead_actions has '
            f'{len(actions)} rows; there must be one duration for each'
        )
    if len(actions) > horizon:
        raise PlanRequestError(
            f'lead_actions has {len(actions)} rows; it must have at most {horizon}, the horizon: '
            'what is known of the robot is too old to plan from'
        )
    if not np.isfinite(actions).all():
        row, entry = np.argwhere(~np.isfinite(actions))[0]
        raise PlanRequestError(
            f'lead_actions has {task.action[entry]} = {actions[row, entry]} in row {row}; every '
            'entry must be finite'
        )
    sound = (durations > 0) & (durations <= 1)
    if not sound.all():
        bad = int(np.argmin(sound))
        raise PlanRequestError(
            f'lead_durations has {durations[bad]} in place {bad}; every entry must be above 0 and '
            'at most 1, in control periods'
        )
    return actions, durations


def _check_warm_start(warm_start: WarmStart, steps: tuple[int, int]) -> None:
    for name, values, shape in (
        ('mean', warm_start.mean, steps),
        ('elites', warm_start.elites, (-1, *steps)),
    ):
        if values.ndim != len(shape) or values.shape[-2:] != steps:
            raise PlanRequestError(
                f'the warm start has {name} of shape {list(values.shape)}; it must be '
                f'[{"K, " if len(shape) == 3 else ""}{steps[0]}, {steps[1]}]: '
                'horizon and entries of the action'
            )
        if not np.isfinite(values).all():
            raise PlanRequestError(f'the warm start has {name} that are not finite')
