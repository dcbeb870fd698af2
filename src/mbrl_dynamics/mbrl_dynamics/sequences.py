"""Which sequence numbers of a sender are stored: duplicates, gaps, and what to acknowledge."""

from __future__ import annotations

import bisect

import numpy as np


class Sequences:
    """The sequence numbers of one sender's session.

    A sender sends in order, keeps what is not acknowledged, and after a while sends it all again,
    oldest first. So a stored number that comes again and again, while what is missing below it does
    not come, is the oldest that the sender has left: the missing ones will never come, are counted
    as lost, and no longer hold up acknowledgement. Once is not enough: messages are lost while a
    process that was started anew is being found, so the first round may lack its beginning.
    """

    def __init__(self) -> None:
        self.next = 0  # all numbers below it are stored, or lost
        self.lost = 0
        # Stored numbers above it: runs from begin to below end, ascending, with gaps between them.
        self._begins: list[int] = []
        self._ends: list[int] = []
        self._again: int | None = None  # the first that came again since ``next`` has changed

    def __contains__(self, sequence: int) -> bool:
        if sequence < self.next:
            return True
        run = bisect.bisect_right(self._begins, sequence) - 1
        return run >= 0 and sequence < self._ends[run]

    def add(self, sequence: int) -> None:
        """A number has been stored."""
        self._add_run(sequence, sequence + 1)

    def add_all(self, sequences: np.ndarray) -> np.ndarray:
        """Many numbers come to be stored, [N] integers in any order.

        Returns:
            which of them are new, bool [N]; of those that come twice, the first.
        """
        numbers, first = np.unique(sequences, return_index=True)
        new = np.zeros(len(sequences), dtype=bool)
        new[first] = ~self._stored(numbers)
        cuts = np.flatnonzero(np.diff(numbers) > 1)
        begins, ends = [0, *(cuts + 1)], [*cuts, len(numbers) - 1]
        if len(numbers):
            for begin, end in zip(begins, ends):
                self._add_run(int(numbers[begin]), int(numbers[end]) + 1)
        return new

    def repeated(self, sequence: int) -> None:
        """A number that is stored has come again."""
        if sequence < self.next:
            return
        if self._again != sequence:
            self._again = sequence if self._again is None else min(self._again, sequence)
            return
        self._again = None
        run = bisect.bisect_right(self._begins, sequence) - 1
        stored = sum(end - begin for begin, end in zip(self._begins[:run], self._ends[:run]))
        self.lost += self._begins[run] - self.next - stored
        self.next = self._ends[run]
        del self._begins[: run + 1], self._ends[: run + 1]

    def refused(self, sequence: int) -> None:
        """A number that is missing has come, and could not be stored: its sender still has it."""
        if self._again is not None and sequence < self._again:
            self._again = None

    def _stored(self, numbers: np.ndarray) -> np.ndarray:
        ends = np.array([self.next, *self._ends])
        run = np.searchsorted(self._begins, numbers, side='right')
        return np.asarray(numbers < ends[run])

    def _add_run(self, begin: int, end: int) -> None:
        """Store all from ``begin`` to below ``end``; some may be stored already."""
        first = bisect.bisect_left(self._ends, begin)  # the runs from here on touch the new one,
        last = bisect.bisect_right(self._begins, end)  # those up to here
        if first < last:
            begin = min(begin, self._begins[first])
            end = max(end, self._ends[last - 1])
        self._begins[first:last], self._ends[first:last] = [begin], [end]
        while self._begins and self._begins[0] <= self.next:
            if self._ends[0] > self.next:
                self.next, self._again = self._ends[0], None
            del self._begins[0], self._ends[0]
