"""Plans that take effect later: from where the robot will be by then."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from mbrl_dynamics.model import Prediction
from mbrl_planner.objectives import ObjectiveSettings
from mbrl_planner.planner import (
    Planner,
    PlanningFailedError,
    PlanRequest,
    PlanRequestError,
    PlanResult,
)

STATE = np.array([0.1, -0.2, 0.3, 0.4])
TRUE = {'planner__backend': 'mujoco', 'planner__simulator': 'cartpole_pets'}
LEAD = {'lead_actions': [[2.0], [-1.5], [0.5]], 'lead_durations': [0.25, 1.0, 0.5]}


@pytest.fixture
def planner(make_settings, snapshot):
    planner = Planner(make_settings())
    planner.set_model(snapshot, version=3)
    return planner


def assert_same(got: PlanResult, expected: PlanResult) -> None:
    """Bit for bit, but for what was spent."""
    assert got.predicted_return == expected.predicted_return
    for name in ('actions', 'state_mean', 'state_std', 'iteration_best'):
        np.testing.assert_array_equal(getattr(got, name), getattr(expected, name), err_msg=name)
    for name in ('mean', 'elites'):
        one, other = getattr(got.warm_start, name), getattr(expected.warm_start, name)
        np.testing.assert_array_equal(one, other, err_msg=name)


@pytest.mark.parametrize('durations', [[1.0], [1.0, 1.0, 1.0], [0.3], [0.25, 1.0, 1.0, 0.6]])
def test_the_start_of_a_plan_is_that_of_the_mean_of_the_members_step_by_step(
    make_settings, linear_model, durations
):
    """In closed form, in float64. One entry is predicted as an absolute value of the action."""
    random = np.random.default_rng(0)
    transition = np.eye(4) + random.normal(0, 0.2, (3, 4, 4))
    transition[:, 2] = 0.0
    control = random.normal(0, 0.2, (3, 4, 1))
    actions = random.uniform(-3, 3, (len(durations), 1))
    planner = Planner(make_settings())
    planner.use_model(linear_model(transition, control), 1)
    request = PlanRequest(STATE, lead_actions=actions, lead_durations=durations)
    result = planner.plan(request)
    state = STATE
    for action, duration in zip(actions, durations):
        after = transition.mean(0) @ state + control.mean(0) @ action
        state = (1 - duration) * state + duration * after
    np.testing.assert_allclose(result.state_mean[0], state, rtol=1e-5, atol=1e-6)
    assert not result.state_std[0].any() and result.state_std[1].any()


@pytest.mark.parametrize(
    'changes', [{}, {'planner__propagation': 'ts_inf'}, {'optimizer__name': 'hybrid'}, TRUE]
)
@pytest.mark.parametrize('warm', [False, True])
def test_a_plan_with_a_lead_is_the_plan_from_where_that_leads(
    make_settings, snapshot, changes, warm
):
    planner = Planner(make_settings(**changes))
    planner.set_model(snapshot, 3)
    first = planner.plan(PlanRequest(STATE)).warm_start.shifted(2) if warm else None
    request = PlanRequest(STATE, [0.3], seed=5, warm_start=first, **LEAD)
    led = planner.plan(request)
    assert np.abs(led.state_mean[0] - STATE).max() > 0.1
    there = PlanRequest(led.state_mean[0], [0.3], seed=5, warm_start=first)
    direct = planner.plan(there)
    assert_same(led, direct)
    members = 5 if planner.model_version else 1
    assert led.model_steps == direct.model_steps + 3 * members


def test_an_angle_is_carried_on_and_not_wrapped(planner):
    turned = STATE + np.array([0.0, 2 * np.pi, 0.0, 0.0])
    plans = [planner.plan(PlanRequest(state, seed=1, **LEAD)) for state in (STATE, turned)]
    apart = plans[1].state_mean[0] - plans[0].state_mean[0]
    np.testing.assert_allclose(apart, [0.0, 2 * np.pi, 0.0, 0.0], atol=1e-5)


class Window:
    """A model with a history of 2 whose truth is known at all times, whole and part steps alike.

    The first entry goes on at a constant speed, which the window alone knows. The second integrates
    the action of one control period before.
    """

    members, state_dim, action_dim, history = 2, 4, 1, 2
    learns_reward = learns_termination = False
    target_scale = torch.ones(4)

    def predict(self, state, action, variance=True):
        """See ``mbrl_dynamics.propagation.Model``."""
        mean = state[..., :4].clone()
        mean[..., 0] += state[..., 0] - state[..., 4]
        mean[..., 1] += action[..., 1]
        return Prediction(mean, None, None, None)


def test_the_window_of_a_history_moves_along_in_whole_and_in_part_steps(planner):
    planner.use_model(Window(), 1)
    before = STATE - [0.7, 0.0, 0.0, 0.0]
    past = {'past_states': [before], 'past_actions': [[0.5]]}
    actions, durations = [2.0, -1.0, 3.0], [0.25, 1.0, 0.5]
    lead = {'lead_actions': np.array(actions)[:, None], 'lead_durations': durations}
    result = planner.plan(PlanRequest(STATE, **past, **lead))
    time = 1.75
    # the action of one period before: 0.5 until 1, 2.0 until 1.25, then -1.0
    delayed = 0.5 * 1.0 + 2.0 * 0.25 + -1.0 * 0.5
    expected = STATE + np.array([0.7 * time, delayed, 0.0, 0.0])
    np.testing.assert_allclose(result.state_mean[0], expected, rtol=1e-5)
    # The first planned step still has the lead's actions of the last period, 0.75 to 1.75, ahead.
    expected += [0.7, -1.0 * 0.5 + 3.0 * 0.5, 0.0, 0.0]
    np.testing.assert_allclose(result.state_mean[1], expected, rtol=1e-5)


def test_after_whole_steps_the_window_is_what_happened(planner):
    planner.use_model(Window(), 1)
    past = {'past_states': [STATE - 0.5], 'past_actions': [[0.5]]}
    led = planner.plan(PlanRequest(STATE, seed=2, **past, lead_actions=[[2.0]], lead_durations=[1]))
    there = {'past_states': [STATE], 'past_actions': [[2.0]]}
    assert_same(led, planner.plan(PlanRequest(led.state_mean[0], seed=2, **there)))
    # at the start of an episode, what is missing is filled up as ever
    led = planner.plan(PlanRequest(STATE, seed=2, lead_actions=[[2.0]], lead_durations=[1]))
    assert_same(led, planner.plan(PlanRequest(led.state_mean[0], seed=2, **there)))


@pytest.mark.parametrize('changes', [{}, TRUE])
def test_robots_with_different_leads_get_the_plans_that_they_get_alone(
    make_settings, snapshot, changes
):
    planner = Planner(make_settings(**changes))
    planner.set_model(snapshot, 3)
    random = np.random.default_rng(1)
    warm = planner.plan(PlanRequest(STATE)).warm_start.shifted(1)
    requests = [
        PlanRequest(
            random.normal(0, 0.3, 4),
            seed=robot,
            warm_start=warm if robot % 2 else None,
            lead_actions=random.uniform(-3, 3, (steps, 1)),
            lead_durations=random.uniform(0.2, 1, steps),
        )
        for robot, steps in enumerate((3, 0, 1, 5, 0))
    ]
    wrong = dataclasses.replace(requests[0], lead_durations=[1.0])
    answers = planner.plan_many([*requests, wrong])
    assert isinstance(answers.pop(), PlanRequestError)
    for request, answer in zip(requests, answers):
        alone = planner.plan(request)
        assert isinstance(answer, PlanResult)
        for name in ('actions', 'state_mean', 'state_std', 'predicted_return'):
            got, expected = getattr(answer, name), getattr(alone, name)
            np.testing.assert_allclose(got, expected, rtol=2e-3, atol=2e-3, err_msg=name)
        np.testing.assert_allclose(answer.state_mean[0], alone.state_mean[0], atol=1e-6)
        assert answer.model_steps == alone.model_steps
        if not len(request.lead_actions):
            np.testing.assert_array_equal(answer.state_mean[0], request.state)


def test_the_goal_of_a_request_is_that_at_the_plans_first_step(make_settings, linear_model):
    """A slider that moves by a tenth of the action, and is to follow a wave."""
    planner = Planner(make_settings(objective__name='tracking'))
    weights = ('slider.velocity=0', 'hinge.position=0', 'hinge.velocity=0', 'control=0')
    planner.set_objective(ObjectiveSettings('tracking', weights))
    control = np.array([[[0.1], [0.0], [0.0], [0.0]]])
    planner.use_model(linear_model(np.eye(4)[None], control), 1)
    centre, amplitude, frequency, phase = 0.2, 0.5, 0.7, 0.3
    goal = [centre, amplitude, frequency, phase, 0.0, 0.0, 0.0, 0.0]
    result = planner.plan(PlanRequest(STATE, goal, **LEAD))
    start = STATE[0] + 0.1 * (0.25 * 2.0 + 1.0 * -1.5 + 0.5 * 0.5)
    states = start + 0.1 * result.actions[:, 0].cumsum()
    np.testing.assert_allclose(result.state_mean[1:, 0], states, atol=1e-5)
    time = 0.04 * np.arange(1, 21)  # since the plan took effect
    wave = centre + amplitude * np.sin(2 * np.pi * frequency * time + phase)
    expected = -((states - wave) ** 2).sum()
    assert result.predicted_return == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'lead_actions': [[1.0]]}, r'lead_durations has shape \[0\] and lead_actions has 1 rows'),
        ({'lead_durations': [1.0]}, r'shape \[1\] and lead_actions has 0 rows; there must be one'),
        (
            {'lead_actions': [[1.0]], 'lead_durations': [[1.0]]},
            r'lead_durations has shape \[1, 1\]',
        ),
        (
            {'lead_actions': [[1.0, 2.0]], 'lead_durations': [1.0]},
            r'lead_actions have shape \[1, 2\]; it must be \[k, 1\]',
        ),
        (
            {'lead_actions': np.zeros((21, 1)), 'lead_durations': np.ones(21)},
            'lead_actions has 21 rows; it must have at most 20, the horizon',
        ),
        (
            {'lead_actions': [[0.0], [np.inf]], 'lead_durations': [1.0, 1.0]},
            'lead_actions has slider = inf in row 1; every entry must be finite',
        ),
        *(
            (
                {'lead_actions': [[0.0], [0.0]], 'lead_durations': [1.0, bad]},
                f'lead_durations has {bad} in place 1; every entry must be above 0 and at most 1',
            )
            for bad in (0.0, -0.5, 1.001, np.nan, np.inf)
        ),
    ],
)
@pytest.mark.parametrize('where', [{}, TRUE])
def test_a_wrong_lead_is_refused_with_what_would_be_right(
    make_settings, snapshot, where, changes, message
):
    planner = Planner(make_settings(**where))
    planner.set_model(snapshot, 3)
    with pytest.raises(PlanRequestError, match=message):
        planner.plan(PlanRequest(STATE, **changes))


def test_a_lead_into_where_the_model_diverges_concerns_no_other(make_settings, linear_model):
    class Cliff(linear_model):
        """Knows nothing where the first entry is above 1."""

        def predict(self, state, action, variance=True):
            prediction = super().predict(state, action, variance)
            mean = torch.where(state[..., :1] > 1, torch.nan, prediction.mean)
            return dataclasses.replace(prediction, mean=mean)

    planner = Planner(make_settings())
    planner.use_model(Cliff(np.eye(4)[None], np.full((1, 4, 1), 0.01)), 7)
    request = PlanRequest(np.zeros(4), seed=1, **LEAD)
    answers = planner.plan_many([request, dataclasses.replace(request, state=[1.5, 0, 0, 0])])
    text = 'lead_actions lead to no finite state with model version 7 from the state [1.5, 0.0'
    assert isinstance(answers[1], PlanningFailedError) and text in str(answers[1])
    assert isinstance(answers[0], PlanResult)
    expected = 0.01 * (0.25 * 2.0 + 1.0 * -1.5 + 0.5 * 0.5)
    np.testing.assert_allclose(answers[0].state_mean[0], expected, atol=1e-6)


def test_a_delayed_plan_with_a_lead_is_the_one_that_is_made_later_and_better_than_a_stale_one(
    make_settings, true_cartpole
):
    """In the true model: the cart moves on for three steps until the plan is there."""
    planner = Planner(make_settings(**TRUE, optimizer__candidates=128, optimizer__iterations=4))
    start = np.array([0.0, 2.6, 0.0, 1.0])  # near the top, and moving
    meanwhile = np.array([[3.0], [-3.0], [1.0]])
    reached = true_cartpole.states(start, meanwhile[None])[0, -1]
    request = PlanRequest(start, seed=3)
    led = planner.plan(
        dataclasses.replace(request, lead_actions=meanwhile, lead_durations=np.ones(3))
    )
    later = planner.plan(dataclasses.replace(request, state=reached))
    np.testing.assert_allclose(led.state_mean, later.state_mean, atol=1e-5)
    np.testing.assert_allclose(led.actions, later.actions, atol=1e-5)

    def earned(actions):
        states = true_cartpole.states(reached, actions[None])[0, 1:]
        tips = np.array([true_cartpole.tip(state)[[0, 2]] for state in states])
        squares = ((tips - [0.0, 0.6]) ** 2).sum(1)
        return np.exp(-squares / 0.36).sum() - 0.01 * (actions**2).sum()

    assert earned(led.actions) == pytest.approx(led.predicted_return, rel=1e-4)
    stale = planner.plan(request)
    assert earned(led.actions) > earned(stale.actions) + 0.5
