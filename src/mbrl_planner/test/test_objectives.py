"""Objectives: the cart-pole against PETS's formula and MuJoCo, the weights, and the plug-ins."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest
import torch

from mbrl_common.settings import SettingsError, build
from mbrl_common.task import TaskSettings
from mbrl_planner.objectives import (
    Objective,
    ObjectiveSettings,
    make_objective,
    objective_names,
)

NAME = 'cartpole_swingup'


def pets_reward(action, next_state, goal=0.0):
    """PETS's cart-pole, in numpy, one step."""
    x, theta = next_state[:2]
    tip = np.array([x - 0.6 * np.sin(theta), -0.6 * np.cos(theta)])
    distance = np.sum((tip - np.array([goal, 0.6])) ** 2)
    return np.exp(-distance / 0.6**2) - 0.01 * np.sum(action**2)


@pytest.fixture
def objective(task):
    return make_objective(ObjectiveSettings(NAME), task)


@pytest.mark.parametrize('goal', [0.0, 0.7])
@pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.float64, 1e-14), (torch.float32, 1e-6)])
def test_the_cartpole_is_paid_as_in_pets(objective, goal, dtype, tolerance):
    random = np.random.default_rng(0)
    states = random.normal(0, 2, (50, 3, 4))
    actions = random.uniform(-3, 3, (50, 3, 1))
    reward = objective.reward(
        torch.tensor(states, dtype=dtype).roll(1, 0),
        torch.tensor(actions, dtype=dtype),
        torch.tensor(states, dtype=dtype),
        torch.tensor([goal], dtype=dtype),
    )
    assert reward.dtype == dtype and reward.shape == (50, 3)
    expected = [
        [pets_reward(actions[i, j], states[i, j], goal) for j in range(3)] for i in range(50)
    ]
    np.testing.assert_allclose(reward, expected, atol=tolerance)


def test_the_tip_is_where_mujoco_has_it(objective, true_cartpole):
    for state in np.random.default_rng(0).normal(0, 2, (20, 4)):
        state[0] = np.clip(state[0], -2.4, 2.4)
        x, _, z = true_cartpole.tip(state)
        expected = np.exp(-((x - 0.4) ** 2 + (z - 0.6) ** 2) / 0.36)
        reward = objective.reward(
            torch.tensor(state),
            torch.zeros(1, dtype=torch.float64),
            torch.tensor(state),
            torch.tensor([0.4], dtype=torch.float64),
        )
        np.testing.assert_allclose(float(reward), expected, rtol=1e-9)


def test_a_goal_moves_with_the_cart(objective):
    upright = torch.tensor([1.3, np.pi, 0.0, 0.0], dtype=torch.float64)
    action = torch.zeros(1, dtype=torch.float64)
    rewards = [
        float(objective.reward(upright, action, upright, torch.tensor([goal], dtype=torch.float64)))
        for goal in (1.3, 0.0)
    ]
    np.testing.assert_allclose(rewards[0], 1.0)
    assert rewards[1] < 0.01


def test_weights_scale_their_terms_and_others_keep_theirs(task):
    state, action = torch.zeros(4), torch.tensor([2.0])
    state[1] = torch.pi
    goal = torch.zeros(1)

    def reward(*weights):
        return float(
            make_objective(ObjectiveSettings(NAME, weights), task).reward(
                state, action, state, goal
            )
        )

    np.testing.assert_allclose(reward(), 1.0 - 0.04, rtol=1e-6)
    np.testing.assert_allclose(reward('control=0.1'), 1.0 - 0.4, rtol=1e-6)
    np.testing.assert_allclose(reward('tip = 2', 'control=0'), 2.0, rtol=1e-6)
    assert reward('tip=0', 'control=0') == 0.0


@pytest.mark.parametrize(
    ('weights', 'message'),
    [
        (['kontrol=1'], r"no term 'kontrol'; its terms are 'tip', 'control'"),
        (['control'], "'control'; an entry must be 'term=value'"),
        (['control=much'], "'control=much'; an entry must be 'term=value'"),
        (['control=nan'], 'a finite number'),
        (['tip=1', 'tip=2'], "the term 'tip' twice"),
    ],
)
def test_wrong_weights_are_refused_with_what_would_be_right(task, weights, message):
    with pytest.raises(SettingsError, match=message):
        make_objective(build(ObjectiveSettings, {'name': NAME, 'weights': weights}), task)


@pytest.mark.parametrize(
    ('goal', 'message'),
    [
        ([1.0, 2.0], r'shape \[2\]; .* takes 1 entries \(x of the tip \[m\]\)'),
        ([np.nan], 'all finite'),
        ([[1.0]], r'shape \[1, 1\]'),
    ],
)
def test_a_wrong_goal_is_refused_with_what_would_be_right(objective, goal, message):
    with pytest.raises(ValueError, match=message):
        objective.check_goal(goal)


def test_an_empty_goal_is_the_default(objective):
    np.testing.assert_array_equal(objective.check_goal([]), [0.0])
    np.testing.assert_array_equal(objective.check_goal([0.5]), [0.5])


def test_an_unknown_objective_is_refused_with_those_known(task):
    with pytest.raises(SettingsError, match=r"must be one of .*'cartpole_swingup'.*did you mean"):
        make_objective(ObjectiveSettings('cartpole_swing_up'), task)


def test_a_task_without_the_joints_is_refused(parameters):
    task = build(TaskSettings, {**parameters['task'], 'state': ['a.position'], 'angles': []})
    with pytest.raises(SettingsError, match=r"it needs 'slider.position' in 'task.state'"):
        make_objective(ObjectiveSettings(NAME), task)


def test_the_cartpole_never_ends(objective):
    assert not objective.can_terminate
    assert not bool(objective.terminated(torch.full((3, 4), 1e9)).any())


PLUGIN = """
import torch
from mbrl_planner.objectives import Objective

def stand(task):
    return Objective(
        name='stand',
        terms={'height': lambda state, action, next_state, goal: next_state[..., 0] - goal[..., 0]},
        weights={'height': 2.0},
        goal_names=('height [m]',),
        default_goal=(1.0,),
        termination=lambda next_state: next_state[..., 0] < 0.2,
    )
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """A third party's installed distribution with three entry points, two of them broken."""
    (tmp_path / 'their_robot.py').write_text(PLUGIN)
    info = tmp_path / 'their_robot-1.0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text('Metadata-Version: 2.1\nName: their-robot\nVersion: 1.0\n')
    (info / 'entry_points.txt').write_text(
        '[mbrl_planner.objectives]\n'
        'stand = their_robot:stand\n'
        'absent = their_robot_gone:stand\n'
        'cartpole_swingup = their_robot:stand\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield
    sys.modules.pop('their_robot', None)


def test_a_third_partys_objective_is_found_by_its_entry_point(plugin, task):
    assert {'stand', 'cartpole_swingup'} <= set(objective_names())
    objective = make_objective(ObjectiveSettings('stand', ('height=3',)), task)
    state = torch.tensor([[1.5, 0, 0, 0], [0.1, 0, 0, 0]])
    assert objective.reward(state, torch.zeros(1), state, torch.ones(1)).tolist() == pytest.approx(
        [1.5, -2.7]
    )
    assert objective.terminated(state).tolist() == [False, True]


def test_a_plugin_that_cannot_be_loaded_is_named(plugin, task):
    with pytest.raises(SettingsError, match=r"'absent' \(their_robot_gone:stand\): No module"):
        make_objective(ObjectiveSettings('absent'), task)


def test_a_name_that_two_packages_claim_is_refused(plugin, task):
    with pytest.raises(SettingsError, match=r'claimed by several: .*their_robot:stand'):
        make_objective(ObjectiveSettings(NAME), task)


def test_every_term_must_have_a_weight():
    with pytest.raises(ValueError, match='a weight for each'):
        Objective('x', {'a': lambda s, a, n, g: n[..., 0]}, {'b': 1.0})
