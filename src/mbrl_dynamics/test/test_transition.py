"""What may be stored, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mbrl_dynamics.transition import Transition, check_transition


def test_a_whole_transition_passes(make_transition: Callable[..., Transition]) -> None:
    check_transition(make_transition(3), 4, 1)


@pytest.mark.parametrize(
    ('change', 'text'),
    [
        ({'state': np.array([0.0, np.nan, 0.0, 0.0])}, r'state\[1\] is nan'),
        ({'next_state': np.array([0.0, 0.0, 0.0, np.inf])}, r'next_state\[3\] is inf'),
        ({'action': np.array([-np.inf])}, r'action\[0\] is -inf'),
        ({'state': np.zeros(3)}, r'state has shape \(3,\); it must be \(4,\)'),
        ({'action': np.zeros(0)}, r'action has shape \(0,\); it must be \(1,\)'),
        ({'next_state': np.zeros(5)}, r'next_state has shape \(5,\)'),
        ({'reward': float('nan')}, 'reward is nan'),
        ({'next_stamp': 0}, 'next_stamp 0 is before stamp'),
    ],
)
def test_what_cannot_be_learned_from_is_refused_saying_what_is_wrong(
    make_transition: Callable[..., Transition], change: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError, match=text) as error:
        check_transition(make_transition(3, **change), 4, 1)
    assert 'transition 3 of robot' in str(error.value)
