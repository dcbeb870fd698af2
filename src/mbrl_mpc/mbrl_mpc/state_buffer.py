"""The states of the last moments, and the state at any time among them."""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Sequence

import numpy as np

HALF_TURN = np.pi


class StateBuffer:
    """Measured states with their stamps, oldest first; in between, on the straight line.

    Entries that are angles go the short way round, so that a driver may wrap them.
    """

    def __init__(self, angles: Sequence[int] = (), capacity: int = 2000) -> None:
        """
        Args:
            angles: indices of the state's entries that are angles [rad].
            capacity: states that are kept; at 500 Hz 2000 are four seconds.
        """
        self._angles = list(angles)
        self._stamps: deque[int] = deque(maxlen=capacity)
        self._states: deque[np.ndarray] = deque(maxlen=capacity)

    def __len__(self) -> int:
        return len(self._stamps)

    def clear(self) -> None:
        """Forget all."""
        self._stamps.clear()
        self._states.clear()

    def put(self, state: np.ndarray, stamp: int) -> None:
        """Add a state [S] of the time ``stamp`` [ns]; stamps must increase.

        Raises:
            ValueError: the stamp is not after the last one.
        """
        if self._stamps and stamp <= self._stamps[-1]:
            raise ValueError(f'stamp {stamp} is not after {self._stamps[-1]}')
        self._stamps.append(stamp)
        self._states.append(state)

    @property
    def newest(self) -> tuple[np.ndarray, int]:
        """The last state [S] and its stamp [ns]; IndexError if there is none."""
        return self._states[-1], self._stamps[-1]

    def covers(self, time: int) -> bool:
        """Whether a state of ``time`` [ns] or later has come."""
        return bool(self._stamps) and self._stamps[-1] >= time

    def at(self, time: int, widest: int) -> np.ndarray | None:
        """The state [S] at ``time`` [ns].

        Args:
            time: must be covered.
            widest: longest time [ns] between two states that is bridged.

        Returns:
            None if the states around it are farther apart, or none is old enough.
        """
        after = bisect.bisect_left(self._stamps, time)
        if after < len(self._stamps) and self._stamps[after] == time:
            return self._states[after]
        if not 0 < after < len(self._stamps):
            return None
        begin, end = self._stamps[after - 1], self._stamps[after]
        if end - begin > widest:
            return None
        change = self._states[after] - self._states[after - 1]
        turns = change[self._angles]
        change[self._angles] = (turns + HALF_TURN) % (2 * HALF_TURN) - HALF_TURN
        state: np.ndarray = self._states[after - 1] + change * ((time - begin) / (end - begin))
        return state
