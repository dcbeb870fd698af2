"""What PDDM's tasks are measured by, for each episode of a run.

PDDM's measures are how far valve or cube is from its goal at the end (mean of the last 5 steps),
and how far the Baoding balls are from their targets (mean of both, over the episode); `mbrl bench`
knows the sum over the episode, so this reads the steps of a run that was kept:

    mbrl bench valve_pddm --recipe suite --seeds 3 --episodes 300 --keep
    python benchmarks/pddm_ends.py valve_pddm benchmarks/results/bench/valve_pddm-suite.runs
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import csv_rows
import numpy as np
import torch

from mbrl_bringup.tasks import params_file_of
from mbrl_common.taskfile import node_settings
from mbrl_dynamics.bag import bags, read_arrays
from mbrl_dynamics.transitions import Transitions
from mbrl_mpc.settings import MpcSettings
from mbrl_planner.objectives import make_objective

LAST = 5  # steps
RESULTS = Path(__file__).parent / 'results'


@dataclasses.dataclass(frozen=True)
class Measure:
    """What counts in a task's episodes."""

    terms: tuple[str, ...]
    """Of the objective: distances, whose mean is measured."""
    column: str
    """That decides."""
    limit: float
    unit: str


MEASURES = {
    'valve_pddm': Measure(('error',), 'end', 0.1, 'rad'),
    'cube_pddm': Measure(('error',), 'end', 0.3, 'rad'),
    'baoding_pddm': Measure(('ball1', 'ball2'), 'mean', 0.015, 'm'),
}


def distances(task: str) -> Callable[[Transitions], np.ndarray]:
    """A function from N steps to how far off each of them ended, [N], in the measure's unit."""
    settings = node_settings(params_file_of(task), 'mpc_controller', MpcSettings)
    objective = make_objective(settings.objective, settings.task)
    terms = [objective.terms[name] for name in MEASURES[task].terms]

    def measured(steps: Transitions) -> np.ndarray:
        arrays = (steps.state, steps.action, steps.next_state)
        state, action, after = (torch.from_numpy(each) for each in arrays)
        goal = torch.empty(len(steps), 0)
        off: np.ndarray = np.mean([-t(state, action, after, goal).numpy() for t in terms], axis=0)
        return off

    return measured


def row(seed: int, steps: Transitions, off: np.ndarray) -> dict[str, Any]:
    """What is written of an episode."""
    return {
        'seed': seed,
        'episode': int(steps.episode[0]),
        'steps': len(steps),
        'dropped': bool(steps.terminated[-1]),
        'end': round(float(off[-LAST:].mean()), 4),
        'mean': round(float(off.mean()), 4),
    }


def show(rows: list[dict[str, Any]], measure: Measure, group: int) -> None:
    """Print what came of each ``group`` episodes of a seed."""
    for seed in sorted({each['seed'] for each in rows}):
        own = [each for each in rows if each['seed'] == seed]
        for first in range(0, len(own), group):
            part = own[first : first + group]
            values = [each[measure.column] for each in part]
            solved = [v < measure.limit and not p['dropped'] for v, p in zip(values, part)]
            print(
                f'seed {seed}, episodes {first:4d} on: {np.mean([p["steps"] for p in part]):5.1f} '
                f'steps, {sum(p["dropped"] for p in part)} dropped, median {measure.column} '
                f'{np.median(values):.4f} {measure.unit}, {sum(solved)} of {len(part)} solved: '
                f'under {measure.limit:g} {measure.unit} and nothing dropped'
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('task', choices=list(MEASURES))
    parser.add_argument('runs', type=Path, help='folder OUT.runs of `mbrl bench --keep`')
    parser.add_argument('--out', type=Path, help='default: benchmarks/results/TASK_ends.csv')
    parser.add_argument(
        '--group', type=int, default=20, help='episodes that are put together to be printed'
    )
    arguments = parser.parse_args()
    measured = distances(arguments.task)
    rows: list[dict[str, Any]] = []
    for folder in sorted(arguments.runs.glob('seed_*')):
        seed = int(folder.name.removeprefix('seed_'))
        for bag in bags(folder / 'data'):
            steps = read_arrays(bag)
            if len(steps):
                rows.append(row(seed, steps, measured(steps)))
    if not rows:
        parser.error(f'{arguments.runs} has no seed_*/data with bags')
    csv_rows.write(arguments.out or RESULTS / f'{arguments.task}_ends.csv', rows)
    show(rows, MEASURES[arguments.task], arguments.group)


if __name__ == '__main__':
    main()
