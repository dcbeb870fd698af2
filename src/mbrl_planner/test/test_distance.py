"""Distances between parts, of gymnasium's planar reacher, whose kinematics one can write down."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mbrl_common.settings import SettingsError, build
from mbrl_common.task import TaskSettings
from mbrl_planner.objectives import ObjectiveSettings, make_objective

TASK = {
    'name': 'reacher',
    'state': ['joint0.position', 'joint1.position', 'target_x.position', 'target_y.position'],
    'action': ['joint0', 'joint1'],
    'action_low': [-1.0, -1.0],
    'action_high': [1.0, 1.0],
    'control_period': 0.02,
    'max_steps': 50,
}


@pytest.fixture
def reacher() -> TaskSettings:
    return build(TaskSettings, TASK)


def make(task, *distances, **settings):
    parameters = {'name': 'distance', 'robot': 'gymnasium:Reacher-v5', 'distances': distances}
    return make_objective(build(ObjectiveSettings, {**parameters, **settings}), task)


def fingertip(state):
    first, both = state[..., 0], state[..., 0] + state[..., 1]
    x = 0.1 * np.cos(first) + 0.11 * np.cos(both)
    y = 0.1 * np.sin(first) + 0.11 * np.sin(both)
    return np.stack([x, y, np.full_like(x, 0.01)], -1)


def reward(objective, states, goal=()):
    action = torch.zeros(2, dtype=torch.float64)
    state = torch.from_numpy(states)
    return objective.reward(state, action, state, torch.tensor(goal, dtype=torch.float64)).numpy()


@pytest.mark.parametrize('metric', ['length', 'square', 'sum'])
def test_a_distance_is_measured_between_two_parts(reacher, metric):
    states = np.random.default_rng(0).uniform(-2, 2, (30, 4))
    way = fingertip(states) - np.concatenate([states[:, 2:], np.full((30, 1), 0.01)], -1)
    expected = {
        'length': np.sqrt((way**2).sum(-1)),
        'square': (way**2).sum(-1),
        'sum': np.abs(way).sum(-1),
    }[metric]
    objective = make(reacher, 'reach=fingertip to target', metric=metric)
    assert objective.goal_names == () and not objective.can_terminate
    np.testing.assert_allclose(reward(objective, states), -expected, atol=1e-12)


def test_one_end_may_be_the_goal_a_place_in_the_world(reacher):
    objective = make(reacher, 'reach=fingertip to the goal', 'stay=body1 to the goal')
    assert objective.goal_names == ('x [m]', 'y [m]', 'z [m]')
    states = np.array([[0.0, np.pi / 2, 0.0, 0.0]])
    at = [0.1, 0.11, 0.01]
    assert reward(objective, states, at)[0] == pytest.approx(-0.11, abs=1e-12)
    assert reward(objective.with_weights({'stay': 0.0}), states, at)[0] == pytest.approx(0.0)


def test_the_action_costs(reacher):
    objective = make(reacher, 'reach=fingertip to target', weights=['reach=0', 'control=0.5'])
    state = torch.zeros(4)
    paid = objective.reward(state, torch.tensor([1.0, 2.0]), state, torch.zeros(0))
    assert float(paid) == pytest.approx(-2.5)


@pytest.mark.parametrize(
    ('distances', 'settings', 'complaint'),
    [
        ([], {}, "it needs 'objective.distances', as 'near=hand to ball'"),
        (['fingertip to target'], {}, "must be 'term=part to part'"),
        (['reach=fingertip'], {}, "must be 'term=part to part'"),
        (['a=fingertip to target'] * 2, {}, "'term=part to part', with a name of its own"),
        (['control=fingertip to target'], {}, "not 'control'"),
        (['reach=finger to target'], {}, "no site or body 'finger'; it has body0"),
        (['reach=fingertip to target'], {'robot': ''}, "'objective.robot' is ''"),
        (['reach=fingertip to target'], {'metric': 'long'}, "'length', 'square', 'sum'"),
    ],
)
def test_what_is_wrong_is_refused_with_what_would_be_right(reacher, distances, settings, complaint):
    with pytest.raises(SettingsError, match=complaint):
        make(reacher, *distances, **settings)
