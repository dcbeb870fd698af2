"""The training process: same bytes, cancellable, and gone when its owner is."""

from __future__ import annotations

import dataclasses
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mbrl_dynamics.dataset import Dataset
from mbrl_dynamics.ensemble import Architecture
from mbrl_dynamics.evaluation_job import (
    EvaluationError,
    EvaluationJob,
    EvaluationOutcome,
    evaluation_job,
)
from mbrl_dynamics.evaluation_job import run as run_evaluation
from mbrl_dynamics.settings import DynamicsSettings
from mbrl_dynamics.snapshot import Snapshot
from mbrl_dynamics.training import Progress, TrainingError, TrainingJob, TrainingOutcome, fit
from mbrl_dynamics.worker import Worker


class Owner:
    """Waits for what a worker has to say."""

    def __init__(self) -> None:
        self._news = threading.Event()
        self.worker = Worker(self._news.set, niceness=1)
        self.progress: list[Progress] = []
        self.evaluations: list[EvaluationOutcome] = []

    def outcome(self, on_progress: Callable[[], None] = lambda: None) -> TrainingOutcome:
        """The outcome of the training in progress."""
        deadline = time.monotonic() + 60.0
        while time.monotonic() < deadline:
            self._news.wait(1.0)
            self._news.clear()
            for event in self.worker.receive():
                if isinstance(event, TrainingOutcome):
                    return event
                if isinstance(event, EvaluationOutcome):
                    self.evaluations.append(event)
                    continue
                self.progress.append(event)
                on_progress()
        raise TimeoutError

    def evaluation(self) -> EvaluationOutcome:
        """The outcome of the evaluation in progress."""
        deadline = time.monotonic() + 60.0
        while not self.evaluations and time.monotonic() < deadline:
            self._news.wait(1.0)
            self._news.clear()
            self.evaluations += [
                event for event in self.worker.receive() if isinstance(event, EvaluationOutcome)
            ]
        return self.evaluations.pop(0)


@pytest.fixture(scope='module')
def shared() -> Iterator[Owner]:
    made = Owner()
    yield made
    made.worker.close()


@pytest.fixture
def owner(shared: Owner) -> Owner:
    """The owner of a worker that is idle, and may have been used: it was made to be."""
    shared.progress.clear()
    shared.evaluations.clear()
    return shared


def test_it_gives_the_bytes_that_this_process_gives(
    owner: Owner, architecture: Architecture, cartpole: Any, make_job: Callable[..., TrainingJob]
) -> None:
    job = make_job(architecture, cartpole.random_data(1), 300)
    for _ in range(2):
        owner.worker.submit(job)
        assert owner.outcome().snapshot == fit(job).snapshot
    assert [p.update for p in owner.progress if p.update == p.updates] == [300] * 2


def test_a_training_is_cancelled_and_the_next_one_is_not(
    owner: Owner, architecture: Architecture, cartpole: Any, make_job: Callable[..., TrainingJob]
) -> None:
    data = cartpole.random_data(1)
    owner.worker.submit(make_job(architecture, data, 1_000_000))
    outcome = owner.outcome(owner.worker.cancel)
    assert outcome.error is TrainingError.CANCELLED
    owner.worker.cancel()  # too late: there is nothing to cancel
    owner.worker.submit(make_job(architecture, data, 100))
    assert owner.outcome().error is TrainingError.NONE


def test_its_death_is_an_error_and_the_next_training_gets_a_new_one(
    owner: Owner, architecture: Architecture, cartpole: Any, make_job: Callable[..., TrainingJob]
) -> None:
    data = cartpole.random_data(1)
    owner.worker.submit(make_job(architecture, data, 1_000_000))
    outcome = owner.outcome(lambda: os.kill(owner.worker.pid, signal.SIGKILL))
    assert outcome.error is TrainingError.INTERNAL_ERROR
    assert 'ended with code -9' in outcome.message
    owner.worker.submit(make_job(architecture, data, 100))
    assert owner.outcome().error is TrainingError.NONE


def test_it_trains_on_its_owners_memory_also_after_its_death_and_while_more_is_added(
    owner: Owner, architecture: Architecture, cartpole: Any, make_job: Callable[..., TrainingJob]
) -> None:
    alone = make_job(architecture, cartpole.random_data(2), 300)
    transitions = alone.data.load()
    dataset = Dataset(4, 1)
    dataset.extend(transitions)
    shared = dataclasses.replace(alone, data=dataset.share())
    assert len(pickle.dumps(shared)) < 3000 < len(pickle.dumps(alone))

    owner.worker.submit(dataclasses.replace(shared, updates=1_000_000))
    outcome = owner.outcome(lambda: os.kill(owner.worker.pid, signal.SIGKILL))
    assert outcome.error is TrainingError.INTERNAL_ERROR
    owner.worker.submit(shared)
    for transition in transitions[:200]:
        dataset.add(transition)
    assert owner.outcome().snapshot == fit(alone).snapshot == fit(shared).snapshot

    del dataset  # and with it the memory, which the next training will not find
    owner.worker.submit(shared)
    outcome = owner.outcome()
    assert outcome.error is TrainingError.INTERNAL_ERROR
    assert f'the dataset of process {os.getpid()} cannot be read' in outcome.message


@pytest.fixture
def make_evaluation(
    make_settings: Callable[..., DynamicsSettings],
    architecture: Architecture,
    cartpole: Any,
    make_job: Callable[..., TrainingJob],
) -> Callable[..., EvaluationJob]:
    """Makes a job that measures a briefly trained model; the more windows, the longer it takes."""
    job = make_job(architecture, cartpole.random_data(2), 50)
    snapshot: Snapshot | None = fit(job).snapshot
    assert snapshot is not None

    def make(windows: int) -> EvaluationJob:
        settings = make_settings(
            training__holdout_fraction=0.5,
            training__holdout_block=0 if windows > 1000 else 10,
            evaluation__windows=windows,
            evaluation__particles=1000 if windows > 1000 else 20,
        )
        data = dataclasses.replace(job.data.load(), episode=job.data.load().step // 100)
        return evaluation_job(settings, snapshot, data)

    return make


def test_it_measures_a_model_as_this_process_does(
    owner: Owner, make_evaluation: Callable[..., EvaluationJob]
) -> None:
    job = make_evaluation(100)
    expected = run_evaluation(job).evaluation
    assert expected is not None
    for _ in range(2):
        owner.worker.evaluate(job)
        outcome = owner.evaluation()
        assert outcome.error is EvaluationError.NONE and outcome.evaluation is not None
        found = outcome.evaluation
        assert found.describe() == expected.describe()
        assert found.open_loop.error.tobytes() == expected.open_loop.error.tobytes()


def test_a_training_comes_before_an_evaluation_and_gives_the_same_bytes(
    owner: Owner,
    architecture: Architecture,
    cartpole: Any,
    make_job: Callable[..., TrainingJob],
    make_evaluation: Callable[..., EvaluationJob],
) -> None:
    job = make_job(architecture, cartpole.random_data(1), 100)
    expected = fit(job).snapshot
    long = make_evaluation(100_000)
    for pause in (0.0, 0.3):
        owner.worker.evaluate(long)
        time.sleep(pause)
        owner.worker.submit(job)
        assert owner.outcome().snapshot == expected
    assert owner.evaluations == [], 'what was given up says nothing'
    owner.worker.evaluate(make_evaluation(100))
    assert owner.evaluation().error is EvaluationError.NONE


def test_a_newer_evaluation_comes_before_an_older_one(
    owner: Owner, make_evaluation: Callable[..., EvaluationJob]
) -> None:
    owner.worker.evaluate(make_evaluation(100_000))
    owner.worker.evaluate(make_evaluation(100))
    outcome = owner.evaluation()
    assert outcome.evaluation is not None and outcome.evaluation.open_loop.windows[0] == 100


def test_an_evaluation_that_fails_is_told_and_the_process_goes_on(
    owner: Owner, make_evaluation: Callable[..., EvaluationJob]
) -> None:
    good = make_evaluation(100)
    owner.worker.evaluate(dataclasses.replace(good, model=b'no model'))
    outcome = owner.evaluation()
    assert outcome.error is EvaluationError.INTERNAL_ERROR and 'no whole' in outcome.message
    owner.worker.evaluate(good)
    assert owner.evaluation().error is EvaluationError.NONE


def test_it_dies_with_its_owner(tmp_path: Any) -> None:
    code = (
        'import time\n'
        'from mbrl_dynamics.worker import Worker\n'
        'print(Worker(lambda: None).pid, flush=True)\n'
        'time.sleep(60)\n'
    )
    process = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20.0
    while _is_alive(pid):
        assert time.monotonic() < deadline, 'the worker outlived its owner'
        time.sleep(0.02)


def _is_alive(pid: int) -> bool:
    try:
        with open(f'/proc/{pid}/stat') as file:  # noqa: PTH123
            return file.read().rsplit(')', 1)[1].split()[0] != 'Z'
    except FileNotFoundError:
        return False
