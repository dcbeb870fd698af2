"""Priority for all threads of a process, and what is said where it is not permitted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from typing import Any

import pytest

from mbrl_common.priority import take_priority

# In a process of its own: tests must not go before what else this machine does.
SCRIPT = """
import json, os, resource, sys, threading
from mbrl_common.priority import take_priority

def policies():
    return {
        int(t): (os.sched_getscheduler(int(t)), os.sched_getparam(int(t)).sched_priority)
        for t in os.listdir('/proc/self/task')
    }

permitted, priority = json.loads(sys.argv[1])
if not permitted:
    resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
    if os.geteuid() == 0:
        os.setresuid(65534, 65534, 65534)  # which drops the capabilities as well
end = threading.Event()
earlier = threading.Thread(target=end.wait)
earlier.start()
before = policies()
text = take_priority(priority)
after = policies()
later = threading.Thread(target=end.wait)
later.start()
last = policies()
end.set()
print(json.dumps([text, *(sorted(each.values()) for each in (before, after, last))]))
"""
OTHER, FIFO = 0, 1


def ask(priority: int, permitted: bool = True) -> Any:
    """The text, and the policies of all threads: before, after, and with a thread more."""
    done = subprocess.run(
        [sys.executable, '-c', SCRIPT, json.dumps([permitted, priority])],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(done.stdout)


def test_every_thread_there_is_and_will_be_gets_it() -> None:
    text, before, after, last = ask(3)
    if 'not permitted' in text:
        pytest.skip(f'this machine does not allow it: {text}')
    assert text == ''
    assert before == [[OTHER, 0]] * 2
    assert after == [[FIFO, 3]] * 2
    assert last == [[FIFO, 3]] * 3


def test_where_it_is_not_permitted_it_says_what_would_and_nothing_changes() -> None:
    text, before, after, last = ask(3, permitted=False)
    assert before == after == [[OTHER, 0]] * 2
    assert last == [[OTHER, 0]] * 3
    for part in (
        'priority 3 (SCHED_FIFO) is not permitted: Operation not permitted',
        '- rtprio 3',
        '/etc/security/limits.conf',
        'CAP_SYS_NICE',
        'going on with ordinary priority',
    ):
        assert part in text


def test_no_priority_asks_for_nothing() -> None:
    assert take_priority(0) == ''
    text, before, after, _ = ask(0, permitted=False)
    assert text == '' and before == after


def test_what_is_granted_to_some_threads_only_is_taken_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: dict[int, tuple[int, int]] = {}
    end = threading.Event()
    other = threading.Thread(target=end.wait)
    other.start()

    def grant(thread: int, policy: int, parameter: Any) -> None:
        if policy == os.SCHED_FIFO and given:
            raise PermissionError(1, 'Operation not permitted')
        given[thread] = (policy, parameter.sched_priority)

    monkeypatch.setattr(os, 'sched_setscheduler', grant)
    try:
        assert 'not permitted' in take_priority(9)
    finally:
        end.set()
        other.join()
    assert len(given) >= 2
    assert {policy for policy, _ in given.values()} == {OTHER}
