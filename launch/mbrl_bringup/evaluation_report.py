"""An ``mbrl_msgs/ModelEvaluation`` as tables for people."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

ENTRY_COLUMNS = (
    'one step ahead',
    'error',
    'no change',
    'ratio',
    'spread',
    'disagreement',
    '90 % hold',
)
STEP_COLUMNS = ('steps ahead', 'windows', 'ratio', 'spread / error', '90 % hold')
_STEPS = (1, 2, 3, 5, 10, 15, 20, 25, 50, 100, 200, 500)


def entry_rows(evaluation: Any) -> Iterator[tuple[str, ...]]:
    """A row for each entry of the state, and one for their mean."""
    size = len(evaluation.state)
    error, trivial = np.array(evaluation.error), np.array(evaluation.error_of_no_change)
    held = _at_90(evaluation, np.reshape(evaluation.coverage, (-1, size)))
    for i, name in enumerate(evaluation.state):
        yield (
            name,
            _number(error[i]),
            _number(trivial[i]),
            _number(error[i] / trivial[i] if trivial[i] > 0 else math.nan),
            _number(evaluation.spread[i]),
            _number(evaluation.disagreement[i]),
            _percent(held[i]),
        )
    yield 'mean', '', '', _number(evaluation.relative_error), '', '', _percent(_mean(held))


def step_rows(evaluation: Any) -> Iterator[tuple[str, ...]]:
    """A row for some numbers of steps ahead, as far as there are windows."""
    size, horizon = len(evaluation.state), evaluation.horizon
    error, spread = (
        np.reshape(values, (horizon, size))
        for values in (evaluation.open_loop_error, evaluation.open_loop_spread)
    )
    coverage = np.reshape(evaluation.open_loop_coverage, (horizon, -1, size))
    last = int(np.count_nonzero(evaluation.windows))
    for steps in sorted({each for each in _STEPS if each < last} | ({last} - {0})):
        k = steps - 1
        ratio = spread[k][error[k] > 0] / error[k][error[k] > 0]
        yield (
            str(steps),
            str(evaluation.windows[k]),
            _number(evaluation.open_loop_relative_error[k]),
            _number(_mean(ratio)),
            _percent(_mean(_at_90(evaluation, coverage[k]))),
        )


def _at_90(evaluation: Any, coverage: np.ndarray) -> np.ndarray:
    """The row [S] of a coverage [L, S] that belongs to intervals of 90 %."""
    return np.asarray(coverage[int(np.argmin(np.abs(np.array(evaluation.level) - 0.9)))])


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan


def _number(value: float) -> str:
    return '-' if math.isnan(value) else f'{value:.3g}'


def _percent(value: float) -> str:
    return '-' if math.isnan(value) else f'{value * 100:.0f} %'
