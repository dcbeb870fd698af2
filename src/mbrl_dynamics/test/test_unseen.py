"""Windows of held-out transitions, against a search by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mbrl_dynamics.holdout import held_out
from mbrl_dynamics.transitions import Transitions
from mbrl_dynamics.unseen import choose_windows, evenly, windows_at


def shuffled(seed: int, count: int = 400, lost: float = 0.1) -> Transitions:
    """Two senders' episodes of 40 steps, some steps lost, in any order."""
    generator = np.random.default_rng(seed)
    number = np.arange(count)
    data = Transitions.from_arrays(
        number[:, None] * 1.0,
        number[:, None] * 10.0,
        number[:, None] + 1.0,
        senders=(('a', 1), ('b', 2)),
        sender=number // 200,
        episode=number % 200 // 40,
        step=number % 40,
    )
    kept = np.flatnonzero(generator.random(count) > lost)
    return data[generator.permutation(kept)]


def runs_by_hand(data: Transitions, mask: np.ndarray) -> list[int]:
    """How many held-out transitions follow each other from each held-out one on."""
    key = list(zip(data.sender.tolist(), data.episode.tolist(), data.step.tolist()))
    there = {each for each, held in zip(key, mask) if held}
    found = []
    for sender, episode, step in there:
        length = 1
        while (sender, episode, step + length) in there:
            length += 1
        found.append(length)
    return found


@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize(('horizon', 'limit'), [(1, 7), (6, 10), (6, 1000), (25, 40)])
def test_windows_hold_nothing_that_was_trained_on_and_are_as_many_as_can_be(
    seed: int, horizon: int, limit: int
) -> None:
    data = shuffled(seed)
    mask = held_out(data.episode, data.step, 0.3, 8)
    windows = choose_windows(data, mask, horizon, limit)
    assert len(windows) == min(limit, mask.sum())
    assert len(set(windows.index[:, 0].tolist())) == len(windows), 'a start occurs once'
    for index, length in zip(windows.index, windows.length):
        inside, beyond = index[:length], index[length:]
        assert (beyond == -1).all() and mask[inside].all()
        assert len(set(data.sender[inside])) == len(set(data.episode[inside])) == 1
        np.testing.assert_array_equal(np.diff(data.step[inside]), 1)
    runs = np.array(runs_by_hand(data, mask))
    expected = [min(limit, int((runs >= k).sum())) for k in range(1, horizon + 1)]
    np.testing.assert_array_equal(windows.counts(), expected)


def test_equally_long_windows_are_taken_from_the_whole_of_the_data() -> None:
    number = np.arange(1000.0)[:, None]
    data = Transitions.from_arrays(number, number, number + 1)
    windows = choose_windows(data, np.ones(1000, dtype=bool), 10, 11)
    starts = windows.index[:, 0]
    assert (starts[0], starts[-1]) == (0, 990)
    assert np.ptp(np.diff(starts)) <= 1


def test_without_held_out_data_there_are_no_windows() -> None:
    data = shuffled(0)
    windows = choose_windows(data, np.zeros(len(data), dtype=bool), 5, 10)
    assert len(windows) == 0 and windows.counts().tolist() == [0] * 5


def test_a_window_of_the_past_is_the_same_whichever_part_of_the_data_is_looked_at() -> None:
    data = shuffled(1)
    places = np.random.default_rng(2).permutation(len(data))[:30]
    states, actions = windows_at(data, places, 3)
    for place, state, action in zip(places, states, actions):
        number = int(data.state[place, 0])
        there = {int(each) for each in data.state[:, 0]}
        first = number - number % 40
        assert state[0] == number and action[0] == number * 10
        for k in (1, 2):
            before = number - k
            if all(number - j in there and number - j >= first for j in range(1, k + 1)):
                assert state[k] == before and action[k] == before * 10
            else:
                assert action[k] == 0.0


def test_values_are_taken_evenly() -> None:
    assert evenly(np.arange(5), 9).tolist() == [0, 1, 2, 3, 4]
    assert evenly(np.arange(101), 5).tolist() == [0, 25, 50, 75, 100]
