"""The task as every node knows it: names, units and bounds of state and action, and the period."""

from __future__ import annotations

import dataclasses

import numpy as np

from mbrl_common.settings import SettingsError, setting

FIELDS = ('position', 'velocity', 'effort')
"""What the state can have of a joint, as in ``sensor_msgs/JointState``."""
BODY_FIELDS = {
    **dict.fromkeys(('x', 'y', 'z'), 'm'),
    **dict.fromkeys(('qw', 'qx', 'qy', 'qz'), '1'),
    **dict.fromkeys(('vx', 'vy', 'vz'), 'm/s'),
    **dict.fromkeys(('wx', 'wy', 'wz'), 'rad/s'),
}
"""What it can have of a free body, as in ``nav_msgs/Odometry``, with units: position and attitude
(a unit quaternion) in the fixed frame, velocities in the body's own (REP 105, REP 103)."""


def split_entry(entry: str) -> tuple[str, str]:
    """The joint or body of an entry of the state, and the field."""
    owner, _, field = entry.rpartition('.')
    return owner, field


@dataclasses.dataclass(frozen=True)
class TaskSettings:
    """What a task's parameter file says once, for all nodes (section ``task``).

    ``state`` names the entries of the state vector: ``<joint>.<field>`` with ``FIELDS``, and of a
    free body ``<body>.<field>`` with ``BODY_FIELDS``; ``action`` names the actuated joints. In SI
    units (REP 103).
    """

    name: str = setting('name of the task')
    state: tuple[str, ...] = setting(
        'entries of the state, as <joint>.<position, velocity or effort>, or of a free body '
        '<body>.<x, y, z, qw to qz, vx to vz, or wx to wz>'
    )
    action: tuple[str, ...] = setting('actuated joints, in the order of the action')
    action_low: tuple[float, ...] = setting("lower bounds of the action [the actuators' units]")
    action_high: tuple[float, ...] = setting("upper bounds of the action [the actuators' units]")
    control_period: float = setting('time between two actions [s]', ge=1e-4, le=10.0)
    max_steps: int = setting('control steps of an episode', ge=1, le=1_000_000)
    angles: tuple[str, ...] = setting('entries of the state that are angles without limits', ())

    def __post_init__(self) -> None:
        problems = []
        if not self.state:
            problems.append("parameter 'task.state' is empty; it must name at least one entry")
        if not self.action:
            problems.append("parameter 'task.action' is empty; it must name at least one joint")
        for name in self.state:
            owner, field = split_entry(name)
            if not owner or field not in FIELDS and field not in BODY_FIELDS:
                problems.append(
                    f"parameter 'task.state' has {name!r}; an entry must be <joint>.<field> with "
                    f'field one of {", ".join(FIELDS)}, or <body>.<field> with field one of '
                    f'{", ".join(BODY_FIELDS)}'
                )
        both = {split_entry(name)[0] for name in self.body_entries} & {
            owner for owner, field in map(split_entry, self.state) if field in FIELDS
        }
        problems += [
            f"parameter 'task.state' has {name!r} both as a joint and as a body"
            for name in sorted(both)
        ]
        for label, names in (('state', self.state), ('action', self.action)):
            if len(set(names)) != len(names):
                problems.append(f"parameter 'task.{label}' names an entry twice: {list(names)}")
        for name in self.angles:
            if name not in self.state:
                problems.append(f"parameter 'task.angles' has {name!r}, which 'task.state' lacks")
            elif name in self.body_entries:
                problems.append(
                    f"parameter 'task.angles' has {name!r}; nothing of a body is an angle, its "
                    'attitude is a quaternion'
                )
        if not len(self.action_low) == len(self.action_high) == len(self.action):
            problems.append(
                f"'task.action_low' and 'task.action_high' have {len(self.action_low)} and "
                f"{len(self.action_high)} entries; 'task.action' has {len(self.action)}"
            )
        elif not np.isfinite([*self.action_low, *self.action_high]).all():
            problems.append("'task.action_low' and 'task.action_high' must be finite")
        elif not all(low < high for low, high in zip(self.action_low, self.action_high)):
            problems.append("'task.action_low' must be below 'task.action_high' in every entry")
        if problems:
            raise SettingsError(problems)

    @property
    def state_dim(self) -> int:
        """Length of the state vector."""
        return len(self.state)

    @property
    def action_dim(self) -> int:
        """Length of the action vector."""
        return len(self.action)

    @property
    def body_entries(self) -> tuple[str, ...]:
        """The entries of the state that are of free bodies; the others are of joints."""
        return tuple(name for name in self.state if split_entry(name)[1] in BODY_FIELDS)

    @property
    def angle_indices(self) -> tuple[int, ...]:
        """Indices of the state's entries that are angles."""
        return tuple(self.state.index(name) for name in self.angles)

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper bound of the action, float64, each of shape [action_dim]."""
        return np.array(self.action_low), np.array(self.action_high)
