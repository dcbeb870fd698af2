"""For tests: a process that has imported what nodes import, and becomes one by being copied.

Importing torch is most of a node's start. Where each of a hundred tests starts nodes, that is most
of the tests' time, too. So one process beside the tests imports an executable's module once, and
forks for each start of it. The copy is a process like any other: a child of the test's, in a
session of its own, with its own arguments, environment, folder, output and exit code. Only what a
process does before it calls its ``main`` has been done before; ``rclpy``'s start is not among that.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import dataclasses
import functools
import importlib.metadata
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

_PR_SET_CHILD_SUBREAPER = 36
# What nobody reads before a node's main is called.
_READ_LATE = ('FASTDDS_', 'FASTRTPS_', 'MBRL_', 'PYTEST_', 'RCUTILS_', 'RMW_', 'ROS_')
_HANDED_OVER = 10.0  # s
_IMPORTED = 60.0  # s, from a cold disk, beside others
_ENVIRONMENT = dict(os.environ)  # before a test changes it


class Copied:
    """A child process that was copied: what tests need of ``subprocess.Popen``."""

    def __init__(self, pid: int, args: Sequence[str]) -> None:
        self.pid = pid
        self.args = args
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end [s]; returns its exit code.

        Raises:
            subprocess.TimeoutExpired: it has not ended.
        """
        begin = time.monotonic()
        while (code := self.poll()) is None:
            if timeout is not None and time.monotonic() - begin > timeout:
                raise subprocess.TimeoutExpired(list(self.args), timeout)
            time.sleep(0.005)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


@dataclasses.dataclass(frozen=True)
class _Request:
    package: str
    command: list[str]  # executable and arguments
    environment: dict[str, str]
    folder: str
    output: str
    owner: int  # process id of who asks


def start(
    package: str, command: Sequence[str], environment: Mapping[str, str], output: Path
) -> Copied | None:
    """Start a package's executable as a copy; None where it must be started in the usual way.

    That is so for what is no Python entry point of a distribution with the package's name, and
    where the environment differs from the original's in what may count before ``main`` is called.

    Args:
        package: ROS package.
        command: path of the executable, and its arguments.
        environment: all of it.
        output: file for what it prints.
    """
    if sys.platform != 'linux':
        return None
    original = _original()
    differ = dict(environment.items() ^ original.environment.items())
    if not all(name.startswith(_READ_LATE) for name in differ):
        return None
    request = _Request(
        package, list(command), dict(environment), str(Path.cwd()), str(output), os.getpid()
    )
    try:
        if not original.has_imported(request):
            return None
        with _adopting():
            return Copied(original.copy(), command)
    except (EOFError, OSError, TimeoutError):
        return None
    finally:
        if not original.awaits_request:  # an answer that comes later would be taken for the next
            original.close()
            _original.cache_clear()


class _Original:
    """The process that is copied. It ends when the other end of its connection is closed.

    Asked for a copy it first says whether it can, when it has imported what that needs; then it is
    told to go on, and the copy says its process id.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = {**environment, 'PYTHONUNBUFFERED': '1'}
        ours, theirs = socket.socketpair()
        self._process = subprocess.Popen(
            [sys.executable, '-m', __name__, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=self.environment,
            start_new_session=True,
        )
        theirs.close()
        self._connection = Connection(ours.detach())
        self.awaits_request = True
        atexit.register(self.close)

    def has_imported(self, request: _Request) -> bool:
        """Ask for a copy; whether there can be one, which is then to be made by ``copy``."""
        self.awaits_request = False
        self._connection.send(request)
        can = bool(self._answer(_IMPORTED))
        self.awaits_request = not can
        return can

    def copy(self) -> int:
        """Have it made; its process id."""
        self._connection.send(None)
        pid = int(self._answer(2 * _HANDED_OVER))
        self.awaits_request = True
        return pid

    def _answer(self, timeout: float) -> Any:
        if not self._connection.poll(timeout):
            raise TimeoutError
        return self._connection.recv()

    def close(self) -> None:
        """End it."""
        self._connection.close()
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@functools.cache
def _original() -> _Original:
    return _Original(_ENVIRONMENT)


@contextlib.contextmanager
def _adopting() -> Iterator[None]:
    """Meanwhile, descendants whose parent ends become children of this process."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), 'no child can be adopted')
    try:
        yield
    finally:
        prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


# In the process that is copied ---------------------------------------------------------------


def _serve(connection: Connection) -> Callable[[], Any]:
    """Makes copies; returns in each of them, with what it is to call, and in the end."""
    if not getattr(sys.flags, 'safe_path', False):
        sys.path.pop(0)  # the folder that `python -m` was called in: an installed script has none
    while True:
        try:
            request = connection.recv()
        except EOFError:
            return lambda: None
        main = _main_of(request)
        connection.send(main is not None)
        if main is None:
            continue
        connection.recv()
        between = os.fork()
        if between:
            os.waitpid(between, 0)
            continue
        if os.fork():
            os._exit(0)  # which leaves the copy to who asked for it
        _become(request, connection)
        return main


def _main_of(request: _Request) -> Callable[[], Any] | None:
    name = Path(request.command[0]).name
    try:
        points = importlib.metadata.distribution(request.package.replace('_', '-')).entry_points
    except importlib.metadata.PackageNotFoundError:
        return None
    for point in points.select(group='console_scripts', name=name):
        main: Callable[[], Any] = point.load()
        return main
    return None


def _become(request: _Request, connection: Connection) -> None:
    deadline = time.monotonic() + _HANDED_OVER
    while os.getppid() != request.owner:
        if time.monotonic() > deadline:
            os._exit(1)
        time.sleep(0.001)
    os.setsid()
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    sys.argv[:] = request.command
    output = os.open(request.output, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.close(output)
    connection.send(os.getpid())
    connection.close()


if __name__ == '__main__':
    sys.exit(_serve(Connection(int(sys.argv[1])))())
