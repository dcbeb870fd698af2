"""A described graph as supervised processes, on machines with or without ROS's launch system.

`supervisord <http://supervisord.org>`_ does the supervising: restarts with a growing pause and a
limit, logs, and an end in the right order of signals. It runs in a session of its own, so that a
Ctrl-C reaches this process alone, which then ends everything in turn. If this process is killed,
the kernel tells supervisord (``PR_SET_PDEATHSIG``), and if supervisord is killed, the nodes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mbrl_bringup.graph import NodeDescription
from mbrl_bringup.interruption import check_interrupted
from mbrl_bringup.with_parent import end_with_this_process

STOP_SECONDS = 6
"""How long a node may take to end after SIGINT, before SIGKILL."""
_START_RETRIES = 5


class SupervisionError(RuntimeError):
    """The processes could not be started or kept up; the text says which, and where its log is."""


@dataclasses.dataclass(frozen=True)
class ProcessState:
    """One node's process, as supervisord sees it."""

    name: str
    state: str
    """STARTING, RUNNING, BACKOFF, STOPPING, STOPPED, EXITED or FATAL."""
    pid: int
    exit_code: int
    log: Path

    @property
    def given_up(self) -> bool:
        """It ended, and will not be started again."""
        ended_well = self.state == 'EXITED' and self.exit_code == 0
        return ended_well or self.state in ('FATAL', 'STOPPED')


class Supervision:
    """Starts the nodes when entered, and leaves no process behind when left."""

    def __init__(
        self,
        commands: Mapping[str, Sequence[str]],
        folder: Path,
        environment: Mapping[str, str] | None = None,
        start_seconds: int = 10,
    ) -> None:
        """Nothing is started yet.

        Args:
            commands: what to run, by name.
            folder: for logs and supervisord's configuration; made if need be.
            environment: added to this process's own.
            start_seconds: what ends sooner did not start, and is not started again without end.
        """
        self._commands = dict(commands)
        self._folder = folder.resolve()
        self._environment = dict(environment or {})
        self._start_seconds = start_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._sockets = ''

    def log(self, name: str) -> Path:
        """The file that a process's output goes to."""
        return self._folder / f'{name}.log'

    def __enter__(self) -> Supervision:
        self._folder.mkdir(parents=True, exist_ok=True)
        # The path of a Unix socket may have no more than 107 bytes; a run folder's can be longer.
        self._sockets = tempfile.mkdtemp(prefix='mbrl-')
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self) -> None:
        configuration = self._folder / 'supervisord.conf'
        configuration.write_text('\n'.join(self._configuration()) + '\n')
        with (self._folder / 'supervisord.out').open('wb') as output:
            self._process = subprocess.Popen(
                [sys.executable, '-m', 'supervisor.supervisord', '-n', '-c', str(configuration)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                env={**os.environ, **self._environment},
                start_new_session=True,
                preexec_fn=end_with_this_process(),
            )
        deadline = time.monotonic() + 20.0
        while True:
            if self._process.poll() is not None:
                raise SupervisionError(
                    f'supervisord ended with exit code {self._process.returncode}; '
                    f'see {self._folder}/supervisord.out'
                )
            with contextlib.suppress(OSError, xmlrpc.client.Error):
                self.states()
                return
            if time.monotonic() > deadline:
                raise SupervisionError(f'supervisord does not answer; see {self._folder}')
            check_interrupted()
            time.sleep(0.05)

    def _configuration(self) -> Iterator[str]:
        yield '; Written by mbrl for this run alone.'
        yield '[unix_http_server]'
        yield f'file={self._socket}'
        yield 'chmod=0600'
        yield '[rpcinterface:supervisor]'
        yield 'supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface'
        yield '[supervisord]'
        yield 'nodaemon=true'
        yield 'silent=true'
        yield 'logfile=supervisord.log'  # relative to the folder, which is supervisord's own
        yield f'pidfile={self._sockets}/pid'
        yield 'childlogdir=.'
        for name, command in self._commands.items():
            yield f'[program:{name}]'
            yield f'command={_literal(shlex.join(command))}'
            yield f'directory={_literal(str(Path.cwd()))}'
            yield f'stdout_logfile={name}.log'
            yield 'stdout_logfile_maxbytes=0'
            yield 'redirect_stderr=true'
            yield 'autorestart=unexpected'
            yield 'exitcodes=0'
            yield f'startsecs={self._start_seconds}'
            yield f'startretries={_START_RETRIES}'
            yield 'stopsignal=INT'
            yield f'stopwaitsecs={STOP_SECONDS}'
            yield 'killasgroup=true'

    @property
    def _socket(self) -> str:
        return f'{self._sockets}/socket'

    def states(self) -> list[ProcessState]:
        """All processes, in the order in which they were given.

        Raises:
            OSError: if supervisord is not there.
        """
        with _proxy(self._socket) as proxy:
            answer: Any = proxy.supervisor.getAllProcessInfo()
        infos = {info['name']: info for info in answer}
        return [
            ProcessState(
                name=name,
                state=infos[name]['statename'],
                pid=infos[name]['pid'],
                exit_code=infos[name]['exitstatus'],
                log=self.log(name),
            )
            for name in self._commands
        ]

    def check(self, starting: bool = False) -> list[ProcessState]:
        """As :meth:`states`, if nothing was given up.

        Args:
            starting: nothing was up yet, so what ended once is not worth waiting for.

        Raises:
            SupervisionError: if one ended for good, with the end of its output.
        """
        try:
            states = self.states()
        except OSError as error:
            raise SupervisionError(f'supervisord is gone ({error}); see {self._folder}') from error
        for state in states:
            if state.given_up or (starting and state.state in ('BACKOFF', 'EXITED')):
                raise SupervisionError(
                    f'{state.name} does not stay up; the end of {state.log}:\n{_tail(state.log)}'
                )
        return states

    def stop(self) -> None:
        """End all processes: SIGINT, and SIGKILL for what is left. May be called again."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(STOP_SECONDS + 4.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for pid in _session_members(process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if self._sockets:
            shutil.rmtree(self._sockets, ignore_errors=True)


def node_command(node: NodeDescription, folder: Path) -> list[str]:
    """The command that runs a node.

    Args:
        node: its description.
        folder: for its own parameters; made if need be.

    Raises:
        SupervisionError: if it is not installed.
    """
    from ament_index_python.packages import PackageNotFoundError, get_package_prefix

    try:
        prefix = Path(get_package_prefix(node.package))
    except PackageNotFoundError:
        raise SupervisionError(
            f"package '{node.package}' is not installed; build the workspace and source its setup"
        ) from None
    executable = prefix / 'lib' / node.package / node.executable
    if not executable.exists():
        raise SupervisionError(f"'{executable}' does not exist; build the workspace again")
    folder.mkdir(parents=True, exist_ok=True)
    # Output goes to the run folder; ROS's own log files would say the same a second time.
    return [str(executable), *node.ros_arguments(folder), '--disable-external-lib-logs']


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: object) -> _UnixConnection:
        return _UnixConnection(self._path)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__('localhost', timeout=5.0)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _proxy(path: str) -> xmlrpc.client.ServerProxy:
    return xmlrpc.client.ServerProxy('http://localhost/RPC2', transport=_UnixTransport(path))


def _literal(text: str) -> str:
    """Supervisord expands %(name)s, and takes what follows ' ;' for a comment."""
    if ' ;' in text or '\n' in text:
        raise SupervisionError(f'supervisord cannot take {text!r}: it has a " ;" or a line break')
    return text.replace('%', '%%')


def _tail(path: Path, lines: int = 15) -> str:
    try:
        text = path.read_text(errors='replace')
    except OSError:
        return '(no output)'
    return '\n'.join('  ' + line for line in text.splitlines()[-lines:])


def _session_members(session: int) -> list[int]:
    members = []
    for entry in Path('/proc').iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # pid (name) state ppid pgrp session; the name may have spaces and brackets in it
                if int((entry / 'stat').read_text().rpartition(')')[2].split()[3]) == session:
                    members.append(int(entry.name))
    return members
