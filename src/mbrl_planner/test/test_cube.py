"""PDDM's reward for the cube, against numbers worked out by hand."""

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
        'name': 'cube',
        'state': [
            'goal_rx.position', 'goal_ry.position', 'goal_rz.position', 'cube_z.position',
            'cube_rz.position', 'cube_ry.position', 'cube_rx.position',
        ],
        'action': ['finger'], 'action_low': [-1.0], 'action_high': [1.0],
        'control_period': 0.1, 'max_steps': 70,
    },
)  # fmt: skip
SETTINGS = ObjectiveSettings('cube_pddm')


@pytest.mark.parametrize(
    ('state', 'reward', 'over'),
    [
        ([1.5, 0.0, 0.0, 0.0, 0.0, 0.0, 1.5], 0.0, False),
        ([1.5, 0.0, 0.0, -0.09, -2.0, 1.0, -0.5], -21.0, False),
        ([0.0, 0.0, -1.5, -0.11, -1.0, 0.0, 0.0], -1003.5, True),
    ],
)
def test_the_reward_is_the_length_of_the_error_and_a_drop_ends_the_episode(state, reward, over):
    objective = make_objective(SETTINGS, TASK)
    after = torch.tensor(state, dtype=torch.float64)
    found = objective.reward(torch.zeros(7), torch.zeros(1), after, torch.zeros(0))
    torch.testing.assert_close(found, torch.tensor(reward, dtype=torch.float64))
    assert bool(objective.terminated(after)) is over


def test_a_state_without_an_angle_or_the_height_is_refused():
    for lost in ('goal_rz.position', 'cube_ry.position', 'cube_z.position'):
        state = tuple(entry for entry in TASK.state if entry != lost)
        with pytest.raises(SettingsError, match=rf'it needs {lost} in'):
            make_objective(SETTINGS, dataclasses.replace(TASK, state=state))
