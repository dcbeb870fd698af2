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
from mbrl_dynamics.training import Progress, TrainingError, TrainingJob, TrainingOutcome, fit
from mbrl_dynamics.worker import Worker


class Owner:
    """Waits for what a worker has to say."""

    def __init__(self) -> None:
        self._news = threading.Event()
        self.worker = Worker(self._news.set, niceness=1)
        self.progress: list[Progress] = []

    def outcome(self, on_progress: Callable[[], None] = lambda: None) -> TrainingOutcome:
        """The outcome of the training in progress."""
        deadline = time.monotonic() + 60.0
        while time.monotonic() < deadline:
            self._news.wait(1.0)
            self._news.clear()
            for event in self.worker.receive():
                if isinstance(event, TrainingOutcome):
                    return event
                self.progress.append(event)
                on_progress()
        raise TimeoutError


@pytest.fixture
def owner() -> Iterator[Owner]:
    made = Owner()
    yield made
    made.worker.close()


def test_it_gives_the_bytes_that_this_process_gives(
    owner: Owner, architecture: Architecture, cartpole: Any, make_job: Callable[..., TrainingJob]
) -> None:
    job = make_job(architecture, cartpole.random_data(1), 300)
    for _ in range(2):
        owner.worker.submit(job)
        assert owner.outcome().snapshot == fit(job).snapshot
    assert [p.update for p in owner.progress] == [100, 200, 300] * 2


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
