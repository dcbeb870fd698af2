"""The drawings of one run, as matplotlib figures; small enough to be read on a phone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from mbrl_bringup.bench.curve import draw_published
from mbrl_bringup.bench.published import figures_of
from mbrl_bringup.episodes import EpisodeRow
from mbrl_bringup.report import faults
from mbrl_bringup.report.run import ModelVersion, Run
from mbrl_bringup.status_log import StatusRow

MEASURES = ('episode', 'best_so_far')
"""Of published figures that can stand beside single episodes."""
_KINDS = {'random': ('0.6', 's'), 'planned': ('C0', 'o'), 'recorded': ('C0', 'o')}


def new_figure(height: float = 3.2) -> tuple[Any, Any]:
    """A figure with one field."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8, height), layout='constrained')
    axes = figure.add_subplot()
    axes.grid(alpha=0.25)
    return figure, axes


def legend(figure: Any, axes: Any, columns: int = 2) -> None:
    """Below the field, where it hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        figure.legend(
            handles,
            [_short(label) for label in labels],
            loc='outside lower center',
            ncols=1 if max(map(len, labels)) > 26 else columns,
            fontsize='small',
            frameon=False,
        )


def draw_learning_curve(run: Run) -> Any:
    """Return over control steps: each episode, the best so far, the target, what is published."""
    figure, axes = new_figure(3.6)
    rows = run.episodes
    steps, returns = [row.total_steps for row in rows], [row.episode_return for row in rows]
    axes.plot(steps, returns, '-', color='C0', linewidth=1, alpha=0.5)
    _by_kind(axes, rows, steps, returns)
    published = [each for each in figures_of(run.task) if each.measure in MEASURES]
    if len(rows) > 2 or published:
        best = list(accumulate(returns, lambda a, b: b if math.isnan(a) else max(a, b)))
        axes.plot(steps, best, '--', color='C0', linewidth=1, label='best so far')
    draw_published(axes, published, max(steps))
    _target(axes, run.target_return)
    axes.set(xlabel='control steps', ylabel='return of the episode')
    axes.set_xlim(left=0)
    legend(figure, axes)
    return figure


def draw_returns(run: Run) -> Any:
    """Return by episode."""
    figure, axes = new_figure()
    rows = run.episodes
    _by_kind(axes, rows, [row.episode for row in rows], [row.episode_return for row in rows])
    _target(axes, run.target_return)
    axes.set(xlabel='episode', ylabel='return')
    _whole(axes)
    legend(figure, axes)
    return figure


def draw_model_error(run: Run) -> Any:
    """Model error by episode: of the steps in it, and on held-out data after it."""
    figure, axes = new_figure()
    episodes = [row.episode for row in run.episodes]
    for name, label, style in (
        ('model_error', 'within the episode', 'o-'),
        ('holdout_error', 'held-out data after it', 's--'),
    ):
        values = [getattr(row, name) for row in run.episodes]
        if not np.isnan(values).all():
            axes.plot(episodes, values, style, label=label, markersize=4, linewidth=1)
    axes.axhline(1.0, color='0.6', linewidth=1)
    axes.set_yscale('log', nonpositive='mask')
    axes.set(xlabel='episode', ylabel='relative error')
    _whole(axes)
    legend(figure, axes)
    return figure


def draw_predictions(pairs: Sequence[tuple[int, float, float]]) -> Any:
    """Received over predicted return, coloured by episode."""
    figure, axes = new_figure(3.6)
    episodes, predicted, received = (np.array(each) for each in zip(*pairs))
    ends = [min(predicted.min(), received.min()), max(predicted.max(), received.max())]
    axes.plot(ends, ends, color='0.6', linewidth=1)
    dots = axes.scatter(predicted, received, c=episodes, s=14, alpha=0.8, cmap='viridis')
    dots.set_rasterized(len(pairs) > 500)
    axes.set(xlabel='predicted return of a plan', ylabel='received')
    if len(set(episodes.tolist())) > 1:
        bar = figure.colorbar(dots, ax=axes, label='episode', shrink=0.8)
        _whole(bar.ax, 'y')
    return figure


def draw_plan_times(run: Run) -> Any:
    """Median and 95th percentile by episode, beside the control period."""
    figure, axes = new_figure()
    episodes = [row.episode for row in run.episodes]
    for name, label, style in (
        ('plan_time_p95', '95th percentile', 's--'),
        ('plan_time_p50', 'median', 'o-'),
    ):
        values = [getattr(row, name) * 1e3 for row in run.episodes]
        axes.plot(episodes, values, style, label=label, markersize=4, linewidth=1)
    if not math.isnan(run.period):
        axes.axhline(run.period * 1e3, color='C3', linewidth=1, label='control period')
    axes.set_yscale('log', nonpositive='mask')
    axes.set(xlabel='episode', ylabel='planning time [ms]')
    _whole(axes)
    legend(figure, axes, 3)
    return figure


def draw_faults(status: Sequence[StatusRow]) -> Any:
    """Faults of each kind that came at all, by episode."""
    figure, axes = new_figure()
    counts = faults.by_episode(status)
    shown = [name for name in counts if any(counts[name].values())]
    episodes = sorted({episode for each in counts.values() for episode in each})
    bottom = np.zeros(len(episodes))
    for name in shown:
        values = np.array([counts[name].get(episode, 0) for episode in episodes], float)
        axes.bar(episodes, values, bottom=bottom, label=faults.COUNTERS[name], width=0.8)
        bottom += values
    axes.set(xlabel='episode', ylabel='count')
    _whole(axes)
    _whole(axes, 'y')
    legend(figure, axes)
    return figure


def draw_training(models: Sequence[ModelVersion]) -> Any:
    """Held-out error by model version, one step ahead and as far as was measured."""
    figure, axes = new_figure()
    known = [each for each in models if not math.isnan(each.holdout_error)]
    axes.plot(
        [each.version for each in known],
        [each.holdout_error for each in known],
        'o-',
        markersize=4,
        linewidth=1,
        label='one step ahead',
    )
    far = [each for each in models if not math.isnan(each.longest_error)]
    if far:
        axes.plot(
            [each.version for each in far],
            [each.longest_error for each in far],
            's--',
            markersize=4,
            linewidth=1,
            label=f'up to {max(each.longest for each in far)} steps ahead',
        )
    axes.axhline(1.0, color='0.6', linewidth=1)
    axes.set_yscale('log', nonpositive='mask')
    axes.set(xlabel='model version', ylabel='relative error, held out')
    _whole(axes)
    legend(figure, axes)
    return figure


def draw_trace(time: np.ndarray, values: np.ndarray, name: str, steps: bool, label: str) -> Any:
    """One entry over an episode.

    Args:
        time: [N].
        values: [N].
        name: of the entry.
        steps: whether each value holds until the next.
        label: of the time.
    """
    figure, axes = new_figure(2.2)
    axes.plot(time, values, color='C1' if steps else 'C0', linewidth=1.2,
              drawstyle='steps-post' if steps else 'default')  # fmt: skip
    axes.set(xlabel=label, ylabel=_short(name))
    return figure


def _by_kind(
    axes: Any, rows: Sequence[EpisodeRow], places: Sequence[float], values: Sequence[float]
) -> None:
    for kind, (colour, marker) in _KINDS.items():
        own = [(x, y) for row, x, y in zip(rows, places, values) if row.kind == kind]
        if own:
            axes.plot(*zip(*own), marker, color=colour, label=kind, markersize=5)


def _target(axes: Any, target: float) -> None:
    if not math.isnan(target):
        axes.axhline(target, color='C2', linewidth=1, label='target')


def _whole(axes: Any, axis: str = 'x') -> None:
    from matplotlib.ticker import MaxNLocator

    getattr(axes, f'{axis}axis').set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _short(label: str) -> str:
    return label if len(label) <= 60 else f'{label[:40]}…{label[-19:]}'
