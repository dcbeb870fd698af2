"""Many transitions as arrays: what bags are read into, and what models are trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from mbrl_dynamics.transition import LATEST, Transition, check_transition


@dataclasses.dataclass(frozen=True)
class Transitions:
    """N transitions, an array per field; the fields are those of ``mbrl_msgs/Transition``.

    Attributes:
        senders: (robot, session) of each sender that occurs.
        sender: [N] int64, index into ``senders``.
        stamp, next_stamp: [N] int64 [ns].
        sequence: [N] int64; episode, step: [N] int64.
        state, next_state: [N, S] float64, physical units.
        action: [N, A] float64, physical units.
        reward: [N] float64; NaN: not known (a bag that nobody scored).
        terminated, truncated: [N] bool.
    """

    senders: tuple[tuple[str, int], ...]
    sender: np.ndarray
    stamp: np.ndarray
    next_stamp: np.ndarray
    sequence: np.ndarray
    episode: np.ndarray
    step: np.ndarray
    state: np.ndarray
    action: np.ndarray
    next_state: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray

    def __len__(self) -> int:
        return len(self.state)

    def __getitem__(self, index: Any) -> Transitions:
        """Those that a slice, mask or array of indices selects."""
        selected = {
            field.name: getattr(self, field.name)[index]
            for field in dataclasses.fields(self)
            if field.name != 'senders'
        }
        return dataclasses.replace(self, **selected)

    def __iter__(self) -> Iterator[Transition]:
        """One by one; for few of them."""
        for i in range(len(self)):
            robot, session = self.senders[int(self.sender[i])]
            yield Transition(
                stamp=int(self.stamp[i]),
                next_stamp=int(self.next_stamp[i]),
                robot=robot,
                session=session,
                sequence=int(self.sequence[i]),
                episode=int(self.episode[i]),
                step=int(self.step[i]),
                state=self.state[i].copy(),
                action=self.action[i].copy(),
                next_state=self.next_state[i].copy(),
                reward=float(self.reward[i]),
                terminated=bool(self.terminated[i]),
                truncated=bool(self.truncated[i]),
            )

    def load(self) -> Transitions:
        """Itself; as ``SharedTransitions.load`` gives those of another process."""
        return self

    @classmethod
    def empty(cls, state_dim: int, action_dim: int) -> Transitions:
        """None at all, of these widths."""
        return cls.from_arrays(
            np.empty((0, state_dim)), np.empty((0, action_dim)), np.empty((0, state_dim))
        )

    @classmethod
    def from_arrays(
        cls, state: np.ndarray, action: np.ndarray, next_state: np.ndarray, **others: Any
    ) -> Transitions:
        """From arrays alone; what is not given is one unbroken episode of one sender.

        Args:
            state, next_state: [N, S].
            action: [N, A].
            others: any other field.
        """
        count = len(state)
        numbers = np.arange(count, dtype=np.int64)
        no = np.zeros(count, dtype=bool)
        values: dict[str, Any] = {
            'senders': (('', 0),),
            'sender': np.zeros(count, dtype=np.int64),
            'stamp': numbers,
            'next_stamp': numbers + 1,
            'sequence': numbers,
            'episode': np.zeros(count, dtype=np.int64),
            'step': numbers,
            'state': np.asarray(state, dtype=np.float64),
            'action': np.asarray(action, dtype=np.float64),
            'next_state': np.asarray(next_state, dtype=np.float64),
            'reward': np.full(count, np.nan),
            'terminated': no,
            'truncated': no,
        }
        return cls(**(values | others))

    @classmethod
    def from_list(cls, transitions: Iterable[Transition]) -> Transitions:
        """From single ones of equal widths, at least one."""
        single = list(transitions)
        senders = list(dict.fromkeys((each.robot, each.session) for each in single))
        place = {sender: index for index, sender in enumerate(senders)}

        def column(name: str, dtype: type) -> np.ndarray:
            return np.array([getattr(each, name) for each in single], dtype=dtype)

        return cls(
            senders=tuple(senders),
            sender=np.array([place[each.robot, each.session] for each in single], dtype=np.int64),
            **{
                name: column(name, np.int64)
                for name in ('stamp', 'next_stamp', 'sequence', 'episode', 'step')
            },
            **{
                name: column(name, np.float64)
                for name in ('state', 'action', 'next_state', 'reward')
            },
            **{name: column(name, np.bool_) for name in ('terminated', 'truncated')},
        )

    @classmethod
    def concatenate(cls, parts: Iterable[Transitions]) -> Transitions:
        """One after the other; at least one part, all of the same widths."""
        parts = list(parts)
        senders: dict[tuple[str, int], int] = {}
        for part in parts:
            for sender in part.senders:
                senders.setdefault(sender, len(senders))
        place = [
            np.array([senders[sender] for sender in part.senders], dtype=np.int64)[part.sender]
            for part in parts
        ]
        columns = {
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in dataclasses.fields(cls)
            if field.name not in ('senders', 'sender')
        }
        return cls(senders=tuple(senders), sender=np.concatenate(place), **columns)


def check_transitions(transitions: Transitions, state_dim: int, action_dim: int) -> None:
    """Check that all can be learned from, as ``check_transition`` does; a reward may be unknown.

    Raises:
        ValueError: saying what is wrong with the first that is, and what would be right.
    """
    each = transitions
    if each.state.shape[1:] == each.next_state.shape[1:] == (state_dim,) and (
        each.action.shape[1:] == (action_dim,)
    ):
        wrong = np.isinf(each.reward) | (each.next_stamp < each.stamp)
        wrong |= (each.stamp < 0) | (each.next_stamp >= LATEST)
        for values in (each.state, each.action, each.next_state):
            wrong |= ~np.isfinite(values).all(axis=1)
    else:
        wrong = np.ones(len(each), dtype=bool)
    for transition in each[np.flatnonzero(wrong)[:1]]:
        check_transition(transition, state_dim, action_dim, scored=False)
