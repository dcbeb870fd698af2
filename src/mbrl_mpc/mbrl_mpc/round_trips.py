"""How long an answer of the planner takes, so that it is asked in time."""

from __future__ import annotations

from collections import deque

import numpy as np


class RoundTrips:
    """Times from question to answer, over the last ``count``; transport is in them."""

    def __init__(
        self, margin: float, first: float, count: int = 50, percentile: float = 95
    ) -> None:
        """
        Args:
            margin: added to what is expected [s].
            first: what is expected before the first answer, margin excluded [s].
            count: answers that are remembered.
            percentile: of their times that is expected.
        """
        self._margin = margin
        self._percentile = percentile
        self._times: deque[float] = deque(maxlen=count)
        self._first = first
        self.expected = first + margin
        """In what time the next answer will be here, as far as one can tell [s]."""

    def forget(self) -> bool:
        """Expect what was expected before the first answer; returns whether there was one."""
        known = bool(self._times)
        self._times.clear()
        self.expected = self._first + self._margin
        return known

    def add(self, seconds: float) -> None:
        """An answer took so long."""
        self._times.append(seconds)
        self.expected = float(np.percentile(self._times, self._percentile)) + self._margin
