"""How ``mbrl bench`` shows how far it is, and how long it will take."""

from __future__ import annotations

import math

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from mbrl_bringup.bench.measures import number
from mbrl_bringup.bench.rows import Row
from mbrl_bringup.bench.runs import Bench, time_left
from mbrl_bringup.display import Terminal
from mbrl_mpc.pilot import EpisodeRecord

_COLUMNS = (
    ('seed', 4),
    ('episode', 7),
    ('kind', 7),
    ('steps', 7),
    ('return', 9),
    ('score', 9),
    ('model error', 11),
    ('plan [ms]', 9),
    ('wall [s]', 8),
    ('left', 9),
)


class BenchDisplay:
    """A line for each episode; on a terminal also one for the episode that goes on."""

    def __init__(self, terminal: Terminal, bench: Bench, rows: list[Row], max_steps: int) -> None:
        """
        Args:
            terminal: to print on.
            bench: what is to be run.
            rows: that are there already.
            max_steps: of an episode.
        """
        self._terminal = terminal
        self._bench = bench
        self._max_steps = max_steps
        wanted = {(s, e) for s in range(bench.seeds) for e in range(bench.episodes)}
        self._missing = wanted - {row.key for row in rows}
        self._rows: list[Row] = []
        self._seed = 0
        self._progress = Progress(
            TextColumn('{task.description}'),
            BarColumn(bar_width=24),
            TextColumn('{task.completed:.0f}/{task.total:.0f} steps{task.fields[left]}'),
            TimeElapsedColumn(),
            console=terminal.console,
            transient=True,
            disable=not terminal.console.is_terminal,
        )

    def __enter__(self) -> BenchDisplay:
        head = ' '.join(f'{name:>{width}}' for name, width in _COLUMNS)
        self._terminal.console.print(head, style='bold', markup=False)
        self._progress.start()
        self._bar = self._progress.add_task('', total=self._max_steps, left='')
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def note(self, text: str) -> None:
        """Something is to be said."""
        self._terminal.note(text)

    def begin(self, seed: int) -> None:
        """A seed's run begins, or goes on."""
        self._seed = seed

    def step(self, record: EpisodeRecord) -> None:
        """An episode goes on."""
        left = time_left(self._rows, self._steps_missing(record))
        self._progress.update(
            self._bar,
            description=f'seed {self._seed}, episode {record.episode} of {self._bench.episodes}',
            completed=record.steps,
            left='' if math.isnan(left) else f', {duration(left)} left',
        )

    def row(self, row: Row) -> None:
        """An episode has ended."""
        self._rows.append(row)
        self._missing.discard(row.key)
        values = (
            str(row.seed),
            str(row.episode),
            row.kind,
            str(row.environment_steps),
            number(row.episode_return),
            number(row.score),
            '-' if math.isnan(row.model_error) else f'{row.model_error:.3f}',
            '-' if math.isnan(row.plan_time_p50) else f'{row.plan_time_p50 * 1e3:.1f}',
            f'{row.wall_time:.1f}',
            duration(time_left(self._rows, len(self._missing) * self._max_steps)),
        )
        line = ' '.join(f'{value:>{width}}' for value, (_, width) in zip(values, _COLUMNS))
        self._terminal.console.print(line, markup=False)

    def _steps_missing(self, record: EpisodeRecord) -> int:
        """Control steps that are still to come, if every episode takes as many as it may."""
        key = (self._seed, record.episode)
        others = len(self._missing - {key}) * self._max_steps
        return others + max(self._max_steps - record.steps, 0)


def duration(seconds: float) -> str:
    """A time that nobody needs to the second."""
    if math.isnan(seconds):
        return '-'
    if seconds < 90:
        return f'{seconds:.0f} s'
    minutes = round(seconds / 60)
    return f'{minutes} min' if minutes < 90 else f'{minutes // 60} h {minutes % 60:02d}'
