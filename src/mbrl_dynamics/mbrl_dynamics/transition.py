"""One executed step of a robot, and what makes it fit to be stored."""

from __future__ import annotations

import dataclasses

import numpy as np

LATEST = 2**31 * 10**9  # ROS times are below it [ns]


@dataclasses.dataclass(frozen=True)
class Transition:
    """One executed step; the fields are those of ``mbrl_msgs/Transition``.

    ``state`` and ``next_state`` have shape [state_dim], ``action`` [action_dim], all float64 in
    physical units. ``stamp`` and ``next_stamp`` are the times of the two states [ns].
    """

    stamp: int
    next_stamp: int
    robot: str
    session: int
    sequence: int
    episode: int
    step: int
    state: np.ndarray
    action: np.ndarray
    next_state: np.ndarray
    reward: float
    terminated: bool
    truncated: bool

    @property
    def ends_episode(self) -> bool:
        """No transition of this episode follows."""
        return self.terminated or self.truncated


def check_transition(
    transition: Transition, state_dim: int, action_dim: int, scored: bool = True
) -> None:
    """Check that a transition can be learned from.

    Args:
        transition: what to check.
        state_dim, action_dim: the widths that are right.
        scored: its reward must be known. If not, it may also be NaN.

    Raises:
        ValueError: saying what is wrong with it and what would be right.
    """
    where = (
        f'transition {transition.sequence} of robot {transition.robot!r} '
        f'(episode {transition.episode}, step {transition.step})'
    )
    for name, length in (('state', state_dim), ('action', action_dim), ('next_state', state_dim)):
        values = getattr(transition, name)
        if values.shape != (length,):
            raise ValueError(f'{where}: {name} has shape {values.shape}; it must be ({length},)')
        if not np.isfinite(values).all():
            entry = int(np.flatnonzero(~np.isfinite(values))[0])
            raise ValueError(
                f'{where}: {name}[{entry}] is {values[entry]}; every entry must be finite'
            )
    if not np.isfinite(transition.reward) and (scored or not np.isnan(transition.reward)):
        raise ValueError(f'{where}: reward is {transition.reward}; it must be finite')
    if not 0 <= transition.stamp < LATEST or transition.next_stamp >= LATEST:
        raise ValueError(
            f'{where}: stamps {transition.stamp} and {transition.next_stamp} ns are no ROS times; '
            'they must be from 0 to below 2**31 s'
        )
    if transition.sequence >= 2**63:
        raise ValueError(f'{where}: sequence must be below 2**63')
    if transition.next_stamp < transition.stamp:
        raise ValueError(
            f'{where}: next_stamp {transition.next_stamp} is before stamp {transition.stamp}'
        )
