"""What is known of a run: everything that a page can be about, each part of it there or not."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mbrl_bringup.episodes import EpisodeRow
from mbrl_bringup.status_log import StatusRow, TrainingRow
from mbrl_dynamics.evaluation import Evaluation
from mbrl_dynamics.transitions import Transitions

Say = Callable[[str], None]
"""Takes what is being done, for whoever waits."""


@dataclasses.dataclass(frozen=True)
class Options:
    """What is given beside the runs.

    Attributes:
        params_file: of runs that have none of their own; None: none.
        model: to be measured on runs that have none; None: none.
    """

    params_file: Path | None = None
    model: Path | None = None


@dataclasses.dataclass(frozen=True)
class LogLine:
    """A warning or an error of a node, and how often it came (numbers in it may differ)."""

    level: str
    node: str
    text: str
    count: int


@dataclasses.dataclass(frozen=True)
class ModelVersion:
    """A model that was trained; errors relative to those of 'nothing changes', NaN: not known.

    Attributes:
        version, dataset_size: of the model; what it was trained on.
        holdout_error: one step ahead, on held-out data.
        training_time: in seconds.
        longest: steps ahead of
        longest_error: the error there.
        coverage_90: share of the truth within one-step intervals of 90 %.
    """

    version: int
    dataset_size: int
    holdout_error: float = math.nan
    training_time: float = math.nan
    longest: int = 0
    longest_error: float = math.nan
    coverage_90: float = math.nan


@dataclasses.dataclass
class Run:
    """All of it. What could not be read is in ``problems``, what is missing in ``notes``."""

    path: Path
    name: str
    task: str = ''
    seed: int | None = None
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    settings_text: str = ''
    """The parameter file, as it is."""
    settings: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    """By node, with dotted names; what the command line said included."""
    target_return: float = math.nan
    period: float = math.nan
    """Of control [s]."""
    state: tuple[str, ...] = ()
    action: tuple[str, ...] = ()
    episodes: list[EpisodeRow] = dataclasses.field(default_factory=list)
    from_bags: bool = False
    """The episodes are what bags have: returns and lengths, nothing else."""
    status: list[StatusRow] = dataclasses.field(default_factory=list)
    trainings: list[TrainingRow] = dataclasses.field(default_factory=list)
    models: list[ModelVersion] = dataclasses.field(default_factory=list)
    evaluation: Evaluation | None = None
    transitions: Transitions | None = None
    picture: bytes = b''
    """A GIF of the best episode; empty: none."""
    log: list[LogLine] = dataclasses.field(default_factory=list)
    problems: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)

    @property
    def best(self) -> EpisodeRow | None:
        """The episode with the highest return, of the planned ones if there are any."""
        known = [row for row in self.episodes if not math.isnan(row.episode_return)]
        planned = [row for row in known if row.kind != 'random'] or known
        return max(planned, key=lambda row: row.episode_return, default=None)

    @property
    def solved(self) -> EpisodeRow | None:
        """The first planned episode that reached the target; None: none, or there is no target."""
        for row in self.episodes:
            if row.kind != 'random' and row.episode_return >= self.target_return:
                return row
        return None

    @property
    def steps(self) -> int:
        """Control steps of all episodes."""
        return self.episodes[-1].total_steps if self.episodes else 0


class GivenWrongly(ValueError):
    """What was given is no run; the text says what would be right."""


def median(values: Sequence[float]) -> float:
    """Of those that are known; NaN if none is."""
    import statistics

    known = [value for value in values if not math.isnan(value)]
    return float(statistics.median(known)) if known else math.nan
