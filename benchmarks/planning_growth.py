"""How the time per plan grows with each size, one at a time, from the demo's plan.

    python benchmarks/planning_growth.py

Sizes: candidates, horizon, members, particles (TS-infinity), entries of the action, and robots that
are planned for in one batch (``Planner.plan_many``); the eight robots are also planned for one
after the other, in the same turn. All sizes are measured in turns, each plan warm-started from the
last; a measurement during which others took more than a tenth of the machine is made again.

Appends a row per size, value and repetition to benchmarks/results/planning_growth.csv, draws
docs/images/planning_growth.png from this run's medians, and prints them. ``--quick`` is for seeing
that it works.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from csv_rows import append, cpu_name
from planning_plans import DEMO, Plan
from quiet import quietly

from mbrl_planner.planner import Planner, PlannerError, PlanRequest
from mbrl_planner.warm_start import WarmStart

mpl.use('Agg')
from matplotlib import pyplot as plt

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / 'benchmarks' / 'results' / 'planning_growth.csv'
PICTURE = ROOT / 'docs' / 'images' / 'planning_growth.png'
TEAM = 8
ALONE = f'{TEAM} robots, one by one'
SIZES: dict[str, tuple[int, ...]] = {
    'candidates': (16, 32, 64, 128, 256, 512),
    'horizon': (5, 10, 20, 40, 80),
    'members': (1, 2, 5, 10, 20),
    'particles': (5, 10, 20, 40, 80),
    'actions': (1, 2, 4, 8, 16, 32),
    'robots': (1, 2, 4, 8, 16, 32),
}
LABELS = {
    'candidates': 'candidates',
    'horizon': 'horizon [steps]',
    'members': 'members',
    'particles': 'particles (TS-infinity)',
    'actions': 'entries of the action',
    'robots': 'robots in one batch',
}


class Team:
    """Robots in states of their own, that plan again and again; ``together`` or one by one."""

    def __init__(self, planner: Planner, states: int, robots: int, together: bool = True) -> None:
        self._planner = planner
        self._states = np.random.default_rng(0).normal(0.0, 0.1, (robots, states))
        self._warm: list[WarmStart | None] = [None] * robots
        self._together = together
        self._seed = 0

    def plan(self) -> float:
        """One plan for each; the time of all [s]."""
        self._seed += 1
        requests = [
            PlanRequest(state=state, seed=self._seed, warm_start=warm)
            for state, warm in zip(self._states, self._warm)
        ]
        began = time.perf_counter()
        if self._together:
            results = self._planner.plan_many(requests)
        else:
            results = [self._planner.plan(request) for request in requests]
        seconds = time.perf_counter() - began
        for robot, result in enumerate(results):
            if isinstance(result, PlannerError):
                raise result
            self._warm[robot] = result.warm_start.shifted(1)
        return seconds


def contenders() -> dict[tuple[str, int], Team]:
    """By size and its value."""

    def team(plan: Plan, robots: int = 1, together: bool = True, **changes: Any) -> Team:
        return Team(plan.planner(**changes), plan.states, robots, together)

    makers: dict[str, Callable[[int], Team]] = {
        'candidates': lambda n: team(DEMO, optimizer__candidates=n),
        'horizon': lambda n: team(DEMO, planner__horizon=n),
        'members': lambda n: team(dataclasses.replace(DEMO, members=n)),
        'particles': lambda n: team(DEMO, planner__propagation='ts_inf', planner__particles=n),
        'actions': lambda n: team(dataclasses.replace(DEMO, actions=n)),
        'robots': lambda n: team(DEMO, robots=n),
    }
    made = {(size, n): makers[size](n) for size, values in SIZES.items() for n in values}
    return made | {(ALONE, TEAM): team(DEMO, robots=TEAM, together=False)}


def measure(repetitions: int, plans: int, quick: bool) -> list[dict[str, Any]]:
    """A row per contender and repetition."""
    teams = contenders()
    for team in teams.values():
        for _ in range(1 if quick else 10):
            team.plan()

    def times(team: Team) -> dict[str, Any]:
        return {'seconds': [team.plan() for _ in range(plans)]}

    rows = []
    for repetition in range(repetitions):
        for (size, value), team in teams.items():
            run = partial(times, team)
            result = run() | {'others': -1.0} if quick else quietly(run)
            rows.append(
                {
                    'size': size,
                    'value': value,
                    'repetition': repetition,
                    'plans': plans,
                    'ms_p50': round(statistics.median(result['seconds']) * 1e3, 4),
                    'ms_p99': round(float(np.percentile(result['seconds'], 99)) * 1e3, 4),
                    'others': result['others'],
                }
            )
        print(f'repetition {repetition} done', flush=True)
    return rows


def medians(rows: list[dict[str, Any]]) -> dict[tuple[str, int], float]:
    """Over the repetitions [ms]."""
    times: dict[tuple[str, int], list[float]] = {}
    for row in rows:
        times.setdefault((row['size'], row['value']), []).append(row['ms_p50'])
    return {key: statistics.median(values) for key, values in times.items()}


def summarise(rows: list[dict[str, Any]]) -> None:
    """Print medians, and what a batch of robots is worth."""
    median = medians(rows)
    for size, values in SIZES.items():
        line = ', '.join(f'{n}: {median[size, n]:.2f}' for n in values)
        print(f'{LABELS[size]} [ms]: {line}')
    pairs: dict[int, dict[str, float]] = {}
    for row in rows:
        if row['value'] == TEAM and row['size'] in ('robots', ALONE):
            pairs.setdefault(row['repetition'], {})[row['size']] = row['ms_p50']
    ratio = statistics.median(pair[ALONE] / pair['robots'] for pair in pairs.values())
    print(
        f'{TEAM} robots: {median["robots", TEAM]:.2f} ms in one batch, {median[ALONE, TEAM]:.2f} '
        f'ms one by one: the batch is {ratio:.2f} times as fast'
    )


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """A small panel per size, with the line of proportional growth from the demo's plan."""
    median = medians(rows)
    figure, panels = plt.subplots(2, 3, figsize=(9, 5), sharey=True, layout='constrained')
    for panel, (size, values) in zip(panels.flat, SIZES.items()):
        panel.plot(values, [median[size, n] for n in values], marker='.', label='measured')
        first, last = values[0], values[-1]
        top = median[size, last]
        panel.plot(
            (first, last), (top * first / last, top), ls=':', color='0.5', label='proportional'
        )
        panel.set(xscale='log', yscale='log', xlabel=LABELS[size])
        panel.set_xticks(values, [str(n) for n in values])
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    panels[0, 0].set_ylim(0.7 * min(median.values()), 1.4 * max(median.values()))
    panels[1, 2].plot(TEAM, median[ALONE, TEAM], 'x', color='tab:red', label='one by one')
    panels[1, 2].legend()
    for row in panels:
        row[0].set_ylabel('time per plan [ms]')
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    """Measure, print, draw, and append to the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--repetitions', type=int, default=5, help='turns of all sizes')
    parser.add_argument('--plans', type=int, default=50, help='of each, in a turn')
    parser.add_argument('--quick', action='store_true', help='few plans, whoever else is busy')
    parser.add_argument('--csv', type=Path, default=RESULTS, help='where to append the results')
    parser.add_argument('--picture', type=Path, default=PICTURE, help='where to draw')
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.repetitions, arguments.plans = 1, 3
    rows = measure(arguments.repetitions, arguments.plans, arguments.quick)
    under = {'cpu': cpu_name(), 'cpus': os.cpu_count(), 'torch': torch.__version__}
    append(arguments.csv, [under | row for row in rows])
    draw(rows, arguments.picture)
    summarise(rows)


if __name__ == '__main__':
    main()
