"""The state vector from the robot's own messages, matched by name; anything doubtful is refused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mbrl_common.task import FIELDS, TaskSettings


class StateError(ValueError):
    """A message that no state can be made of; the text says what and what would be right."""


def check_stamp(sec: int, nanosec: int) -> int:
    """A message's stamp in nanoseconds; raises StateError if it is none."""
    if sec < 0 or nanosec >= 1_000_000_000:
        raise StateError(
            f'stamp is {sec} s and {nanosec} ns; it must not be negative, and ns below 1000000000'
        )
    return sec * 1_000_000_000 + nanosec


class StateAssembler:
    """Makes the task's state vector from named joint values, in whatever order they come."""

    def __init__(self, task: TaskSettings) -> None:
        self._task = task
        self._wanted = [
            (joint, FIELDS.index(field), entry)
            for entry in task.state
            for joint, _, field in [entry.rpartition('.')]
        ]
        self._joints = {joint for joint, _, _ in self._wanted}
        self._names: tuple[str, ...] | None = None  # of the last message; rarely changes
        self._places: list[tuple[int, int, str]] = []

    def from_joints(
        self,
        names: Sequence[str],
        position: Sequence[float],
        velocity: Sequence[float],
        effort: Sequence[float],
    ) -> np.ndarray:
        """State of shape [state_dim] from the fields of a ``sensor_msgs/JointState``.

        Joints that the task does not name are ignored.

        Raises:
            StateError: if a joint is missing or named twice, a field has another length than the
                names, or a value is not finite.
        """
        if tuple(names) != self._names:
            self._places = self._locate(names)
            self._names = tuple(names)
        fields = (position, velocity, effort)
        for label, values in zip(FIELDS, fields):
            if len(values) not in (0, len(names)):
                raise StateError(
                    f'joint state has {len(names)} names and {len(values)} entries of {label}; '
                    f'{label} must have {len(names)} entries or none'
                )
        state = np.empty(len(self._wanted))
        for index, (place, field, entry) in enumerate(self._places):
            if not fields[field]:
                raise StateError(f"joint state has no {FIELDS[field]}; the task needs '{entry}'")
            state[index] = fields[field][place]
        return self._finite(state)

    def from_vector(self, values: Sequence[float]) -> np.ndarray:
        """State from a whole vector in the task's order, as in ``mbrl_msgs/Observation``.

        Raises:
            StateError: if its length is wrong or a value is not finite.
        """
        if len(values) != self._task.state_dim:
            raise StateError(
                f'observation has {len(values)} entries; the task has {self._task.state_dim}: '
                + ', '.join(self._task.state)
            )
        return self._finite(np.array(values, dtype=np.float64))

    def _locate(self, names: Sequence[str]) -> list[tuple[int, int, str]]:
        places = {name: index for index, name in enumerate(names)}
        if len(places) != len(names):
            raise StateError(f'joint state names a joint twice: {", ".join(names)}')
        missing = sorted(self._joints - places.keys())
        if missing:
            raise StateError(
                f'joint state lacks {", ".join(missing)}; it has {", ".join(names) or "no joints"}'
            )
        return [(places[joint], field, entry) for joint, field, entry in self._wanted]

    def _finite(self, state: np.ndarray) -> np.ndarray:
        finite = np.isfinite(state)
        if not finite.all():
            entry = self._task.state[int(np.argmin(finite))]
            raise StateError(f"'{entry}' is {state[int(np.argmin(finite))]}; it must be finite")
        return state
