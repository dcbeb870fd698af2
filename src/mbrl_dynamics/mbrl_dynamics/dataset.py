"""All transitions in memory, in the order in which they were stored."""

from __future__ import annotations

import numpy as np

from mbrl_dynamics.transition import Transition

HOLDOUT_SLOTS = 1 << 32


class Dataset:
    """Growing float64 arrays; ``state``, ``action`` and ``next_state`` are views."""

    def __init__(self, state_dim: int, action_dim: int) -> None:
        self._size = 0
        self._episodes: set[int] = set()
        self._state = np.empty((256, state_dim))
        self._action = np.empty((256, action_dim))
        self._next_state = np.empty((256, state_dim))
        self._place = np.empty((256, 2), dtype=np.uint64)  # episode and step
        self._ends = np.empty(256, dtype=bool)

    def __len__(self) -> int:
        return self._size

    def add(self, transition: Transition) -> None:
        """Append a transition that ``check_transition`` has passed."""
        if self._size == len(self._state):
            self._grow()
        i = self._size
        self._state[i] = transition.state
        self._action[i] = transition.action
        self._next_state[i] = transition.next_state
        self._place[i] = transition.episode, transition.step
        self._ends[i] = transition.ends_episode
        self._size += 1
        self._episodes.add(transition.episode)

    @property
    def state(self) -> np.ndarray:
        """[N, S]."""
        return self._state[: self._size]

    @property
    def action(self) -> np.ndarray:
        """[N, A]."""
        return self._action[: self._size]

    @property
    def next_state(self) -> np.ndarray:
        """[N, S]."""
        return self._next_state[: self._size]

    @property
    def episodes(self) -> int:
        """How many different episode numbers there are."""
        return len(self._episodes)

    def ends_episode_since(self, index: int) -> bool:
        """Whether an episode ended in a transition from ``index`` on."""
        return bool(self._ends[index : self._size].any())

    def held_out(self, fraction: float) -> np.ndarray:
        """Which transitions are held out: a hash of (episode, step) falls below ``fraction``; [N].

        So a transition once held out always is, whatever comes after it and however often the
        dataset is loaded again.
        """
        place = self._place[: self._size]
        mixed = place[:, 0] * np.uint64(0x9E3779B97F4A7C15) + place[:, 1] + np.uint64(1)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed = (mixed ^ (mixed >> np.uint64(31))) >> np.uint64(32)
        return np.asarray(mixed < np.uint64(round(fraction * HOLDOUT_SLOTS)))

    def _grow(self) -> None:
        for name in ('_state', '_action', '_next_state', '_place', '_ends'):
            array = getattr(self, name)
            grown = np.empty((2 * len(array), *array.shape[1:]), array.dtype)
            grown[: self._size] = array
            setattr(self, name, grown)
