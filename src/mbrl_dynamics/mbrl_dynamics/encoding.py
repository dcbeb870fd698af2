"""What the networks see of states and actions, and what they learn to predict.

Angles enter as sine and cosine, so that a turn more or less makes no difference; entries that are
left out do not enter at all; all others enter as they are. With a history of K, the K last states
and actions enter side by side, the newest first (PDDM's K). The target of an entry is its change
(for angles the plain difference), or its next value where it is declared absolute; an entry that is
left out of the targets is predicted not to change.
"""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Encoding:
    """Maps windows of states and actions to inputs, and steps to targets.

    Attributes:
        state_dim, action_dim: S and A.
        angles: indices of entries that enter as sine and cosine.
        inputs_left_out: indices of entries that do not enter.
        targets_absolute: indices of entries whose next value is the target, not their change.
        targets_left_out: indices of entries that are predicted not to change.
        history: K, states and actions that enter, at least 1.
    """

    state_dim: int
    action_dim: int
    angles: tuple[int, ...]
    inputs_left_out: tuple[int, ...] = ()
    targets_absolute: tuple[int, ...] = ()
    targets_left_out: tuple[int, ...] = ()
    history: int = 1

    @property
    def plain(self) -> tuple[int, ...]:
        """Indices of the state's entries that enter as they are."""
        hidden = {*self.angles, *self.inputs_left_out}
        return tuple(i for i in range(self.state_dim) if i not in hidden)

    @property
    def circular(self) -> tuple[int, ...]:
        """Indices of the state's entries that enter as sine and cosine."""
        return tuple(i for i in self.angles if i not in self.inputs_left_out)

    @property
    def predicted(self) -> tuple[int, ...]:
        """Indices of the state's entries that are targets."""
        return tuple(i for i in range(self.state_dim) if i not in self.targets_left_out)

    @property
    def input_dim(self) -> int:
        """Length of the networks' input."""
        features = len(self.plain) + 2 * len(self.circular) + self.action_dim
        return self.history * features

    def inputs(self, state: np.ndarray, action: np.ndarray) -> np.ndarray:
        """Inputs before scaling: plain entries, sines, cosines, actions.

        Args:
            state: [N, K * S], the newest first.
            action: [N, K * A], the newest first.

        Returns:
            [N, input_dim]; each of the four groups holds all K steps, the newest first.
        """
        plain = state[:, self._of_every_step(self.plain)]
        angles = state[:, self._of_every_step(self.circular)]
        return np.concatenate([plain, np.sin(angles), np.cos(angles), action], axis=1)

    def targets(self, state: np.ndarray, next_state: np.ndarray) -> np.ndarray:
        """Targets before scaling, [N, len(predicted)], for single states [N, S]."""
        change = next_state - state
        absolute = list(self.targets_absolute)
        change[:, absolute] = next_state[:, absolute]
        return change[:, list(self.predicted)]

    def _of_every_step(self, indices: tuple[int, ...]) -> list[int]:
        return [step * self.state_dim + i for step in range(self.history) for i in indices]
