"""The learning curve of a task: all recipes that were run, and the published figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mbrl_bringup.bench.measures import MEASURES, spans
from mbrl_bringup.bench.published import Figure, figures_of
from mbrl_bringup.bench.table import Runs, named

_MARKERS = 's^Dvp*'


def draw(path: Path, task: str, runs: Runs) -> None:
    """Write the picture of :func:`figure` as a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure(task, runs).savefig(path)


def figure(task: str, runs: Runs) -> Any:
    """The curves, as matplotlib's figure: medians, and the range over the seeds.

    There is an axis for each measure that a figure of the task was published of, and at least one
    for single episodes. A figure reached within about as many steps as ours is a point; of a method
    whose figures all came later, the first one is a dashed line.

    Args:
        task: whose.
        runs: rows by task and recipe; other tasks' are passed over.
    """
    from matplotlib.figure import Figure as Canvas

    own = {recipe: rows for (of, recipe), rows in sorted(runs.items()) if of == task}
    last = max((row.environment_steps for rows in own.values() for row in rows), default=1)
    measures = [
        measure
        for measure in MEASURES
        if measure == 'episode' or any(each.measure == measure for each in figures_of(task))
    ]
    canvas = Canvas(figsize=(5.8 * len(measures), 4.6), dpi=130, layout='constrained')
    axes = canvas.subplots(1, len(measures), squeeze=False)[0]
    for axis, measure in zip(axes, measures):
        for index, (recipe, rows) in enumerate(own.items()):
            points = spans(rows, measure)
            if points:
                steps, low, middle, high = zip(*points)
                seeds = len({row.seed for row in rows})
                colour = f'C{index}'
                label = f'{named(recipe, rows)}, {seeds} seed{"s" * (seeds > 1)}'
                axis.plot(steps, middle, 'o-', color=colour, label=label, markersize=3)
                axis.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)
        draw_published(axis, [f for f in figures_of(task) if f.measure == measure], last)
        axis.set(xlabel='environment steps', ylabel=_gain_name(own), title=MEASURES[measure])
        axis.set_xlim(0, last * 1.05)
        axis.grid(alpha=0.25)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize='small')
    canvas.suptitle(task)
    return canvas


def _gain_name(own: Any) -> str:
    paid = any(row.score == row.score for rows in own.values() for row in rows)
    return "environment's own score" if paid else 'return'


def draw_published(axis: Any, figures: list[Figure], last: int) -> None:
    """Draw published figures of one measure, beside a run of ``last`` environment steps."""
    series: dict[tuple[str, str], list[Figure]] = {}
    for one in sorted(figures, key=lambda each: each.steps):
        series.setdefault((one.method, one.source.title), []).append(one)
    for index, ((method, _), found) in enumerate(series.items()):
        grey = str(0.25 + 0.4 * index / max(len(series) - 1, 1))
        note = ' (not the same environment)' if found[0].differs else ''
        near = [one for one in found if one.steps <= last * 1.05]
        if near:
            axis.plot(
                [one.steps for one in near],
                [one.value for one in near],
                linestyle=':',
                marker=_MARKERS[index % len(_MARKERS)],
                color=grey,
                label=f'{method}, published{note}',
            )
        else:
            axis.axhline(
                found[0].value,
                linestyle='--',
                color=grey,
                label=f'{method}, published, after {found[0].steps:,} steps{note}',
            )
