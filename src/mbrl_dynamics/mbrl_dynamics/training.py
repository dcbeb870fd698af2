"""Fit an ensemble to transitions: a pure, seeded function, the same bytes wherever it runs.

PETS's recipe: each member sees its own bootstrap of the data, drawn with replacement; Adam; batches
of 32 per member; weights that go on from the last model. Departures: targets are scaled as inputs
are, a training has a given number of updates rather than of epochs, and batches are drawn from the
bootstrap at random rather than in epochs.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import time
from collections.abc import Callable

import numpy as np
import torch
from torch.optim.adam import adam

from mbrl_common.seeding import derive_seed
from mbrl_dynamics.ensemble import Architecture, Weights
from mbrl_dynamics.evaluation import relative_error
from mbrl_dynamics.gradient import LossGradient
from mbrl_dynamics.normalizer import Normalizer
from mbrl_dynamics.settings import TrainingSettings
from mbrl_dynamics.snapshot import Snapshot, TrainedEnsemble, decode, encode

REPORT_EVERY = 100  # updates
LARGEST_EVALUATION = 2000  # held-out transitions that errors are measured on


class TrainingError(enum.IntEnum):
    """How a training ended; the numbers are those of ``mbrl_msgs/action/Train``."""

    NONE = 0
    NO_DATA = 1
    DATASET_TOO_SMALL = 2
    DIVERGED = 3
    CANCELLED = 4
    BUSY = 5
    INTERNAL_ERROR = 6


@dataclasses.dataclass(frozen=True)
class TrainingJob:
    """All that a training depends on.

    ``state``, ``next_state`` [N, S] and ``action`` [N, A] are float64, ``held_out`` [N] is true for
    the transitions not to be trained on. ``initial`` are the bytes of the snapshot to go on from.
    """

    architecture: Architecture
    settings: TrainingSettings
    updates: int
    seed: int
    version: int
    state: np.ndarray
    action: np.ndarray
    next_state: np.ndarray
    held_out: np.ndarray
    initial: bytes | None


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a training is; losses and errors are per member."""

    update: int
    updates: int
    train_loss: np.ndarray
    holdout_error: np.ndarray
    samples_per_second: float
    time_left: float


@dataclasses.dataclass(frozen=True)
class TrainingOutcome:
    """How a training ended; ``snapshot`` is the new model if ``error`` is NONE.

    ``train_loss`` is the negative log-likelihood per scaled target [nats], the mean over the last
    hundred updates and the members; ``training_time`` is wall-clock [s].
    """

    error: TrainingError
    message: str
    snapshot: Snapshot | None = None
    dataset_size: int = 0
    train_loss: float = math.nan
    holdout_error: float = math.nan
    training_time: float = 0.0


Report = Callable[[Progress], None]


def fit(
    job: TrainingJob, report: Report | None = None, cancelled: Callable[[], bool] | None = None
) -> TrainingOutcome:
    """Train an ensemble. Runs on one thread, and leaves torch's settings as they were.

    Args:
        job: what to do; the same job gives the same bytes in any process of the same machine.
        report: called about every hundred updates.
        cancelled: asked as often; the training is given up when it returns true.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            return _fit(job, report, cancelled)
    finally:
        torch.set_num_threads(threads)


def refuse(settings: TrainingSettings, size: int) -> TrainingOutcome | None:
    """Why a dataset of ``size`` transitions cannot be trained on; None if it can."""
    if size == 0:
        return TrainingOutcome(
            TrainingError.NO_DATA, 'the dataset is empty: run an episode, or name data.extra_bags'
        )
    if size < settings.min_transitions:
        return TrainingOutcome(
            TrainingError.DATASET_TOO_SMALL,
            f'the dataset has {size} transitions; '
            f"'training.min_transitions' asks for {settings.min_transitions}",
            dataset_size=size,
        )
    return None


def _fit(
    job: TrainingJob, report: Report | None, cancelled: Callable[[], bool] | None
) -> TrainingOutcome:
    start = time.perf_counter()
    settings = job.settings
    size = len(job.state)
    refusal = refuse(settings, size)
    if refusal is not None:
        return refusal
    generator = torch.Generator().manual_seed(derive_seed(job.seed, 'training', job.version))
    weights = Weights.initial(job.architecture, generator)
    if job.initial is not None:
        weights = decode(job.initial)[0].weights
    data = _prepare(job)
    scales = np.concatenate([data.input_scaling.std, data.target_scaling.std])
    if not np.isfinite(scales).all():
        return TrainingOutcome(
            TrainingError.DIVERGED,
            'states or actions are too large for their mean and deviation to be computed',
            dataset_size=size,
        )
    ensemble = TrainedEnsemble(weights, data.input_scaling, data.target_scaling)
    members = job.architecture.members
    bootstrap = torch.randint(len(data.inputs), (members, len(data.inputs)), generator=generator)
    rows = torch.arange(members)[:, None]

    loss_gradient = LossGradient(weights)
    optimizer = _Adam(weights, loss_gradient.gradient, settings.weight_decay)
    train_loss = np.full(members, math.nan)
    done = 0
    while done < job.updates:
        if cancelled is not None and cancelled():
            return TrainingOutcome(
                TrainingError.CANCELLED,
                f'cancelled after {done} of {job.updates} updates',
                dataset_size=size,
            )
        block = min(REPORT_EVERY, job.updates - done)
        drawn = torch.randint(
            len(data.inputs), (block, members, settings.batch_size), generator=generator
        )
        batch = bootstrap[rows, drawn]
        inputs, targets = data.inputs[batch], data.targets[batch]
        total = torch.zeros(members, settings.batch_size, targets.shape[-1])
        for i in range(block):
            total += loss_gradient(inputs[i], targets[i])
            optimizer.step(_learning_rate(settings, done + i, job.updates))
        done += block
        train_loss = _nats(total / block).mean(dim=(1, 2)).double().numpy()
        if not np.isfinite(train_loss).all():
            return TrainingOutcome(
                TrainingError.DIVERGED,
                f'the loss became NaN or infinite within {done} updates; '
                "a smaller 'training.learning_rate' may help",
                dataset_size=size,
            )
        if report is not None:
            elapsed = time.perf_counter() - start
            report(
                Progress(
                    done,
                    job.updates,
                    train_loss,
                    _member_errors(ensemble, data),
                    done * settings.batch_size / elapsed,
                    elapsed / done * (job.updates - done),
                )
            )
    if not torch.isfinite(weights.flat).all():
        return TrainingOutcome(
            TrainingError.DIVERGED, 'a weight became NaN or infinite', dataset_size=size
        )
    error = relative_error(
        _predict(ensemble, data).mean(axis=0), data.held_out_state, data.held_out_next_state
    )
    return TrainingOutcome(
        TrainingError.NONE,
        '',
        encode(ensemble, job.version, size, error),
        size,
        float(train_loss.mean()),
        error,
        time.perf_counter() - start,
    )


@dataclasses.dataclass(frozen=True)
class _Data:
    inputs: torch.Tensor  # [N, I], scaled, float32; targets likewise
    targets: torch.Tensor
    input_scaling: Normalizer
    target_scaling: Normalizer
    held_out_inputs: torch.Tensor
    held_out_state: np.ndarray
    held_out_next_state: np.ndarray


def _prepare(job: TrainingJob) -> _Data:
    encoding = job.architecture.encoding
    inputs = encoding.inputs(job.state, job.action)
    targets = encoding.targets(job.state, job.next_state)
    train = ~job.held_out
    measured = np.flatnonzero(job.held_out)
    measured = measured[:: max(1, -(-len(measured) // LARGEST_EVALUATION))]
    input_scaling = Normalizer.fit(inputs[train])
    target_scaling = Normalizer.fit(targets[train])

    def scaled(normalizer: Normalizer, values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(normalizer.normalize(values)).float()

    return _Data(
        scaled(input_scaling, inputs[train]),
        scaled(target_scaling, targets[train]),
        input_scaling,
        target_scaling,
        scaled(input_scaling, inputs[measured]),
        job.state[measured],
        job.next_state[measured],
    )


class _Adam:
    """Kingma & Ba, 2015: PyTorch's fused kernel on the flat weights, without its bookkeeping.

    Weight decay is an L2 penalty on weights and biases, not on the log-variance bounds.
    """

    def __init__(self, weights: Weights, gradient: Weights, weight_decay: float) -> None:
        self._weights, self._gradient = weights.flat, gradient.flat
        self._decay = weight_decay
        self._decayed = slice(0, weights.decayed)
        self._mean = torch.zeros_like(weights.flat)
        self._square = torch.zeros_like(weights.flat)
        self._count = torch.tensor(0.0)

    def step(self, learning_rate: float) -> None:
        if self._decay > 0:
            part = self._decayed
            self._gradient[part].add_(self._weights[part], alpha=self._decay)
        adam(
            [self._weights],
            [self._gradient],
            [self._mean],
            [self._square],
            [],
            [self._count],
            foreach=False,
            fused=True,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=learning_rate,
            weight_decay=0.0,
            eps=1e-8,
            maximize=False,
        )


def _learning_rate(settings: TrainingSettings, update: int, updates: int) -> float:
    low, high = settings.final_learning_rate, settings.learning_rate
    return low + (high - low) * 0.5 * (1 + math.cos(math.pi * update / updates))


def _nats(loss: torch.Tensor) -> torch.Tensor:
    return 0.5 * (loss + math.log(2 * math.pi))


def _predict(ensemble: TrainedEnsemble, data: _Data) -> np.ndarray:
    """Each member's prediction of the held-out next states, float64 [M, H, S]."""
    members = ensemble.weights.architecture.members
    mean, _ = ensemble.weights.forward(data.held_out_inputs.expand(members, -1, -1))
    change = mean.double().numpy() * ensemble.targets.std + ensemble.targets.mean
    return np.asarray(data.held_out_state + change)


def _member_errors(ensemble: TrainedEnsemble, data: _Data) -> np.ndarray:
    predictions = _predict(ensemble, data)
    return np.array(
        [relative_error(p, data.held_out_state, data.held_out_next_state) for p in predictions]
    )
