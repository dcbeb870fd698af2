"""What decides the actions: the names, their numbers, and when a plan is due."""

from __future__ import annotations

import math

import pytest

from mbrl_mpc.exploration_kinds import KINDS
from mbrl_mpc.modes import MEANINGS, NAMES, Mode, ModeError
from mbrl_mpc.robot_settings import RobotSettings

EXPLORE = ['explore', *(f'explore_{kind}' for kind in KINDS)]


def test_a_mode_plans_explores_or_holds() -> None:
    assert [name for name in NAMES if Mode(name).explores] == EXPLORE
    planned = ['closed_loop', 'open_loop', 'every', 'on_error']
    assert [name for name in NAMES if Mode(name).plans] == planned
    assert not Mode('hold').explores and not Mode('hold').plans


def test_a_mode_names_the_kind_of_random_actions_or_leaves_it_to_the_settings() -> None:
    kinds = {name: kind for name in NAMES if (kind := Mode(name).kind)}
    assert kinds == {f'explore_{kind}': kind for kind in KINDS}
    for kind in KINDS:
        assert RobotSettings(exploration=kind).exploration == kind


@pytest.mark.parametrize('name', EXPLORE)
def test_random_actions_need_no_plan(name: str) -> None:
    assert not Mode(name).due(99, 10, math.inf)


@pytest.mark.parametrize(
    ('wrong', 'complaint'),
    [
        ({'name': 'fast'}, "no mode 'fast'; there are closed_loop, open_loop"),
        ({'name': 'walk'}, 'explore_walk'),
        ({'name': 'explore_pink'}, "no mode 'explore_pink'"),
        ({'name': 'every', 'every': 0}, "'every' is 0"),
        ({'name': 'on_error', 'bound': 0.0}, "'bound' is 0.0"),
        ({'name': 'on_error', 'bound': math.nan}, "'bound' is nan"),
    ],
)
def test_a_wrong_mode_is_refused_with_what_would_be_right(wrong: dict, complaint: str) -> None:
    with pytest.raises(ModeError, match=complaint):
        Mode(**wrong)


@pytest.mark.parametrize(
    ('mode', 'due'),
    [
        (Mode('closed_loop'), [True, True, True, True]),
        (Mode('every', every=2), [False, True, True, True]),
        (Mode('open_loop'), [False, False, False, True]),
        (Mode('on_error', bound=0.5), [False, True, False, True]),
    ],
)
def test_when_a_plan_is_due(mode: Mode, due: list[bool]) -> None:
    errors = (0.1, 0.6, math.nan, 0.1)  # of steps 1 to 4 of a plan of 4
    assert [mode.due(step, 4, error) for step, error in enumerate(errors, 1)] == due


def test_every_mode_says_what_it_does() -> None:
    assert all(text and text[-1] != '.' for text in MEANINGS.values())
    assert Mode('every', every=3).text == 'every, every 3 steps'
    assert Mode('explore_walk').text == 'explore_walk'
