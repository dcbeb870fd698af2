"""Fit an ensemble to transitions: a pure, seeded function, the same bytes wherever it runs.

PETS's recipe by default: each member sees its own bootstrap of the data; Adam; batches of 32 per
member; weights that go on from the last model. Departures: targets are scaled as inputs are, and a
training has a given number of updates unless it is given a number of epochs. The settings make
PDDM's and MBPO's recipes of it (``mbrl_dynamics.presets``).
"""

from __future__ import annotations

import dataclasses
import enum
import math
import time
from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch

from mbrl_common.seeding import derive_seed
from mbrl_dynamics.batches import Batches
from mbrl_dynamics.ensemble import Architecture, Weights
from mbrl_dynamics.settings import TrainingSettings
from mbrl_dynamics.snapshot import NO_LIMITS, Limits, Snapshot, TrainedEnsemble, decode, encode
from mbrl_dynamics.subnormals import without_subnormals
from mbrl_dynamics.symmetry import Symmetry
from mbrl_dynamics.training_data import TrainingData, prepare
from mbrl_dynamics.transitions import Transitions
from mbrl_dynamics.updates import make_updates

BLOCK = 100  # updates whose batches are drawn at once
SHORTEST_CHECK = 25  # updates between two looks at the held-out loss
LOOK_PERIOD = 0.05  # s between two looks at whether the training was cancelled
REPORT_PERIOD = 0.25  # s between two reports
IMPROVEMENT = 0.01  # relative, of the held-out loss (MBPO)


class TrainingError(enum.IntEnum):
    """How a training ended; the numbers are those of ``mbrl_msgs/action/Train``."""

    NONE = 0
    NO_DATA = 1
    DATASET_TOO_SMALL = 2
    DIVERGED = 3
    CANCELLED = 4
    BUSY = 5
    INTERNAL_ERROR = 6


class DataSource(Protocol):
    """Transitions, or where they are to be had: a training process reads its node's memory."""

    def load(self) -> Transitions:
        """The transitions."""
        ...


@dataclasses.dataclass(frozen=True)
class TrainingJob:
    """All that a training depends on.

    Attributes:
        architecture: of the ensemble.
        settings: of the training.
        updates: gradient updates; 0: as many as ``settings.epochs`` passes take.
        seed: of the initial weights, bootstrap and batches.
        version: of the model to be made.
        data: all transitions, the held-out ones included.
        initial: bytes of the snapshot to go on from; None: new random weights.
        elites: members that are to predict; 0: all.
        limits: what predictions are kept within.
        symmetries: whose images of the transitions are learned from as well.
    """

    architecture: Architecture
    settings: TrainingSettings
    updates: int
    seed: int
    version: int
    data: DataSource
    initial: bytes | None = None
    elites: int = 0
    limits: Limits = NO_LIMITS
    symmetries: tuple[Symmetry, ...] = ()


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a training is.

    Losses and errors are per member, [M]: the loss of ``mbrl_dynamics.gradient.data_loss`` on the
    last updates and on held-out data, and the one-step error on held-out data relative to
    predicting no change. Held-out numbers are NaN where nothing is held out.
    """

    update: int
    updates: int
    epoch: float
    train_loss: np.ndarray
    holdout_loss: np.ndarray
    holdout_error: np.ndarray
    samples_per_second: float
    time_left: float


@dataclasses.dataclass(frozen=True)
class TrainingOutcome:
    """How a training ended; ``snapshot`` is the new model if ``error`` is NONE.

    ``train_loss`` is the mean over the last updates and the members, ``holdout_loss`` and
    ``holdout_error`` are those of the members that predict; ``training_time`` is wall-clock [s].
    """

    error: TrainingError
    message: str
    snapshot: Snapshot | None = None
    dataset_size: int = 0
    train_loss: float = math.nan
    holdout_loss: float = math.nan
    holdout_error: float = math.nan
    training_time: float = 0.0
    updates: int = 0


Report = Callable[[Progress], None]


def fit(
    job: TrainingJob, report: Report | None = None, cancelled: Callable[[], bool] | None = None
) -> TrainingOutcome:
    """Train an ensemble. Leaves torch's settings as they were.

    Args:
        job: what to do; the same job gives the same bytes in any process of the same machine, on
            any number of threads.
        report: called several times a second.
        cancelled: asked more often; the training is given up when it returns true.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad(), without_subnormals():
            return _Fit(job, report, cancelled).run()
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


class _Fit:
    """One training, from the data to the snapshot."""

    def __init__(
        self, job: TrainingJob, report: Report | None, cancelled: Callable[[], bool] | None
    ) -> None:
        self._job = job
        self._report = report
        self._cancelled = cancelled
        self._began = time.perf_counter()
        self._looked = -math.inf
        self._reported = self._began
        self._given_up = False
        self._done = 0
        self._size = 0

    def run(self) -> TrainingOutcome:
        job, settings = self._job, self._job.settings
        transitions = job.data.load()
        self._size = len(transitions)
        refusal = refuse(settings, self._size)
        if refusal is not None:
            return refusal
        if job.architecture.learns_reward and np.isnan(transitions.reward).any():
            unknown = int(np.isnan(transitions.reward).sum())
            return self._failed(
                TrainingError.NO_DATA,
                f"'model.reward' is set, and the reward of {unknown} transitions is not known; "
                'score their bags with `mbrl data import`, or let the objective give the reward',
            )
        generator = torch.Generator().manual_seed(derive_seed(job.seed, 'training', job.version))
        self._weights = Weights.initial(job.architecture, generator)
        if job.initial is not None:
            self._weights = decode(job.initial)[0].weights
        data = prepare(transitions, job.architecture, settings, generator, job.symmetries)
        if data is None:
            return self._failed(
                TrainingError.DIVERGED,
                'states or actions are too large for their mean and deviation to be computed',
            )
        self._data = data
        del transitions
        self._batches = Batches(
            data.size, job.architecture.members, settings.batch_size, settings.batches, generator
        )
        in_epoch = data.size / self._batches.batch_size
        self._updates = job.updates or max(1, math.ceil(settings.epochs * in_epoch))
        self._check_every = max(SHORTEST_CHECK, round(in_epoch))
        self._members = job.architecture.members
        self._updating = make_updates(self._weights, data, settings)
        self._train_loss = np.full(self._members, math.nan)
        failure = self._train()
        return self._conclude() if failure is None else failure

    def _train(self) -> TrainingOutcome | None:
        """All updates; returns why it was given up, or None."""
        best = _Best(self._weights, self._data, self._job.settings.patience)
        next_check = self._check_every if best.wanted else self._updates + 1
        while self._done < self._updates:
            block = min(BLOCK, self._updates - self._done, next_check - self._done)
            failure = self._block(block)
            if failure is not None:
                return failure
            if self._done == next_check:
                next_check += self._check_every
                if best.check():
                    break
        best.restore()
        if not torch.isfinite(self._weights.flat).all():
            return self._failed(TrainingError.DIVERGED, 'a weight became NaN or infinite')
        return None

    def _block(self, updates: int) -> TrainingOutcome | None:
        """Some updates, whose batches are drawn at once; returns why it was given up, or None."""
        settings = self._job.settings
        if not self._look():  # a few updates may be over before they would ask
            rates = [
                _learning_rate(settings, self._done + i, self._updates) for i in range(updates)
            ]
            losses = self._updating.run(self._batches.draw(updates), np.array(rates), self._look)
            self._done += len(losses)
        if self._given_up:
            return self._failed(
                TrainingError.CANCELLED,
                f'cancelled after {self._done} of {self._updates} updates',
            )
        self._train_loss = losses.mean(axis=0, dtype=np.float64)
        if not np.isfinite(self._train_loss).all():
            return self._failed(
                TrainingError.DIVERGED,
                f'the loss became NaN or infinite within {self._done} updates; '
                "a smaller 'training.learning_rate' may help",
            )
        last = self._done == self._updates
        now = time.perf_counter()
        if self._report is not None and (last or now - self._reported > REPORT_PERIOD):
            self._reported = now
            self._report(self._progress(now - self._began))
        return None

    def _look(self) -> bool:
        """Whether the training is to be given up; asks only every now and then."""
        now = time.perf_counter()
        if self._cancelled is not None and now - self._looked > LOOK_PERIOD:
            self._looked = now
            self._given_up = self._given_up or self._cancelled()
        return self._given_up

    def _progress(self, elapsed: float) -> Progress:
        samples = self._done * self._batches.batch_size
        outputs = self._data.predict(self._weights)
        return Progress(
            update=self._done,
            updates=self._updates,
            epoch=samples / self._data.size,
            train_loss=self._train_loss,
            holdout_loss=self._data.losses(outputs),
            holdout_error=self._data.errors(outputs),
            samples_per_second=samples / elapsed,
            time_left=elapsed / self._done * (self._updates - self._done),
        )

    def _conclude(self) -> TrainingOutcome:
        job, data = self._job, self._data
        outputs = data.predict(self._weights)
        losses = data.losses(outputs)
        ranking = np.argsort(np.where(np.isnan(losses), self._train_loss, losses), kind='stable')
        elites = tuple(int(i) for i in ranking[: job.elites])
        chosen = list(elites or range(self._members))
        ensemble = TrainedEnsemble(
            self._weights, data.input_scaling, data.target_scaling, elites, job.limits
        )
        error = data.error(outputs, chosen)
        return TrainingOutcome(
            TrainingError.NONE,
            '',
            encode(ensemble, job.version, self._size, error),
            self._size,
            float(self._train_loss.mean()),
            float(losses[chosen].mean()),
            error,
            time.perf_counter() - self._began,
            self._done,
        )

    def _failed(self, error: TrainingError, message: str) -> TrainingOutcome:
        return TrainingOutcome(error, message, dataset_size=self._size, updates=self._done)


class _Best:
    """Early stopping: remembers the best weights of each member by the held-out loss.

    A member has improved if its loss fell by more than 1 % of its size (MBPO); the training ends
    when none has for ``patience`` checks.
    """

    def __init__(self, weights: Weights, data: TrainingData, patience: int) -> None:
        self.wanted = patience > 0 and data.held_out > 0
        self._weights = weights
        self._data = data
        self._patience = patience
        self._waited = 0
        if self.wanted:
            self._best = Weights(weights.architecture, weights.flat.clone())
            self._losses = data.losses(data.predict(weights))

    def check(self) -> bool:
        """Look at the held-out loss; returns whether it is time to stop."""
        losses = self._data.losses(self._data.predict(self._weights))
        better = losses < self._losses - IMPROVEMENT * np.abs(self._losses)
        self._losses = np.where(better, losses, self._losses)
        self._best.copy_members(self._weights, torch.from_numpy(better))
        self._waited = 0 if better.any() else self._waited + 1
        return self._waited >= self._patience

    def restore(self) -> None:
        """Give each member its best weights back."""
        if self.wanted:
            self._weights.flat.copy_(self._best.flat)


def _learning_rate(settings: TrainingSettings, update: int, updates: int) -> float:
    low, high = settings.final_learning_rate, settings.learning_rate
    return low + (high - low) * 0.5 * (1 + math.cos(math.pi * update / updates))
