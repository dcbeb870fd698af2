"""Transitions as arrays, against the same one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mbrl_dynamics.transition import LATEST, Transition, check_transition
from mbrl_dynamics.transitions import Transitions, check_transitions

Make = Callable[..., Transition]


@pytest.mark.parametrize(
    'change',
    [
        {'state': np.array([0.0, np.nan, 0.0, 0.0])},
        {'next_state': np.array([0.0, 0.0, 0.0, np.inf])},
        {'action': np.array([-np.inf])},
        {'reward': float('inf')},
        {'stamp': -1},
        {'next_stamp': LATEST},
        {'next_stamp': 0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_first_that_cannot_be_learned_from_is_refused_as_it_would_be_alone(
    make_transition: Make, change: dict[str, Any]
) -> None:
    single = [make_transition(number) for number in range(50)]
    check_transitions(Transitions.from_list(single), 4, 1)
    single[33] = make_transition(33, **change)
    single[40] = make_transition(40, state=np.full(4, np.nan))
    with pytest.raises(ValueError) as alone:
        check_transition(single[33], 4, 1)
    with pytest.raises(ValueError) as among_others:
        check_transitions(Transitions.from_list(single), 4, 1)
    assert str(among_others.value) == str(alone.value)


@pytest.mark.parametrize(
    ('dims', 'text'), [((3, 1), r'state has shape \(4,\)'), ((4, 2), r'action has shape \(1,\)')]
)
def test_other_widths_are_refused(make_transition: Make, dims: tuple[int, int], text: str) -> None:
    transitions = Transitions.from_list(make_transition(number) for number in range(3))
    with pytest.raises(ValueError, match=text):
        check_transitions(transitions, *dims)


def test_a_reward_that_nobody_knows_passes_in_a_bag_but_not_live(make_transition: Make) -> None:
    unscored = make_transition(3, reward=float('nan'))
    check_transitions(Transitions.from_list([unscored]), 4, 1)
    check_transition(unscored, 4, 1, scored=False)
    with pytest.raises(ValueError, match='reward is nan'):
        check_transition(unscored, 4, 1)


def test_none_are_nothing_to_refuse() -> None:
    check_transitions(Transitions.empty(4, 1), 4, 1)
    check_transitions(Transitions.empty(0, 0), 4, 1)
