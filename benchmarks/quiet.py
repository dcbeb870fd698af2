"""Measuring while others use the machine too: again, until they took little of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SHARE = 0.1  # of the machine, that others may take during a measurement
ATTEMPTS = 10
PATIENCE = 2.0  # s, of waiting for a quiet moment before each attempt


def quietly(measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What ``measure`` returns when others left the machine alone, or disturbed it least.

    The result has one more entry, ``others``: the share of all processors that other processes
    than this one and its children took meanwhile.
    """
    best: dict[str, Any] = {}
    for _ in range(ATTEMPTS):
        _wait()
        before = Clock()
        result = measure() | {'others': round(Clock().others_since(before), 3)}
        if not best or result['others'] < best['others']:
            best = result
        if best['others'] <= SHARE:
            break
    return best


def _wait() -> None:
    """Until half a second was quiet."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        before = Clock()
        time.sleep(0.5)
        if Clock().others_since(before) <= SHARE:
            return


class Clock:
    """Processor time that was spent so far [s], as Linux counts it."""

    def __init__(self) -> None:
        """Read it now."""
        tick = os.sysconf('SC_CLK_TCK')
        line = Path('/proc/stat').read_text().split('\n', 1)[0]
        user, nice, system, _, _, interrupts, soft_interrupts, stolen = map(int, line.split()[1:9])
        self._all = (user + nice + system + interrupts + soft_interrupts + stolen) / tick
        children = Path(f'/proc/self/task/{os.getpid()}/children').read_text().split()
        self._own = 0.0
        for process in [str(os.getpid()), *children]:
            fields = Path(f'/proc/{process}/stat').read_text().rsplit(')', 1)[1].split()
            self._own += (int(fields[11]) + int(fields[12])) / tick
        self._wall = time.perf_counter()

    def others_since(self, before: Clock) -> float:
        """Share of all processors that others took since then."""
        others = (self._all - before._all) - (self._own - before._own)
        return max(0.0, others / (self._wall - before._wall) / (os.cpu_count() or 1))
