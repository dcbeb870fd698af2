"""Ctrl-C without surprises: a signal is remembered, and looked at where something is waited for.

An exception out of a signal handler can come anywhere: between starting a process and knowing of
it, in the middle of ending the others, or where an import swallows it. Here it comes from the loops
that wait, and nowhere else; so whoever started something can always end it.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_received: list[int] = []


class Interrupted(BaseException):
    """Someone wants this process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


def remember_signals() -> None:
    """From now on SIGINT, SIGTERM and SIGHUP are remembered, and do nothing else."""

    def remember(number: int, _frame: Any) -> None:
        _received.append(number)

    _handle(remember)


def interrupt_at_once() -> None:
    """For work that starts no process: from now on a signal raises :class:`Interrupted`, wherever
    that is."""

    def interrupt(number: int, _frame: Any) -> None:
        raise Interrupted(number)

    _handle(interrupt)
    check_interrupted()


def check_interrupted() -> None:
    """For loops that wait.

    Raises:
        Interrupted: if a signal has come.
    """
    if _received:
        raise Interrupted(_received[0])


def _handle(handler: Callable[[int, Any], None]) -> None:
    for number in _SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, handler)
