"""What a robot in real time was told to do: checked commands, and which of them is in force.

A plain command is a list of efforts that holds from its arrival, as ``forward_command_controller``
takes it; a trajectory says when each of its points begins to hold. Here the first is a trajectory
of one point.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np

MAX_POINTS = 10_000
_NEVER = 2**63 - 1


class CommandError(ValueError):
    """A command that cannot be obeyed; the text says what would be right."""


@dataclasses.dataclass(frozen=True)
class Command:
    """Actions and when each begins to hold."""

    start_ns: int | None  # robot's time that ``times_ns`` count from; None: its arrival
    times_ns: tuple[int, ...]  # of each point, strictly increasing [ns]
    actions: np.ndarray  # [points, action_dim], physical units, finite


def effort_command(efforts: Sequence[float], joints: Sequence[str]) -> Command:
    """A command that holds from its arrival.

    Args:
        efforts: one per joint, in their order.
        joints: the task's actuated joints.

    Raises:
        CommandError: if there are too few or too many, or one is not finite.
    """
    action = np.array(efforts, dtype=np.float64)
    if action.shape != (len(joints),):
        raise CommandError(
            f'the command has {action.size} efforts; it must have {len(joints)}, for '
            f'{", ".join(joints)} in this order'
        )
    if not np.isfinite(action).all():
        raise CommandError(f'the command is {action.tolist()}; every effort must be finite')
    return Command(None, (0,), action[None])


def trajectory_command(
    start_ns: int,
    names: Sequence[str],
    times_ns: Sequence[int],
    efforts: Sequence[Sequence[float]],
    joints: Sequence[str],
) -> Command:
    """A command from what a ``trajectory_msgs/JointTrajectory`` says.

    Args:
        start_ns: time that the points count from [ns]; 0: the arrival.
        names: joints of the trajectory, in any order.
        times_ns: of each point, from the start [ns].
        efforts: of each point, in the order of ``names``.
        joints: the task's actuated joints.

    Raises:
        CommandError: if joints are unknown, missing or named twice, if there is no point or more
            than ``MAX_POINTS``, if a point lacks efforts or has one that is not finite, or if the
            times do not increase.
    """
    if sorted(names) != sorted(joints):
        raise CommandError(
            f'the trajectory is for the joints {list(names)}; it must name each of '
            f'{", ".join(joints)} once, in any order'
        )
    if not 1 <= len(efforts) <= MAX_POINTS:
        raise CommandError(
            f'the trajectory has {len(efforts)} points; it must have 1 to {MAX_POINTS}'
        )
    for number, point in enumerate(efforts):
        if len(point) != len(names):
            raise CommandError(
                f'point {number} of the trajectory has {len(point)} efforts; it must have '
                f'{len(names)}, for {", ".join(names)}: positions and velocities are not followed'
            )
    actions = np.array(efforts, dtype=np.float64)
    if not np.isfinite(actions).all():
        number = int(np.argmin(np.isfinite(actions).all(axis=1)))
        raise CommandError(
            f'point {number} of the trajectory has the efforts {actions[number].tolist()}; every '
            'effort must be finite'
        )
    if start_ns < 0 or times_ns[0] < 0 or (np.diff(times_ns) <= 0).any():
        raise CommandError('the times of the trajectory must not be negative, and must increase')
    order = [list(names).index(joint) for joint in joints]
    return Command(start_ns or None, tuple(times_ns), actions[:, order])


@dataclasses.dataclass(frozen=True)
class _Hold:
    begin_ns: int
    until_ns: int  # without a later command, the action is zero from here on
    action: np.ndarray


class Schedule:
    """The commands that arrived: what is in force at a time, and until when.

    Each holds until the next one begins. A timeout counts from the last point of a command, as in
    ``joint_trajectory_controller``; between points it is the trajectory that is being followed.
    """

    def __init__(self, timeout_ns: int) -> None:
        """``timeout_ns``: how long the last point of a command holds at most [ns]; 0: for ever."""
        self._timeout_ns = timeout_ns
        self._holds: collections.deque[_Hold] = collections.deque()
        self._expired = False
        self.timeouts = 0
        """How often a command was not followed by another in time."""

    @property
    def expired(self) -> bool:
        """Whether, when it was asked last, the last command was over."""
        return self._expired

    def add(self, command: Command, time_ns: int) -> None:
        """A command arrives at a time [ns]. Of the ones before it, that remains which begins
        before its first point.
        """
        start_ns = time_ns if command.start_ns is None else command.start_ns
        begins = [start_ns + offset for offset in command.times_ns]
        while self._holds and self._holds[-1].begin_ns >= begins[0]:
            self._holds.pop()
        for begin_ns, after_ns, action in zip(
            begins, begins[1:] + begins[-1:], command.actions, strict=True
        ):
            until_ns = after_ns + self._timeout_ns if self._timeout_ns else _NEVER
            self._holds.append(_Hold(begin_ns, until_ns, action))
        while len(self._holds) > 2 * MAX_POINTS:
            self._holds.pop()  # the latest ones: nobody plans so far ahead

    def in_force(self, time_ns: int) -> np.ndarray | None:
        """The action that holds at a time [ns], [action_dim]; None if none does. Times must not
        go back.
        """
        while len(self._holds) > 1 and self._holds[1].begin_ns <= time_ns:
            self._holds.popleft()
        if not self._holds or self._holds[0].begin_ns > time_ns:
            return None
        hold = self._holds[0]
        expired = time_ns >= hold.until_ns
        self.timeouts += expired and not self._expired
        self._expired = expired
        return None if expired else hold.action

    def next_change_ns(self, time_ns: int) -> int:
        """The first time after ``time_ns`` at which another action may be in force [ns]."""
        changes = [_NEVER]
        for hold in self._holds:
            changes += [hold.begin_ns, hold.until_ns]
            if hold.begin_ns > time_ns:
                break
        return min(change for change in changes if change > time_ns)

    def clear(self) -> None:
        """Forget all commands."""
        self._holds.clear()
        self._expired = False
