"""Transitions of many bags, put in order."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mbrl_dynamics.bag import EpisodeBag, read_arrays
from mbrl_dynamics.bag_collection import collect, episodes_of, renumbered
from mbrl_dynamics.bag_tools import write
from mbrl_dynamics.transition import Transition
from mbrl_dynamics.transitions import Transitions

Make = Callable[..., Transition]


def record(folder: Path, *transitions: Transition) -> Path:
    """A bag, named after the first transition's episode."""
    bag = EpisodeBag(folder, transitions[0].episode)
    for transition in transitions:
        bag.write(transition)
    bag.finish()
    return bag.path


def plain(count: int, **others: object) -> Transitions:
    values = np.arange(4.0 * count).reshape(count, 4)
    return Transitions.from_arrays(values, values[:, :1], values + 4, **others)


def test_what_reads_the_bags_may_change_them(tmp_path: Path, make_transition: Make) -> None:
    """As scoring does; then an episode may end in the middle of a bag."""
    record(tmp_path, *(make_transition(n) for n in range(12)))
    EpisodeBag(tmp_path, 9).finish()

    def score(path: Path) -> Transitions:
        found = read_arrays(path)
        if not len(found):
            return found
        return dataclasses.replace(
            found, reward=found.state[:, 0], terminated=found.sequence % 5 == 4
        )

    collected, duplicates = collect([tmp_path], score)
    assert duplicates == 0
    report = write(renumbered(collected), tmp_path / 'new')
    lengths = [len(read_arrays(path)) for path in report.paths]
    assert lengths == [5, 5, 2]
    for number, path in enumerate(report.paths):
        found = read_arrays(path)
        assert set(found.episode) == {number}
        np.testing.assert_array_equal(found.step, np.arange(len(found)))
        assert found.terminated.tolist() == [False] * (len(found) - 1) + [number < 2]
        np.testing.assert_array_equal(found.reward, found.state[:, 0])


def test_renumbering_begins_an_episode_after_each_end_and_each_change() -> None:
    transitions = plain(
        10,
        episode=np.array([7, 7, 7, 7, 9, 9, 9, 9, 9, 9]),
        step=np.array([2, 3, 4, 6, 0, 1, 0, 1, 2, 3]),
        truncated=np.arange(10) == 1,
    )
    found = renumbered(transitions, first=4)
    assert found.episode.tolist() == [4, 4, 5, 5, 6, 6, 7, 7, 7, 7]
    assert found.step.tolist() == [0, 1, 0, 2, 0, 1, 0, 1, 2, 3]


def test_an_episode_is_what_one_sender_sent_under_one_number_with_rising_steps() -> None:
    transitions = plain(
        9,
        senders=(('a', 1), ('b', 1)),
        sender=np.array([0, 1, 0, 1, 0, 0, 0, 0, 1]),
        sequence=np.array([0, 0, 2, 1, 1, 3, 4, 5, 2]),
        episode=np.array([5, 5, 5, 5, 5, 5, 6, 6, 5]),
        step=np.array([0, 0, 2, 1, 1, 0, 0, 1, 2]),
    )
    found = [indices.tolist() for indices in episodes_of(transitions)]
    assert found == [[0, 4, 2], [1, 3, 8], [5], [6, 7]]
    assert list(episodes_of(transitions[:0])) == []
