"""For tests of ``mbrl`` as a command: its process, and all that it has started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path


def as_in_a_terminal() -> None:
    """Signals as a user's shell hands them on; nohup and a shell's & have them ignored."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Command:
    """``mbrl`` in a process of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self._output = folder / 'output.txt'
        with self._output.open('w') as output:
            self.process = subprocess.Popen(
                ['mbrl', *arguments],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, 'MBRL_TEST': str(folder)},
                start_new_session=True,
                preexec_fn=as_in_a_terminal,
            )

    def output(self) -> str:
        """What it has printed."""
        return self._output.read_text()

    def wait_for(self, text: str, timeout: float = 60.0) -> None:
        """Wait until it has printed a text."""
        deadline = time.monotonic() + timeout
        while text not in self.output():
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < deadline, self.output()
            time.sleep(0.1)

    def end(self, number: signal.Signals, timeout: float = 30.0) -> int:
        """Send a signal, and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout)


@contextlib.contextmanager
def mbrl(folder: Path, *arguments: str) -> Iterator[Command]:
    """The command in a working folder; killed if it is still there in the end."""
    command = Command(folder, *arguments)
    try:
        yield command
    finally:
        if command.process.poll() is None:
            command.process.kill()
            command.process.wait()


def processes_of(folder: Path) -> dict[int, str]:
    """Command lines, by pid, of all processes, down to grandchildren, that a test's commands
    started in a folder."""
    found = {}
    for entry in Path('/proc').iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if f'MBRL_TEST={folder}\0'.encode() in (entry / 'environ').read_bytes():
                    line = (entry / 'cmdline').read_bytes().replace(b'\0', b' ').decode()
                    found[int(entry.name)] = line
    return found


def wait_for_none(folder: Path, timeout: float = 20.0) -> None:
    """Wait until no such process is left."""
    deadline = time.monotonic() + timeout
    while left := processes_of(folder):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
