"""A process beside a node: heard, missed when it has died, and gone when its parent is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mbrl_dynamics.child import Child

ECHO = """
import os
from mbrl_dynamics.child import join_parent
connection = join_parent()
while True:
    message = connection.recv()
    if message == 'end':
        os._exit(3)
    connection.send((message, os.nice(0)))
"""


@pytest.fixture
def echo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], Child]:
    """Starts a child that answers with what it gets, and with its niceness."""
    (tmp_path / 'echo_child.py').write_text(ECHO)
    monkeypatch.setenv('PYTHONPATH', f'{tmp_path}:{os.environ.get("PYTHONPATH", "")}')
    return lambda wake: Child('echo_child', wake, niceness=3)


def wait_for(child: Child, news: threading.Event, count: int) -> list[Any]:
    found: list[Any] = []
    deadline = time.monotonic() + 30.0
    while len(found) < count and time.monotonic() < deadline:
        news.wait(1.0)
        news.clear()
        found += child.receive()
    return found


def test_what_it_sends_is_received_in_order_and_wakes_the_parent(echo: Callable) -> None:
    news = threading.Event()
    child = echo(news.set)
    try:
        for message in ('one', {'two': 2}):
            child.send(message)
        nice = os.nice(0) + 3
        assert wait_for(child, news, 2) == [('one', nice), ({'two': 2}, nice)]
        assert child.is_alive and child.receive() == []
    finally:
        child.close()
    assert not child.is_alive


def test_its_end_is_told_once_with_its_code_and_more_can_be_sent_in_vain(echo: Callable) -> None:
    news = threading.Event()
    child = echo(news.set)
    try:
        child.send('end')
        assert wait_for(child, news, 1) == [None]
        assert child.exit_code() == 3
        child.send('anyone there?')
        assert child.receive() == []
    finally:
        child.close()


def test_ctrl_c_is_left_to_the_parent(echo: Callable) -> None:
    news = threading.Event()
    child = echo(news.set)
    try:
        child.send(1)
        wait_for(child, news, 1)
        os.kill(child.pid, signal.SIGINT)
        child.send(2)
        assert wait_for(child, news, 1)[0][0] == 2
    finally:
        child.close()


def test_it_dies_with_its_parent(echo: Callable, tmp_path: Path) -> None:
    code = (
        'import time\n'
        'from mbrl_dynamics.child import Child\n'
        "print(Child('echo_child', lambda: None).pid, flush=True)\n"
        'time.sleep(60)\n'
    )
    process = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20.0
    while is_alive(pid):
        assert time.monotonic() < deadline, 'the child outlived its parent'
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[0] != 'Z'
    except FileNotFoundError:
        return False
