"""What a graph says of itself, kept in the run folder: late plans, clamps, refusals, trainings.

``controller_status`` comes once a second and at each episode's end; a row of ``status.csv`` is one
of its messages. ``trainings.csv`` has a row for each training that ended.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mbrl_bringup import csv_table

STATES = (
    'INACTIVE',
    'READY',
    'RUNNING',
    'WAITING_FOR_MODEL',
    'WAITING_FOR_STATE',
    'WAITING_FOR_PLANNER',
)
"""Of an ``mbrl_msgs/ControllerStatus``, by number."""


@dataclasses.dataclass(frozen=True)
class StatusRow:
    """One ``mbrl_msgs/ControllerStatus``; counts since the controller started, times in seconds."""

    stamp: float
    """ROS time."""
    state: str
    """One of ``STATES``."""
    episode: int
    step: int
    episode_return: float
    model_version: int
    control_rate: float
    real_time_factor: float
    plan_time_p50: float
    plan_time_p95: float
    late_plans: int
    late_steps: int
    steps_lost: int
    clamped_actions: int
    refused_states: int
    transitions_lost: int
    surprise: float
    predicted_return: float
    received_return: float
    model_error: float
    mode: str
    text: str

    @classmethod
    def from_message(cls, message: Any) -> StatusRow:
        """From the message, or from what a bag has of it; a field that it lacks is 0, NaN or ''."""
        defaults: dict[str, Any] = {'int': 0, 'float': math.nan, 'str': ''}
        values = {
            field.name: getattr(message, field.name, defaults[str(field.type)])
            for field in dataclasses.fields(cls)
        }
        state = int(values['state'])
        values['state'] = STATES[state] if 0 <= state < len(STATES) else str(state)
        values['text'] = _one_line(values['text'])
        values['stamp'] = message.stamp.sec + message.stamp.nanosec * 1e-9
        return cls(**values)


@dataclasses.dataclass(frozen=True)
class TrainingRow:
    """One training that ended, as an ``mbrl_msgs/TrainingStatus`` has it."""

    job_id: int
    failed: bool
    model_version: int
    """Of the model in use after it."""
    dataset_size: int
    """Transitions there were when this was said."""
    episodes: int
    transitions_lost: int
    transitions_refused: int
    write_errors: int
    train_loss: float
    holdout_error: float
    training_time: float
    text: str

    @classmethod
    def from_message(cls, message: Any) -> TrainingRow:
        """From the message."""
        names = {field.name for field in dataclasses.fields(cls)} - {'failed', 'text'}
        return cls(
            failed=message.state == message.FAILED,
            text=_one_line(message.text),
            **{name: getattr(message, name) for name in names},
        )


class StatusLog:
    """Both files. A disk that is full or a file of another kind is said once, and ends nothing."""

    def __init__(self, status: Path, trainings: Path, note: Callable[[str], object]) -> None:
        """
        Args:
            status, trainings: the files; they are gone on with.
            note: says something to a person.
        """
        self._status = status
        self._trainings = trainings
        self._note = note
        self._closed: set[Path] = set()
        self._last_job = self._last_version = 0
        for path in (status, trainings):
            self._mend(path)

    def controller(self, message: Any) -> None:
        """A ControllerStatus has come."""
        self._append(self._status, StatusRow.from_message(message))

    def training(self, message: Any) -> None:
        """A TrainingStatus has come."""
        job = message.job_id
        if message.state == message.TRAINING:
            job -= 1  # of which is told again: it may have ended a moment ago, without being heard
            if message.model_version <= self._last_version:
                return
        if job > 0 and (job, message.model_version) != (self._last_job, self._last_version):
            row = TrainingRow.from_message(message)
            self._append(self._trainings, dataclasses.replace(row, job_id=job))
            self._last_job, self._last_version = job, message.model_version

    def _append(self, path: Path, row: Any) -> None:
        if path in self._closed:
            return
        try:
            csv_table.append(path, row, sync=False)
        except OSError as error:
            self._closed.add(path)
            self._note(f'{path.name} ends here: {error}')

    def _mend(self, path: Path) -> None:
        """Drop a last line whose write was cut off, so that the next one is a line of its own."""
        try:
            data = path.read_bytes()
            if not data.endswith(b'\n'):
                path.write_bytes(data[: data.rfind(b'\n') + 1])
                if not path.stat().st_size:
                    path.unlink()
        except FileNotFoundError:
            pass
        except OSError as error:
            self._closed.add(path)
            self._note(f'{path.name} is not gone on with: {error}')


def _one_line(text: str) -> str:
    return ' '.join(text.split())
