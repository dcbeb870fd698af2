"""One state from several senders: joints and bodies by name, each with a stamp of its own.

What a message says of a joint or body is kept until the next. A state is made when everything in
it is new since the last one and nothing is much older than the rest. Its stamp is that of its
oldest value. So the time between two states, from which a model learns, is that between two
measurements of the slowest sender, and a state is never taken for newer than any part of it.

What is declared slow (a longer limit in ``robot.max_ages``) is the exception: its last value is
held, no state waits for it, and it does not count for the stamp. Each of its changes then looks
like one sudden step of the robot, so this is for what hardly changes between two states.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from mbrl_common.task import BODY_FIELDS, FIELDS, TaskSettings, split_entry
from mbrl_mpc.attitude import unit_quaternion
from mbrl_mpc.robot_settings import RobotSettings
from mbrl_mpc.state import StateError, check_lengths, check_names
from mbrl_mpc.velocity import BodyVelocity, JointVelocity

_BODY_FIELDS = list(BODY_FIELDS)
_LAYOUTS = 64  # of joint states that are remembered


@dataclasses.dataclass(frozen=True)
class Assembled:
    """A state of shape [state_dim], and the stamps of its oldest and newest value [ns]."""

    state: np.ndarray
    stamp: int
    newest: int


@dataclasses.dataclass(eq=False)
class _Source:
    """A joint or body: what the state takes of it, and what was last heard."""

    name: str
    fields: list[str]
    places: list[int]  # of these fields in the state
    limit: int  # [ns]
    slow: bool
    velocity: JointVelocity | BodyVelocity | None  # where it is derived
    values: np.ndarray | None = None  # of the fields; None: not known
    stamp: int = 0  # of the values
    heard: int = -1  # stamp of the last message, which may be too little for values
    used: int = -1  # stamp in the last state
    attitude: np.ndarray | None = None

    def forget(self) -> None:
        self.values = self.attitude = None
        self.heard = self.used = -1


class StateSources:
    """Makes states of messages as they come; see above for when.

    Each ``on_...`` takes one message and returns the state that it completes, or None. It raises
    :class:`StateError` if the message is not to be believed; then nothing of it is kept.
    """

    def __init__(self, task: TaskSettings, robot: RobotSettings) -> None:
        self._task = task
        self._robot = robot
        self._sources: dict[str, _Source] = {}
        self._frames: dict[str, str] = {}
        self._others: dict[str, None] = {}  # names that came and are not in the state
        self._layouts: dict[tuple[str, ...], list[tuple[_Source, int]]] = {}
        self._joints: list[str] = []  # that the state needs
        self._set_back = round(robot.state_timeout * 1e9)
        for place, entry in enumerate(task.state):
            name, field = split_entry(entry)
            source = self._sources.setdefault(name, self._make(name))
            source.fields.append(field)
            source.places.append(place)
        for source in self._sources.values():
            source.velocity = self._derivative(source)
            if source.fields[0] in FIELDS:
                self._joints.append(source.name)

    def _make(self, name: str) -> _Source:
        limit = self._robot.age_limit(name)
        return _Source(name, [], [], round(limit * 1e9), limit > self._robot.max_age, None)

    def _derivative(self, source: _Source) -> JointVelocity | BodyVelocity | None:
        if self._robot.velocity_from != 'position':
            return None
        tau, gap = self._robot.velocity_filter, source.limit
        if 'velocity' in source.fields:
            return JointVelocity(tau, gap, f'{source.name}.position' in self._task.angles)
        if any(BODY_FIELDS.get(field, '').endswith('/s') for field in source.fields):
            return BodyVelocity(tau, gap)
        return None

    # Messages ------------------------------------------------------------------------------------

    def on_joints(
        self,
        names: Sequence[str],
        position: Sequence[float],
        velocity: Sequence[float],
        effort: Sequence[float],
        stamp: int,
    ) -> Assembled | None:
        """A ``sensor_msgs/JointState`` with some of the joints, or all; stamp in ns."""
        places = self._layout(tuple(names))
        if not places and self._joints:
            raise StateError(
                f'joint state has none of {", ".join(self._joints)}; it has '
                + (', '.join(names) or 'no joints')
            )
        check_lengths(names, position, velocity, effort)
        fields = dict(zip(FIELDS, (position, velocity, effort)))
        news = self._new([source for source, _ in places], stamp)
        read = [
            (source, place, self._read_joint(source, fields, place))
            for source, place in places
            if source in news
        ]
        for source, place, values in read:
            if isinstance(source.velocity, JointVelocity):
                rate = source.velocity.update(float(position[place]), stamp)
                if rate is None:
                    source.values, source.heard = None, stamp
                    continue
                values[source.fields.index('velocity')] = rate
            source.values, source.stamp, source.heard = values, stamp, stamp
        return self._assemble() if news else None

    def on_odometry(
        self,
        body: str,
        frame: str,
        position: Sequence[float],
        orientation: Sequence[float],
        linear: Sequence[float],
        angular: Sequence[float],
        stamp: int,
    ) -> Assembled | None:
        """A ``nav_msgs/Odometry``.

        Args:
            body: ``child_frame_id``; in this frame are the velocities (REP 105).
            frame: ``header.frame_id``; in this frame is the pose.
            position: x, y, z [m].
            orientation: x, y, z, w, as the message has it.
            linear: velocity x, y, z [m/s].
            angular: velocity x, y, z [rad/s].
            stamp: [ns].
        """
        return self._on_body(body, frame, position, orientation, (*linear, *angular), stamp)

    def on_pose(
        self,
        body: str,
        frame: str,
        position: Sequence[float],
        orientation: Sequence[float],
        stamp: int,
    ) -> Assembled | None:
        """A ``geometry_msgs/PoseStamped`` of a body; arguments as of :meth:`on_odometry`."""
        return self._on_body(body, frame, position, orientation, None, stamp)

    def _on_body(
        self,
        body: str,
        frame: str,
        position: Sequence[float],
        orientation: Sequence[float],
        twist: Sequence[float] | None,
        stamp: int,
    ) -> Assembled | None:
        source = self._sources.get(body)
        if source is None or source.fields[0] in FIELDS:
            self._remember_other(body)
            return None
        wanted = self._robot.frame or self._frames.get(body, frame)
        if frame != wanted:
            raise StateError(f'{body!r} is given in the frame {frame!r}; it must be {wanted!r}')
        where = np.array(position, dtype=np.float64)
        try:
            attitude = unit_quaternion(body, orientation, source.attitude)
        except ValueError as error:
            raise StateError(str(error)) from error
        if not self._new([source], stamp):
            return None
        rates = np.full(6, np.nan) if twist is None else np.array(twist, dtype=np.float64)
        derived = source.velocity is not None
        values = np.concatenate([where, attitude, np.zeros(6) if derived else rates])
        chosen = [_BODY_FIELDS.index(field) for field in source.fields]
        self._check_finite(source, values[chosen])
        if derived and not np.isfinite(where).all():
            raise StateError(f'the position of {body!r} is {where.tolist()}; it must be finite')
        self._frames[body] = wanted
        source.attitude, source.heard = attitude, stamp
        if isinstance(source.velocity, BodyVelocity):
            found = source.velocity.update(where, attitude, stamp)
            if found is None:
                source.values = None
                return None
            values[7:] = found
        source.values, source.stamp = values[chosen], stamp
        return self._assemble()

    # The whole -----------------------------------------------------------------------------------

    def reset(self) -> None:
        """Forget all values, as after a clock was set back; what is expected of whom stays."""
        for source in self._sources.values():
            source.forget()
            source.velocity = self._derivative(source)

    def incomplete(self) -> str:
        """Why there is no state, for people; empty if all values are known and fresh."""
        missing = sorted(s.name for s in self._sources.values() if s.values is None)
        if missing:
            others = f'; others came: {", ".join(self._others)}' if self._others else ''
            return f'no values yet of {", ".join(missing)}{others}'
        newest = max(self._sources.values(), key=lambda source: source.stamp)
        late = [
            f'{s.name} is {(newest.stamp - s.stamp) * 1e-9:.3f} s older than {newest.name} '
            f'(limit {s.limit * 1e-9:g} s)'
            for s in self._sources.values()
            if newest.stamp - s.stamp > s.limit
        ]
        return '; '.join(late)

    def _assemble(self) -> Assembled | None:
        sources = self._sources.values()
        if any(s.values is None for s in sources):
            return None
        newest = max(s.stamp for s in sources)
        if any(newest - s.stamp > s.limit for s in sources):
            return None
        waited_for = [s for s in sources if not s.slow]
        if any(s.stamp <= s.used for s in waited_for):
            return None
        state = np.empty(self._task.state_dim)
        for source in sources:
            state[source.places] = source.values
            source.used = source.stamp
        return Assembled(state, min(s.stamp for s in waited_for), newest)

    def _new(self, sources: list[_Source], stamp: int) -> list[_Source]:
        """Those of which this stamp is news."""
        late = [s for s in sources if stamp < s.heard]
        if late:
            behind = late[0].heard - stamp
            if behind > self._set_back:  # the sender's clock was set back; begin anew
                self.reset()
                return sources
            if len(late) == len(sources):
                raise StateError(
                    f'{late[0].name}: the message is {behind * 1e-9:.3f} s older than the last one'
                )
        return [s for s in sources if stamp > s.heard]

    def _layout(self, names: tuple[str, ...]) -> list[tuple[_Source, int]]:
        """The wanted joints of a message, and their places."""
        known = self._layouts.get(names)
        if known is None:
            check_names(names)
            known = []
            for place, name in enumerate(names):
                source = self._sources.get(name)
                if source is not None and source.fields[0] in FIELDS:
                    known.append((source, place))
                else:
                    self._remember_other(name)
            if len(self._layouts) >= _LAYOUTS:
                self._layouts.clear()
            self._layouts[names] = known
        return known

    def _read_joint(
        self, source: _Source, fields: dict[str, Sequence[float]], place: int
    ) -> np.ndarray:
        values = np.zeros(len(source.fields))
        derived = source.velocity is not None
        needed = {*source.fields} - {'velocity'} | {'position'} if derived else {*source.fields}
        for field in needed:
            if not len(fields[field]):
                why = ' (for its velocity)' if field not in source.fields else ''
                raise StateError(
                    f"joint state has no {field}; the task needs '{source.name}.{field}'{why}"
                )
            if not np.isfinite(fields[field][place]):
                raise StateError(
                    f"'{source.name}.{field}' is {fields[field][place]}; it must be finite"
                )
            if field in source.fields:
                values[source.fields.index(field)] = fields[field][place]
        return values

    def _check_finite(self, source: _Source, values: np.ndarray) -> None:
        for field, value in zip(source.fields, values):
            if not np.isfinite(value):
                raise StateError(f"'{source.name}.{field}' is {value}; it must be finite")

    def _remember_other(self, name: str) -> None:
        if len(self._others) < 20:
            self._others[name] = None
