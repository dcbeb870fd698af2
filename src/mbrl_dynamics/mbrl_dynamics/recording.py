"""What a robot's bag says of joints and commands, while its time does not run backwards."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mbrl_common.task import FIELDS, TaskSettings
from mbrl_dynamics.resampling import Commands, Signal

log = logging.getLogger(__name__)

_SAME_CLOCK = 0.1  # [s]; on one clock no message is recorded later than that
_POINT_FIELDS = {'position': 'positions', 'velocity': 'velocities', 'effort': 'effort'}

Point = tuple[int, list[float]]
"""A command: how long after its message's time it takes effect [ns], and its values, one per
entry of the action."""


@dataclasses.dataclass
class _Joint:
    time: list[int] = dataclasses.field(default_factory=list)
    values: tuple[list[float], list[float], list[float]] = dataclasses.field(
        default_factory=lambda: ([], [], [])
    )
    """As ``FIELDS``; NaN: not measured."""


class Recording:
    """Joint states and commands, as they come; then signals and commands on one clock."""

    def __init__(self, task: TaskSettings) -> None:
        self._task = task
        self._joints = {entry.rpartition('.')[0]: _Joint() for entry in task.state}
        self._layouts: dict[str, tuple[list[str], list[tuple[_Joint, int]]]] = {}
        self._clock: list[tuple[int, int]] = []  # recording time and stamp, where there is one
        self._told: list[tuple[int, int, list[Point]]] = []
        self.joints_seen: set[str] = set()
        self.begin, self.end = np.iinfo(np.int64).max, -1

    def add_joint_state(self, topic: str, message: Any, log_time: int) -> None:
        """Take in a ``sensor_msgs/JointState``.

        Raises:
            ValueError: if a joint is named twice, or a field has another length than the names.
        """
        names = message.name
        fields = [getattr(message, field) for field in FIELDS]
        for label, values in zip(FIELDS, fields):
            if len(values) not in (0, len(names)):
                raise ValueError(
                    f'{len(names)} names and {len(values)} entries of {label}; '
                    f'there must be {len(names)} or none'
                )
        stamp = header_time(message)
        time = stamp or log_time
        if stamp:
            self._clock.append((log_time, stamp))
        self.begin, self.end = min(self.begin, time), max(self.end, time)
        for joint, place in self._layout(topic, names):
            joint.time.append(time)
            for series, values in zip(joint.values, fields):
                series.append(values[place] if len(values) else np.nan)

    def add_command(self, points: list[Point], stamp: int, log_time: int) -> None:
        """Take in a command, or several that follow each other; ``stamp`` 0: it has none."""
        self._told.append((log_time, stamp, points))

    def has(self, entry: str) -> bool:
        """Whether an entry of the state, as ``<joint>.<field>``, was measured."""
        joint, _, field = entry.rpartition('.')
        return bool(np.isfinite(self._joints[joint].values[FIELDS.index(field)]).any())

    def signal(self, entry: str) -> Signal:
        """The samples of an entry of the state."""
        joint, _, field = entry.rpartition('.')
        samples = self._joints[joint]
        return Signal.sorted(
            np.array(samples.time, dtype=np.int64),
            np.array(samples.values[FIELDS.index(field)], dtype=np.float64),
        )

    def commands(self) -> Commands:
        """The commands on the clock of the joint states.

        Raises:
            ValueError: if they have no stamps, and the joint states' clock runs at another rate
                than the recording's.
        """
        times: list[int] = []
        values: list[list[float]] = []
        for time, points in self._dated():
            first = time + points[0][0]
            while times and times[-1] >= first:  # a newer message wins
                times.pop()
                values.pop()
            times += [time + offset for offset, _ in points]
            values += [action for _, action in points]
        return Commands(
            np.array(times, dtype=np.int64),
            np.array(values, dtype=np.float64).reshape(-1, self._task.action_dim),
        )

    def _dated(self) -> list[tuple[int, list[Point]]]:
        """Each command message's time, and what it says."""
        clock = np.array(self._clock, dtype=np.int64).reshape(-1, 2)
        unstamped = [stamp == 0 for _, stamp, _ in self._told]
        if not any(unstamped) or not len(clock) or _agree(clock):
            return [(stamp or log_time, points) for log_time, stamp, points in self._told]
        if not all(unstamped):
            log.warning(
                '%d commands have no stamp, and are left out: their recording times are of '
                'another clock than the stamps of the joint states',
                sum(unstamped),
            )
            return [(stamp, points) for _, stamp, points in self._told if stamp]
        to_stamp = _fit(clock, self._task.control_period)
        return [(to_stamp(log_time), points) for log_time, _, points in self._told]

    def _layout(self, topic: str, names: Sequence[str]) -> list[tuple[_Joint, int]]:
        """The wanted joints in a message, and their places; mostly as in the topic's last one."""
        known = self._layouts.get(topic)
        if known is not None and known[0] == names:
            return known[1]
        if len(set(names)) != len(names):
            raise ValueError(f'it names a joint twice: {", ".join(names)}')
        self.joints_seen.update(names)
        layout = [
            (self._joints[name], place) for place, name in enumerate(names) if name in self._joints
        ]
        self._layouts[topic] = list(names), layout
        return layout


def header_time(message: Any) -> int:
    """The stamp in a message's header [ns]; 0: it is not set."""
    return int(message.header.stamp.sec) * 1_000_000_000 + int(message.header.stamp.nanosec)


def vector_points(values: Sequence[float], task: TaskSettings) -> list[Point]:
    """A command with one value per entry of the action, in the task's order.

    Raises:
        ValueError: if it has another length.
    """
    if len(values) != task.action_dim:
        raise ValueError(
            f"it has {len(values)} entries; 'task.action' has {task.action_dim}: "
            + ', '.join(task.action)
        )
    return [(0, list(values))]


def trajectory_points(message: Any, task: TaskSettings, field: str) -> list[Point]:
    """The points of a ``trajectory_msgs/JointTrajectory``; one without points ends the last.

    Raises:
        ValueError: if an actuated joint is missing, or the points lack the field.
    """
    names = list(message.joint_names)
    missing = [joint for joint in task.action if joint not in names]
    if missing:
        raise ValueError(f'it lacks {", ".join(missing)}; it has {", ".join(names) or "no joints"}')
    places = [names.index(joint) for joint in task.action]
    points = []
    for point in message.points:
        values = getattr(point, _POINT_FIELDS[field])
        if len(values) != len(names):
            given = [f for f, name in _POINT_FIELDS.items() if len(getattr(point, name))]
            raise ValueError(
                f"a point has {len(values)} entries of {field} ('data.trajectory_field') for "
                f'{len(names)} joints; it has {", ".join(given) or "nothing"}'
            )
        since = point.time_from_start
        offset = int(since.sec) * 1_000_000_000 + int(since.nanosec)
        points.append((offset, [values[place] for place in places]))
    return points or [(0, [np.nan] * task.action_dim)]


READERS: Mapping[str, Callable[[Any, TaskSettings, str], tuple[int, list[Point]]]] = {
    'std_msgs/msg/Float64MultiArray': lambda m, task, _: (0, vector_points(m.data, task)),
    'trajectory_msgs/msg/JointTrajectory': lambda m, task, field: (
        header_time(m),
        trajectory_points(m, task, field),
    ),
    'mbrl_msgs/msg/Command': lambda m, task, _: (header_time(m), vector_points(m.action, task)),
}
"""Types that commands may have, and what makes stamp and points of such a message."""


def _agree(clock: np.ndarray) -> bool:
    """Whether recording times and stamps [N, 2] are of one clock."""
    return bool(np.median(np.abs(clock[:, 0] - clock[:, 1])) <= _SAME_CLOCK * 1e9)


def _fit(clock: np.ndarray, period: float) -> Callable[[int], int]:
    """The straight line from recording times to stamps."""
    zero = clock[0]
    recorded, stamped = ((clock - zero) * 1e-9).T
    rate, shift = np.polyfit(recorded, stamped, 1) if len(clock) > 1 else (1.0, 0.0)
    scatter = float(np.sqrt(np.mean((rate * recorded + shift - stamped) ** 2)))
    if abs(rate - 1.0) > 0.01 or scatter > period:
        raise ValueError(
            'the commands have no stamps, and their recording times are of another clock than the '
            f"joint states' stamps, which runs {rate:.3g} times as fast (scatter {scatter:.2g} s); "
            'record commands with stamps, mbrl_msgs/Command for instance'
        )
    log.info('commands are dated by the clock of the joint states, %.3f s away', shift)
    return lambda log_time: (
        int(zero[1]) + round((rate * (log_time - int(zero[0])) * 1e-9 + shift) * 1e9)
    )
