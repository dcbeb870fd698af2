"""What processes take of a machine, read from /proc: memory each, and processor time.

A reading takes a few milliseconds; ``Watch`` also says how much its own process takes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Collection, Mapping
from pathlib import Path

_TICK = os.sysconf('SC_CLK_TCK')


@dataclasses.dataclass(frozen=True)
class _Process:
    parent: int
    own: float  # processor time [s]
    ended: float  # of children that have ended [s]


class Watch:
    """Readings of a graph's processes, and of what the rest of the machine does meanwhile."""

    def __init__(self, nodes: Mapping[str, int], workers: Collection[str] = ()) -> None:
        """
        Args:
            nodes: process id of each.
            workers: those whose children count as ``<node>_workers``; others' count as their own.
        """
        self._nodes = dict(nodes)
        self._workers = frozenset(workers)
        self._wall = time.monotonic()
        self._all = _machine()
        self._own, self._self = self._spent(_processes())

    def read(self) -> dict[str, float]:
        """Memory now, and shares of processor time since the last reading.

        Returns:
            ``<node>_rss_mb`` and ``<node>_pss_mb`` (a page that n processes share counts 1/n of
            it) [MB]; ``graph_cpu`` and ``others``, the shares of all processors that the graph
            with this process, and everybody else, took; ``watcher_cpu``, that of one core which
            this process took.
        """
        processes = _processes()
        row: dict[str, float] = {}
        for name, pid in self._nodes.items():
            below = _below(processes, pid)
            if name in self._workers:
                row |= _memory(name, [pid]) | _memory(f'{name}_workers', below)
            else:
                row |= _memory(name, [pid, *below])
        wall, machine = time.monotonic(), _machine()
        own, watcher = self._spent(processes)
        processors = (wall - self._wall) * (os.cpu_count() or 1)
        used = max(0.0, own - self._own)
        row['graph_cpu'] = round(used / processors, 4)
        row['others'] = round(max(0.0, machine - self._all - used) / processors, 4)
        row['watcher_cpu'] = round((watcher - self._self) / (wall - self._wall), 4)
        self._wall, self._all, self._own, self._self = wall, machine, own, watcher
        return row

    def _spent(self, processes: dict[int, _Process]) -> tuple[float, float]:
        """Processor time of this process and all below it, and of this one alone [s]."""
        this = os.getpid()
        family = [processes[pid] for pid in (this, *_below(processes, this))]
        return sum(each.own + each.ended for each in family), processes[this].own


def _below(processes: dict[int, _Process], parent: int) -> list[int]:
    """All processes that one has started, and those that they have."""
    found = [pid for pid, each in processes.items() if each.parent == parent]
    return found + [pid for child in found for pid in _below(processes, child)]


def _processes() -> dict[int, _Process]:
    found = {}
    for entry in os.scandir('/proc'):
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # it has ended meanwhile
            text = Path(entry.path, 'stat').read_text()
            fields = text.rpartition(')')[2].split()
            times = [int(field) / _TICK for field in fields[11:15]]
            found[int(entry.name)] = _Process(int(fields[1]), sum(times[:2]), sum(times[2:]))
    return found


def _machine() -> float:
    """Processor time that all have spent [s]."""
    line = Path('/proc/stat').read_text().partition('\n')[0]
    user, nice, system, _, _, interrupts, soft_interrupts, stolen = map(int, line.split()[1:9])
    return (user + nice + system + interrupts + soft_interrupts + stolen) / _TICK


def _memory(name: str, pids: list[int]) -> dict[str, float]:
    resident = proportional = 0.0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines():
                kind, _, rest = line.partition(':')
                if kind == 'Rss':
                    resident += int(rest.split()[0])
                elif kind == 'Pss':
                    proportional += int(rest.split()[0])
    return {
        f'{name}_rss_mb': round(resident / 1024, 2),
        f'{name}_pss_mb': round(proportional / 1024, 2),
    }
