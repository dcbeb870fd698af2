"""The picture of `maze_coverage.py`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np

from mbrl_sim_bridge.environments.point_maze import HALF_WIDTH, START, WALLS

mpl.use('Agg')
from matplotlib import colors, patches
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

if TYPE_CHECKING:
    from maze_coverage import Result

WALL = '#444a52'
FREE, CAREFUL = 'tab:red', 'tab:blue'
UNITS = 'in units of what a step usually changes'


def draw(results: Sequence[Result], goal: tuple[float, float], path: Path) -> None:
    """Four panels: the data, the error and the disagreement of the first seed, and all drives."""
    figure, axes = plt.subplots(2, 2, figsize=(12.4, 11), layout='constrained')
    first = results[0].coverage
    data, error, disagreement, drives = axes.flat
    steps = int(np.nansum(first.visits))
    visits = np.where(first.visits > 0, first.visits, np.nan)
    _cells(data, visits, f'steps in the data, of {steps:,}', 'Greens', colors.LogNorm(1))
    data.set_title('1. The data come from one part of the maze', loc='left')
    for x, y in ((0.0, 0.0), (-1.5, 0.8)):
        _label(data, x, y, 'never visited')

    both = [first.error, first.disagreement]
    norm = colors.LogNorm(1e-3, np.nanquantile(both, 0.995))
    _cells(error, first.error, f'error of the predicted next state,\n{UNITS}', 'magma', norm)
    error.set_title(
        '2. The true one-step error: the model is wrong where there are\n'
        '    no data; what happens at a wall is hard to predict anywhere',
        loc='left',
    )
    _cells(
        disagreement,
        first.disagreement,
        f"deviation of the members' predictions,\n{UNITS}",
        'magma',
        norm,
    )
    disagreement.set_title(
        '3. The members disagree where there are no data: they rank cells\n'
        f'    without data above those with data with an AUC of {first.auc:.3f}',
        loc='left',
    )
    _draw_drives(drives, results)
    for panel in axes.flat:
        _draw_maze(panel, goal)
    figure.suptitle(
        'An ensemble knows where it has not been, and a planner can stay away from there',
        fontsize=15,
    )
    figure.savefig(path, dpi=85)
    plt.close(figure)


def _cells(axes: Axes, values: np.ndarray, label: str, colours: str, norm: colors.LogNorm) -> None:
    """Values of cells, with a colour bar."""
    extent = (-HALF_WIDTH, HALF_WIDTH, -HALF_WIDTH, HALF_WIDTH)
    image = axes.imshow(values, origin='lower', extent=extent, cmap=colours, norm=norm)
    axes.figure.colorbar(image, ax=axes, label=label, shrink=0.85)


def _draw_drives(axes: Axes, results: Sequence[Result]) -> None:
    """Where the robot went, without and with the price, and one plan that does not see a wall."""
    visited = np.where(results[0].coverage.visits > 0, 0.25, np.nan)
    extent = (-HALF_WIDTH, HALF_WIDTH, -HALF_WIDTH, HALF_WIDTH)
    axes.imshow(visited, origin='lower', extent=extent, cmap='Greens', vmin=0, vmax=1)
    for number, result in enumerate(results):
        for drive, colour, name in (
            (result.free, FREE, 'disagreement costs nothing'),
            (result.careful, CAREFUL, 'disagreement has a price'),
        ):
            path = drive.episode.states
            arrived = sum(
                (each.free if drive is result.free else each.careful).reached for each in results
            )
            label = f'{name}: {arrived} of {len(results)} reach the goal'
            axes.plot(*path[:, :2].T, color=colour, label=None if number else label, zorder=4)
            axes.plot(*path[-1, :2], color=colour, marker='o', zorder=4)
    crossing = [states for _, states in results[0].free.plans if _goes_through_the_corner(states)]
    if crossing:
        plan = crossing[0]
        axes.plot(*plan[:, :2].T, color=FREE, linestyle=':', linewidth=2.5, zorder=6)
        axes.annotate(
            'a plan made in\nthe room: straight\nthrough the wall',
            xy=tuple(plan[np.argmax(plan[:, 0] > 1.1), :2]),
            xytext=(-0.9, 0.45),
            color=FREE,
            fontsize=9,
            zorder=6,
            arrowprops={'arrowstyle': '->', 'color': FREE},
        )
    _label(axes, 0.35, -0.35, 'dead end')
    axes.plot([], [], color='#c7e9c0', linewidth=8, label='where the data are')
    axes.legend(loc='upper center', bbox_to_anchor=(0.5, -0.12), frameon=False)
    axes.set_title(
        '4. Planned with that model: lured into the dead end, or, where\n'
        '    disagreement has a price, round by the way that is known',
        loc='left',
    )


def _goes_through_the_corner(plan: np.ndarray) -> bool:
    """Whether predicted states [H + 1, S] lead from the room's far half to outside of it."""
    begins_inside = plan[0, :2].min() > 0.2 and plan[0, :2].max() < 0.9
    return bool(begins_inside and plan[-1, :2].min() > 1.05)


def _draw_maze(axes: Axes, goal: tuple[float, float]) -> None:
    """Walls, start and goal."""
    for left, lower, right, upper in WALLS:
        axes.add_patch(
            patches.Rectangle((left, lower), right - left, upper - lower, color=WALL, zorder=5)
        )
    for (x, y), name in ((START, 'start'), (goal, 'goal')):
        axes.plot(x, y, marker='*', markersize=15, color='gold', markeredgecolor='k', zorder=7)
        axes.annotate(
            name,
            (x, y),
            xytext=(0, -20),
            textcoords='offset points',
            ha='center',
            zorder=7,
            bbox={'facecolor': 'white', 'alpha': 0.75, 'edgecolor': 'none', 'pad': 1},
        )
    axes.set(xlim=(-2.1, 2.1), ylim=(-2.1, 2.1), aspect='equal', xlabel='x [m]', ylabel='y [m]')


def _label(axes: Axes, x: float, y: float, text: str) -> None:
    axes.text(x, y, text, ha='center', va='center', color='0.35', style='italic', zorder=6)
