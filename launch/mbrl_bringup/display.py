"""What ``mbrl`` prints: steps, a table that grows by a row per trial, and a line for the trial."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
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

Tables = Iterable[tuple[Iterable[str], Iterable[Iterable[str]]]]
"""Columns and rows of each."""


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
        self.console.print(_table(columns, rows))

    @contextlib.contextmanager
    def live(self) -> Iterator[Callable[[Tables], None]]:
        """Hands out what shows tables in place of those before; without a terminal, below them."""
        if not self.console.is_terminal:
            yield lambda tables: self.console.print(*(_table(*table) for table in tables), sep='')
            return
        with Live(console=self.console, auto_refresh=False) as live:
            yield lambda tables: live.update(
                Group(*(_table(*table) for table in tables)), refresh=True
            )

    @contextlib.contextmanager
    def bar(self, doing: str, unit: str) -> Iterator[Callable[[int, int], None]]:
        """A bar for work whose amount is known; shown only where there is a terminal to redraw.

        Yields:
            A function to be called with how many units are done, and of how many.
        """
        with Progress(
            TextColumn('{task.description}'),
            BarColumn(bar_width=24),
            TextColumn(f'{{task.completed:.0f}}/{{task.total:.0f}} {unit}'),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        ) as progress:
            bar = progress.add_task(doing, total=1)
            yield lambda done, total: progress.update(bar, completed=done, total=total)

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


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> Table:
    table = Table(box=None, header_style='bold', pad_edge=False)
    for column in columns:
        table.add_column(column, overflow='fold')
    for row in rows:
        table.add_row(*row)
    return table


def _number(value: float, form: str) -> str:
    return '-' if math.isnan(value) else format(value, form)
