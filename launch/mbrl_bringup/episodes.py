"""The episodes of a run as a CSV file: one row each, on disk as soon as the episode has ended."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mbrl_bringup import csv_table


@dataclasses.dataclass(frozen=True)
class EpisodeRow:
    """One episode; times in seconds, errors relative to predicting no change."""

    episode: int
    kind: str
    """``random`` or ``planned``."""
    steps: int
    total_steps: int
    """Control steps of the run up to its end, those of trials that were cut off included."""
    episode_return: float
    terminated: bool
    truncated: bool
    model_version: int
    model_error: float
    """One-step prediction error within the episode."""
    holdout_error: float
    """One-step prediction error on held-out data, of the newest model after the episode."""
    plan_time_p50: float
    plan_time_p95: float
    model_steps_per_action: int
    training_time: float
    wall_time: float

    @classmethod
    def from_summary(cls, summary: Any, steps_before: int) -> EpisodeRow:
        """From an ``mbrl_msgs/EpisodeSummary``; ``steps_before`` are the run's until then."""
        names = {field.name for field in dataclasses.fields(cls)} - {'kind', 'total_steps'}
        return cls(
            kind='random' if summary.source == summary.SOURCE_EXPLORATION else 'planned',
            total_steps=steps_before + summary.steps,
            **{name: getattr(summary, name) for name in names},
        )


class EpisodeLog:
    """The file, and its rows."""

    def __init__(self, path: Path) -> None:
        """Go on with the file if there is one.

        Raises:
            SettingsError: if it is not such a file.
        """
        self.path = path
        self.rows: list[EpisodeRow] = []
        if path.exists():
            self.rows = csv_table.read(path, EpisodeRow)
            if not path.read_text().endswith('\n'):  # the write of the last row was cut off
                path.unlink()
                rows, self.rows = self.rows, []
                for row in rows:
                    self.append(row)

    @property
    def total_steps(self) -> int:
        """Control steps of all episodes."""
        return self.rows[-1].total_steps if self.rows else 0

    def append(self, row: EpisodeRow) -> None:
        """Write a row, down to the disk."""
        csv_table.append(self.path, row)
        self.rows.append(row)

    def best(self) -> EpisodeRow | None:
        """The episode with the highest return, of the planned ones if there are any."""
        return best_of(self.rows)


def best_of(rows: Sequence[EpisodeRow]) -> EpisodeRow | None:
    """The episode with the highest return, of the planned ones if there are any."""
    planned = [row for row in rows if row.kind == 'planned'] or rows
    return max(planned, key=lambda row: row.episode_return, default=None)
