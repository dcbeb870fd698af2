"""What the planner writes is what the controller reads."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time

from mbrl_mpc.conversions import plan_from_response, plan_request_message, why_not_followed
from mbrl_mpc.ports import PlanFailure
from mbrl_mpc.settings import MpcSettings
from mbrl_msgs.msg import Plan
from mbrl_msgs.srv import PlanActions
from mbrl_planner.conversions import error_code, read_request, write_plan
from mbrl_planner.plan import (
    ModelOutdatedError,
    NoModelError,
    PlannerError,
    PlanningFailedError,
    PlanRequest,
    PlanRequestError,
    PlanResult,
)
from mbrl_planner.settings import PlannerSettings, PlanningSettings
from mbrl_planner.warm_start import WarmStart


@pytest.fixture
def planner_settings(settings: MpcSettings) -> PlannerSettings:
    """Of a planner for the same task, with a horizon of 5."""
    return PlannerSettings(settings.task, settings.objective, PlanningSettings(horizon=5))


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape)


def assert_same(got: object, expected: object) -> None:
    """All fields of two dataclasses, warm starts included."""
    for field in dataclasses.fields(expected):  # type: ignore[arg-type]
        one, other = getattr(got, field.name), getattr(expected, field.name)
        if dataclasses.is_dataclass(other):
            assert_same(one, other)
        elif isinstance(other, dict):
            assert list(one.items()) == list(other.items())
        else:
            np.testing.assert_array_equal(one, other, err_msg=field.name)


@pytest.fixture
def result() -> PlanResult:
    return PlanResult(
        actions=numbers(5, 1),
        state_mean=numbers(6, 4),
        state_std=numbers(6, 4) ** 2,
        predicted_return=1.5,
        warm_start=WarmStart(numbers(5, 1), numbers(3, 5, 1)),
        model_version=3,
        model_steps=100,
        planning_time=0.25,
        history=2,
        iteration_best=np.array([-np.inf, 1.0]),
        iteration_mean=np.array([np.nan, 0.5]),
        iteration_spread=np.array([0.5, 0.25]),
        term_returns={'tip': 2.0, 'control': -0.5},
    )


@pytest.fixture
def response(result: PlanResult, planner_settings: PlannerSettings) -> PlanActions.Response:
    """The plan as the planner sends it."""
    response = PlanActions.Response()
    write_plan(response.plan, 7, Time(sec=1), result, planner_settings)
    return response


def test_a_plan_arrives_with_all_that_it_says(
    settings: MpcSettings, response: PlanActions.Response, result: PlanResult
) -> None:
    for plan_id in (None, 7):
        got = plan_from_response(response, settings.task, plan_id)
        assert isinstance(got, PlanResult)
        assert_same(got, result)


def test_a_plan_that_somebody_else_asked_for_is_none(
    settings: MpcSettings, response: PlanActions.Response
) -> None:
    assert isinstance(plan_from_response(response, settings.task, plan_id=8), PlanFailure)


@pytest.mark.parametrize(
    'fields',
    [
        {'action_dim': 5, 'horizon': 1, 'state_mean': [0.0] * 8, 'state_std': [0.0] * 8},
        {'state_dim': 8, 'state_mean': [0.0] * 48, 'state_std': [0.0] * 48},
        {
            'horizon': 0,
            'actions': [],
            'state_mean': [0.0] * 4,
            'state_std': [0.0] * 4,
            'warm_start_mean': [],
            'warm_start_elites': [],
        },
        {'actions': [0.0] * 4},
        {'actions': [np.inf] * 5},
        {'interpolation': Plan.INTERPOLATION_LINEAR},
        {'step': 0.02},
        {'step': np.nan},
    ],
    ids=str,
)
def test_a_plan_that_cannot_be_followed_is_none(
    settings: MpcSettings, response: PlanActions.Response, fields: dict[str, Any]
) -> None:
    """Those of other dimensions fit together in themselves."""
    for name, value in fields.items():
        setattr(response.plan, name, value)
    assert plan_from_response(response, settings.task) is PlanFailure.PLANNING_FAILED


def test_people_are_told_why_a_plan_is_not_followed(
    settings: MpcSettings, response: PlanActions.Response
) -> None:
    plan, task = response.plan, settings.task
    assert why_not_followed(plan, task, 7) == ''
    assert 'plan 7; 8 was asked for' in why_not_followed(plan, task, 8)
    plan.step = 0.02
    assert 'are of 0.02 s' in why_not_followed(plan, task)
    plan.interpolation = Plan.INTERPOLATION_LINEAR
    assert 'interpolation 1' in why_not_followed(plan, task)
    plan.action_dim = 2
    assert '2 of action' in why_not_followed(plan, task)


@pytest.mark.parametrize('warm', [False, True])
def test_a_request_arrives_with_all_that_it_asks(
    planner_settings: PlannerSettings, warm: bool
) -> None:
    request = PlanRequest(
        state=numbers(4),
        goal=numbers(1),
        seed=2**63 + 1,
        min_model_version=2,
        warm_start=WarmStart(numbers(5, 1), numbers(3, 5, 1)) if warm else None,
        past_states=numbers(2, 4),
        past_actions=numbers(2, 1),
        lead_actions=numbers(3, 1),
        lead_durations=np.array([0.25, 1.0, 0.5]),
    )
    message = plan_request_message(9, request, Time(sec=1))
    assert message.plan_id == 9
    assert_same(read_request(message, planner_settings), request)


@pytest.mark.parametrize(
    ('error', 'failure'),
    [
        (NoModelError, PlanFailure.NO_MODEL),
        (ModelOutdatedError, PlanFailure.MODEL_OUTDATED),
        (PlanRequestError, PlanFailure.INVALID_REQUEST),
        (PlanningFailedError, PlanFailure.PLANNING_FAILED),
    ],
)
def test_an_error_of_the_planner_is_known_to_the_controller(
    settings: MpcSettings, error: type[PlannerError], failure: PlanFailure
) -> None:
    response = PlanActions.Response(error_code=error_code(error('')))
    assert plan_from_response(response, settings.task) is failure
