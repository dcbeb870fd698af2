"""When a training is due."""

from __future__ import annotations

import pytest

from mbrl_common.settings import build
from mbrl_dynamics.schedule import updates_due
from mbrl_dynamics.settings import TrainingSettings

SETTINGS = {
    'updates_after_episode': 300,
    'updates_within_episode': 100,
    'every_steps': 50,
    'min_transitions': 20,
}


@pytest.mark.parametrize(
    ('size', 'trained', 'ended', 'has_model', 'expected'),
    [
        (199, 0, 0, False, None),  # the first episode is not over
        (200, 0, 1, False, 300),
        (200, 200, 0, True, None),  # just done
        (249, 200, 0, True, None),
        (250, 200, 0, True, 100),
        (270, 200, 0, True, 100),  # a late one is still due
        (250, 200, 1, True, 300),  # the episode's end is worth more
        (19, 0, 1, False, None),  # too few
        (20, 0, 1, False, 300),
        (0, 0, 0, False, None),
    ],
)
def test_trainings_come_after_an_episode_and_every_so_many_steps_within(
    size: int, trained: int, ended: int, has_model: bool, expected: int | None
) -> None:
    settings = build(TrainingSettings, SETTINGS)
    assert updates_due(settings, size, trained, ended, has_model) == expected


def test_each_occasion_can_be_switched_off() -> None:
    within = build(TrainingSettings, SETTINGS | {'every_episodes': 0})
    assert updates_due(within, 49, 0, 1, False) is None
    assert updates_due(within, 250, 200, 1, True) == 100
    after = build(TrainingSettings, SETTINGS | {'every_steps': 0})
    assert updates_due(after, 900, 200, 0, True) is None
    assert updates_due(after, 900, 200, 1, True) == 300


def test_without_trainings_after_episodes_the_first_comes_by_steps() -> None:
    steps = build(TrainingSettings, SETTINGS | {'every_episodes': 0})
    assert updates_due(steps, 50, 0, 0, False) == 100


def test_several_episodes_may_be_waited_for() -> None:
    third = build(TrainingSettings, SETTINGS | {'every_episodes': 3, 'every_steps': 0})
    assert [updates_due(third, 600, 0, ended, True) for ended in (1, 2, 3, 4)] == [
        None,
        None,
        300,
        300,
    ]


def test_with_epochs_the_number_of_updates_is_left_to_them() -> None:
    epochs = build(TrainingSettings, SETTINGS | {'epochs': 5})
    assert updates_due(epochs, 200, 0, 1, True) == 0
    assert updates_due(epochs, 250, 200, 0, True) == 0
