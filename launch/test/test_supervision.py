"""Supervised processes: real ones, and none of them is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mbrl_bringup.supervision import Supervision, SupervisionError

SLEEP = ['sh', '-c', 'echo here; exec sleep 600']
STUBBORN = """
import signal, subprocess, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(['sleep', '600'])
print(child.pid, flush=True)
time.sleep(600)
"""
"""A node that hangs, with a child of its own."""


def alive(pid: int) -> bool:
    try:
        return '\nState:\tZ' not in Path(f'/proc/{pid}/status').read_text()
    except OSError:
        return False


def wait_for(condition: Callable[[], object], timeout: float = 15.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, 'it did not come'
        time.sleep(0.05)


def test_processes_run_until_the_end_and_not_longer(tmp_path: Path) -> None:
    with Supervision({'a': SLEEP, 'b': SLEEP}, tmp_path, start_seconds=1) as supervision:
        wait_for(lambda: all(state.state == 'RUNNING' for state in supervision.states()))
        pids = [state.pid for state in supervision.check()]
        assert all(alive(pid) for pid in pids)
        assert len(set(pids)) == 2
    assert not any(alive(pid) for pid in pids)
    assert (tmp_path / 'a.log').read_text() == 'here\n'


def test_output_and_arguments_survive_odd_folders(tmp_path: Path) -> None:
    folder = tmp_path / ('50 % of "a" folder ' + 'x' * 80)
    command = [sys.executable, '-c', 'import sys, time; print(sys.argv[1:]); sys.stdout.flush(); '
               'time.sleep(600)', 'a b', '50%', "it's", '"q"']  # fmt: skip
    with Supervision({'a': command}, folder) as supervision:
        log = supervision.log('a')
        wait_for(lambda: log.exists() and log.read_text())
        assert log.read_text().strip() == str(command[3:])


def test_the_environment_is_handed_on(tmp_path: Path) -> None:
    command = ['sh', '-c', 'echo "$MBRL_TEST"; exec sleep 600']
    with Supervision({'a': command}, tmp_path, {'MBRL_TEST': 'x=1, "y" %'}) as supervision:
        log = supervision.log('a')
        wait_for(lambda: log.exists() and log.read_text())
        assert log.read_text() == 'x=1, "y" %\n'


def test_a_process_that_was_killed_is_started_again(tmp_path: Path) -> None:
    with Supervision({'a': SLEEP}, tmp_path, start_seconds=1) as supervision:
        wait_for(lambda: supervision.states()[0].state == 'RUNNING')
        before = supervision.states()[0].pid
        os.kill(before, signal.SIGKILL)
        wait_for(lambda: supervision.states()[0].pid not in (0, before))
        supervision.check()


def test_what_ends_while_starting_is_reported_at_once(tmp_path: Path) -> None:
    command = ['sh', '-c', 'echo unknown parameter x; exit 2']
    with Supervision({'a': command}, tmp_path) as supervision:
        wait_for(lambda: supervision.states()[0].state == 'BACKOFF', 5.0)
        supervision.check()
        with pytest.raises(SupervisionError, match=r'(?s)a does not stay up.*unknown parameter x'):
            supervision.check(starting=True)


def test_what_does_not_end_is_killed_with_its_children(tmp_path: Path) -> None:
    script = tmp_path / 'stubborn.py'
    script.write_text(STUBBORN)
    with Supervision({'a': [sys.executable, str(script)]}, tmp_path) as supervision:
        log = supervision.log('a')
        wait_for(lambda: log.exists() and log.read_text().strip())
        child = int(log.read_text())
        pid = supervision.states()[0].pid
    assert not alive(pid)
    assert not alive(child)


def test_nothing_is_left_when_this_process_is_killed(tmp_path: Path) -> None:
    script = textwrap.dedent(f"""
        import time
        from pathlib import Path
        from mbrl_bringup.supervision import Supervision
        folder = Path({str(tmp_path)!r})
        with Supervision({{"a": {SLEEP!r}}}, folder, start_seconds=1) as supervision:
            while supervision.states()[0].state != 'RUNNING':
                time.sleep(0.1)
            print(supervision.states()[0].pid, supervision._process.pid, flush=True)
            time.sleep(600)
    """)
    with subprocess.Popen([sys.executable, '-c', script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        assert len(pids) == 2
        assert all(alive(pid) for pid in pids)
        process.kill()
    wait_for(lambda: not any(alive(pid) for pid in pids))


def test_a_command_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with Supervision({'a': ['/nowhere/node']}, tmp_path) as supervision:
        wait_for(lambda: supervision.states()[0].state == 'FATAL', 40.0)
        with pytest.raises(SupervisionError, match='a does not stay up'):
            supervision.check()
