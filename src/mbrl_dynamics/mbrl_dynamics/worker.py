"""The training process: fits models beside the node, so that the node always answers.

Started once and kept warm, because importing torch takes longer than a short training. After a
training it also measures the new model; whatever comes next is more urgent than that.
"""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing.connection import Connection

from mbrl_dynamics.child import Child, join_parent
from mbrl_dynamics.evaluate import InterruptedEvaluationError
from mbrl_dynamics.evaluation_job import EvaluationError, EvaluationJob, EvaluationOutcome
from mbrl_dynamics.evaluation_job import run as run_evaluation
from mbrl_dynamics.training import Progress, TrainingError, TrainingJob, TrainingOutcome, fit

_CANCEL = 'cancel'
Event = Progress | TrainingOutcome | EvaluationOutcome


class Worker:
    """A training process, as its owner sees it. Not for several threads."""

    def __init__(self, wake: Callable[[], None], niceness: int = 0) -> None:
        """Start the process.

        Args:
            wake: called from another thread when :meth:`receive` has something new.
            niceness: how much the process gives way to others.
        """
        self._wake = wake
        self._niceness = niceness
        self._child = self._start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._child.pid

    def submit(self, job: TrainingJob) -> None:
        """Begin a training; its progress and outcome come by :meth:`receive`.

        If the process has died since the last one, it is started again.
        """
        self._revive()
        self._child.send(job)

    def cancel(self) -> None:
        """Ask for the training in progress to be given up."""
        self._child.send(_CANCEL)

    def evaluate(self, job: EvaluationJob) -> None:
        """Measure a model; not while a training is in progress.

        Its outcome comes by :meth:`receive`, unless something else was asked for before it was
        done: then it is given up, and nothing comes.
        """
        self._revive()
        self._child.send(job)

    def receive(self) -> list[Event]:
        """All that came since the last call.

        If the process has died, the outcome is ``INTERNAL_ERROR``, whether it was training or not.
        """
        events: list[Event] = []
        for event in self._child.receive():
            if event is None:
                code = self._child.exit_code()
                event = TrainingOutcome(
                    TrainingError.INTERNAL_ERROR, f'the training process ended with code {code}'
                )
            events.append(event)
        return events

    def close(self) -> None:
        """End the process."""
        self._child.close()

    def _revive(self) -> None:
        if not self._child.is_alive:
            self._child.close()
            self._child = self._start()

    def _start(self) -> Child:
        return Child(__name__, self._wake, self._niceness)


def main() -> None:
    """Serve trainings until the other end is closed."""
    connection = join_parent()
    while True:
        try:
            job = connection.recv()
            if isinstance(job, TrainingJob):
                connection.send(_train(job, connection))
            elif isinstance(job, EvaluationJob):
                _evaluate(job, connection)
            # Otherwise it is a cancel that came after the end of what it was meant for.
        except (EOFError, BrokenPipeError):
            return  # the node is gone


def _train(job: TrainingJob, connection: Connection) -> TrainingOutcome:
    try:
        return fit(job, connection.send, lambda: _is_cancelled(connection))
    except (EOFError, BrokenPipeError):
        raise
    except Exception as error:
        return TrainingOutcome(TrainingError.INTERNAL_ERROR, f'the training failed: {error!r}')


def _is_cancelled(connection: Connection) -> bool:
    return connection.poll() and connection.recv() == _CANCEL


def _evaluate(job: EvaluationJob, connection: Connection) -> None:
    try:
        outcome = run_evaluation(job, connection.poll)
    except InterruptedEvaluationError:
        return
    except Exception as error:
        outcome = EvaluationOutcome(
            EvaluationError.INTERNAL_ERROR, f'the evaluation failed: {error!r}'
        )
    connection.send(outcome)


if __name__ == '__main__':
    main()
