"""What the controller tells about itself: rates, times, counts."""

from __future__ import annotations

import collections
import math
import time

import numpy as np


class Telemetry:
    """Running figures of the control loop, over the last second or the last 200 plans."""

    def __init__(self) -> None:
        self._commands: collections.deque[float] = collections.deque(maxlen=10_000)
        self._plan_times: collections.deque[float] = collections.deque(maxlen=200)
        self._state_at = math.nan
        self._plan_at = math.nan
        self.refused_states = 0
        self.text = ''

    def command_sent(self) -> None:
        """A command went out now."""
        self._commands.append(time.monotonic())

    def state_received(self) -> None:
        """A valid state came in now."""
        self._state_at = time.monotonic()

    def plan_received(self, planning_time: float) -> None:
        """A plan came in now that took ``planning_time`` [s] to make."""
        self._plan_at = time.monotonic()
        self._plan_times.append(planning_time)

    def state_refused(self, text: str) -> None:
        """A state message was refused, for the reason given."""
        self.refused_states += 1
        self.text = text

    @property
    def control_rate(self) -> float:
        """Commands sent in the last second [Hz]."""
        since = time.monotonic() - 1.0
        while self._commands and self._commands[0] < since:
            self._commands.popleft()
        return float(len(self._commands))

    @property
    def state_age(self) -> float:
        """Time since the newest valid state [s]; NaN before the first."""
        return time.monotonic() - self._state_at

    @property
    def plan_age(self) -> float:
        """Time since the newest plan [s]; NaN before the first."""
        return time.monotonic() - self._plan_at

    def plan_time(self, percentile: float) -> float:
        """A percentile of the last 200 planning times [s]; NaN before the first."""
        times = self._plan_times
        return float(np.percentile(times, percentile)) if times else math.nan
