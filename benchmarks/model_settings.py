"""The cart-pole learned with other models: return, steps and training time of each setting.

Every setting learns the demo's task from nothing in one process (``mbrl_bringup.learn``: the same
numbers as through the graph), one random trial and then planned ones; three seeds, eight trials
each, twice as many where the reward is learned. It counts as solved by the first planned trial that
returns 175.

    python benchmarks/model_settings.py --seeds 0 1 2

Writes one row per trial to benchmarks/results/model_settings.csv and prints the table of the
medians; ``--settings NAME ...`` runs some of them, ``--table`` prints the table of what is there.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from csv_rows import read, write
from seeds import with_range

from mbrl_bringup.learn import Episode, learn
from mbrl_bringup.tasks import params_file_of
from mbrl_common.taskfile import node_parameters

TASK = 'cartpole_swingup'
SOLVED = 175.0
RESULTS = Path(__file__).parent / 'results' / 'model_settings.csv'

_NEVER = {'training.every_steps': 0}
SETTINGS: dict[str, dict[str, dict[str, Any]]] = {
    'as in the demo': {},
    '1 member': {'dynamics': {'model.members': 1}},
    '2 members': {'dynamics': {'model.members': 2}},
    '3 members': {'dynamics': {'model.members': 3}},
    '7 members, 5 elites': {'dynamics': {'model.members': 7, 'model.elites': 5}},
    'history of 2': {'dynamics': {'model.history': 2}},
    'history of 3': {'dynamics': {'model.history': 3}},
    # Rewards that no one has seen are not planned for: it explores with held actions and optimism.
    'learned reward': {
        'dynamics': {'model.reward': True, 'training.every_steps': 25},
        'planner': {
            'planner.reward': 'model',
            'planner.risk_aversion': -1.0,
            'planner.horizon': 25,
        },
        'mpc_controller': {'control.exploration_hold': 5},
    },
    'deterministic': {'dynamics': {'model.kind': 'deterministic'}},
    'ReLU': {'dynamics': {'model.activation': 'relu'}},
    'shared batches': {'dynamics': {'training.batches': 'shared'}},
    'trained after trials only': {'dynamics': _NEVER},
    'from scratch each time': {'dynamics': {'training.from_scratch': True}},
    'expectation': {'planner': {'planner.propagation': 'expectation'}},
    'TS1, 20 particles': {'planner': {'planner.propagation': 'ts1'}},
    'TS-infinity, 20 particles': {'planner': {'planner.propagation': 'ts_inf'}},
    'moment matching, 4 particles': {
        'planner': {'planner.propagation': 'moment_matching', 'planner.particles': 4}
    },
    'distribution sampling, 4 particles': {
        'planner': {'planner.propagation': 'distribution_sampling', 'planner.particles': 4}
    },
}
MORE_TRIALS = {'learned reward': 16}


def run(name: str, seed: int, trials: int) -> Iterator[dict[str, Any]]:
    """One run; yields a row per trial, as it ends."""
    params = params_file_of(TASK)
    under = {
        'setting': name,
        'task': TASK,
        'environment': node_parameters(params, 'sim_bridge')['sim.environment'],
        **{each: importlib.metadata.version(each) for each in ('torch', 'mujoco')},
        'seed': seed,
    }
    rows: list[dict[str, Any]] = []

    def note(episode: Episode) -> None:
        record = episode.record
        rows.append(
            under
            | {
                'trial': record.episode + 1,
                'steps': record.steps,
                'total_steps': episode.total_steps,
                'episode_return': round(record.episode_return, 3),
                'holdout_error': round(episode.holdout_error, 5),
                'training_time': round(episode.training_time, 3),
                'wall_time': round(episode.wall_time, 3),
                'plan_time_p50': round(record.plan_time(50), 5),
            }
        )
        print(
            f'{name}, seed {seed}, trial {record.episode + 1}: return '
            f'{record.episode_return:.1f}, {episode.wall_time:.1f} s',
            flush=True,
        )

    learn(params, seed=seed, episodes=trials, overrides=SETTINGS[name], on_episode=note)
    yield from rows


def table(rows: list[dict[str, str]]) -> Iterator[str]:
    """The results in Markdown: medians and ranges over the seeds."""
    yield (
        '| setting | best return by trial 4 | by the last trial | steps until solved | '
        'training per trial [s] | plan [ms] | seeds solved |'
    )
    yield '|---|---|---|---|---|---|---|'
    names = dict.fromkeys(row['setting'] for row in rows)
    for name in names:
        runs: dict[str, list[dict[str, str]]] = {}
        for row in rows:
            if row['setting'] == name:
                runs.setdefault(row['seed'], []).append(row)
        fourth = [max(float(r['episode_return']) for r in each[:4]) for each in runs.values()]
        last = [max(float(r['episode_return']) for r in each) for each in runs.values()]
        solved = []
        for each in runs.values():
            good = [r for r in each[1:] if float(r['episode_return']) >= SOLVED]
            if good:
                solved.append(float(good[0]['total_steps']))
        planned = [row for each in runs.values() for row in each[1:]]
        training = statistics.median(float(row['training_time']) for row in planned)
        plan = statistics.median(float(row['plan_time_p50']) for row in planned) * 1e3
        steps = with_range(solved, 0) if solved else '-'
        yield (
            f'| {name} | {with_range(fourth)} | {with_range(last)} | {steps} | {training:.1f} '
            f'| {plan:.1f} | {len(solved)} of {len(runs)} |'
        )


def main() -> None:
    """Run the settings and write the results as they come."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--trials', type=int, default=8)
    parser.add_argument('--settings', nargs='+', default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument('--csv', type=Path, default=RESULTS)
    parser.add_argument('--table', action='store_true', help='print the table of the results')
    arguments = parser.parse_args()
    if not arguments.table:
        began = time.monotonic()
        old = read(arguments.csv)
        todo = [(name, seed) for name in arguments.settings for seed in arguments.seeds]
        redone = {(name, str(seed)) for name, seed in todo}
        rows: list[dict[str, Any]] = [
            row for row in old if (row['setting'], row['seed']) not in redone
        ]
        for done, (name, seed) in enumerate(todo):
            rows += run(name, seed, max(arguments.trials, MORE_TRIALS.get(name, 0)))
            _write(arguments.csv, rows)
            elapsed = time.monotonic() - began
            left = elapsed / (done + 1) * (len(todo) - done - 1)
            print(f'{done + 1} of {len(todo)} runs, about {left / 60:.0f} min left', flush=True)
    print('\n'.join(table(read(arguments.csv))))


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    order = {name: place for place, name in enumerate(SETTINGS)}
    write(
        path,
        sorted(rows, key=lambda row: (order[row['setting']], int(row['seed']), int(row['trial']))),
    )


if __name__ == '__main__':
    main()
