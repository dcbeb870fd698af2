"""A Python process beside a node, for work that must not keep the node from answering.

The two are bound by a socket pair, which nothing but them ever reads. When the parent is gone,
however it went, so is the child.
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
from typing import Any

_PR_SET_PDEATHSIG = 1


class Child:
    """A child process, as its parent sees it. Not for several threads."""

    def __init__(self, module: str, wake: Callable[[], None], niceness: int = 0) -> None:
        """Start ``python -m module``, which calls :func:`join_parent`.

        Args:
            module: its full name.
            wake: called from another thread when :meth:`receive` has something new.
            niceness: how much the process gives way to others.
        """
        self._events: deque[Any] = deque()
        ours, theirs = socket.socketpair()
        self._process = start(module, str(theirs.fileno()), str(niceness), descriptor=theirs)
        theirs.close()
        self._connection = Connection(ours.detach())
        self._reader = threading.Thread(
            target=_read, args=(self._connection, self._events, wake), daemon=True
        )
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def send(self, message: Any) -> None:
        """Hand something over. If the child has died, :meth:`receive` says so."""
        with contextlib.suppress(OSError):
            self._connection.send(message)

    def receive(self) -> list[Any]:
        """All that it has sent since the last call; None as the last of all says that it ended."""
        events = []
        while self._events:
            events.append(self._events.popleft())
        return events

    def exit_code(self) -> int:
        """How it ended; waits for that."""
        return self._process.wait()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._connection.close()


def start(
    module: str, *arguments: str, descriptor: socket.socket | None = None
) -> subprocess.Popen[bytes]:
    """Start ``python -m module`` with one thread for numbers; it may inherit a descriptor."""
    return subprocess.Popen(
        [sys.executable, '-m', module, *arguments],
        pass_fds=[] if descriptor is None else [descriptor.fileno()],
        stdin=subprocess.DEVNULL,
        env=os.environ | {'OMP_NUM_THREADS': '1', 'MKL_NUM_THREADS': '1'},
    )


def live_with_parent(niceness: int) -> None:
    """Called first in a child: end with the parent, leave Ctrl-C to it, and give way."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it went just before
        os._exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends us
    os.nice(niceness)


def join_parent() -> Connection:
    """Called first in a :class:`Child`; returns the connection to its parent."""
    live_with_parent(int(sys.argv[2]))
    return Connection(int(sys.argv[1]))


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
