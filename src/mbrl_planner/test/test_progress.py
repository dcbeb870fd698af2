"""Paid for moving on, and the bounds outside of which an episode ends."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mbrl_common.settings import SettingsError, build
from mbrl_common.task import TaskSettings
from mbrl_planner.objectives import ObjectiveSettings, make_objective


@pytest.fixture
def runner() -> TaskSettings:
    return build(
        TaskSettings,
        {
            'name': 'runner', 'state': ['torso.x', 'torso.z', 'leg.position', 'leg.velocity'],
            'action': ['leg'], 'action_low': [-1.0], 'action_high': [1.0],
            'control_period': 0.05, 'max_steps': 10,
        },
    )  # fmt: skip


def make(task, **settings):
    return make_objective(build(ObjectiveSettings, {'name': 'progress', **settings}), task)


def paid(objective, state, action, next_state):
    return float(objective.reward(*map(torch.tensor, (state, action, next_state)), torch.zeros(0)))


def test_what_is_paid_is_the_speed_by_the_way_made(runner):
    objective = make(runner, weights=['torso.x=2', 'leg.position=-1', 'control=0.1'])
    assert list(objective.terms) == ['torso.x', 'torso.z', 'leg.position', 'control']
    reward = paid(objective, [1.0, 5.0, 0.3, 9.0], [2.0], [1.1, 7.0, 0.4, -9.0])
    assert reward == pytest.approx(2 * 0.1 / 0.05 - 0.1 / 0.05 - 0.1 * 4.0, rel=1e-5)


def test_nothing_is_paid_for_a_direction_that_was_not_named(runner):
    assert paid(make(runner), [0.0] * 4, [1.0], [1.0] * 4) == pytest.approx(-0.01)
    assert not make(runner).can_terminate


def test_a_task_without_positions_is_refused(runner):
    with pytest.raises(SettingsError, match=r"it needs a position in 'task\.state'"):
        make_objective(ObjectiveSettings('progress'), build(TaskSettings, {
            'name': 'x', 'state': ['leg.velocity'], 'action': ['leg'], 'action_low': [-1.0],
            'action_high': [1.0], 'control_period': 0.05, 'max_steps': 10,
        }))  # fmt: skip


BOUNDS = ['torso.z=0.2:1', '*.position=-2:', '*.velocity=:100']


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_an_episode_ends_outside_of_any_bound(runner, dtype):
    objective = make(runner, healthy=BOUNDS, weights=['healthy=3', 'control=0'])
    states = torch.tensor(
        [
            [1e9, 0.5, 1e9, -1e9],  # these have no bound there
            [0.0, 0.25, -2.0, 100.0],  # bounds are included
            [0.0, 0.1, 0.0, 0.0],
            [0.0, 1.1, 0.0, 0.0],
            [0.0, 0.5, -2.1, 0.0],
            [0.0, 0.5, 0.0, 101.0],
            [0.0, torch.nan, 0.0, 0.0],
        ],
        dtype=dtype,
    )
    ends = [False, False, True, True, True, True, True]
    assert objective.terminated(states).tolist() == ends
    reward = objective.reward(states, torch.zeros(1, dtype=dtype), states, torch.zeros(0))
    assert reward.dtype == dtype
    assert reward.tolist() == [0.0 if end else 3.0 for end in ends]
    assert objective.terminated(states.expand(2, 7, 4)).shape == (2, 7)


def test_bounds_pay_nothing_unless_asked_and_go_with_any_objective(runner):
    objective = make_objective(ObjectiveSettings('quadratic', healthy=tuple(BOUNDS)), runner)
    assert objective.weights['healthy'] == 0.0 and objective.can_terminate
    plain = make_objective(ObjectiveSettings('quadratic'), runner)
    step = ([0.1] * 4, [0.5], [0.3] * 4)
    states = [torch.tensor(values) for values in step]
    goal = torch.tensor(plain.default_goal)
    assert objective.reward(*states, goal) == plain.reward(*states, goal)


@pytest.mark.parametrize(
    ('bounds', 'complaint'),
    [
        (['torso.z'], "'torso.z' must be 'entry=low:high'"),
        (['torso.z=1'], "must be 'entry=low:high'"),
        (['torso.z=2:1'], 'low below high'),
        (['torso.z=low:1'], "must be 'entry=low:high'"),
        (['=0:1'], "must be 'entry=low:high'"),
        (['torso.q=0:1'], "'torso.q=0:1' fits no entry of 'task.state'"),
    ],
)
def test_wrong_bounds_are_refused_with_what_would_be_right(runner, bounds, complaint):
    with pytest.raises(SettingsError, match=f"'objective.healthy': {complaint}|{complaint}"):
        make(runner, healthy=bounds)


PENDULUM = ['slider.position', 'hinge.position', 'hinge2.position', 'hinge.velocity']


def test_the_double_pendulum_is_paid_for_its_tip_above_the_cart():
    task = build(
        TaskSettings,
        {
            'name': 'pendulum', 'state': [*PENDULUM, 'hinge2.velocity'], 'action': ['slider'],
            'action_low': [-1.0], 'action_high': [1.0], 'control_period': 0.05, 'max_steps': 10,
        },
    )  # fmt: skip
    objective = make_objective(ObjectiveSettings('inverted_double_pendulum'), task)
    states = np.array([[0.3, 0.0, 0.0, 0.0, 0.0], [0.0, np.pi / 2, -np.pi / 2, 2.0, -3.0]])
    values = torch.from_numpy(states)
    reward = objective.reward(values, torch.zeros(1), values, torch.zeros(0)).numpy()
    upright = 10.0 - 0.01 * 0.3**2 - 0.8**2
    lying = -0.01 * 0.6**2 - 1.4**2 - 0.001 * 4.0 - 0.005 * 9.0
    np.testing.assert_allclose(reward, [upright, lying], atol=1e-12)
    assert objective.terminated(values).tolist() == [False, True]
    with pytest.raises(SettingsError, match=r'it needs hinge2\.velocity in'):
        make_objective(
            ObjectiveSettings('inverted_double_pendulum'),
            build(TaskSettings, {
                'name': 'pendulum', 'state': PENDULUM, 'action': ['slider'], 'action_low': [-1.0],
                'action_high': [1.0], 'control_period': 0.05, 'max_steps': 10,
            }),
        )  # fmt: skip
