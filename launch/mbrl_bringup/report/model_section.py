"""How good the model is, as tables and pictures; measured by ``mbrl_dynamics``, shown here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from mbrl_bringup.report.blocks import Block, Cell, Plot, Table, Text, number, percent
from mbrl_bringup.report.run import Run
from mbrl_bringup.report.svg import inline
from mbrl_dynamics import plots
from mbrl_dynamics.captions import name_of, unit_of
from mbrl_dynamics.evaluation import LEVELS, Evaluation

_STEPS = (1, 2, 5, 10, 25, 50, 100, 200, 500, 1000)
_PICTURES: tuple[tuple[Callable[[Evaluation], Any], str, str], ...] = (
    (
        plots.draw_error_over_horizon,
        'Error over the steps ahead',
        'Look for how far the error stays below that of "nothing changes", and whether the spread '
        'grows along with it.',
    ),
    (
        plots.draw_calibration,
        'Calibration',
        'Look for curves on the diagonal; below it the model is more certain than it should be, '
        'and plans will rely on what is not so.',
    ),
    (
        plots.draw_predicted_against_true,
        'Predicted against recorded change',
        'Look for dots off the line, and for clusters of them: contacts, limits, what was rarely '
        'seen.',
    ),
    (
        plots.draw_open_loop,
        'Many steps ahead',
        'Look whether what was recorded lies within the fan.',
    ),
)


def model_blocks(run: Run) -> Iterator[Block]:
    """What was measured of the newest model; nothing if there is none."""
    evaluation = run.evaluation
    if evaluation is None:
        return
    one, many = evaluation.one_step, evaluation.open_loop
    where = evaluation.about.source or 'held-out data'
    text = evaluation.describe()
    yield Text(
        [f'{text[0].upper()}{text[1:]}. Measured on {one.transitions} transitions ({where}).']
    )
    yield _one_step(evaluation)
    if many.longest:
        yield _many_steps(evaluation)
    for draw, title, caption in _PICTURES:
        if many.longest or draw is plots.draw_predicted_against_true:
            yield Plot(inline(partial(draw, evaluation), title), title, caption, wide=True)


def _one_step(evaluation: Evaluation) -> Table:
    one = evaluation.one_step
    held = one.coverage[int(np.argmin(np.abs(LEVELS - 0.9)))]
    rows = [
        [
            Cell(name_of(evaluation.about, i) + unit_of(evaluation.about, i)),
            number(float(one.error[i]), '.3g'),
            number(float(one.trivial[i]), '.3g'),
            number(_ratio(one.error[i], one.trivial[i]), '.3g'),
            number(float(one.spread[i]), '.3g'),
            number(float(one.disagreement[i]), '.3g'),
            percent(float(held[i])),
            number(float(one.calibration_error[i]), '.3g'),
        ]
        for i in np.flatnonzero(evaluation.counted).tolist()
    ]
    return Table(
        'One step ahead, root mean squares',
        [
            'state',
            'error',
            'of "nothing changes"',
            'ratio',
            'spread',
            'disagreement',
            '90 % hold',
            'calibration error',
        ],
        rows,
    )


def _many_steps(evaluation: Evaluation) -> Table:
    many = evaluation.open_loop
    steps = sorted({k for k in _STEPS if k < many.longest} | {many.longest})
    rows = [
        [Cell(name_of(evaluation.about, i))]
        + [number(_ratio(many.error[k - 1, i], many.trivial[k - 1, i]), '.3g') for k in steps]
        for i in np.flatnonzero(evaluation.counted).tolist()
    ]
    rows.append([Cell('mean')] + [number(float(many.relative_error[k - 1]), '.3g') for k in steps])
    heads = [f'{k} step{"s" * (k > 1)}' for k in steps]
    return Table('Many steps ahead, error over that of "nothing changes"', ['state', *heads], rows)


def _ratio(error: float, trivial: float) -> float:
    return float(error / trivial) if trivial > 0 else math.nan
