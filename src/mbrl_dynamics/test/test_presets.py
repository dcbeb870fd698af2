"""Recipes by name: their published sizes, and that each can be trained and used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from mbrl_common.settings import build
from mbrl_dynamics.model import DynamicsModel
from mbrl_dynamics.presets import PRESETS
from mbrl_dynamics.settings import DynamicsSettings
from mbrl_dynamics.training import TrainingError, TrainingJob, fit
from mbrl_dynamics.transitions import Transitions

# Preset, state, angles, action and the layers' widths on the authors' tasks
# (kchua/handful-of-trials,
# google-research/pddm, jannerm/mbpo).
PUBLISHED = [
    ('pets_cartpole', 4, 1, 1, (6, 500, 500, 500, 8)),
    ('pets_reacher', 17, 0, 7, (24, 200, 200, 200, 200, 34)),
    ('pets_pusher', 20, 0, 7, (27, 200, 200, 200, 40)),
    ('pddm', 42, 0, 24, (66, 250, 250, 42)),
    ('mbpo', 11, 0, 3, (14, 200, 200, 200, 200, 24)),
]


def settings_of(preset: str, state: int = 4, angles: int = 1, action: int = 1, **more: Any) -> Any:
    names = [f'j{i}.position' for i in range(state)]
    task = {
        'name': 'robot',
        'state': names,
        'angles': names[:angles],
        'action': [f'j{i}' for i in range(action)],
        'action_low': [-1.0] * action,
        'action_high': [1.0] * action,
        'control_period': 0.05,
        'max_steps': 100,
    }
    if not angles:
        del task['angles']
    return build(DynamicsSettings, {'task': task, 'preset': preset, **more})


@pytest.mark.parametrize(('preset', 'state', 'angles', 'action', 'widths'), PUBLISHED)
def test_networks_have_the_published_sizes(
    preset: str, state: int, angles: int, action: int, widths: tuple[int, ...]
) -> None:
    assert settings_of(preset, state, angles, action).architecture().widths == widths


def test_on_the_half_cheetah_pets_leaves_the_forward_velocity_out_and_predicts_it_itself() -> None:
    forward = {
        'model.inputs_left_out': ['j17.position'],
        'model.targets_absolute': ['j17.position'],
    }
    architecture = settings_of('pets_halfcheetah', 18, 1, 6, **forward).architecture()
    assert architecture.widths == (24, 200, 200, 200, 200, 36)
    assert architecture.encoding.targets_absolute == (17,)


def test_what_the_recipes_differ_in() -> None:
    pets, pddm, mbpo = (settings_of(name) for name in ('pets', 'pddm', 'mbpo'))
    assert [s.model.members for s in (pets, pddm, mbpo)] == [5, 3, 7]
    assert [s.model.elites for s in (pets, pddm, mbpo)] == [0, 0, 5]
    assert [s.architecture().probabilistic for s in (pets, pddm, mbpo)] == [True, False, True]
    assert [s.training.batch_size for s in (pets, pddm, mbpo)] == [32, 512, 256]
    assert [s.training.batches for s in (pets, pddm, mbpo)] == ['bootstrap', 'shared', 'bootstrap']
    assert pddm.training.from_scratch and mbpo.model.reward and mbpo.training.patience > 0


@pytest.mark.parametrize('preset', PRESETS)
def test_every_recipe_trains_and_predicts(
    preset: str, cartpole: Any, make_job: Callable[..., TrainingJob]
) -> None:
    settings = settings_of(
        preset,
        **{
            'training.min_transitions': 10,
            'training.epochs': 2,
            'model.hidden': [16, 16],
            'training.weight_decay': [1e-4],
        },
    )
    state, action, next_state = cartpole.random_data(1)
    job = TrainingJob(
        architecture=settings.architecture(),
        settings=settings.training,
        updates=0,
        seed=0,
        version=1,
        data=Transitions.from_arrays(state, action, next_state, reward=state[:, 0]),
        elites=settings.model.elites,
        limits=settings.limits(),
    )
    outcome = fit(job)
    assert outcome.error is TrainingError.NONE, outcome.message
    assert outcome.snapshot is not None
    model = DynamicsModel.from_bytes(outcome.snapshot.data)
    assert model.members == (settings.model.elites or settings.model.members)
    rows = torch.tensor(state[:5], dtype=torch.float32).expand(model.members, -1, -1)
    prediction = model.predict(rows, torch.zeros(model.members, 5, 1))
    assert np.isfinite(prediction.mean.numpy()).all()
    assert (prediction.reward is not None) == settings.model.reward


def test_what_is_given_wins_over_the_recipe() -> None:
    settings = settings_of('pddm', **{'model.members': 4, 'training.noise': 0.0})
    assert settings.model.members == 4 and settings.training.noise == 0.0
    assert settings.model.hidden == (250, 250)
