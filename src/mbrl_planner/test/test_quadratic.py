"""The quadratic objective against its formula in numpy, for the cart-pole and for another task."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from mbrl_common.settings import SettingsError, build
from mbrl_common.task import TaskSettings
from mbrl_planner.objectives import ObjectiveSettings, make_objective

GOAL = np.array([0.5, np.pi, 0.0, -1.0])
WEIGHTS = np.array([1.0, 1.0, 0.1, 0.1])


def tensor(values, dtype=torch.float64):
    return torch.as_tensor(np.asarray(values), dtype=dtype)


def expected(states, actions, goal, weights=WEIGHTS, control=0.01):
    """The formula, with the chord of the unit circle for the angle."""
    difference = states - goal
    turn = np.exp(1j * states[..., 1]) - np.exp(1j * goal[1])
    squares = np.abs(difference) ** 2
    squares[..., 1] = np.abs(turn) ** 2
    return -(squares * weights).sum(-1) - control * (actions**2).sum(-1)


@pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_every_entry_costs_its_squared_distance_from_the_goal(task, dtype, tolerance):
    random = np.random.default_rng(0)
    states, actions = random.normal(0, 3, (40, 4)), random.uniform(-3, 3, (40, 1))
    objective = make_objective(ObjectiveSettings('quadratic'), task)
    reward = objective.reward(
        tensor(states, dtype).roll(1, 0), tensor(actions, dtype), tensor(states, dtype),
        tensor(GOAL, dtype),
    )  # fmt: skip
    assert reward.dtype == dtype
    np.testing.assert_allclose(reward, expected(states, actions, GOAL), rtol=tolerance)


def test_weights_are_given_by_the_entrys_name(task):
    settings = ObjectiveSettings(
        'quadratic', ('slider.position=3', 'control=0', 'hinge.velocity=2')
    )
    objective = make_objective(settings, task)
    random = np.random.default_rng(1)
    states, actions = random.normal(0, 3, (40, 4)), random.uniform(-3, 3, (40, 1))
    reward = objective.reward(tensor(states), tensor(actions), tensor(states), tensor(GOAL))
    weights = np.array([3.0, 1.0, 0.1, 2.0])
    np.testing.assert_allclose(reward, expected(states, actions, GOAL, weights, 0.0))


def test_a_full_turn_costs_nothing_of_an_angle_and_does_of_any_other_entry(task):
    objective = make_objective(ObjectiveSettings('quadratic'), task)
    goal, action = torch.zeros(4, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    for index, cost in ((1, 0.0), (0, (2 * np.pi) ** 2)):
        state = torch.zeros(4, dtype=torch.float64)
        state[index] = 2 * np.pi
        reward = float(objective.reward(state, action, state, goal))
        assert reward == pytest.approx(-cost, abs=1e-12)


def test_small_angles_are_told_apart_in_single_precision(task):
    objective = make_objective(ObjectiveSettings('quadratic'), task)
    state = torch.tensor([0.0, 1e-4, 0.0, 0.0])
    reward = objective.reward(state, torch.zeros(1), state, torch.zeros(4))
    assert float(reward) == pytest.approx(-1e-8, rel=1e-4)  # 1 - cos would be 0


def test_the_settings_give_the_goal_where_none_is_sent(task):
    objective = make_objective(ObjectiveSettings('quadratic', (), (0.5, 3.1, 0.0, 0.0)), task)
    assert objective.check_goal([]).tolist() == [0.5, 3.1, 0.0, 0.0]
    assert objective.check_goal([1, 2, 3, 4]).tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize('goal', [(0.5,), (0.5, float('nan'), 0.0, 0.0)])
def test_a_wrong_goal_in_the_settings_is_refused_with_what_the_entries_are(task, goal):
    with pytest.raises(SettingsError, match=r"'objective.goal'.*hinge.position \[rad\]"):
        make_objective(ObjectiveSettings('quadratic', (), goal), task)


def test_any_task_has_it_with_a_term_per_entry():
    task = build(
        TaskSettings,
        {
            'name': 'arm', 'state': ['a.position', 'b.velocity', 'b.effort'], 'action': ['a', 'b'],
            'action_low': [-1.0, -1.0], 'action_high': [1.0, 1.0], 'control_period': 0.1,
            'max_steps': 10,
        },
    )  # fmt: skip
    objective = make_objective(ObjectiveSettings('quadratic'), task)
    assert objective.weights == {
        'a.position': 1.0, 'b.velocity': 0.1, 'b.effort': 0.0, 'control': 0.01,
    }  # fmt: skip
    assert objective.goal_names == (
        'a.position [m or rad]', 'b.velocity [m/s or rad/s]', 'b.effort [N or N m]',
    )  # fmt: skip
    state = torch.tensor([2.0, 3.0, 5.0])
    reward = objective.reward(state, torch.tensor([1.0, 2.0]), state, torch.zeros(3))
    assert float(reward) == pytest.approx(-(4 + 0.9 + 0.05))


def test_entries_of_a_free_body_have_weights_units_and_a_goal_of_no_rotation(task):
    body = dataclasses.replace(
        task, state=('base.x', 'base.qw', 'base.vx', 'base.wz', 'arm.effort'), angles=()
    )
    objective = make_objective(ObjectiveSettings('quadratic'), body)
    weights = [objective.weights[entry] for entry in body.state]
    assert weights == [1.0, 1.0, 0.1, 0.1, 0.0]
    assert objective.default_goal == (0.0, 1.0, 0.0, 0.0, 0.0)
    assert objective.goal_names[:4] == (
        'base.x [m]', 'base.qw [1]', 'base.vx [m/s]', 'base.wz [rad/s]'
    )  # fmt: skip
