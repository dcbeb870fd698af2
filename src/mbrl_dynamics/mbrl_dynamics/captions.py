"""What stands beside the pictures of an evaluation: findings, explanations, names and units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mbrl_dynamics.evaluation import LEVELS, OVERCONFIDENT, About, Evaluation

MOST = 12  # entries of the state in one picture; with windows,
MOST_ROWS = 6


def explain(
    figure: Any,
    evaluation: Evaluation,
    finding: str,
    subject: str,
    handles: Sequence[Any] = (),
    labels: Sequence[str] = (),
    most: int = MOST,
) -> None:
    """What was found above the fields; what they show, of what, and the legend below."""
    about = evaluation.about
    where = about.source if about.source else 'held-out data'
    count = int(evaluation.counted.sum())
    few = f' The {most} of {count} entries that are predicted worst.' if count > most else ''
    text = f'{subject}\nModel version {about.model_version}, {where}, SI units.{few}'
    figure.suptitle(finding, fontsize=11, fontweight='bold')
    if not handles:
        figure.supxlabel(text, fontsize=8)
        return
    figure.legend(
        handles,
        labels,
        title=text,
        title_fontsize=8,
        loc='outside lower center',
        ncols=4,
        fontsize=8,
        frameon=False,
    )


def says_of_horizon(evaluation: Evaluation) -> str:
    """How large the error is furthest ahead, in a sentence."""
    many, period = evaluation.open_loop, evaluation.about.period
    steps = many.longest
    text = f'After {steps} step' + ('s' if steps != 1 else '')
    if not np.isnan(period):
        text += f' ({steps * period:.2g} s)'
    ratio = percent(float(many.relative_error[steps - 1]))
    return f'{text}, the error is {ratio} of that of "nothing changes"'


def says_of_spread(evaluation: Evaluation) -> str:
    """Whether the predicted spread is right, in a sentence."""
    held, one = evaluation.coverage_90, evaluation.one_step
    if np.isnan(held):
        return 'No spread is predicted: what is shown is how the members differ'
    excess = float(np.nanmean(one.coverage - LEVELS[:, None]))
    middle = float(np.nanmean(one.coverage[row_of(0.5)]))
    finding = f'As far as {one.transitions} transitions tell, the predicted spread is right'
    if held < OVERCONFIDENT:
        finding = 'The model is badly over-confident'
    elif abs(excess) > 0.02 + 0.8 / np.sqrt(one.transitions):  # more than chance does
        finding = 'The model is ' + ('over-confident' if excess < 0 else 'under-confident')
    return f'{finding}: intervals of 90 % hold {percent(held)}, of 50 % {percent(middle)}'


def row_of(level: float) -> int:
    """Place of a level in ``LEVELS``."""
    return int(np.flatnonzero(level == LEVELS)[0])


def name_of(about: About, entry: int) -> str:
    """Of an entry of the state."""
    return about.state[entry] if about.state else f'state[{entry}]'


def unit_of(about: About, entry: int) -> str:
    """Of an entry, as ' [rad]'; what is no angle may be in m or rad, which nobody says."""
    joint, _, field = name_of(about, entry).rpartition('.')
    if f'{joint}.position' not in about.angles:
        return ''
    return {'position': ' [rad]', 'velocity': ' [rad/s]'}.get(field, '')


def time_axis(evaluation: Evaluation, count: int, first: int) -> tuple[np.ndarray, str]:
    """So many steps from ``first`` on, in seconds if a step's length is known; and a label."""
    period = evaluation.about.period
    steps = np.arange(first, first + count)
    return (steps, 'steps ahead') if np.isnan(period) else (steps * period, 'time ahead [s]')


def percent(ratio: float) -> str:
    """As '12 %'."""
    return f'{ratio * 100:.{1 if ratio < 0.1 else 0}f} %'


def share(error: float, trivial: float) -> str:
    """An error, and in percent of that of the trivial predictor."""
    return f'error {error:.2g}' + (f', {percent(error / trivial)}' if trivial > 0 else '')
