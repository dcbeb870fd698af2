"""Numbers that vary with the seed: their median and range, as text and in a plot."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any


def with_range(values: Sequence[float], digits: int = 1) -> str:
    """Median, and lowest to highest; a dash for none."""
    if not values:
        return '-'
    low, middle, high = min(values), statistics.median(values), max(values)
    return f'{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})'


def plot_ranges(
    axis: Any, places: Sequence[float], values: Sequence[Sequence[float]], **style: Any
) -> None:
    """Medians as a line with bars from the lowest to the highest; ``values`` of each place."""
    middle = [statistics.median(each) for each in values]
    low = [m - min(each) for m, each in zip(middle, values)]
    high = [max(each) - m for m, each in zip(middle, values)]
    axis.errorbar(places, middle, (low, high), **{'marker': 'o', 'capsize': 2, **style})
