"""Where the last plan stopped: carried by whoever asks, so that a planner remembers nothing."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class WarmStart:
    """An optimiser's mean and the best candidates it kept, float64, in physical units.

    Attributes:
        mean: shape [H, A].
        elites: shape [K, H, A], best first; K may be 0.
    """

    mean: np.ndarray
    elites: np.ndarray

    def shifted(self, steps: int) -> WarmStart:
        """The same, ``steps`` later: the first are dropped, the last action is repeated.

        iCEM repeats the mean's last action too, and draws the elites' anew; PETS fills with the
        middle of the range. Repeating needs no random numbers, so anyone may shift.
        """
        if steps < 0:
            raise ValueError(f'steps is {steps}; it must be at least 0')
        index = np.minimum(np.arange(self.mean.shape[0]) + steps, self.mean.shape[0] - 1)
        return WarmStart(self.mean[index], self.elites[:, index])
