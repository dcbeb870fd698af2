"""A process that goes before ordinary ones: SCHED_FIFO, for all of its threads."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_THREADS = Path('/proc/self/task')


def take_priority(priority: int) -> str:
    """Ask for SCHED_FIFO of this priority, for every thread that this process has.

    Those of the middleware among them, which bring the messages; call it when they are there.
    Threads, and processes, that are started later have the priority of the thread that starts them.

    Args:
        priority: from 1 to 99; 0 leaves everything as it is.

    Returns:
        Empty if it was granted. Otherwise, for people, why not and what would permit it; all
        threads are then as they were.
    """
    if priority == 0:
        return ''
    before = {int(entry.name): _policy(int(entry.name)) for entry in _THREADS.iterdir()}
    for thread in before:
        try:
            _set(thread, os.SCHED_FIFO, priority)
        except OSError as error:
            for changed, (policy, old) in before.items():
                with contextlib.suppress(OSError):
                    _set(changed, policy, old)
            return (
                f'priority {priority} (SCHED_FIFO) is not permitted: {error.strerror}. It takes a '
                f"limit of that height (a line '<user> - rtprio {priority}' in "
                '/etc/security/limits.conf, and a new login; `ulimit -r` shows it) or the '
                'capability CAP_SYS_NICE; going on with ordinary priority'
            )
    return ''


def _policy(thread: int) -> tuple[int, int]:
    try:
        return os.sched_getscheduler(thread), os.sched_getparam(thread).sched_priority
    except ProcessLookupError:  # it has ended in between
        return os.SCHED_OTHER, 0


def _set(thread: int, policy: int, priority: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.sched_setscheduler(thread, policy, os.sched_param(priority))
