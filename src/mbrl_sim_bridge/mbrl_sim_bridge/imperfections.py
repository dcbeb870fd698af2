"""What stands between a controller and a robot: noise on what is measured, and a way for messages
that delays and loses them.

All randomness is drawn once per measurement or message, in their order and in the same amount
whatever the settings. So the n-th one meets the same fate whenever it comes, and, say, another
share of losses leaves the delays of the others as they were.
"""

from __future__ import annotations

import collections
from typing import Generic, TypeVar

import numpy as np

T = TypeVar('T')


class SensorNoise:
    """Adds independent Gaussian noise to positions, velocities and efforts."""

    def __init__(self, position: float, velocity: float, effort: float, seed: int) -> None:
        """Standard deviations in SI units; 0 leaves a quantity as it is, bit for bit."""
        self._deviations = np.array([[position], [velocity], [effort]])
        self._generator = np.random.default_rng(seed)

    def measure(
        self, position: np.ndarray, velocity: np.ndarray, effort: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What sensors say of the true values, each of shape [joints]."""
        if not self._deviations.any():
            return position, velocity, effort
        noise = self._generator.standard_normal((3, len(position))) * self._deviations
        return position + noise[0], velocity + noise[1], effort + noise[2]


class DelayLine(Generic[T]):
    """A way for messages: each is lost, or arrives ``latency`` + U(0, ``jitter``) after it left.

    None overtakes another, as with every transport of a single writer in ROS: one that is held up
    holds up those behind it. Where ``jitter`` is longer than the time between two messages they
    therefore arrive in bunches, and later on average than ``latency + jitter / 2``.
    """

    def __init__(self, latency: float, jitter: float, drop: float, seed: int) -> None:
        """
        Args:
            latency: least delay [s].
            jitter: width of the uniform distribution of what is added to it [s].
            drop: share of messages that never arrive, 0 to 1.
            seed: of all draws.
        """
        self._latency, self._jitter, self._drop = latency, jitter, drop
        self._generator = np.random.default_rng(seed)
        self._waiting: collections.deque[tuple[int, T]] = collections.deque()
        self._last_due_ns = -(2**63)
        self.lost = 0
        """Messages lost so far."""

    def put(self, time_ns: int, message: T) -> None:
        """Send a message at a time [ns]; times must not go back."""
        fate, delay = self._generator.random(2).tolist()
        if fate < self._drop:
            self.lost += 1
            return
        due_ns = time_ns + round((self._latency + self._jitter * delay) * 1e9)
        self._last_due_ns = max(self._last_due_ns, due_ns)
        self._waiting.append((self._last_due_ns, message))

    def take(self, time_ns: int) -> list[tuple[int, T]]:
        """What has arrived until a time [ns] and was not taken yet, in order: when, and what."""
        arrived = []
        while self._waiting and self._waiting[0][0] <= time_ns:
            arrived.append(self._waiting.popleft())
        return arrived

    @property
    def next_due_ns(self) -> int | None:
        """When the next message arrives [ns]; None if none is on its way."""
        return self._waiting[0][0] if self._waiting else None

    def clear(self) -> None:
        """Lose what is on its way, uncounted."""
        self._waiting.clear()
        self._last_due_ns = -(2**63)
