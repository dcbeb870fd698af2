"""What of a run is on disk, and whether a training is to be waited for.

Both sessions, in lockstep and in real time, keep their transitions here until the dataset has
acknowledged them. An acknowledgement may announce a training: the gate is then shut until the
trainer's status says that this training has ended.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from mbrl_dynamics.transition import Transition
from mbrl_mpc.outbox import Outbox


@dataclasses.dataclass(frozen=True)
class Training:
    """The trainer's status, as far as a session needs it."""

    stamp: int  # when it was sent, on the trainer's clock [ns]
    job: int  # number of the training in progress, or of the last one
    active: bool
    model_version: int
    holdout_error: float
    training_time: float  # of the last training [s]


class Storage:
    """Transitions on their way, and the training that they made due."""

    def __init__(
        self,
        outbox: Outbox,
        send: Callable[[Transition], None],
        warn: Callable[[str], None],
        clock: Callable[[], float],
        training: Training | None = None,
    ) -> None:
        """
        Args:
            outbox: transitions not yet acknowledged, kept from session to session.
            send: sends a transition to the dataset.
            warn: tells a person.
            clock: monotonic time [s].
            training: the trainer's status, if it is known already.
        """
        self._outbox = outbox
        self._send = send
        self._warn = warn
        self._clock = clock
        self._training = training
        self._next_sequence = 0  # all below are on disk
        self._last_sequence = -1  # newest that was sent
        self._away = False
        self._gate: tuple[int, int] | None = None  # training announced: its job, and when [ns]
        self._training_time = 0.0
        self.min_version = 0
        """Version of the model that the last training announced has made."""

    @property
    def stored(self) -> bool:
        """Whether all is on disk that was sent, or nobody waits for it any more."""
        return self._away or self._next_sequence > self._last_sequence

    @property
    def gated(self) -> bool:
        """Whether a training that was announced has not ended."""
        return self._gate is not None

    @property
    def holdout_error(self) -> float:
        """Of the newest model; NaN: not known."""
        return math.nan if self._training is None else self._training.holdout_error

    def forget_training_time(self) -> None:
        """Count the time of trainings anew."""
        self._training_time = 0.0

    @property
    def training_time(self) -> float:
        """Time that trainings took since :meth:`forget_training_time` was called [s]."""
        return self._training_time

    def put(self, transition: Transition) -> None:
        """Send a transition, and keep it until it is acknowledged."""
        self._last_sequence = transition.sequence
        self._outbox.put(transition, self._clock())
        self._send(transition)

    def resend(self, timeout: float) -> None:
        """Send again what was not acknowledged for ``timeout`` [s]."""
        for transition in self._outbox.overdue(self._clock(), timeout):
            self._send(transition)

    def on_ack(
        self, next_sequence: int, training_due: bool, stamp: int, training_job: int = 0
    ) -> bool:
        """Transitions below ``next_sequence`` are on disk.

        Args:
            next_sequence: of the transition not stored yet.
            training_due: the transition made a training due.
            stamp: when this was sent, on the trainer's clock [ns].
            training_job: number of that training.

        Returns:
            Whether this shut the gate.
        """
        self._outbox.acknowledge(next_sequence)
        self._next_sequence = max(self._next_sequence, next_sequence)
        self._away = False
        gate = (training_job, stamp)
        if not training_due or self._trained(gate):
            return False
        self._gate = gate
        return True

    def on_training(self, training: Training) -> bool:
        """The trainer's status; returns whether it opened the gate."""
        before, self._training = self._training, training
        if before is not None and training.model_version > before.model_version:
            self._training_time += training.training_time
        if self._gate is None or not self._trained(self._gate):
            return False
        self._gate = None
        self.min_version = training.model_version
        return True

    def give_up_storing(self) -> None:
        """Wait no longer for acknowledgements, and say so if any is missing."""
        if not self.stored:
            self._warn(
                'transitions are not acknowledged; going on, and keeping them until they are'
            )
            self._away = True

    def give_up_training(self, why: str = 'the training did not end in time') -> None:
        """Wait no longer for the training that was announced, and say so."""
        self._warn(f'{why}; going on with the model there is')
        self._gate = None

    def give_up_late(self, waited: float, ack_timeout: float, model_timeout: float) -> None:
        """Give up what an episode's end was waited for for too long.

        Args:
            waited: how long [s].
            ack_timeout: for acknowledgements [s].
            model_timeout: for a training [s].
        """
        if waited > ack_timeout:
            self.give_up_storing()
        if self.gated and waited > model_timeout:
            self.give_up_training()

    def _trained(self, gate: tuple[int, int]) -> bool:
        training = self._training
        if training is None or training.active:
            return False
        job, stamp = gate
        # A trainer that was started again counts its jobs from the beginning.
        return training.job >= job if job <= training.job else training.stamp > stamp
