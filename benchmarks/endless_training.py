"""A training that goes on beside what is measured, in a process as the dynamics node has one."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import numpy as np
from planning_plans import DEMO

from mbrl_dynamics.settings import TrainingSettings
from mbrl_dynamics.training import Progress, TrainingJob
from mbrl_dynamics.transitions import Transitions
from mbrl_dynamics.worker import Worker

_ROWS = 1000
_ENDLESS = 1_000_000_000
_PATIENCE = 60.0  # s, until it has begun


@contextlib.contextmanager
def endless_training() -> Iterator[None]:
    """The demo's model is being trained on a thousand transitions while in here.

    With the demo's batches, and the threads and the niceness that are the defaults.
    """
    settings = TrainingSettings(batch_size=32)
    worker = Worker(lambda: None, settings.niceness)
    try:
        worker.submit(
            TrainingJob(
                DEMO.architecture, settings, _ENDLESS, seed=0, version=1, data=_transitions()
            )
        )
        deadline = time.monotonic() + _PATIENCE
        while not (events := worker.receive()):
            if time.monotonic() > deadline:
                raise SystemExit('the training beside does not begin')
            time.sleep(0.05)
        if not isinstance(events[0], Progress):
            raise SystemExit(f'the training beside has ended: {events[0]}')
        yield
    finally:
        worker.close()


def _transitions() -> Transitions:
    random = np.random.default_rng(0)
    states = random.normal(size=(_ROWS + 1, DEMO.states))
    steps, none = np.arange(_ROWS), np.zeros(_ROWS, dtype=bool)
    zeros, stamps = np.zeros(_ROWS, dtype=np.int64), steps * 40_000_000
    return Transitions(
        senders=(('benchmark', 1),),
        sender=zeros,
        stamp=stamps,
        next_stamp=stamps + 40_000_000,
        sequence=steps,
        episode=zeros,
        step=steps,
        state=states[:-1],
        action=random.uniform(-3.0, 3.0, (_ROWS, DEMO.actions)),
        next_state=states[:-1] + 0.1 * random.normal(size=(_ROWS, DEMO.states)),
        reward=np.zeros(_ROWS),
        terminated=none,
        truncated=none,
    )
