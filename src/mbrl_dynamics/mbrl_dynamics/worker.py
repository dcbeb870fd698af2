"""The training process: fits models beside the node, so that the node always answers.

Started once and kept warm, because importing torch takes longer than a short training. It is
``python -m mbrl_dynamics.worker``, bound to the node by a socket pair: when the node is gone,
however it went, so is the worker. Nothing but these two processes ever reads that socket.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection

from mbrl_dynamics.training import Progress, TrainingError, TrainingJob, TrainingOutcome, fit

_CANCEL = 'cancel'
_PR_SET_PDEATHSIG = 1


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
        self._start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def submit(self, job: TrainingJob) -> None:
        """Begin a training; its progress and outcome come by :meth:`receive`.

        If the process has died since the last one, it is started again.
        """
        if self._process.poll() is not None:
            self._connection.close()
            self._start()
        with contextlib.suppress(OSError):  # it has died: the reader says so
            self._connection.send(job)

    def cancel(self) -> None:
        """Ask for the training in progress to be given up."""
        with contextlib.suppress(OSError):
            self._connection.send(_CANCEL)

    def receive(self) -> list[Progress | TrainingOutcome]:
        """All that came since the last call.

        If the process has died, the outcome is ``INTERNAL_ERROR``, whether it was training or not.
        """
        events: list[Progress | TrainingOutcome] = []
        while self._events:
            event = self._events.popleft()
            if event is None:
                event = TrainingOutcome(
                    TrainingError.INTERNAL_ERROR,
                    f'the training process ended with code {self._process.wait()}',
                )
            events.append(event)
        return events

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._connection.close()

    def _start(self) -> None:
        self._events: deque[Progress | TrainingOutcome | None] = deque()
        ours, theirs = socket.socketpair()
        command = [sys.executable, '-m', __name__, str(theirs.fileno()), str(self._niceness)]
        environment = os.environ | {'OMP_NUM_THREADS': '1', 'MKL_NUM_THREADS': '1'}
        self._process = subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=environment
        )
        theirs.close()
        self._connection = Connection(ours.detach())
        self._reader = threading.Thread(
            target=_read, args=(self._connection, self._events, self._wake), daemon=True
        )
        self._reader.start()


def _read(connection: Connection, events: deque, wake: Callable[[], None]) -> None:
    while True:
        try:
            event = connection.recv()
        except (EOFError, OSError):
            event = None
        events.append(event)
        wake()
        if event is None:
            return


def main() -> None:
    """Serve trainings until the other end is closed."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the node, which then ends us
    os.nice(int(sys.argv[2]))
    connection = Connection(int(sys.argv[1]))
    while True:
        try:
            job = connection.recv()
        except EOFError:
            return
        if job == _CANCEL:
            continue  # it came after the end of what it was meant for
        try:
            outcome = fit(job, connection.send, lambda: _is_cancelled(connection))
        except (BrokenPipeError, EOFError):
            return  # the node is gone
        except Exception as error:
            outcome = TrainingOutcome(
                TrainingError.INTERNAL_ERROR, f'the training failed: {error!r}'
            )
        connection.send(outcome)


def _is_cancelled(connection: Connection) -> bool:
    return connection.poll() and connection.recv() == _CANCEL


if __name__ == '__main__':
    main()
