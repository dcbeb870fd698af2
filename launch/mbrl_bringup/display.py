"""What ``mbrl`` prints: steps, a table that grows by a row per trial, and a line for the trial."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from mbrl_bringup.episodes import EpisodeRow

_COLUMNS = (
    ('trial', 5),
    ('kind', 7),
    ('return', 8),
    ('steps', 6),
    ('model error', 11),
    ('plan [ms]', 9),
    ('training [s]', 12),
    ('wall [s]', 8),
)


class Terminal:
    """Shows steps and trials; a trial's progress only where there is a terminal to redraw."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        self._progress: Progress | None = None
        self._max_steps = 0

    def step(self, text: str) -> None:
        """Say what is being done."""
        self.console.print(f'[bold]==>[/] {text}')

    def note(self, text: str) -> None:
        """Say something beside it."""
        self.console.print(f'    {text}', markup=False)

    def error(self, text: str) -> None:
        """Say what went wrong."""
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            f'error: {text}', markup=False, style='red'
        )

    def table(self, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
        """A small table."""
        table = Table(box=None, header_style='bold', pad_edge=False)
        for column in columns:
            table.add_column(column, overflow='fold')
        for row in rows:
            table.add_row(*row)
        self.console.print(table)

    def begin_trials(self, max_steps: int) -> None:
        """Head of the table of trials."""
        self._max_steps = max_steps
        head = ' '.join(f'{name:>{width}}' for name, width in _COLUMNS)
        self.console.print(head, style='bold', markup=False)
        if self.console.is_terminal:
            self._progress = Progress(
                TextColumn('{task.description}'),
                BarColumn(bar_width=24),
                TextColumn(
                    '{task.completed:.0f}/{task.total:.0f} steps, return {task.fields[gain]:.1f}'
                ),
                TimeElapsedColumn(),
                console=self.console,
                transient=True,
            )
            self._progress.start()

    def progress(self, summary: Any) -> None:
        """A trial goes on."""
        if self._progress is None:
            return
        if not self._progress.tasks:
            self._progress.add_task('', total=self._max_steps, gain=0.0)
        kind = 'acting at random' if summary.source == summary.SOURCE_EXPLORATION else 'planning'
        self._progress.update(
            self._progress.task_ids[0],
            description=f'trial {summary.episode}, {kind}',
            completed=summary.steps,
            gain=summary.episode_return,
        )

    def row(self, row: EpisodeRow) -> None:
        """A trial has ended."""
        values = (
            str(row.episode),
            row.kind,
            f'{row.episode_return:.1f}',
            str(row.steps),
            _number(row.model_error, '.3f'),
            _number(row.plan_time_p50 * 1e3, '.1f'),
            _number(row.training_time, '.1f'),
            _number(row.wall_time, '.1f'),
        )
        line = ' '.join(f'{value:>{width}}' for value, (_, width) in zip(values, _COLUMNS))
        self.console.print(line)
        if self._progress is not None and self._progress.tasks:
            self._progress.remove_task(self._progress.task_ids[0])

    def end_trials(self) -> None:
        """Foot of the table."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def _number(value: float, form: str) -> str:
    return '-' if math.isnan(value) else format(value, form)
