"""The picture of `cliff_mismatch.py`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

from mbrl_sim_bridge.environments.cliff import EDGE, RADIUS, ground_height, resting_height

mpl.use('Agg')
from matplotlib import colors
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable

if TYPE_CHECKING:
    from cliff_mismatch import Attempt, Run

GROUND = '#8c7f6f'
DATA, FIRST, LAST = 'tab:green', 'tab:red', 'tab:blue'
SHOWN_AT = 0.9  # predictions are shown from the first state to the right of this x on [m]


def draw(runs: Sequence[Run], path: Path) -> None:
    """The attempts of the first seed, what was predicted in two of them, and all heights."""
    figure = plt.figure(figsize=(12.4, 9.6), layout='constrained')
    grid = figure.add_gridspec(2, 2, height_ratios=(1.0, 1.0), width_ratios=(1.25, 1.0))
    _draw_attempts(figure.add_subplot(grid[0, :]), runs[0])
    _draw_predictions(figure.add_subplot(grid[1, 0]), runs[0])
    _draw_heights(figure.add_subplot(grid[1, 1]), runs)
    figure.suptitle(
        'A plan leads to where its data were not; with what happens there, the model gets it right',
        fontsize=15,
    )
    figure.savefig(path, dpi=85)
    plt.close(figure)


def _draw_attempts(axes: Axes, run: Run) -> None:
    """Where the ball went, in the data and in each attempt."""
    count = len(run.iterations)
    shades = plt.get_cmap('plasma', count)
    _draw_ground(axes, (-2.7, 3.6))
    end = max(episode.states[:, 0].max() for episode in run.data)
    for number, attempts in enumerate(run.iterations):
        for attempt in attempts:
            x, z = attempt.episode.states[:, :2].T
            axes.plot(x, z, color=shades(number), linewidth=1.5)
            axes.plot(x[-1], z[-1], 'o', color=shades(number), markeredgecolor='k', zorder=5)
    for episode in run.data:
        x, z = episode.states[:, :2].T
        axes.plot(x, z + 0.12, color=DATA, linewidth=1)
    axes.annotate(
        f'the data at the start (drawn a little higher):\nto the right is up; none beyond '
        f'x = {end:.1f} m',
        (end, float(resting_height(end)) + 0.12),
        xytext=(-2.4, 1.25),
        color=DATA,
        arrowprops={'arrowstyle': '->', 'color': DATA},
    )
    axes.annotate(
        'the edge', (EDGE, float(ground_height(EDGE))), xytext=(2.3, 1.3),
        arrowprops={'arrowstyle': '->'},
    )  # fmt: skip
    bounds = np.arange(count + 1) + 0.5
    scale = ScalarMappable(colors.BoundaryNorm(bounds, count), shades)
    bar = axes.figure.colorbar(
        scale, ax=axes, label='iteration (a dot: where an attempt ends)', ticks=range(1, count + 1)
    )
    bar.ax.minorticks_off()
    fallen = [any(attempt.fell for attempt in attempts) for attempts in run.iterations]
    falls = ' and '.join(f'iteration {number + 1}' for number, fell in enumerate(fallen) if fell)
    ends = [attempt.final_height for attempt in run.iterations[-1]]
    high = sum(height > 0.95 * float(resting_height(EDGE)) for height in ends)
    axes.set_title(
        f'1. Planned for height: the ball falls over the edge in {falls or "none"}; '
        f'in iteration {count}, {high} of {len(ends)} attempts end on the top (seed {run.seed})',
        loc='left',
    )
    axes.set_ylim(-0.25, 1.6)


def _draw_predictions(axes: Axes, run: Run) -> None:
    """What the first and the last model predicted on the slope, and what happened."""
    _draw_ground(axes, (0.0, 3.4))
    for attempts, colour, name in (
        (run.iterations[0], FIRST, 'iteration 1'),
        (run.iterations[-1], LAST, f'iteration {len(run.iterations)}'),
    ):
        predicted, happened = _prediction(attempts[0])
        axes.plot(
            *predicted,
            color=colour,
            linestyle=':',
            marker='.',
            label=f'{name}, predicted',
            zorder=4,
        )
        axes.plot(*happened, color=colour, linewidth=2, label=f'{name}, what happened', zorder=3)
    axes.set_title('2. The first model has the slope go on; the last knows the edge', loc='left')
    axes.set_ylim(-0.15, 1.75)
    axes.legend(loc='lower left')


def _prediction(attempt: Attempt) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true positions [2, H + 1], from one plan on."""
    states = attempt.episode.states
    step, predicted = next(plan for plan in attempt.plans if states[plan[0], 0] > SHOWN_AT)
    return predicted[:, :2].T, states[step:, :2].T


def _draw_heights(axes: Axes, runs: Sequence[Run]) -> None:
    """Final heights over iterations."""
    top, bottom = float(resting_height(EDGE)), RADIUS
    axes.axhline(top, color=GROUND, linestyle='--')
    axes.axhline(bottom, color=GROUND, linestyle='--')
    axes.text(len(runs[0].iterations) + 0.3, top + 0.02, 'on the top', ha='right', va='bottom')
    axes.text(len(runs[0].iterations) + 0.3, bottom + 0.02, 'on the ground', ha='right')
    for run in runs:
        numbers = np.arange(len(run.iterations)) + 1
        heights = np.array([[each.final_height for each in made] for made in run.iterations])
        (line,) = axes.plot(numbers, heights.mean(axis=1), label=f'seed {run.seed}')
        axes.plot(numbers, heights, 'o', color=line.get_color(), alpha=0.6, label='_')
    axes.set(
        xlabel='iteration (train on all data, plan and execute, add to the data)',
        ylabel='height at the end [m]',
        ylim=(-0.05, top + 0.25),
    )
    axes.set_title('3. Height at the end of each attempt, and its mean', loc='left')
    axes.legend(loc='center right')


def _draw_ground(axes: Axes, limits: tuple[float, float]) -> None:
    """The terrain from the side."""
    x = np.union1d(np.linspace(*limits, 400), [EDGE, EDGE + 1e-6])
    axes.fill_between(x, -0.3, ground_height(x), color=GROUND, zorder=0)
    axes.set(xlim=limits, xlabel='x [m]', ylabel='height of the centre of the ball [m]')
