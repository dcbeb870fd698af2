"""Planning by gradient against sampling, as the action dimension and the horizon grow.

The task is a row of D torque-limited pendulums coupled by springs, all to be swung up: its
dynamics are differentiable and known, D is the dimension of the action, and at D = 1 it is the
swing-up that needs a run-up. A single plan is made from rest, cold; every optimiser spends about
the same number of model steps on it, where a backward pass counts as two more forward passes. The
reward is the height of the pendulums; or, without a slope to follow, the share of them above the
axle.

    python benchmarks/gradient_against_sampling.py

Writes benchmarks/results/gradient_against_sampling.csv, prints the table of the medians over seeds
and draws docs/images/gradient_against_sampling.png; ``--table`` runs nothing.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch
from csv_rows import read, write
from seeds import plot_ranges, with_range

from mbrl_common.settings import build
from mbrl_planner.optimizer import cold_start
from mbrl_planner.optimizer_settings import OptimizerSettings
from mbrl_planner.optimizers import make_optimizer

mpl.use('Agg')
from matplotlib import pyplot as plt

ROOT = Path(__file__).parent
RESULTS = ROOT / 'results' / 'gradient_against_sampling.csv'
PICTURE = ROOT.parent / 'docs' / 'images' / 'gradient_against_sampling.png'

STEP = 0.05  # s
GRAVITY = 9.81  # 1/s^2: gravity over length
STIFFNESS = 2.0  # 1/s^2 per rad, between neighbours
TORQUE = 5.0  # 1/s^2: about half of what would lift a pendulum slowly
DIMENSIONS = (1, 2, 4, 8, 16, 32, 64)
HORIZONS = (10, 20, 40, 80, 160)
REWARDS = ('height', 'above')
AT_DIMENSION, AT_HORIZON = 8, 40  # what stays while the other grows
ROWS = 3000  # candidates evaluated per plan, over all iterations
FORWARD_AND_BACKWARD = 3  # forward passes that a step along the gradient costs

# Candidates (or starts) and iterations are such that their products cost ROWS forward passes.
OPTIMIZERS: dict[str, dict[str, Any]] = {
    'random shooting': {'name': 'random_shooting', 'candidates': ROWS, 'iterations': 1},
    'CEM': {'name': 'cem', 'candidates': ROWS // 10, 'iterations': 10, 'elites': ROWS // 100},
    'iCEM': {
        'name': 'icem',
        'candidates': ROWS // 10,
        'iterations': 10,
        'elites': ROWS // 100,
        'icem.decay': 1.0,
    },
    # Returns are means over the steps, from 0 to 1: what weighs them must be as fine.
    'MPPI': {
        'name': 'mppi',
        'candidates': ROWS // 10,
        'iterations': 10,
        'mppi.temperature': 0.005,
    },
    'PDDM': {'name': 'pddm', 'candidates': ROWS // 10, 'iterations': 10, 'pddm.kappa': 200.0},
    'gradient': {
        'name': 'gradient',
        'gradient.starts': 10,
        'iterations': ROWS // 10 // FORWARD_AND_BACKWARD,
    },
}


class Pendulums:
    """``evaluate`` for R plans from rest; counts what it costs in forward steps."""

    def __init__(self, dimension: int, reward: str) -> None:
        self.dimension = dimension
        self.reward = reward
        self.cost = 0

    def __call__(self, actions: torch.Tensor) -> torch.Tensor:
        """Returns [R, N] of torques [R, N, H, D]: mean height of the pendulums, 0 to 1 a step, or
        the share of those above the axle; less a little for the torque."""
        passes = FORWARD_AND_BACKWARD if actions.requires_grad else 1
        self.cost += actions.shape[0] * actions.shape[1] * actions.shape[2] * passes
        angle = actions.new_zeros(*actions.shape[:2], self.dimension)
        speed = torch.zeros_like(angle)
        total = actions.new_zeros(actions.shape[:2])
        for action in actions.unbind(2):
            padded = torch.cat([angle[..., :1], angle, angle[..., -1:]], dim=-1)
            pull = padded[..., 2:] - 2 * angle + padded[..., :-2]
            speed = speed + STEP * (action - GRAVITY * angle.sin() + STIFFNESS * pull)
            angle = angle + STEP * speed
            height = (1 - angle.cos()) / 2
            if self.reward == 'above':
                height = (height > 0.5).to(height.dtype)
            total = total + (height - 0.001 * action.square()).mean(-1)
        return total / actions.shape[2]


def run(name: str, reward: str, dimension: int, horizon: int, seed: int) -> dict[str, Any]:
    """One plan."""
    optimizer = make_optimizer(build(OptimizerSettings, OPTIMIZERS[name]))
    high = torch.full((dimension,), TORQUE)
    evaluate = Pendulums(dimension, reward)
    began = time.perf_counter()
    with torch.no_grad():
        solution = optimizer.optimize(
            evaluate,
            -high,
            high,
            cold_start(-high, high, 1, horizon),
            [torch.Generator().manual_seed(seed)],
        )
        elapsed = time.perf_counter() - began
        value = float(Pendulums(dimension, reward)(solution.actions[:, None])[0, 0])
    return {
        'optimizer': name,
        'reward': reward,
        'dimension': dimension,
        'horizon': horizon,
        'seed': seed,
        'torch': importlib.metadata.version('torch'),
        'return_per_step': round(value, 5),
        'model_steps': evaluate.cost,
        'time': round(elapsed, 4),
    }


def settings() -> list[tuple[str, int, int]]:
    """Reward, dimension, horizon: dimensions at one horizon, and horizons at one dimension."""
    both = [(each, AT_HORIZON) for each in DIMENSIONS] + [(AT_DIMENSION, h) for h in HORIZONS]
    smooth = [('height', *each) for each in dict.fromkeys(both)]
    return smooth + [('above', each, AT_HORIZON) for each in DIMENSIONS]


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Medians and ranges over the seeds, in Markdown."""
    names = list(dict.fromkeys(row['optimizer'] for row in rows))
    yield f'| reward | dimension | horizon | {" | ".join(names)} |'
    yield '|---|---|---|' + '---|' * len(names)
    for setting in settings():
        cells = [with_range(_returns(rows, name, *setting), 3) for name in names]
        yield f'| {" | ".join(map(str, setting))} | {" | ".join(cells)} |'


def _returns(
    rows: list[dict[str, Any]], name: str, reward: str, dimension: int, horizon: int
) -> list[float]:
    return [
        float(row['return_per_step'])
        for row in rows
        if (row['optimizer'], row['reward']) == (name, reward)
        and (int(row['dimension']), int(row['horizon'])) == (dimension, horizon)
    ]


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Return against dimension, and against horizon."""
    figure, axes = plt.subplots(1, 3, figsize=(13, 4), layout='constrained')

    def line(
        axis: plt.Axes,
        name: str,
        places: tuple[int, ...],
        at: Callable[[int], tuple[str, int, int]],
    ) -> None:
        values = [_returns(rows, name, *at(place)) or [math.nan] for place in places]
        plot_ranges(axis, places, values, label=name)
        axis.set_xscale('log')
        axis.set_xticks(places, [str(place) for place in places])

    for name in dict.fromkeys(row['optimizer'] for row in rows):
        line(axes[0], name, DIMENSIONS, lambda each: ('height', each, AT_HORIZON))
        line(axes[1], name, HORIZONS, lambda each: ('height', AT_DIMENSION, each))
        line(axes[2], name, DIMENSIONS, lambda each: ('above', each, AT_HORIZON))
    axes[0].set(xlabel='dimension of the action', title=f'height, horizon {AT_HORIZON}')
    axes[1].set(xlabel='horizon [steps]', title=f'height, dimension {AT_DIMENSION}')
    axes[2].set(xlabel='dimension of the action', title=f'share above, horizon {AT_HORIZON}')
    axes[0].set_ylabel('return per step: median and range of the seeds')
    axes[1].legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    """Run, print the table, draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2, 3, 4])
    parser.add_argument('--table', action='store_true', help='only print and draw what is there')
    parser.add_argument('--csv', type=Path, default=RESULTS)
    parser.add_argument('--picture', type=Path, default=PICTURE)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.table:
        rows = read(arguments.csv)
    else:
        rows = []
        for setting in settings():
            for name in OPTIMIZERS:
                rows += [run(name, *setting, seed) for seed in arguments.seeds]
            print('reward {}, dimension {}, horizon {} done'.format(*setting), flush=True)
        write(arguments.csv, rows)
    print('\n'.join(table(rows)))
    draw(rows, arguments.picture)


if __name__ == '__main__':
    main()
