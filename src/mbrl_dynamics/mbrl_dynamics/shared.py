"""Transitions in memory that another process reads where they lie: nothing is sent, nothing copied.

They are rows of a file that exists in memory alone (``memfd_create``; not in /dev/shm, which is
small in containers). Rows are only ever appended, so whoever was told of the first N may read them
while others are written.
"""

from __future__ import annotations

import dataclasses
import mmap
import os
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from mbrl_dynamics.transitions import Transitions

SEGMENT = 8192  # rows; a multiple of the pages' size, as a row is one of eight bytes


class SharedMemoryError(RuntimeError):
    """Shared transitions cannot be read any more; the text says why."""


@dataclasses.dataclass(frozen=True)
class SharedTransitions:
    """The first ``size`` transitions of a dataset in some process: a small thing to hand over.

    It holds nothing alive: :meth:`load` works as long as that process and its dataset live, in
    any process of the same user. What was loaded stays valid after them.
    """

    pid: int
    descriptor: int
    inode: int
    size: int
    state_dim: int
    action_dim: int
    senders: tuple[tuple[str, int], ...]

    def __len__(self) -> int:
        return self.size

    def load(self) -> Transitions:
        """The transitions, as read-only arrays that lie in the other process's memory.

        Raises:
            SharedMemoryError: if the dataset is gone.
        """
        if self.size == 0:
            return Transitions.empty(self.state_dim, self.action_dim)
        kind = row_type(self.state_dim, self.action_dim)
        gone = f'the dataset of process {self.pid} cannot be read'
        file = Path(f'/proc/{self.pid}/fd/{self.descriptor}')
        try:
            if file.stat().st_ino != self.inode:
                raise SharedMemoryError(f'{gone}: it has been closed')
            descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise SharedMemoryError(f'{gone}: {error}') from error
        try:
            memory = mmap.mmap(descriptor, self.size * kind.itemsize, access=mmap.ACCESS_READ)
        finally:
            os.close(descriptor)
        rows = np.frombuffer(memory, kind, self.size)
        return Transitions(senders=self.senders, **{name: rows[name] for name in _names(kind)})


class SharedRows:
    """A growing table of transitions that :class:`SharedTransitions` can point into."""

    def __init__(self, state_dim: int, action_dim: int) -> None:
        """An empty table.

        Raises:
            OSError: if the system gives no memory.
        """
        self._dims = state_dim, action_dim
        self._kind = row_type(state_dim, action_dim)
        self._file = os.memfd_create('transitions')
        weakref.finalize(self, os.close, self._file)
        self._inode = os.fstat(self._file).st_ino
        self._segment = np.empty(0, self._kind)  # the last one; the others need not be mapped
        self._begin = 0
        self.size = 0

    def reserve(self) -> None:
        """Make sure that the next :meth:`append` finds room.

        Raises:
            OSError: if the system gives no memory.
        """
        if self.size < self._begin + len(self._segment):
            return
        length = SEGMENT * self._kind.itemsize
        offset = self.size * self._kind.itemsize
        os.ftruncate(self._file, offset + length)
        self._segment = np.frombuffer(
            mmap.mmap(self._file, length, mmap.MAP_SHARED, offset=offset), self._kind
        )
        self._begin = self.size

    def append(self, **row: Any) -> None:
        """Add a row: a value for every field of :class:`Transitions` but ``senders``."""
        self.reserve()
        self._segment[self.size - self._begin] = tuple(row[name] for name in _names(self._kind))
        self.size += 1

    def extend(self, columns: dict[str, np.ndarray]) -> None:
        """Add many rows: an array for every field of :class:`Transitions` but ``senders``."""
        done, count = 0, len(columns['state'])
        while done < count:
            self.reserve()
            free = self._segment[self.size - self._begin :][: count - done]
            for name in _names(self._kind):
                free[name] = columns[name][done : done + len(free)]
            self.size += len(free)
            done += len(free)

    def share(self, senders: tuple[tuple[str, int], ...]) -> SharedTransitions:
        """A handle to the rows there are now; they will not change."""
        return SharedTransitions(
            os.getpid(), self._file, self._inode, self.size, *self._dims, senders
        )


def row_type(state_dim: int, action_dim: int) -> np.dtype:
    """How a transition lies in memory: every field of :class:`Transitions` but ``senders``."""
    widths = {'state': (state_dim,), 'action': (action_dim,), 'next_state': (state_dim,)}
    kinds: dict[str, type] = {
        **dict.fromkeys(('state', 'action', 'next_state', 'reward'), np.float64),
        **dict.fromkeys(('terminated', 'truncated'), np.bool_),
    }
    names = [field.name for field in dataclasses.fields(Transitions) if field.name != 'senders']
    return np.dtype(
        [(name, kinds.get(name, np.int64), widths.get(name, ())) for name in names], align=True
    )


def _names(kind: np.dtype) -> tuple[str, ...]:
    assert kind.names is not None
    return kind.names
