"""When a training is due."""

from __future__ import annotations

import pytest

from mbrl_common.settings import build
from mbrl_dynamics.schedule import updates_due
from mbrl_dynamics.settings import TrainingSettings

SETTINGS = {
    'updates_after_episode': 300,
    'updates_within_episode': 100,
    'train_every_steps': 50,
    'min_transitions': 20,
}


@pytest.mark.parametrize(
    ('size', 'trained', 'ended', 'has_model', 'expected'),
    [
        (199, 0, False, False, 0),  # the first episode is not over
        (200, 0, True, False, 300),
        (200, 200, False, True, 0),  # just done
        (249, 200, False, True, 0),
        (250, 200, False, True, 100),
        (270, 200, False, True, 100),  # a late one is still due
        (250, 200, True, True, 300),  # the episode's end is worth more
        (19, 0, True, False, 0),  # too few
        (20, 0, True, False, 300),
        (0, 0, False, False, 0),
    ],
)
def test_trainings_come_after_an_episode_and_every_so_many_steps_within(
    size: int, trained: int, ended: bool, has_model: bool, expected: int
) -> None:
    settings = build(TrainingSettings, SETTINGS)
    assert updates_due(settings, size, trained, ended, has_model) == expected


def test_each_occasion_can_be_switched_off() -> None:
    within = build(TrainingSettings, SETTINGS | {'after_episode': False})
    assert updates_due(within, 200, 0, True, False) == 0
    assert updates_due(within, 250, 200, True, True) == 100
    after = build(TrainingSettings, SETTINGS | {'train_every_steps': 0})
    assert updates_due(after, 900, 200, False, True) == 0
    assert updates_due(after, 900, 200, True, True) == 300
