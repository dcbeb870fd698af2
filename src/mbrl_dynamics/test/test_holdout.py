"""What is held out."""

from __future__ import annotations

import numpy as np
import pytest

from mbrl_dynamics.holdout import held_out


def places(episodes: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat(np.arange(episodes), length), np.tile(np.arange(length), episodes)


@pytest.mark.parametrize(('fraction', 'block'), [(0.05, 10), (0.2, 1), (0.5, 3), (0.1, 0)])
def test_the_share_is_what_was_asked_for(fraction: float, block: int) -> None:
    episode, step = places(1000, 200)
    assert held_out(episode, step, fraction, block).mean() == pytest.approx(fraction, rel=0.08)


def test_blocks_lie_within_one_episode_and_in_a_row() -> None:
    episode, step = places(300, 200)
    mask = held_out(episode, step, 0.05, 10).reshape(300, 200)
    assert (mask.sum(axis=1) == 10).all()
    starts = mask.argmax(axis=1)
    assert all(mask[i, start : start + 10].all() for i, start in enumerate(starts))
    assert len(set(starts)) > 100  # anywhere in the episode


def test_whole_episodes_are_held_out_where_the_block_is_zero() -> None:
    episode, step = places(100, 30)
    by_episode = held_out(episode, step, 0.2, 0).reshape(100, 30)
    assert (by_episode.all(axis=1) | ~by_episode.any(axis=1)).all()
    whole = by_episode[:, 0].reshape(20, 5)
    assert (whole.sum(axis=1) == 1).all()  # one of every five, not always the same
    assert len(set(whole.argmax(axis=1))) > 1


def test_nothing_else_in_the_dataset_matters() -> None:
    episode, step = places(10, 200)
    order = np.random.default_rng(0).permutation(len(episode))[:777]
    mask = held_out(episode, step, 0.05, 10)
    np.testing.assert_array_equal(held_out(episode[order], step[order], 0.05, 10), mask[order])


def test_a_fraction_of_zero_holds_nothing_out() -> None:
    assert not held_out(*places(3, 50), 0.0, 10).any()
