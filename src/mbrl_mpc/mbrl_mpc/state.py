"""The state vector from the robot's own messages, matched by name; anything doubtful is refused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mbrl_common.task import FIELDS, TaskSettings, split_entry


class StateError(ValueError):
    """A message that no state can be made of; the text says what and what would be right."""


def check_stamp(sec: int, nanosec: int) -> int:
    """A message's stamp in nanoseconds; raises StateError if it is none."""
    if sec < 0 or nanosec >= 1_000_000_000:
        raise StateError(
            f'stamp is {sec} s and {nanosec} ns; it must not be negative, and ns below 1000000000'
        )
    return sec * 1_000_000_000 + nanosec


def check_names(names: Sequence[str]) -> None:
    """Raises StateError if a joint state names a joint twice."""
    if len(set(names)) != len(names):
        raise StateError(f'joint state names a joint twice: {", ".join(names)}')


def check_lengths(
    names: Sequence[str],
    position: Sequence[float],
    velocity: Sequence[float],
    effort: Sequence[float],
) -> None:
    """Raises StateError if a field of a joint state has entries, and not one for each name."""
    for label, values in zip(FIELDS, (position, velocity, effort)):
        if len(values) not in (0, len(names)):
            raise StateError(
                f'joint state has {len(names)} names and {len(values)} entries of {label}; '
                f'{label} must have {len(names)} entries or none'
            )


class StateAssembler:
    """Makes the task's state vector from one message that holds all of it, as a simulation sends.

    Joints come in whatever order. See ``state_sources`` for a robot with several senders.
    """

    def __init__(self, task: TaskSettings) -> None:
        self._task = task
        self._wanted = [
            (joint, FIELDS.index(field), entry)
            for entry in task.state
            for joint, field in [split_entry(entry)]
            if field in FIELDS
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
                names, a value is not finite, or the state is not of joints alone.
        """
        if len(self._wanted) < self._task.state_dim:
            raise StateError(
                f'the task needs {", ".join(self._task.body_entries)} of a free body, which no '
                'joint state has'
            )
        if tuple(names) != self._names:
            self._places = self._locate(names)
            self._names = tuple(names)
        fields = (position, velocity, effort)
        check_lengths(names, position, velocity, effort)
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
        check_names(names)
        places = {name: index for index, name in enumerate(names)}
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
