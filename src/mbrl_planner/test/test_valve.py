"""PDDM's reward for the valve, against numbers worked out by hand."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from mbrl_common.settings import SettingsError, build
from mbrl_common.task import TaskSettings
from mbrl_planner.objectives import ObjectiveSettings, make_objective

TASK = build(
    TaskSettings,
    {
        'name': 'valve',
        'state': ['valve_goal.position', 'finger.position', 'valve.position'],
        'action': ['finger'], 'action_low': [-1.0], 'action_high': [1.0],
        'control_period': 0.1, 'max_steps': 40,
    },
)  # fmt: skip
SETTINGS = ObjectiveSettings('valve_pddm')


@pytest.mark.parametrize(
    ('goal', 'valve', 'reward'),
    [
        (2.0, 1.0, -10.0),
        (3.0, -3.0, -10.0 * (2 * torch.pi - 6.0)),  # over the seam, and 0.283 is not near
        (2.0, 1.8, -2.0 + 2.0),
        (2.0, 2.05, -0.5 + 20.0),
        (2.0, 2.05 + 4 * torch.pi, -0.5 + 20.0),
    ],
)
def test_the_reward_is_the_error_with_a_bonus_close_to_the_goal(goal, valve, reward):
    objective = make_objective(SETTINGS, TASK)
    state = torch.tensor([[goal, 0.3, 0.0]], dtype=torch.float64)
    after = torch.tensor([[goal, 0.4, valve]], dtype=torch.float64)
    found = objective.reward(state, torch.zeros(1, 1), after, torch.zeros(1, 0))
    torch.testing.assert_close(found, torch.tensor([reward], dtype=torch.float64))
    assert not objective.can_terminate


def test_a_state_without_valve_or_goal_is_refused():
    for lost in ('valve.position', 'valve_goal.position'):
        state = tuple(entry for entry in TASK.state if entry != lost)
        with pytest.raises(SettingsError, match=rf'it needs {lost} in'):
            make_objective(SETTINGS, dataclasses.replace(TASK, state=state))
