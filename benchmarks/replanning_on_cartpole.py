"""Open loop against closed loop on the cart-pole: replanning every k steps, warm start or not.

Return and roughness of the actions, with a perfect model (MuJoCo, which is what is controlled)
and with imperfect ones (learned from nothing). Open loop executes a whole plan before the next is
made.

    python benchmarks/replanning_on_cartpole.py

Runs what benchmarks/results/replanning_on_cartpole.csv does not have yet, prints the table and
draws docs/images/replanning_on_cartpole.png; ``--table`` runs nothing.
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

EVERY = (1, 2, 5, 10, 20)
HORIZON = 20
WARM, COLD = 'warm start', 'cold start'


def jobs(arguments: argparse.Namespace) -> Iterator[runs.Job]:
    """All runs, those of one seed after those of another."""
    for seed in arguments.seeds:
        for every in EVERY:
            for group in (WARM, COLD):
                overrides = {
                    'mpc_controller': {
                        'control.replan_every': every,
                        'control.warm_start': group == WARM,
                    },
                    'planner': {'planner.horizon': HORIZON},
                }
                for model in arguments.models:
                    yield group, f'every {every}, {group}', overrides, model, seed, 8


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """The results in Markdown: medians and ranges over the seeds."""
    yield (
        '| replanned | perfect model: return | roughness | learned: best return by trial 8 '
        '| roughness |'
    )
    yield '|---|---|---|---|---|'
    for _, setting, parts in sorted(runs.by_setting(rows), key=lambda each: _every(each[1])):
        cells = []
        for model in runs.MODELS:
            part = parts[model]
            if not part:
                cells += ['-', '-']
                continue
            cells += [
                with_range(runs.best_returns(part)),
                f'{runs.median_of(part, "roughness"):.3f}',
            ]
        yield f'| {setting} | {" | ".join(cells)} |'


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Return and roughness against k, for both models."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout='constrained')
    for group, style in ((WARM, '-'), (COLD, '--')):
        for model, colour in zip(runs.MODELS, ('tab:blue', 'tab:orange')):
            points = [
                (_every(setting), parts[model])
                for each, setting, parts in runs.by_setting(rows)
                if each == group and parts[model]
            ]
            points.sort(key=lambda point: point[0])
            every = [point[0] for point in points]
            returns = [runs.best_returns(part) for _, part in points]
            label = f'{model} model, {group}'
            kind: dict[str, Any] = {'color': colour, 'linestyle': style, 'marker': 'o'}
            plot_ranges(axes[0], every, returns, label=label, **kind)
            rough = [runs.median_of(part, 'roughness') for _, part in points]
            axes[1].plot(every, rough, label=label, **kind)
    for axis in axes:
        axis.set(xscale='log', xlabel='steps executed of each plan')
        axis.set_xticks(EVERY, [str(each) for each in EVERY])
    axes[0].set_ylabel('return: median and range of the seeds')
    axes[1].set_ylabel('mean change of the action, share of half its range')
    axes[0].legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _every(setting: str) -> int:
    return int(setting.split(',')[0].removeprefix('every '))


def main() -> None:
    """Run what is missing, print the table, draw the picture."""
    runs.main('replanning_on_cartpole', __doc__, argparse.ArgumentParser(), jobs, table, draw)


if __name__ == '__main__':
    main()
