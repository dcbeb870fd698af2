"""The last look at an action before it is sent: finite, within bounds, not too fast."""

from __future__ import annotations

import numpy as np

from mbrl_common.task import TaskSettings


class ActionGuard:
    """Clamps actions to the task's bounds and to a rate, and counts what it changed."""

    def __init__(
        self,
        task: TaskSettings,
        safe_action: tuple[float, ...] = (),
        max_rate: float = 0.0,
        hold: bool = False,
    ) -> None:
        """
        Args:
            task: gives bounds and the time between two actions.
            safe_action: what to send instead of an action that is not finite; empty: zero,
                or the bound nearest to it.
            max_rate: largest change per second, in the action's units; 0: no limit.
            hold: the safe action is the last one that was sent, or ``safe_action`` before there is
                one. For positions alone: to hold an effort or a velocity is to go on moving.
        """
        self.low, self.high = task.bounds
        safe = np.array(safe_action) if safe_action else np.zeros(task.action_dim)
        self._fixed = np.clip(safe, self.low, self.high)
        self._hold = hold
        self._max_rate = max_rate if max_rate > 0 else np.inf
        self._period = task.control_period
        self._held: np.ndarray | None = None  # what the robot does, as far as is known
        self._last: np.ndarray | None = None  # what the rate counts from
        self._sent_at: int | None = None
        self.clamped = 0

    @property
    def safe_action(self) -> np.ndarray:
        """What to send where there is nothing better; shape [action_dim]."""
        if self._hold and self._held is not None:
            return self._held.copy()
        return self._fixed.copy()

    def reset(self) -> None:
        """Forget the last action: a new episode begins at rest. What is held stays."""
        self._last = self._sent_at = None

    def begin_at(self, action: np.ndarray, now_ns: int | None = None) -> None:
        """Say what the robot does now, as if it had just been sent: the rate counts from there, and
        the safe action holds it. For positions, where the joints are.

        Args:
            action: shape [action_dim]; what is outside of the bounds is taken to them.
            now_ns: the time [ns], on the clock of :meth:`check`.

        Raises:
            ValueError: if it has another shape or is not finite.
        """
        there = np.array(action, dtype=np.float64)
        if there.shape != self.low.shape or not np.isfinite(there).all():
            raise ValueError(
                f'the robot is said to do {there.tolist()}; it must be {len(self.low)} finite '
                'numbers'
            )
        self._held = self._last = np.clip(there, self.low, self.high)
        self._sent_at = now_ns

    def check(self, action: np.ndarray, now_ns: int | None = None) -> np.ndarray:
        """The action that may be sent, float64 of shape [action_dim].

        Args:
            action: what is wanted.
            now_ns: when it is sent, on a clock that is never set back [ns]. The rate is then over
                the time since the last one, and at most a control period: a robot that heard
                nothing for long must not leap. None: a control period since the last one.
        """
        wanted = np.asarray(action, dtype=np.float64)
        fit = wanted.shape == self.low.shape and np.isfinite(wanted).all()
        allowed = wanted if fit else self.safe_action
        if self._last is not None and np.isfinite(self._max_rate):
            largest = self._max_rate * self._interval(now_ns)
            allowed = self._last + np.clip(allowed - self._last, -largest, largest)
        allowed = np.clip(allowed, self.low, self.high)
        if not np.array_equal(allowed, wanted):
            self.clamped += 1
        self._last = allowed
        self._held = allowed.copy()
        self._sent_at = now_ns
        return allowed

    def _interval(self, now_ns: int | None) -> float:
        """Time that the rate counts [s]."""
        if now_ns is None or self._sent_at is None:
            return self._period
        return min(max((now_ns - self._sent_at) * 1e-9, 0.0), self._period)
