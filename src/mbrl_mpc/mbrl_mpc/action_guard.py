"""The last look at an action before it is sent: finite, within bounds, not too fast."""

from __future__ import annotations

import numpy as np

from mbrl_common.task import TaskSettings


class ActionGuard:
    """Clamps actions to the task's bounds and to a rate, and counts what it changed."""

    def __init__(
        self, task: TaskSettings, safe_action: tuple[float, ...] = (), max_rate: float = 0.0
    ) -> None:
        """
        Args:
            task: gives bounds and the time between two actions.
            safe_action: what to send instead of an action that is not finite; empty: zero,
                or the bound nearest to it.
            max_rate: largest change per second, in the action's units; 0: no limit.
        """
        self.low, self.high = task.bounds
        safe = np.array(safe_action) if safe_action else np.zeros(task.action_dim)
        self.safe_action = np.clip(safe, self.low, self.high)
        self._largest_change = max_rate * task.control_period if max_rate > 0 else np.inf
        self._last: np.ndarray | None = None
        self.clamped = 0

    def reset(self) -> None:
        """Forget the last action: a new episode begins at rest."""
        self._last = None

    def check(self, action: np.ndarray) -> np.ndarray:
        """The action that may be sent, float64 of shape [action_dim]."""
        wanted = np.asarray(action, dtype=np.float64)
        allowed = wanted if np.isfinite(wanted).all() else self.safe_action
        if self._last is not None and np.isfinite(self._largest_change):
            change = np.clip(allowed - self._last, -self._largest_change, self._largest_change)
            allowed = self._last + change
        allowed = np.clip(allowed, self.low, self.high)
        if not np.array_equal(allowed, wanted):
            self.clamped += 1
        self._last = allowed
        return allowed
