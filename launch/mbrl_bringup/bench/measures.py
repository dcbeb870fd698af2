"""What rows come to: the measures that others published, from our own rows, over seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence

from mbrl_bringup.bench.rows import Row

MEASURES = {
    'episode': 'of the episode',
    'best_so_far': 'best so far',
    'mean_3000': 'mean of the last 3000 steps',
}
"""What a figure is, of the return or the score; figures of different measures share no axis."""

_WINDOW = 3000

Curve = list[tuple[int, float]]
"""Environment steps, and the measure after them; one point per episode."""


def gain(row: Row) -> float:
    """What episodes are compared by: the environment's own score, or the return if it pays none."""
    return row.episode_return if math.isnan(row.score) else row.score


def by_seed(rows: Iterable[Row]) -> dict[int, list[Row]]:
    """Each seed's rows, in order."""
    found: dict[int, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.key):
        found.setdefault(row.seed, []).append(row)
    return found


def curve(rows: Sequence[Row], measure: str) -> Curve:
    """A measure along the rows of one seed; episodes before it is defined have no point."""
    of_measure: dict[str, Callable[[Sequence[Row]], float]] = {
        'episode': lambda past: gain(past[-1]),
        'best_so_far': lambda past: max(map(gain, past)),
        'mean_3000': _recent_mean,
    }
    value = of_measure[measure]
    points = ((row.environment_steps, value(rows[: i + 1])) for i, row in enumerate(rows))
    return [(steps, each) for steps, each in points if not math.isnan(each)]


def after(rows: Iterable[Row], measure: str, steps: int) -> list[float]:
    """The measure after so many environment steps, an entry per seed: of the last episode that had
    ended by then. Empty unless every seed has come that far."""
    values = []
    for own in by_seed(rows).values():
        if own[-1].environment_steps < steps:
            return []
        past = [value for at, value in curve(own, measure) if at <= steps]
        if not past:
            return []
        values.append(past[-1])
    return values


def spans(rows: Iterable[Row], measure: str) -> list[tuple[float, float, float, float]]:
    """Steps (median over seeds), lowest, median and highest of each episode that all seeds have."""
    curves = [curve(own, measure) for own in by_seed(rows).values()]
    found = []
    for points in zip(*curves):
        values = [value for _, value in points]
        steps = statistics.median(at for at, _ in points)
        found.append((steps, min(values), statistics.median(values), max(values)))
    return found


def with_range(values: Sequence[float]) -> str:
    """Median, and lowest to highest; a dash for none."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return '-'
    middle = number(statistics.median(known))
    if len(known) == 1:
        return middle
    return f'{middle} ({number(min(known))} to {number(max(known))})'


def number(value: float) -> str:
    """A number with as many digits as are worth reading."""
    if math.isnan(value):
        return '-'
    text = f'{value:.0f}' if abs(value) >= 1000 else f'{value:.1f}'
    return text if abs(value) >= 0.05 or value == 0 else f'{value:.2g}'


def _recent_mean(past: Sequence[Row]) -> float:
    end = past[-1].environment_steps
    if end < _WINDOW:
        return math.nan
    recent = [row for row in past if row.environment_steps > end - _WINDOW]
    return statistics.fmean(map(gain, recent))
