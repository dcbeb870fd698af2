"""PDDM's reward for the Baoding balls, against numbers worked out by hand."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from mbrl_common.settings import SettingsError, build
from mbrl_common.task import TaskSettings
from mbrl_planner.objectives import ObjectiveSettings, make_objective

STATE = [
    *(f'ball{number}_{letter}.position' for number in (1, 2) for letter in 'xyz'),
    *('phase.position', 'WRJ0.position', 'WRJ1.position'),
]
TASK = build(
    TaskSettings,
    {
        'name': 'balls', 'state': STATE, 'angles': ['phase.position'], 'action': ['WRJ0'],
        'action_low': [-0.5], 'action_high': [0.5], 'control_period': 0.1, 'max_steps': 100,
    },
)  # fmt: skip
SETTINGS = ObjectiveSettings('baoding_pddm', robot='baoding_pddm')
PALM = (0.0, -0.11, 0.19)  # where the wrist's joints are [m]
LEFT, RIGHT = (-0.015, -0.055), (0.025, -0.055)  # ends of the ellipse with the palm flat [m]


@pytest.fixture(scope='module')
def objective():
    return make_objective(SETTINGS, TASK)


def reward(objective, first, second, phase=math.pi / 4, wrist=0.0, height=0.2):
    """Of a state with the balls at these places, seen from above, and its end."""
    after = torch.tensor([*first, height, *second, 0.2, phase, wrist, 0.0], dtype=torch.float64)
    found = objective.reward(torch.zeros(9), torch.zeros(1), after, torch.zeros(0))
    return float(found), bool(objective.terminated(after))


@pytest.mark.parametrize('phase', [math.pi / 4, math.pi / 4 + 2 * math.pi])
def test_with_the_palm_flat_the_targets_are_where_the_ellipse_is(objective, phase):
    assert reward(objective, LEFT, RIGHT, phase) == (pytest.approx(0.0, abs=1e-9), False)
    off = (LEFT[0] + 0.003, LEFT[1] - 0.004)
    assert reward(objective, off, RIGHT, phase)[0] == pytest.approx(-5 * 0.005)
    assert reward(objective, LEFT, off, phase)[0] == pytest.approx(-5 * math.hypot(0.037, 0.004))


def test_a_quarter_of_a_turn_on_they_are_at_the_wrist_and_at_the_fingers(objective):
    wrist, fingers = (0.005, -0.055 - 0.036), (0.005, -0.055 + 0.036)
    assert reward(objective, wrist, fingers, 0.75 * math.pi)[0] == pytest.approx(0.0, abs=1e-9)


def test_they_move_with_the_palm(objective):
    """Bending the wrist by -0.4 turns the ellipse, 70 mm above the palm, away from the forearm."""
    y = PALM[1] + 0.055 * math.cos(0.4) + 0.07 * math.sin(0.4)
    bent = reward(objective, (LEFT[0], y), (RIGHT[0], y), wrist=-0.4)[0]
    assert bent == pytest.approx(0.0, abs=1e-9)
    assert reward(objective, LEFT, RIGHT, wrist=-0.4)[0] == pytest.approx(-10 * (y - LEFT[1]))


def test_a_drop_and_a_bent_wrist_have_their_price_and_a_drop_ends_the_episode(objective):
    dropped = reward(objective, LEFT, RIGHT, height=0.059)
    assert dropped == (pytest.approx(-500.0), True)
    assert reward(objective, LEFT, RIGHT, height=0.061) == (pytest.approx(0.0, abs=1e-9), False)
    weights = objective.with_weights({'ball1': 0.0, 'ball2': 0.0})
    assert reward(weights, LEFT, RIGHT, wrist=0.151) == (-10.0, False)
    assert reward(weights, LEFT, RIGHT, wrist=0.149) == (0.0, False)


def test_a_state_without_a_ball_or_the_phase_is_refused_and_so_is_another_robot():
    for lost in ('ball2_y.position', 'phase.position', 'WRJ0.position'):
        state = tuple(entry for entry in TASK.state if entry != lost)
        task = dataclasses.replace(TASK, state=state, angles=())
        with pytest.raises(SettingsError, match=rf'it needs {lost} in'):
            make_objective(SETTINGS, task)
    with pytest.raises(SettingsError, match="no site or body 'orbit'"):
        make_objective(dataclasses.replace(SETTINGS, robot='cube_pddm'), TASK)
    with pytest.raises(SettingsError, match=r"'objective\.robot' is ''"):
        make_objective(dataclasses.replace(SETTINGS, robot=''), TASK)
