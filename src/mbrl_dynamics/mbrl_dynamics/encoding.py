"""What the networks see of a state and an action, and what they learn to predict.

Angles enter as sine and cosine, so that a turn more or less makes no difference; all other entries
enter as they are. The target is the change of the state, for angles the plain difference.
"""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Encoding:
    """Maps (state, action) to the networks' input: [other entries, sines, cosines, action]."""

    state_dim: int
    action_dim: int
    angles: tuple[int, ...]

    @property
    def others(self) -> tuple[int, ...]:
        """Indices of the state's entries that are no angles."""
        return tuple(i for i in range(self.state_dim) if i not in self.angles)

    @property
    def input_dim(self) -> int:
        """Length of the networks' input."""
        return self.state_dim + len(self.angles) + self.action_dim

    def inputs(self, state: np.ndarray, action: np.ndarray) -> np.ndarray:
        """Inputs of shape [N, input_dim] for states [N, S] and actions [N, A], before scaling."""
        angles = state[:, list(self.angles)]
        return np.concatenate(
            [state[:, list(self.others)], np.sin(angles), np.cos(angles), action], axis=1
        )

    def targets(self, state: np.ndarray, next_state: np.ndarray) -> np.ndarray:
        """Targets of shape [N, S]: the change of the state, before scaling."""
        return next_state - state
