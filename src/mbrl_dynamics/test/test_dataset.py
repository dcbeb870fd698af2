"""The arrays in memory, and which transitions are held out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mbrl_dynamics.dataset import Dataset
from mbrl_dynamics.transition import Transition


@pytest.fixture
def dataset(make_transition: Callable[..., Transition]) -> Dataset:
    filled = Dataset(4, 1)
    for number in range(1000):
        filled.add(make_transition(number))
    return filled


def test_it_grows_and_keeps_everything_in_order(
    dataset: Dataset, make_transition: Callable[..., Transition]
) -> None:
    assert len(dataset) == 1000
    assert dataset.episodes == 50
    for number in (0, 255, 256, 511, 999):
        transition = make_transition(number)
        np.testing.assert_array_equal(dataset.state[number], transition.state)
        np.testing.assert_array_equal(dataset.action[number], transition.action)
        np.testing.assert_array_equal(dataset.next_state[number], transition.next_state)


def test_it_knows_whether_an_episode_ended_since(dataset: Dataset) -> None:
    assert dataset.ends_episode_since(980)
    assert not dataset.ends_episode_since(1000)


def test_what_is_held_out_stays_held_out_as_the_dataset_grows(
    make_transition: Callable[..., Transition],
) -> None:
    growing = Dataset(4, 1)
    before = growing.held_out(0.2)
    for number in range(400):
        growing.add(make_transition(number))
        after = growing.held_out(0.2)
        np.testing.assert_array_equal(after[: len(before)], before)
        before = after


def test_the_share_held_out_is_what_was_asked_for(dataset: Dataset) -> None:
    assert not dataset.held_out(0.0).any()
    assert 60 <= dataset.held_out(0.1).sum() <= 140
    assert 440 <= dataset.held_out(0.5).sum() <= 560
    narrow, wide = dataset.held_out(0.1), dataset.held_out(0.5)
    assert (wide | ~narrow).all()
