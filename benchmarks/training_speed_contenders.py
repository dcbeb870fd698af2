"""What ``training_speed`` compares: mbrl-lib in a process of its own, and ours."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from training_speed_data import Task

from mbrl_dynamics.batches import Batches
from mbrl_dynamics.encoding import Encoding
from mbrl_dynamics.ensemble import Architecture, Weights
from mbrl_dynamics.model import DynamicsModel
from mbrl_dynamics.settings import TrainingSettings
from mbrl_dynamics.training import BLOCK, TrainingJob, fit
from mbrl_dynamics.training_data import prepare
from mbrl_dynamics.transitions import Transitions
from mbrl_dynamics.updates import make_updates

THREADS = 2  # of the peer
TUNED = {
    'TUNED': '1',
    'MALLOC_MMAP_THRESHOLD_': '1073741824',
    'MALLOC_TRIM_THRESHOLD_': '4294967296',
    'MALLOC_TOP_PAD_': '268435456',
}


@dataclasses.dataclass(frozen=True)
class Setting:
    """A published setting of mbrl-lib's; ``validation`` is the share that it evaluates on."""

    name: str
    members: int
    hidden: tuple[int, ...]
    batch_size: int
    epochs: int
    learning_rate: float
    weight_decay: float
    validation: float
    learn_bounds: bool = False  # of the peer's log-variance; ours always does

    def request(self, task: Task, path: Path, seed: int, **others: Any) -> dict[str, Any]:
        """What the peer is asked for."""
        own = dataclasses.asdict(self)
        return own | {'data': str(path), 'angles': task.angles, 'seed': seed, **others}

    def job(
        self, task: Task, data: Transitions, updates: int, seed: int, threads: int, batches: str
    ) -> TrainingJob:
        """The same training of ours."""
        states, actions = data.state.shape[1], data.action.shape[1]
        return TrainingJob(
            Architecture(
                Encoding(states, actions, tuple(task.angles)), self.members, self.hidden, 'silu'
            ),
            TrainingSettings(
                batch_size=self.batch_size,
                learning_rate=self.learning_rate,
                final_learning_rate=self.learning_rate,
                weight_decay=(self.weight_decay,),
                holdout_fraction=self.validation,
                batches=batches,
                threads=threads,
            ),
            updates,
            seed,
            version=1,
            data=data,
        )


class Peer:
    """mbrl-lib in a process that lives as long as the benchmark."""

    def __init__(self, python: Path, tuned: bool) -> None:
        script = Path(__file__).with_name('training_speed_peer.py')
        without = ('PYTHONPATH', 'AMENT_PREFIX_PATH')
        environment = {k: v for k, v in os.environ.items() if k not in without}
        self._process = subprocess.Popen(
            [python, '-W', 'ignore', script, str(THREADS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment | (TUNED if tuned else {}),
        )

    def train(self, request: dict[str, Any]) -> dict[str, Any]:
        """One training."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + '\n')
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit('the peer ended; what it says is above')
        result: dict[str, Any] = json.loads(answer)
        return result

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def train_ours(
    setting: Setting,
    task: Task,
    data: dict[str, np.ndarray],
    updates: int,
    seed: int,
    threads: int,
    batches: str = 'bootstrap',
) -> dict[str, Any]:
    """One training from the transitions to the model, and the bare updates once more."""
    began = time.perf_counter()
    transitions = Transitions.from_arrays(data['state'], data['action'], data['next_state'])
    job = setting.job(task, transitions, updates, seed, threads, batches)
    outcome = fit(job)
    if outcome.snapshot is None:
        raise SystemExit(f'the training ended with an error: {outcome.message}')
    model = DynamicsModel.from_bytes(outcome.snapshot.data)
    seconds = time.perf_counter() - began

    generator = torch.Generator().manual_seed(seed)
    prepared = prepare(transitions, job.architecture, job.settings, generator)
    assert prepared is not None
    weights = Weights.initial(job.architecture, generator)
    bare = make_updates(weights, prepared, job.settings)
    began = time.perf_counter()
    stream = Batches(prepared.size, setting.members, setting.batch_size, batches, generator)
    for done in range(0, updates, BLOCK):
        count = min(BLOCK, updates - done)
        bare.run(stream.draw(count), np.full(count, setting.learning_rate), lambda: False)
    return {
        'seconds': seconds,
        'loop_seconds': time.perf_counter() - began,
        'updates': updates,
        'nll': held_out_nll(model, data),
    }


def held_out_nll(model: DynamicsModel, data: dict[str, np.ndarray]) -> tuple[float, float]:
    """As that of the peer: of the ensemble and of the average member."""
    state, action = (
        torch.tensor(data[f'test_{name}'], dtype=torch.float32).expand(model.members, -1, -1)
        for name in ('state', 'action')
    )
    prediction = model.predict(state, action)
    assert prediction.variance is not None
    change = torch.from_numpy(data['test_next_state'] - data['test_state'])
    square = ((prediction.mean - state).double() - change).square()
    variance = prediction.variance.double()
    nll = 0.5 * (square / variance + variance.log() + math.log(2 * math.pi))
    density = torch.logsumexp(-nll.sum(-1), 0) - math.log(model.members)
    return -density.mean().item() / nll.shape[-1], nll.mean().item()
