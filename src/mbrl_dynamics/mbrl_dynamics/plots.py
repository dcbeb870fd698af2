"""An evaluation in pictures. Each says in its title what it shows, and how good the model is.

``python -m mbrl_dynamics.plots FOLDER`` draws what is in a folder of an evaluation.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mbrl_common.files import replaced
from mbrl_dynamics.captions import (
    MOST,
    MOST_ROWS,
    explain,
    name_of,
    percent,
    row_of,
    says_of_horizon,
    says_of_spread,
    share,
    time_axis,
    unit_of,
)
from mbrl_dynamics.child import live_with_parent
from mbrl_dynamics.evaluation import LEVELS, Evaluation, load

_ERROR, _TRIVIAL, _SPREAD, _OTHER = 'C3', '0.5', 'C0', 'C2'


def draw(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write the pictures as PNG; returns their paths.

    Raises:
        OSError: if they cannot be written.
    """
    pictures: dict[str, Callable[[Evaluation], Any]] = {
        'predicted_against_true': draw_predicted_against_true,
        'open_loop': draw_open_loop,
        'calibration': draw_calibration,
        'error_over_horizon': draw_error_over_horizon,
    }
    paths = []
    for name, picture in pictures.items():
        paths.append(folder / f'{name}.png')
        with replaced(paths[-1]) as partial:
            picture(evaluation).savefig(partial, format='png')
    return paths


def draw_predicted_against_true(evaluation: Evaluation) -> Any:
    """One step: predicted over recorded change, one field for each entry of the state."""
    one, shown = evaluation.one_step, _shown(evaluation)
    figure = _figure(len(shown), 3.0, 2.8)
    explain(
        figure,
        evaluation,
        f'One step ahead, the error is {percent(one.relative_error)} of that of "nothing changes"',
        f'What a step changes in {one.transitions} transitions, predicted over recorded: on the '
        'line is perfect.',
    )
    for axes, entry in _fields(figure, shown):
        name, unit = name_of(evaluation.about, entry), unit_of(evaluation.about, entry)
        true, predicted = one.change[:, entry], one.predicted_change[:, entry]
        ends = _range(true, predicted)
        axes.plot(ends, ends, color=_TRIVIAL, linewidth=1, zorder=1)
        axes.plot(true, predicted, '.', color=_SPREAD, markersize=4, alpha=0.6, zorder=2)
        axes.set(xlim=ends, ylim=ends, aspect='equal', xlabel=f'recorded{unit}')
        axes.set_ylabel(f'predicted{unit}')
        axes.set_title(f'{name}: {share(one.error[entry], one.trivial[entry])}', fontsize=9)
    return figure


def draw_open_loop(evaluation: Evaluation) -> Any:
    """A few windows: what was recorded, and the fan of the particles from the same start."""
    many, shown = evaluation.open_loop, _shown(evaluation, MOST_ROWS)
    examples = len(many.truth)
    figure = _figure(0, 3.2 * max(examples, 1), 1.6 * len(shown) + 0.9)
    steps = many.longest
    fields = figure.subplots(len(shown), max(examples, 1), squeeze=False, sharex=True)
    time, label = time_axis(evaluation, steps + 1, 0)
    for row, entry in zip(fields, shown):
        for example, axes in enumerate(row[:examples]):
            fan = many.quantiles[example, : steps + 1, :, entry]
            axes.fill_between(time, fan[:, 0], fan[:, 4], color=_SPREAD, alpha=0.2, linewidth=0)
            axes.fill_between(time, fan[:, 1], fan[:, 3], color=_SPREAD, alpha=0.4, linewidth=0)
            axes.plot(time, fan[:, 2], color=_SPREAD, linewidth=1)
            axes.plot(time, many.truth[example, : steps + 1, entry], 'k.-', markersize=3, lw=0.8)
            axes.grid(alpha=0.25)
        row[0].set_ylabel(
            f'{name_of(evaluation.about, entry)}\n{unit_of(evaluation.about, entry).strip()}',
            fontsize=8,
        )
    for axes in fields[-1]:
        axes.set_xlabel(label)
    explain(
        figure,
        evaluation,
        says_of_horizon(evaluation),
        f'{examples} recorded windows, and what the model makes of their start and actions.',
        [fields[0, 0].plot([], [], **style)[0] for style in _FAN],
        ['recorded', 'median of the particles', '50 % of them', '90 %'],
        most=MOST_ROWS,
    )
    return figure


_FAN: tuple[dict[str, Any], ...] = (
    {'color': 'k', 'marker': '.'},
    {'color': _SPREAD},
    {'color': _SPREAD, 'alpha': 0.6, 'linewidth': 6},
    {'color': _SPREAD, 'alpha': 0.25, 'linewidth': 6},
)


def draw_calibration(evaluation: Evaluation) -> Any:
    """Whether intervals hold what they say, and whether larger spread means larger error."""
    one, many, shown = evaluation.one_step, evaluation.open_loop, _shown(evaluation)
    figure = _figure(0, 11.5, 4.1)
    left, middle, right = figure.subplots(1, 3)
    names = [name_of(evaluation.about, entry) for entry in shown]

    nominal = np.linspace(0, 1, 101)
    chance = 1.645 * np.sqrt(nominal * (1 - nominal) / one.transitions)  # 90 % of such samples
    left.fill_between(nominal, nominal - chance, nominal + chance, color='0.9', linewidth=0)
    left.plot(nominal, nominal, color=_TRIVIAL, linewidth=1)
    for entry, name in zip(shown, names):
        left.plot(LEVELS, one.coverage[:, entry], '.-', linewidth=1, label=name)
    left.text(0.97, 0.03, 'over-confident', ha='right', color=_TRIVIAL)
    left.text(0.03, 0.93, 'under-confident', color=_TRIVIAL)
    left.set(xlim=(0, 1), ylim=(0, 1), aspect='equal')
    left.set(xlabel='interval says it holds', ylabel='interval holds')
    left.set_title('Share of the truth within intervals, one step', fontsize=9)

    spread, error = one.binned_spread[:, shown], one.binned_error[:, shown]
    unit = np.where(one.trivial[shown] > 0, one.trivial[shown], 1.0)
    drawable = (spread > 0) & (error > 0)
    spread, error = (np.where(drawable, each / unit, np.nan) for each in (spread, error))
    if drawable.any():
        ends = [np.nanmin([spread, error]) * 0.8, np.nanmax([spread, error]) * 1.25]
        middle.plot(ends, ends, color=_TRIVIAL, linewidth=1)
        middle.set(xlim=ends, ylim=ends, xscale='log', yscale='log', aspect='equal')
    for column, name in enumerate(names):
        middle.plot(spread[:, column], error[:, column], '.-', linewidth=1, label=name)
    middle.set(xlabel='predicted spread / change', ylabel='error / change')
    middle.set_title('Error where the spread is so large, one step', fontsize=9)

    steps = np.arange(1, many.longest + 1)
    for level in (0.5, 0.9):
        (line,) = right.plot([], [], '.-', label=f'of {percent(level)}')
        right.axhline(level, color=line.get_color(), linewidth=1, alpha=0.4)
        held = many.coverage[: len(steps), row_of(level)][:, shown]
        if not np.isnan(held).all():
            line.set_data(steps, np.nanmean(held, axis=1))
    right.set(xlim=(0.5, max(len(steps), 1) + 0.5), ylim=(0, 1), box_aspect=1)
    right.set(xlabel='steps ahead', ylabel='intervals hold (mean over entries)')
    right.set_title('Share of the truth within the particles', fontsize=9)
    right.legend(loc='lower left', fontsize=8)
    explain(
        figure,
        evaluation,
        says_of_spread(evaluation),
        f'One step: {one.transitions} transitions; grey: what chance does to a perfect model.',
        *left.get_legend_handles_labels(),
    )
    return figure


def draw_error_over_horizon(evaluation: Evaluation) -> Any:
    """Error and spread over the steps ahead, beside the trivial predictor."""
    many, shown = evaluation.open_loop, _shown(evaluation)
    figure = _figure(len(shown), 3.2, 2.5)
    steps = many.longest
    counts = f'{many.windows[0]} windows of 1 step'
    if steps > 1:
        counts += f', {many.windows[steps - 1]} of {steps}'
    time, label = time_axis(evaluation, steps, 1)
    for axes, entry in _fields(figure, shown):
        for values, style in (
            (many.trivial, {'color': _TRIVIAL, 'label': 'nothing changes'}),
            (many.error, {'color': _ERROR, 'label': 'error of the model'}),
            (many.spread, {'color': _SPREAD, 'label': 'spread it predicts'}),
            (many.disagreement, {'color': _OTHER, 'label': 'disagreement of the members'}),
        ):
            axes.plot(time, values[:steps, entry], '.-', markersize=4, linewidth=1, **style)
        axes.set_yscale('log', nonpositive='mask')
        axes.grid(alpha=0.25)
        axes.set_xlabel(label)
        axes.set_title(
            name_of(evaluation.about, entry) + unit_of(evaluation.about, entry), fontsize=9
        )
    explain(
        figure,
        evaluation,
        says_of_horizon(evaluation),
        f'Errors along recorded actions, root mean square of {counts}.',
        *figure.axes[0].get_legend_handles_labels(),
    )
    return figure


def _figure(fields: int, width: float, height: float) -> Any:
    """A figure for so many fields of a size; 0: of that size itself [inch]."""
    from matplotlib.figure import Figure

    columns = min(fields, 4) or 1
    rows = -(-fields // 4) or 1
    size = (max(width * columns, 6.4), height * rows + 1.0)
    return Figure(figsize=size, dpi=100, layout='constrained')


def _fields(figure: Any, shown: np.ndarray) -> Iterator[tuple[Any, int]]:
    columns = min(len(shown), 4)
    grid = figure.subplots(-(-len(shown) // columns), columns, squeeze=False)
    for axes, entry in zip(grid.flat, shown):
        yield axes, int(entry)
    for axes in grid.flat[len(shown) :]:
        axes.set_visible(False)


def _shown(evaluation: Evaluation, most: int = MOST) -> np.ndarray:
    """The entries that are predicted; of many, those that are predicted worst."""
    entries = np.flatnonzero(evaluation.counted)
    one = evaluation.one_step
    ratio = one.error / np.maximum(one.trivial, 1e-12)
    worst = entries[np.argsort(-ratio[entries], kind='stable')][:most]
    return np.sort(worst)


def _range(*values: np.ndarray) -> tuple[float, float]:
    finite = np.concatenate([each[np.isfinite(each)] for each in values])
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    margin = 0.05 * (high - low) or 1.0
    return low - margin, high + margin


def main() -> None:
    """Draw what is in the folder that is named, giving way to all others if a number follows."""
    if len(sys.argv) > 2:
        live_with_parent(int(sys.argv[2]))
    folder = Path(sys.argv[1])
    try:
        draw(load(folder), folder)
    except (OSError, ValueError) as error:
        print(f'no pictures of {folder}: {error}', file=sys.stderr)
        sys.exit(1)


if __name__ == '__main__':
    main()
