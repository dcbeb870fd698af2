"""All transitions in memory, in the order in which they were stored."""

from __future__ import annotations

import bisect

import numpy as np

from mbrl_dynamics.shared import SharedRows, SharedTransitions
from mbrl_dynamics.transition import Transition
from mbrl_dynamics.transitions import Transitions


class Dataset:
    """Transitions of one task. They are only ever added, and never moved or copied."""

    def __init__(self, state_dim: int, action_dim: int) -> None:
        self._rows = SharedRows(state_dim, action_dim)
        self._senders: dict[tuple[str, int], int] = {}
        self._episodes: set[int] = set()
        self._ends: list[int] = []  # places of the transitions that end an episode

    def __len__(self) -> int:
        return self._rows.size

    def reserve(self) -> None:
        """Make sure that the next :meth:`add` cannot fail.

        Raises:
            OSError: if the system gives no memory.
        """
        self._rows.reserve()

    def add(self, transition: Transition) -> None:
        """Append a transition that ``check_transition`` has passed.

        Raises:
            OSError: if the system gives no memory.
        """
        self._rows.append(
            sender=self._number((transition.robot, transition.session)),
            stamp=transition.stamp,
            next_stamp=transition.next_stamp,
            sequence=transition.sequence,
            episode=transition.episode,
            step=transition.step,
            state=transition.state,
            action=transition.action,
            next_state=transition.next_state,
            reward=transition.reward,
            terminated=transition.terminated,
            truncated=transition.truncated,
        )
        self._episodes.add(transition.episode)
        if transition.ends_episode:
            self._ends.append(len(self) - 1)

    def extend(self, transitions: Transitions) -> None:
        """Append many that ``check_transitions`` has passed.

        Raises:
            OSError: if the system gives no memory.
        """
        if len(transitions) == 0:
            return
        before = len(self)
        numbers = np.array([self._number(sender) for sender in transitions.senders])
        self._rows.extend(vars(transitions) | {'sender': numbers[transitions.sender]})
        self._episodes.update(np.unique(transitions.episode).tolist())
        ends = np.flatnonzero(transitions.terminated | transitions.truncated)
        self._ends.extend((before + ends).tolist())

    def share(self) -> SharedTransitions:
        """A handle to all that there is now, for this or another process; costs nothing."""
        return self._rows.share(tuple(self._senders))

    @property
    def episodes(self) -> int:
        """How many different episode numbers there are."""
        return len(self._episodes)

    def episodes_ended_since(self, index: int) -> int:
        """How many episodes ended in a transition from ``index`` on."""
        return len(self._ends) - bisect.bisect_left(self._ends, index)

    def _number(self, sender: tuple[str, int]) -> int:
        return self._senders.setdefault(sender, len(self._senders))
