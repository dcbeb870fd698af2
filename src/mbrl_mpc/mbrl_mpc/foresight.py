"""How well what was predicted came true, over the last moments: for whoever watches the robot."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

RECENT = 50  # steps


class Foresight:
    """One-step errors of the newest predictions, and returns predicted and received."""

    def __init__(self) -> None:
        self._errors: deque[np.ndarray] = deque(maxlen=RECENT)  # squared, per entry of the state
        self._changes: deque[np.ndarray] = deque(maxlen=RECENT)
        self._rewards: deque[float] = deque()  # of the steps from _first on
        self._first = 0
        self._plans: deque[tuple[int, int, float]] = deque()  # step, horizon, predicted return
        self.predicted_return = math.nan
        """Of the newest plan whose horizon has passed."""
        self.received_return = math.nan
        """What the steps of that horizon brought."""

    @property
    def error(self) -> float:
        """Error of the newest predictions relative to predicting no change, mean over the entries
        of the state that moved; NaN before the first."""
        if not self._errors:
            return math.nan
        errors, changes = np.sum(self._errors, axis=0), np.sum(self._changes, axis=0)
        moving = changes > 0
        if not moving.any():
            return math.nan
        return float(np.sqrt(errors[moving] / changes[moving]).mean())

    def begin(self) -> None:
        """An episode begins."""
        self._plans.clear()
        self._rewards.clear()
        self._first = 0

    def compare(self, predicted: np.ndarray, state: np.ndarray, next_state: np.ndarray) -> None:
        """Note a step's prediction; all of shape [state_dim]."""
        self._errors.append((predicted - next_state) ** 2)
        self._changes.append((state - next_state) ** 2)

    def planned(self, step: int, horizon: int, predicted_return: float) -> None:
        """A plan begins with a step of the episode; in the order of steps."""
        self._plans.append((step, horizon, predicted_return))

    def rewarded(self, step: int, reward: float) -> None:
        """A step of the episode brought this; a step that is left out breaks the sums."""
        if step != self._first + len(self._rewards):
            self.begin()
            self._first = step
        self._rewards.append(reward)
        while self._plans and self._plans[0][0] < self._first:
            self._plans.popleft()
        while self._plans and sum(self._plans[0][:2]) <= step + 1:
            begin, horizon, self.predicted_return = self._plans.popleft()
            place = begin - self._first
            self.received_return = sum(list(self._rewards)[place : place + horizon])
        oldest = self._plans[0][0] if self._plans else step + 1
        while self._first < oldest and self._rewards:
            self._rewards.popleft()
            self._first += 1
