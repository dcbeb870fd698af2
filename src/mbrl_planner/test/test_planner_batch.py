"""Many robots at once: each gets the plan that it would get alone, or its own error."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from mbrl_planner.planner import (
    ModelOutdatedError,
    NoModelError,
    Planner,
    PlannerError,
    PlanningFailedError,
    PlanRequest,
    PlanRequestError,
    PlanResult,
)

STATES = np.random.default_rng(0).normal(0, 0.3, (5, 4))
WAYS = [
    {},
    {'optimizer__name': 'cem'},
    {'optimizer__icem__execute_best': False},
    {'optimizer__name': 'cem', 'planner__propagation': 'ts_inf', 'planner__particles': 7},
    # Robots are done after different iterations, and wait for the others.
    {
        'optimizer__name': 'cem',
        'optimizer__iterations': 6,
        'optimizer__cem__epsilon': 0.5,
        'planner__propagation': 'ts_inf',
        'planner__particles': 7,
    },
    {'planner__propagation': 'ts1', 'planner__particles': 7},
    {'planner__propagation': 'moment_matching', 'planner__particles': 3},
    {'planner__knots': 5, 'planner__spline': 'cubic'},
]


def assert_same_plan(got, expected):
    """But for the rounding of float32 sums, which the model carries along for 20 steps."""
    assert isinstance(got, PlanResult)
    for name in ('actions', 'state_mean', 'state_std', 'predicted_return'):
        np.testing.assert_allclose(
            getattr(got, name), getattr(expected, name), rtol=2e-3, atol=2e-3, err_msg=name
        )
    for name in ('mean', 'elites'):
        np.testing.assert_allclose(
            getattr(got.warm_start, name), getattr(expected.warm_start, name), rtol=0, atol=2e-3
        )
    assert got.model_steps >= expected.model_steps
    assert got.model_version == expected.model_version


@pytest.mark.parametrize('changes', WAYS)
def test_a_robots_plan_does_not_depend_on_its_company(make_settings, snapshot, changes):
    planner = Planner(make_settings(**changes))
    planner.set_model(snapshot, 3)
    cold = [PlanRequest(state, seed=seed) for seed, state in enumerate(STATES)]
    alone = [planner.plan(request) for request in cold]
    # The next plans: some warm, one without elites, one cold, with other goals.
    warm = [
        dataclasses.replace(request, seed=9 + robot, goal=[0.2 * robot], warm_start=w)
        for robot, (request, w) in enumerate(
            zip(cold, [result.warm_start.shifted(1) for result in alone])
        )
    ]
    without = warm[1].warm_start
    warm[1] = dataclasses.replace(
        warm[1], warm_start=dataclasses.replace(without, elites=without.elites[:0])
    )
    warm[3] = dataclasses.replace(warm[3], warm_start=None)
    requests = [*warm, *cold]
    expected = [*(planner.plan(request) for request in warm), *alone]
    order = np.random.default_rng(1).permutation(len(requests))
    answers = planner.plan_many([requests[place] for place in order])
    assert len(answers) == len(requests)
    for place, answer in zip(order, answers):
        assert_same_plan(answer, expected[place])


def test_a_wrong_request_is_refused_by_itself(make_settings, snapshot):
    planner = Planner(make_settings())
    good = [PlanRequest(state, seed=seed) for seed, state in enumerate(STATES)]
    assert all(isinstance(each, NoModelError) for each in planner.plan_many(good))
    planner.set_model(snapshot, 3)
    requests = [
        good[0],
        PlanRequest([0.0] * 3),
        PlanRequest(STATES[0], goal=[np.nan]),
        good[1],
        PlanRequest(STATES[0], min_model_version=4),
        PlanRequest(STATES[0], past_states=[[0.0] * 3], past_actions=[[0.0]]),
    ]
    answers = planner.plan_many(requests)
    assert_same_plan(answers[0], planner.plan(good[0]))
    assert_same_plan(answers[3], planner.plan(good[1]))
    assert [type(answers[k]) for k in (1, 2, 4, 5)] == [
        PlanRequestError,
        PlanRequestError,
        ModelOutdatedError,
        PlanRequestError,
    ]
    assert 'the task has 4 entries' in str(answers[1])
    assert 'all finite' in str(answers[2])
    assert 'past states have shape [1, 3]; it must be [k, 4]' in str(answers[5])
    with pytest.raises(PlanRequestError, match='the task has 4 entries'):
        planner.plan(requests[1])


def test_nobody_asks_for_nothing(make_settings, snapshot):
    planner = Planner(make_settings())
    planner.set_model(snapshot, 3)
    assert planner.plan_many([]) == []


def test_a_robot_where_the_model_diverges_does_not_concern_the_others(make_settings, linear_model):
    class Cliff(linear_model):
        def predict(self, state, action, variance=True):
            prediction = super().predict(state, action, variance)
            gone = state[..., :1] > 5
            mean = torch.where(gone, torch.nan, prediction.mean)
            return dataclasses.replace(prediction, mean=mean)

    planner = Planner(make_settings())
    control = np.full((1, 4, 1), 0.01)
    planner.use_model(Cliff(np.eye(4)[None], control), 7)
    beyond = np.array([6.0, 0.0, 0.0, 0.0])
    answers = planner.plan_many([PlanRequest(s) for s in (STATES[0], beyond, STATES[1])])
    assert isinstance(answers[1], PlanningFailedError)
    assert 'model version 7 from the state [6.0, 0.0, 0.0, 0.0]' in str(answers[1])
    for answer, state in ((answers[0], STATES[0]), (answers[2], STATES[1])):
        assert not isinstance(answer, PlannerError)
        # the linear model in closed form, along the actions that were returned
        expected = state + 0.01 * np.cumsum(answer.actions, axis=0)
        np.testing.assert_allclose(answer.state_mean[1:], expected, atol=1e-5)


@pytest.mark.parametrize('spline', ['zero', 'linear', 'cubic'])
def test_actions_of_knots_are_executed_as_they_were_evaluated(make_settings, linear_model, spline):
    """States and return of the plan follow from its actions, also where these were cut off."""
    planner = Planner(
        make_settings(
            planner__knots=4,
            planner__spline=spline,
            optimizer__icem__initial_std=3.0,
            objective__weights=['control=-10'],  # the larger the better
        )
    )
    control = np.array([[[0.004], [0.02], [0.1], [0.5]]])
    planner.use_model(linear_model(np.eye(4)[None], control), 1)
    result = planner.plan(PlanRequest(STATES[0], seed=3))
    assert np.abs(result.actions).max() == 3.0
    states = STATES[0] + np.cumsum(result.actions, axis=0) * control[0, :, 0]
    np.testing.assert_allclose(result.state_mean[1:], states, atol=1e-4)
    x, theta = states[:, 0], states[:, 1]
    distance = (x - 0.6 * np.sin(theta)) ** 2 + (-0.6 * np.cos(theta) - 0.6) ** 2
    rewards = np.exp(-distance / 0.36) + 10 * result.actions[:, 0] ** 2
    np.testing.assert_allclose(result.predicted_return, rewards.sum(), rtol=1e-4)


def test_with_a_knot_for_every_action_the_plan_is_that_without_knots(make_settings, snapshot):
    plans = []
    for knots in (0, 20):
        planner = Planner(make_settings(planner__knots=knots))
        planner.set_model(snapshot, 1)
        first = planner.plan(PlanRequest(STATES[0], seed=3))
        plans.append(planner.plan(PlanRequest(STATES[1], warm_start=first.warm_start.shifted(1))))
    assert_same_plan(plans[1], plans[0])


def test_held_knots_give_blocks_of_the_same_action_and_so_does_the_warm_start(
    make_settings, snapshot
):
    planner = Planner(make_settings(planner__knots=4, planner__spline='zero'))
    planner.set_model(snapshot, 1)
    result = planner.plan(PlanRequest(STATES[0]))
    assert result.warm_start.elites.shape == (2, 20, 1)
    for sequence in (result.actions, result.warm_start.mean, *result.warm_start.elites):
        blocks = sequence.reshape(4, 5)
        np.testing.assert_array_equal(blocks, blocks[:, :1].repeat(5, axis=1))
        assert len(np.unique(blocks)) == 4


def test_a_warm_start_comes_back_as_the_knots_it_was_made_of(make_settings, linear_model):
    """Elites that are tried again: where they are better than all else, they are the plan."""
    planner = Planner(
        make_settings(planner__knots=5, planner__spline='cubic', optimizer__icem__initial_std=0.001)
    )
    planner.use_model(linear_model(np.eye(4)[None], np.full((1, 4, 1), 0.05)), 1)
    better = Planner(make_settings(planner__knots=5, planner__spline='cubic'))
    better.use_model(linear_model(np.eye(4)[None], np.full((1, 4, 1), 0.05)), 1)
    found = better.plan(PlanRequest(STATES[0]))
    only_elites = dataclasses.replace(found.warm_start, mean=np.zeros((20, 1)))
    again = planner.plan(PlanRequest(STATES[0], warm_start=only_elites))
    np.testing.assert_allclose(again.actions, found.actions, atol=1e-5)
    assert again.predicted_return == pytest.approx(found.predicted_return, rel=1e-5)
