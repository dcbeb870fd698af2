"""What the controller tells about itself: rates, times, counts."""

from __future__ import annotations

import collections
import math
import time

import numpy as np


class RealTimeFactor:
    """How fast ROS time passes, beside the steady clock of this machine."""

    def __init__(self, window: float = 1.0) -> None:
        """``window`` [s]: over how long."""
        self._window = window
        self._readings: collections.deque[tuple[float, int]] = collections.deque()

    def read(self, ros: int, now: float) -> None:
        """It is ``ros`` [ns] of ROS time, and ``now`` [s] of the steady clock."""
        if ros <= 0:
            return  # no clock message has come yet
        if self._readings and ros < self._readings[-1][1]:
            self._readings.clear()  # set back: another clock, which has gone on for no time yet
        self._readings.append((now, ros))
        self._forget(now)

    def value(self, now: float) -> float:
        """Seconds of ROS time per second, over the window before ``now`` [s] or a little more. NaN
        until it has been read for that long; without readings since, ROS time stands still."""
        self._forget(now)
        if not self._readings or self._readings[0][0] > now - self._window:
            return math.nan
        (begin, first), (_, last) = self._readings[0], self._readings[-1]
        return (last - first) * 1e-9 / (now - begin)

    def _forget(self, now: float) -> None:
        """All but the newest reading from before the window."""
        while len(self._readings) > 1 and self._readings[1][0] <= now - self._window:
            self._readings.popleft()


class Telemetry:
    """Running figures of the control loop, over the last second or the last 200 plans."""

    def __init__(self) -> None:
        self._commands: collections.deque[float] = collections.deque(maxlen=10_000)
        self._plan_times: collections.deque[float] = collections.deque(maxlen=200)
        self._state_at = math.nan
        self._plan_at = math.nan
        self._factor = RealTimeFactor()
        self.refused_states = 0
        self.text = ''

    def time_is(self, ros: int) -> None:
        """It is ``ros`` now [ns], on the clock that stamps the states."""
        self._factor.read(ros, time.monotonic())

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
    def real_time_factor(self) -> float:
        """Seconds of ROS time per second of this machine's, over the last second [1]; NaN: not yet
        known."""
        return self._factor.value(time.monotonic())

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
