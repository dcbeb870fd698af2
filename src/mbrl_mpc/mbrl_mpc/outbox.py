"""Transitions on their way to the dataset: kept until they are known to be on disk."""

from __future__ import annotations

from collections import deque

from mbrl_dynamics.transition import Transition


class Outbox:
    """Keeps what was sent and not yet acknowledged, oldest first, in a bounded amount.

    A transition of the suite's size takes about a kilobyte, so the default bound is some 100 MB,
    or an hour at 30 Hz. Beyond it the oldest are given up, and counted.
    """

    def __init__(self, capacity: int = 100_000) -> None:
        self._waiting: deque[tuple[float, Transition]] = deque()
        self._capacity = capacity
        self.lost = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, transition: Transition, now: float) -> None:
        """Remember a transition that is being sent at time ``now`` [s]."""
        self._waiting.append((now, transition))
        if len(self._waiting) > self._capacity:
            self._waiting.popleft()
            self.lost += 1

    def acknowledge(self, next_sequence: int) -> None:
        """Forget all transitions below ``next_sequence``: they are on disk."""
        while self._waiting and self._waiting[0][1].sequence < next_sequence:
            self._waiting.popleft()

    def overdue(self, now: float, timeout: float, at_most: int = 200) -> list[Transition]:
        """The oldest transitions, if they wait for longer than ``timeout`` [s]; they count as
        sent again at ``now``."""
        if not self._waiting or now - self._waiting[0][0] < timeout:
            return []
        again = [transition for _, transition in list(self._waiting)[:at_most]]
        for index, transition in enumerate(again):
            self._waiting[index] = (now, transition)
        return again
