"""Between the messages of the suite and the planner's own types."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from builtin_interfaces.msg import Time

from mbrl_common.messages import from_field, to_field
from mbrl_msgs.msg import Plan
from mbrl_msgs.srv import PlanActions, PlanBatch
from mbrl_planner.plan import (
    ModelOutdatedError,
    NoModelError,
    PlannerError,
    PlanRequest,
    PlanRequestError,
    PlanResult,
)
from mbrl_planner.settings import PlannerSettings
from mbrl_planner.warm_start import WarmStart

T = TypeVar('T')

_ERROR_CODES = {
    NoModelError: PlanActions.Response.NO_MODEL,
    ModelOutdatedError: PlanActions.Response.MODEL_OUTDATED,
    PlanRequestError: PlanActions.Response.INVALID_REQUEST,
}


def error_code(error: PlannerError) -> int:
    """The constant of ``PlanActions`` and ``PlanBatch`` for an error."""
    return int(_ERROR_CODES.get(type(error), PlanActions.Response.PLANNING_FAILED))


def read_request(message: PlanActions.Request, settings: PlannerSettings) -> PlanRequest:
    """The request as the core takes it; what arrays alone cannot say is checked here.

    Raises:
        PlanRequestError: an array has a wrong length, or the plan no number.
    """
    _check_plan_id(message.plan_id)
    steps = (settings.planner.horizon, settings.task.action_dim)
    warm_start = None
    if message.warm_start_mean:
        warm_start = WarmStart(
            _steps('warm_start_mean', message.warm_start_mean, 1, steps)[0],
            _steps('warm_start_elites', message.warm_start_elites, -1, steps),
        )
    elif message.warm_start_elites:
        raise PlanRequestError(
            'warm_start_elites are given without warm_start_mean; give both, or none'
        )
    return PlanRequest(
        state=message.state,
        goal=message.goal,
        seed=message.seed,
        min_model_version=message.min_model_version,
        warm_start=warm_start,
        past_states=_rows('past_states', message.past_states, settings.task.state_dim),
        past_actions=_rows('past_actions', message.past_actions, settings.task.action_dim),
        lead_actions=_rows('lead_actions', message.lead_actions, settings.task.action_dim),
        lead_durations=from_field(message.lead_durations),
    )


def read_batch(
    message: PlanBatch.Request, settings: PlannerSettings
) -> list[PlanRequest | PlannerError]:
    """The requests of a batch as the core takes them, or what is wrong with one.

    Raises:
        PlanRequestError: the arrays do not fit together, so that no robot's part is known.
    """
    robots = len(message.plan_ids)
    if not robots:
        raise PlanRequestError('plan_ids is empty; it must have an entry for each robot')
    task = settings.task
    steps = (settings.planner.horizon, task.action_dim)
    _per_robot('stamps', message.stamps, robots, Time())
    seeds = _per_robot('seeds', message.seeds, robots, 0)
    warm = _per_robot('warm', message.warm, robots, False)
    past_counts = _per_robot('past_counts', message.past_counts, robots, 0)
    lead_counts = _per_robot('lead_counts', message.lead_counts, robots, 0)
    elites_counts = _per_robot('elites_counts', message.elites_counts, robots, 0)
    _check_length('states', message.states, robots, task.state_dim, 'robots')
    states = from_field(message.states, (robots, -1))
    if len(message.goals) % robots:
        raise PlanRequestError(
            f'goals has {len(message.goals)} entries; it must have as many for each of '
            f'{robots} robots, or none'
        )
    goals = from_field(message.goals).reshape(robots, -1)
    past = [
        _parts(name, values, past_counts, (width,), 'past_counts')
        for name, values, width in (
            ('past_states', message.past_states, task.state_dim),
            ('past_actions', message.past_actions, task.action_dim),
        )
    ]
    lead_actions, lead_durations = (
        _parts(name, values, lead_counts, shape, 'lead_counts')
        for name, values, shape in (
            ('lead_actions', message.lead_actions, (task.action_dim,)),
            ('lead_durations', message.lead_durations, ()),
        )
    )
    means: np.ndarray | list[None] = [None] * robots
    if any(warm):
        means = _steps('warm_start_mean', message.warm_start_mean, robots, steps)
    elites = _parts(
        'warm_start_elites', message.warm_start_elites, elites_counts, steps, 'elites_counts'
    )
    requests: list[PlanRequest | PlannerError] = []
    for robot, plan_id in enumerate(message.plan_ids):
        mean = means[robot] if warm[robot] else None
        try:
            _check_plan_id(plan_id)
            if mean is None and len(elites[robot]):
                raise PlanRequestError(
                    f'elites_counts is {len(elites[robot])} for a robot that is not warm; '
                    'it must be 0'
                )
        except PlanRequestError as error:
            requests.append(error)
            continue
        requests.append(
            PlanRequest(
                state=states[robot],
                goal=goals[robot],
                seed=seeds[robot],
                min_model_version=message.min_model_version,
                warm_start=None if mean is None else WarmStart(mean, elites[robot]),
                past_states=past[0][robot],
                past_actions=past[1][robot],
                lead_actions=lead_actions[robot],
                lead_durations=lead_durations[robot],
            )
        )
    return requests


def write_plan(
    plan: Plan, plan_id: int, stamp: Time, result: PlanResult, settings: PlannerSettings
) -> None:
    """Fill the message."""
    task = settings.task
    plan.header.stamp = stamp
    plan.id = plan_id
    plan.step = task.control_period
    plan.interpolation = Plan.INTERPOLATION_ZERO_ORDER_HOLD
    plan.horizon = settings.planner.horizon
    plan.action_dim = task.action_dim
    plan.state_dim = task.state_dim
    plan.actions = to_field(result.actions)
    plan.state_mean = to_field(result.state_mean)
    plan.state_std = to_field(result.state_std)
    plan.predicted_return = result.predicted_return
    plan.warm_start_mean = to_field(result.warm_start.mean)
    plan.warm_start_elites = to_field(result.warm_start.elites)
    plan.history = result.history
    plan.model_version = result.model_version
    plan.model_steps = result.model_steps
    plan.planning_time = result.planning_time
    plan.iteration_best = to_field(result.iteration_best)
    plan.iteration_mean = to_field(result.iteration_mean)
    plan.iteration_spread = to_field(result.iteration_spread)
    plan.term_names = list(result.term_returns)
    plan.term_returns = to_field(list(result.term_returns.values()))


def _check_plan_id(plan_id: int) -> None:
    if plan_id == 0:
        raise PlanRequestError('plan_id is 0; it must be a number above, given by the caller')


def _per_robot(name: str, field: Sequence[Any], robots: int, default: T) -> list[T]:
    """A field as one entry per robot; an empty one is the default for all."""
    if not len(field):
        return [default] * robots
    if len(field) != robots:
        raise PlanRequestError(
            f'{name} has {len(field)} entries; it must have {robots} as plan_ids, or none'
        )
    return list(field)


def _parts(
    name: str, field: array[float], counts: list[int], shape: tuple[int, ...], counted: str
) -> list[np.ndarray]:
    """A field as each robot's rows [count, *shape]."""
    _check_length(name, field, sum(counts), int(np.prod(shape)), f'rows, the sum of {counted}')
    rows = from_field(field, (sum(counts), *shape))
    return np.split(rows, np.cumsum(counts)[:-1])


def _check_length(name: str, field: array[float], count: int, width: int, what: str) -> None:
    if len(field) != count * width:
        raise PlanRequestError(
            f'{name} has {len(field)} entries; it must have {count * width}: {width} for each of '
            f'{count} {what}'
        )


def _rows(name: str, field: array[float], width: int) -> np.ndarray:
    """A field as rows of a width."""
    if len(field) % width:
        raise PlanRequestError(
            f'{name} has {len(field)} entries; it must have a multiple of {width}'
        )
    return from_field(field, (-1, width))


def _steps(name: str, field: array[float], count: int, steps: tuple[int, int]) -> np.ndarray:
    """A field as ``count`` sequences of actions, [count, H, A]; -1: any number."""
    horizon, width = steps
    size = horizon * width
    if len(field) % size if count == -1 else len(field) != count * size:
        whole = 'a multiple of ' if count == -1 else f'{count} times ' if count > 1 else ''
        raise PlanRequestError(
            f'{name} has {len(field)} entries; it must have {whole}{size}: '
            f'horizon {horizon} times {width} entries of the action'
        )
    return from_field(field, (-1, horizon, width))
