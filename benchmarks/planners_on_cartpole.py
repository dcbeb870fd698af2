"""Every optimiser on the cart-pole: return against model steps per action.

Each optimiser is tried with several budgets, with the true MuJoCo model (an episode of each seed;
not those that need a gradient) and with a model learned from nothing (eight trials of each seed,
the best return counts).

    python benchmarks/planners_on_cartpole.py

Runs what benchmarks/results/planners_on_cartpole.csv does not have yet, prints the table and draws
docs/images/planners_on_cartpole.png; ``--only cem mppi`` runs some, ``--table`` runs nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cartpole_runs as runs
import matplotlib as mpl
from seeds import plot_ranges, with_range

mpl.use('Agg')
from matplotlib import pyplot as plt

# Candidates and iterations; for the gradient its starts and steps.
BUDGETS: dict[str, tuple[tuple[int, int], ...]] = {
    'random_shooting': ((64, 1), (500, 1), (2000, 1)),
    'cem': ((16, 2), (32, 2), (64, 3), (200, 5)),
    'icem': ((4, 2), (8, 2), (16, 2), (32, 2), (64, 3)),
    'mppi': ((32, 1), (64, 2), (350, 1)),
    'pddm': ((32, 1), (64, 2), (350, 1)),
    'gradient': ((1, 5), (2, 10), (4, 20)),
    'hybrid': ((16, 2), (32, 2)),
}
NO_GRADIENT = ('gradient', 'hybrid')  # MuJoCo has none to give


def settings_of(optimizer: str, candidates: int, iterations: int) -> dict[str, Any]:
    """Parameters of the planner."""
    return {
        'planner': {
            'optimizer.name': optimizer,
            'optimizer.candidates': max(2, candidates),
            'optimizer.iterations': iterations,
            'optimizer.elites': max(1, candidates // 4),
            'optimizer.gradient.starts': candidates if optimizer == 'gradient' else 4,
        }
    }


def jobs(arguments: argparse.Namespace) -> Iterator[runs.Job]:
    """All runs, those of one seed after those of another."""
    for seed in arguments.seeds:
        for optimizer in arguments.only:
            for candidates, iterations in BUDGETS[optimizer]:
                name = f'{optimizer} {candidates} x {iterations}'
                overrides = settings_of(optimizer, candidates, iterations)
                for model in arguments.models:
                    if model == 'true' and optimizer in NO_GRADIENT:
                        continue
                    yield optimizer, name, overrides, model, seed, 8


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """The results in Markdown: medians and ranges over the seeds."""
    yield (
        '| setting | true model: steps per action | return | learned: steps per action '
        '| best return by trial 8 | at 175 by trial 8 | plan [ms] |'
    )
    yield '|---|---|---|---|---|---|---|'
    for _, setting, parts in runs.by_setting(rows):
        cells = []
        for model in runs.MODELS:
            part = parts[model]
            if not part:
                cells += ['-', '-']
                continue
            cells += [
                f'{runs.median_of(part, "model_steps"):,.0f}',
                with_range(runs.best_returns(part)),
            ]
        learned = runs.best_returns(parts['learned'])
        solved = sum(value >= runs.SOLVED for value in learned)
        plan = runs.median_of(parts['learned'] or parts['true'], 'plan_time_p50') * 1e3
        cells += [f'{solved} of {len(learned)}' if learned else '-', f'{plan:.1f}']
        yield f'| {setting} | {" | ".join(cells)} |'


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Median and range of the returns against model steps per action, a panel per model."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout='constrained')
    for axis, model in zip(axes, runs.MODELS):
        lines: dict[str, list[tuple[float, list[float]]]] = {}
        for group, _, parts in runs.by_setting(rows):
            if parts[model]:
                steps = runs.median_of(parts[model], 'model_steps')
                lines.setdefault(group, []).append((steps, runs.best_returns(parts[model])))
        for group, points in lines.items():
            points.sort()
            places, returns = zip(*points)
            plot_ranges(axis, places, returns, label=group)
        axis.axhline(runs.SOLVED, color='grey', linestyle=':', linewidth=1)
        axis.set(xscale='log', xlabel='model steps per action', title=f'{model} model')
    axes[0].set_ylabel('return: median and range of the seeds')
    axes[1].legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    """Run what is missing, print the table, draw the picture."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--only', nargs='+', default=list(BUDGETS), choices=list(BUDGETS))
    runs.main('planners_on_cartpole', __doc__, parser, jobs, table, draw)


if __name__ == '__main__':
    main()
