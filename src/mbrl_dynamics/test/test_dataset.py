"""The transitions in memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mbrl_dynamics.dataset import Dataset
from mbrl_dynamics.shared import SEGMENT
from mbrl_dynamics.transition import Transition
from mbrl_dynamics.transitions import Transitions

Make = Callable[..., Transition]


@pytest.fixture
def dataset(make_transition: Make) -> Dataset:
    """Fifty episodes of twenty steps."""
    filled = Dataset(4, 1)
    for number in range(1000):
        filled.add(make_transition(number))
    return filled


def assert_equal(ours: Transitions, theirs: Transitions) -> None:
    for name, column in vars(theirs).items():
        np.testing.assert_array_equal(getattr(ours, name), column, err_msg=name)


def test_one_by_one_and_many_at_once_are_the_same(dataset: Dataset, make_transition: Make) -> None:
    expected = Transitions.from_list(make_transition(number) for number in range(1000))
    at_once = Dataset(4, 1)
    for begin, end in ((0, 1), (1, 1), (1, 700), (700, 1000)):
        at_once.extend(expected[begin:end])
    for filled in (dataset, at_once):
        assert len(filled) == 1000
        assert filled.episodes == 50
        assert_equal(filled.share().load(), expected)


def test_nothing_is_lost_where_memory_is_added(make_transition: Make) -> None:
    count = 3 * SEGMENT + 1
    many = Transitions.from_arrays(
        np.arange(4.0 * count).reshape(-1, 4), np.ones((count, 1)), np.zeros((count, 4))
    )
    filled = Dataset(4, 1)
    filled.extend(many[: SEGMENT - 1])
    filled.add(make_transition(0))
    filled.add(make_transition(1))
    filled.extend(many[SEGMENT + 1 :])
    stored = filled.share().load()
    assert len(stored) == count
    for place in (0, SEGMENT - 2, SEGMENT + 1, 2 * SEGMENT - 1, 2 * SEGMENT, count - 1):
        np.testing.assert_array_equal(stored.state[place], many.state[place])
    assert list(stored.sequence[SEGMENT - 1 : SEGMENT + 1]) == [0, 1]


def test_senders_are_told_apart(make_transition: Make) -> None:
    filled = Dataset(4, 1)
    filled.add(make_transition(0, robot='b'))
    both = [make_transition(1, robot='a'), make_transition(2, robot='b')]
    filled.extend(Transitions.from_list(both))
    filled.add(make_transition(3, robot='a', session=5))
    stored = filled.share().load()
    names = [stored.senders[number] for number in stored.sender]
    session = make_transition(0).session
    assert names == [('b', session), ('a', session), ('b', session), ('a', 5)]


def test_it_knows_how_many_episodes_ended_since(dataset: Dataset, make_transition: Make) -> None:
    for index, count in ((0, 50), (19, 50), (20, 49), (980, 1), (999, 1), (1000, 0)):
        assert dataset.episodes_ended_since(index) == count
    dataset.extend(Transitions.from_list(make_transition(n) for n in range(1000, 1045)))
    assert dataset.episodes_ended_since(990) == 3
    assert dataset.episodes == 53
    dataset.add(make_transition(1045, terminated=True))
    assert dataset.episodes_ended_since(1040) == 1


def test_a_dataset_that_finds_no_room_says_so_beforehand(
    make_transition: Make, small_disk: Callable[[int], None]
) -> None:
    filled = Dataset(4, 1)
    small_disk(1000)  # it counts for files in memory, too
    with pytest.raises(OSError):
        filled.reserve()
    with pytest.raises(OSError):
        filled.add(make_transition(0))
    assert len(filled) == 0
    small_disk(-1)
    filled.add(make_transition(0))
    assert len(filled.share().load()) == 1
