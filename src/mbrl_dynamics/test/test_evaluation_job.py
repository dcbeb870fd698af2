"""Evaluations of a run: what they are measured on, and what is kept of them."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mbrl_dynamics.bag import EpisodeBag
from mbrl_dynamics.evaluate import InterruptedEvaluationError, evaluate
from mbrl_dynamics.evaluation import About, load
from mbrl_dynamics.evaluation_job import EvaluationError, EvaluationJob, RecordedElsewhere, run
from mbrl_dynamics.learner import Learner
from mbrl_dynamics.model import DynamicsModel
from mbrl_dynamics.settings import DynamicsSettings
from mbrl_dynamics.training_data import held_out_of
from mbrl_dynamics.transition import Transition
from mbrl_dynamics.transitions import Transitions

Settings = Callable[..., DynamicsSettings]
Make = Callable[..., Transition]
HELD_OUT = {'training__holdout_fraction': 0.4, 'training__holdout_block': 5}


def trained(
    settings: DynamicsSettings, make: Make, folder: Path | None, count: int = 60
) -> Learner:
    learner = Learner(settings, folder)
    for number in range(count):
        learner.add(make(number))
    learner.train()
    return learner


def write_bag(folder: Path, make: Make, numbers: range, episode: int = 0, **changes: Any) -> Path:
    folder.mkdir(exist_ok=True)
    bag = EpisodeBag(folder, episode)
    for number in numbers:
        bag.write(make(number, **changes))
    bag.finish()
    return bag.path


def test_the_dataset_is_measured_on_what_its_training_held_out(
    make_settings: Settings, make_transition: Make
) -> None:
    settings = make_settings(**HELD_OUT)
    learner = trained(settings, make_transition, None)
    outcome = learner.evaluate()
    assert outcome.error is EvaluationError.NONE and outcome.folder == ''
    data = Transitions.from_list([make_transition(number) for number in range(60)])
    mask = held_out_of(data, settings.training)
    assert learner.snapshot is not None and outcome.evaluation is not None
    expected = evaluate(
        DynamicsModel.from_bytes(learner.snapshot.data), data, mask, about=About(model_version=1)
    )
    found = outcome.evaluation
    assert found.one_step.transitions == mask.sum() > 10
    np.testing.assert_array_equal(found.one_step.error, expected.one_step.error)
    np.testing.assert_array_equal(found.open_loop.error, expected.open_loop.error)
    assert found.about == About(
        1, '', settings.task.state, settings.task.angles, settings.task.control_period
    )
    assert len(pickle.dumps(outcome)) < 40_000, 'small enough to be sent'


def test_it_is_written_to_the_run_folder_and_the_newest_stay(
    make_settings: Settings, make_transition: Make, tmp_path: Path
) -> None:
    settings = make_settings(evaluation__keep=2, evaluation__horizon=4, **HELD_OUT)
    learner = trained(settings, make_transition, tmp_path)
    other = tmp_path / 'evaluation' / 'model_notes'
    other.mkdir(parents=True)
    for version in range(1, 4):
        outcome = learner.evaluate()
        folder = tmp_path / 'evaluation' / f'model_{version:05d}'
        assert outcome.folder == str(folder)
        assert load(folder).about.model_version == version
        assert load(folder).open_loop.truth.shape[1] == 5
        os.utime(folder / 'evaluation.json', (version, version))
        learner.train()
    assert sorted(path.name for path in (tmp_path / 'evaluation').iterdir()) == [
        'model_00002',
        'model_00003',
        'model_notes',
    ]
    assert learner.evaluate(horizon=2, keep=False).folder == ''


def test_only_a_training_that_follows_an_episode_or_a_request_is_worth_keeping(
    make_settings: Settings, make_transition: Make
) -> None:
    learner = Learner(make_settings(training__every_steps=5))
    kept = []
    for number in range(30):
        if learner.add(make_transition(number)).training_due:
            learner.train()
            kept.append((number, learner.keeps_evaluation))
    learner.train()
    kept.append((-1, learner.keeps_evaluation))
    assert kept == [(19, True), (24, False), (29, False), (-1, True)]


def test_a_folder_that_cannot_be_written_is_told_and_the_numbers_are_there(
    make_settings: Settings, make_transition: Make, tmp_path: Path
) -> None:
    learner = trained(make_settings(**HELD_OUT), make_transition, tmp_path)
    (tmp_path / 'evaluation').write_text('a file where a folder should be')
    outcome = learner.evaluate()
    assert outcome.error is EvaluationError.NONE and outcome.evaluation is not None
    assert outcome.folder == '' and 'could not be written' in outcome.message


def test_without_held_out_data_it_says_what_would_give_some(
    make_settings: Settings, make_transition: Make
) -> None:
    learner = trained(make_settings(training__holdout_fraction=0.0), make_transition, None)
    outcome = learner.evaluate()
    assert outcome.error is EvaluationError.NO_DATA and outcome.evaluation is None
    assert 'none of 60 transitions is held out' in outcome.message


def test_a_bag_counts_as_held_out_as_a_whole(
    make_settings: Settings, make_transition: Make, tmp_path: Path
) -> None:
    learner = trained(make_settings(evaluation__horizon=6), make_transition, tmp_path / 'run')
    path = write_bag(tmp_path / 'other bags', make_transition, range(100, 120), session=5)
    for source, name in ((path, 'episode_00000'), (path.parent, 'other_bags')):
        outcome = learner.evaluate(source=str(source))
        assert outcome.error is EvaluationError.NONE and outcome.evaluation is not None
        assert outcome.evaluation.about.source == str(source)
        assert outcome.evaluation.one_step.transitions == 20
        assert outcome.evaluation.open_loop.windows.tolist() == [20, 19, 18, 17, 16, 15]
        assert outcome.folder == str(tmp_path / 'run' / 'evaluation' / f'model_00001_{name}')


def test_bags_that_look_alike_are_not_taken_for_one_episode(
    make_settings: Settings, make_transition: Make, tmp_path: Path
) -> None:
    """The second goes on where the first ends, under the numbers of the same sender."""
    write_bag(tmp_path, make_transition, range(10), episode=0)
    write_bag(tmp_path, make_transition, range(10, 20), episode=1)
    task = make_settings().task
    loaded = RecordedElsewhere(tmp_path, task, make_settings().data).load()
    assert len(loaded) == 20 and sorted(set(loaded.episode.tolist())) == [0, 1]
    learner = trained(make_settings(evaluation__horizon=12), make_transition, None)
    outcome = learner.evaluate(source=str(tmp_path))
    assert outcome.evaluation is not None and outcome.evaluation.open_loop.longest == 10


def test_a_source_that_cannot_be_used_is_refused_by_name(
    make_settings: Settings, make_transition: Make, tmp_path: Path
) -> None:
    learner = trained(make_settings(), make_transition, None)

    def complaint(path: Path) -> str:
        outcome = learner.evaluate(source=str(path))
        assert outcome.error is EvaluationError.INVALID_SOURCE
        return outcome.message

    assert 'nowhere.mcap' in complaint(tmp_path / 'nowhere.mcap')
    (tmp_path / 'empty').mkdir()
    assert 'has no bags' in complaint(tmp_path / 'empty')
    (tmp_path / 'text.mcap').write_text('no bag at all')
    assert 'text.mcap' in complaint(tmp_path / 'text.mcap')
    wide = write_bag(tmp_path / 'wide', make_transition, range(3), action=np.zeros(2))
    assert f'{wide}: states and actions have 4 and 2 entries' in complaint(wide)
    bad = write_bag(tmp_path / 'bad', make_transition, range(3), next_state=np.full(4, np.nan))
    assert 'next_state[0] is nan' in complaint(bad)


def test_a_job_can_be_given_up(make_settings: Settings, make_transition: Make) -> None:
    learner = trained(make_settings(**HELD_OUT), make_transition, None)
    job: EvaluationJob = learner.evaluation_job()
    with pytest.raises(InterruptedEvaluationError):
        run(job, lambda: True)
    assert run(job, lambda: False).error is EvaluationError.NONE
