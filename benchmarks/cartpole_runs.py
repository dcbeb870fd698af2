"""Runs of the cart-pole under many settings of the planner: what the studies of planners share.

A setting is a set of parameters by node. With the true model an episode of each seed is planned in
MuJoCo; with a learned one the task is learned from nothing, one random trial and then planned ones.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import importlib.metadata
import math
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from csv_rows import read, write

from mbrl_bringup.learn import Episode, learn
from mbrl_bringup.tasks import params_file_of
from mbrl_common.taskfile import node_parameters

TASK = 'cartpole_swingup'
SOLVED = 175.0
MODELS = ('true', 'learned')
Overrides = Mapping[str, Mapping[str, Any]]


def roughness(episode: Episode) -> float:
    """Mean absolute change of the action from step to step, as a share of half its range."""
    actions = np.array([each.action for each in episode.transitions])
    parameters = node_parameters(params_file_of(TASK), 'planner')
    half = (np.array(parameters['task.action_high']) - np.array(parameters['task.action_low'])) / 2
    return float((np.abs(np.diff(actions, axis=0)) / half).mean())


def run(
    group: str, setting: str, overrides: Overrides, model: str, seed: int, trials: int
) -> list[dict[str, Any]]:
    """One run: a row per trial.

    Args:
        group: the line of a picture that it belongs to.
        setting: its name.
        overrides: its parameters, by node.
        model: one of ``MODELS``.
        seed: of everything.
        trials: with a learned model; the true one needs a single trial.
    """
    params = params_file_of(TASK)
    environment = node_parameters(params, 'sim_bridge')['sim.environment']
    merged = {node: dict(values) for node, values in overrides.items()}
    if model == 'true':
        planner = merged.setdefault('planner', {})
        planner |= {'planner.backend': 'mujoco', 'planner.simulator': environment}
        merged['dynamics'] = {'training.every_episodes': 0, 'training.every_steps': 0}
    episodes = learn(
        params,
        seed=seed,
        episodes=trials if model == 'learned' else 1,
        exploration_episodes=1 if model == 'learned' else 0,
        overrides=merged,
    )
    under = {
        'group': group,
        'setting': setting,
        'model': model,
        'task': TASK,
        'environment': environment,
        **{each: importlib.metadata.version(each) for each in ('torch', 'mujoco')},
        'seed': seed,
    }
    return [
        under
        | {
            'trial': episode.record.episode + 1,
            'total_steps': episode.total_steps,
            'episode_return': round(episode.record.episode_return, 3),
            'roughness': round(roughness(episode), 5),
            'model_steps': episode.record.model_steps,
            'plan_time_p50': round(episode.record.plan_time(50), 6),
            'wall_time': round(episode.wall_time, 3),
        }
        for episode in episodes
    ]


Job = tuple[str, str, Overrides, str, int, int]
"""The arguments of ``run``."""


def run_all(jobs: Sequence[Job], path: Path, workers: int) -> None:
    """Run what is not in the file yet, ``workers`` at a time, and add the rows as they come."""
    rows = read(path)
    there = {(row['setting'], row['model'], row['seed']) for row in rows}
    todo = [job for job in jobs if (job[1], job[3], str(job[4])) not in there]
    began = time.monotonic()
    # Every run sets the threads of torch for itself: a process each.
    context = multiprocessing.get_context('spawn')
    with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
        running = {pool.submit(run, *job): job for job in todo}
        for done, future in enumerate(concurrent.futures.as_completed(running), start=1):
            job = running[future]
            found = future.result()
            rows += found
            write(path, sorted(rows, key=_order))
            best = max(float(row['episode_return']) for row in found)
            left = (time.monotonic() - began) / done * (len(todo) - done)
            print(
                f'{job[1]}, {job[3]} model, seed {job[4]}: best return {best:.1f} '
                f'({done} of {len(todo)} runs, about {left / 60:.0f} min left)',
                flush=True,
            )


def _order(row: Mapping[str, Any]) -> tuple[str, str, str, int, int]:
    """An order that does not depend on when a run ended."""
    return row['group'], row['setting'], row['model'], int(row['seed']), int(row['trial'])


def best_returns(rows: Sequence[Mapping[str, Any]]) -> list[float]:
    """The best return of each seed."""
    seeds: dict[str, float] = {}
    for row in rows:
        seed, value = str(row['seed']), float(row['episode_return'])
        seeds[seed] = max(seeds.get(seed, -math.inf), value)
    return list(seeds.values())


def median_of(rows: Sequence[Mapping[str, Any]], column: str) -> float:
    """The median of a column over planned trials; NaN if there is none."""
    values = [float(row[column]) for row in rows if int(row['model_steps']) > 0]
    return statistics.median(values) if values else math.nan


def by_setting(
    rows: Sequence[Mapping[str, Any]],
) -> Iterator[tuple[str, str, dict[str, list[Mapping[str, Any]]]]]:
    """Group, setting, and the rows of each model."""
    names = dict.fromkeys((row['group'], row['setting']) for row in rows)
    for group, setting in names:
        parts: dict[str, list[Mapping[str, Any]]] = {model: [] for model in MODELS}
        for row in rows:
            if row['setting'] == setting:
                parts[row['model']].append(row)
        yield group, setting, parts


def main(
    name: str,
    doc: str,
    parser: argparse.ArgumentParser,
    jobs: Callable[[argparse.Namespace], Iterable[Job]],
    table: Callable[[list[dict[str, Any]]], Iterator[str]],
    draw: Callable[[list[dict[str, Any]], Path], None],
) -> None:
    """Run what is missing, print the table, draw the picture.

    Args:
        name: of the study, and of its files.
        doc: what it is, in a line.
        parser: with the study's own options; those that all share are added.
        jobs: all runs that the options ask for.
        table: of the rows, in Markdown.
        draw: the picture of the rows into a file.
    """
    here = Path(__file__).parent
    picture = here.parent / 'docs' / 'images' / f'{name}.png'
    parser.description = doc.split('\n')[0]
    parser.add_argument('--models', nargs='+', default=list(MODELS), choices=MODELS)
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2, 3, 4])
    parser.add_argument('--workers', type=int, default=2, help='runs at a time')
    parser.add_argument('--table', action='store_true', help='only print and draw what is there')
    parser.add_argument('--csv', type=Path, default=here / 'results' / f'{name}.csv')
    parser.add_argument('--picture', type=Path, default=picture)
    arguments = parser.parse_args()
    if not arguments.table:
        run_all(list(jobs(arguments)), arguments.csv, arguments.workers)
    rows = read(arguments.csv)
    print('\n'.join(table(rows)))
    arguments.picture.parent.mkdir(parents=True, exist_ok=True)
    draw(rows, arguments.picture)
