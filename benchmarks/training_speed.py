"""How fast ensembles are trained, beside mbrl-lib 0.2.0: updates per second, and time to a model.

The peer needs an environment of its own, with a torch like ours:

    python3.11 -m venv peer
    peer/bin/pip install torch==2.13.0 numpy gymnasium omegaconf hydra-core tqdm termcolor \\
        imageio matplotlib
    peer/bin/pip install --no-deps mbrl==0.2.0
    python benchmarks/training_speed.py --peer-python peer/bin/python

Both train the same networks on the same transitions with the same size and number of batches, on
two threads, in turns: mbrl-lib as it comes (it evaluates after each epoch) and without its
evaluation, and both of them once more with glibc's malloc and torch's matrix products tuned from
outside. Time runs from the transitions to the model. The two settings are published by mbrl-lib:
that of its PETS tutorial (with SiLU, as in all its other settings), and that of its PETS on the
cart-pole.

The likelihood is that of the change of the state in 2000 transitions of other episodes, in
physical units: of the ensemble as a mixture, and of the average member. The latter hangs on a few
impacts that a member's bootstrap may not have held; so ours is also trained with batches drawn from
all transitions (``shuffled``).

A measurement during which others took more than a tenth of the machine is made again. Writes a row
per training to benchmarks/results/training_speed.csv, and one per model that was judged by its
likelihood to training_speed_likelihood.csv. Prints the medians.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import os
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from csv_rows import append, cpu_name
from quiet import quietly
from training_speed_contenders import THREADS, Peer, Setting, train_ours
from training_speed_data import CARTPOLE, HALFCHEETAH, Task

RESULTS = Path(__file__).parent / 'results'
TASKS = {task.name: task for task in (CARTPOLE, HALFCHEETAH)}
SETTINGS = [
    Setting('5x3x200 batch 32', 5, (200,) * 3, 32, 50, 1e-3, 5e-5, 0.05),
    Setting('7x4x200 batch 256', 7, (200,) * 4, 256, 25, 7.5e-4, 3e-5, 0.0),
]
PEERS = {'mbrl-lib': False, 'mbrl-lib tuned': True}
TEST = 2000  # held-out transitions
METRICS = ('nll_ensemble', 'nll_member')
OURS = f'ours, {THREADS} threads'


def measure_speed(
    task: Task, size: int, setting: Setting, peers: dict[str, Peer], repetition: int, path: Path
) -> list[dict[str, Any]]:
    """A row for each contender, one after the other."""
    data = task.data(size, TEST, repetition)
    np.savez(path, **data)  # type: ignore[arg-type]
    short = dataclasses.replace(setting, epochs=max(3, setting.epochs * 1000 // size))

    def ask(peer: Peer, evaluate: bool) -> Callable[[], dict[str, Any]]:
        request = short.request(task, path, repetition, evaluate=evaluate, curve=False)
        return lambda: peer.train(request)

    contenders: dict[str, Callable[[], dict[str, Any]]] = {}
    for name, peer in peers.items():
        contenders[name] = ask(peer, evaluate=True)
        contenders[f'{name}, no evaluation'] = ask(peer, evaluate=False)
    in_epoch = -(-round(size * (1 - setting.validation)) // setting.batch_size)
    for threads in (THREADS, 1):
        contenders[f'ours, {threads} thread{"s" * (threads > 1)}'] = partial(
            train_ours, setting, task, data, short.epochs * in_epoch, repetition, threads
        )
    rows = []
    for name, measure in contenders.items():
        result = quietly(measure)
        updates = result['updates']
        rows.append(
            {
                'contender': name,
                'repetition': repetition,
                'updates': updates,
                'seconds': round(result['seconds'], 4),
                'updates_per_s': round(updates / result['seconds'], 1),
                'loop_updates_per_s': round(updates / result['loop_seconds'], 1),
                'others': result['others'],
            }
        )
    return rows


def measure_likelihood(
    task: Task, size: int, setting: Setting, peers: dict[str, Peer], repetition: int, path: Path
) -> list[dict[str, Any]]:
    """The held-out likelihood of each contender over time, as far as that of the peer's model.

    The peer is looked at after each epoch, its clock stopped meanwhile; ours is trained anew for
    ever more updates, each time from the transitions to the model.
    """
    data = task.data(size, TEST, repetition)
    np.savez(path, **data)  # type: ignore[arg-type]
    rows: list[dict[str, Any]] = []

    def note(name: str, updates: int, seconds: float, nll: list[float], others: float) -> None:
        row = {'contender': name, 'repetition': repetition, 'updates': updates}
        row |= {'seconds': round(seconds, 4), 'others': others}
        rows.append(row | {name: round(value, 4) for name, value in zip(METRICS, nll)})

    targets, longest = [], 0.0
    for name, peer in peers.items():
        request = setting.request(task, path, repetition, evaluate=True, curve=True)
        result = quietly(partial(peer.train, request))
        targets.append(result['nll'])
        longest = max(longest, result['seconds'])
        per_epoch = result['updates'] // setting.epochs
        for epoch, (seconds, nll) in enumerate(result['curve'], 1):
            note(name, epoch * per_epoch, seconds, nll, result['others'])
        note(name, result['updates'], result['seconds'], result['nll'], result['others'])
    for batches in ('bootstrap', 'shuffled'):
        missing = set(range(len(METRICS)))
        for updates in (25, 50, 75, *(round(100 * 1.2**i) for i in range(40))):
            ours = quietly(
                partial(train_ours, setting, task, data, updates, repetition, THREADS, batches)
            )
            name = OURS if batches == 'bootstrap' else f'{OURS}, {batches}'
            note(name, updates, ours['seconds'], ours['nll'], ours['others'])
            missing -= {i for i in missing if ours['nll'][i] <= min(t[i] for t in targets)}
            if not missing or ours['seconds'] > longest:
                break
    return rows


def summarise_speed(rows: list[dict[str, Any]]) -> None:
    """Print medians over the repetitions, and ours over each peer of the same repetition."""
    rates: dict[str, list[float]] = {}
    for row in rows:
        rates.setdefault(row['contender'], []).append(row['updates_per_s'])
    ours = rates[OURS]
    for name, values in rates.items():
        loop = [row['loop_updates_per_s'] for row in rows if row['contender'] == name]
        ratio = statistics.median(own / other for own, other in zip(ours, values))
        print(
            f'  {name:30s} {statistics.median(values):8.0f} updates/s, bare updates '
            f'{statistics.median(loop):8.0f}, ours is {ratio:.2f} times as fast'
        )


def summarise_likelihood(rows: list[dict[str, Any]]) -> None:
    """Print how long each takes to the likelihood of the peer's final model."""
    curves: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in rows:
        curves.setdefault((row['contender'], row['repetition']), []).append(row)

    def reach(name: str, repetition: int, metric: str, target: float) -> float:
        curve = curves[name, repetition]
        return next((row['seconds'] for row in curve if row[metric] <= target), float('inf'))

    repetitions = sorted({repetition for _, repetition in curves})
    for peer, metric in itertools.product(PEERS, METRICS):
        target = {r: curves[peer, r][-1][metric] for r in repetitions}
        theirs = [reach(peer, r, metric, target[r]) for r in repetitions]
        print(
            f'  {metric} of {peer}: {statistics.median(target.values()):.2f} after '
            f'{statistics.median(theirs):.3f} s'
        )
        for name in (OURS, f'{OURS}, shuffled'):
            ours = [reach(name, r, metric, target[r]) for r in repetitions]
            ratio = statistics.median(own / other for own, other in zip(ours, theirs))
            print(
                f'    {name}: {statistics.median(ours):.3f} s, {ratio:.3f} of that; reached in '
                f'{sum(value < float("inf") for value in ours)} of {len(ours)}'
            )


def main() -> None:
    """Measure, print, and append to the results."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        '--peer-python', type=Path, required=True, help='python that has mbrl 0.2.0'
    )
    parser.add_argument('--repetitions', type=int, default=5, help='each with data of its own')
    parser.add_argument('--tasks', nargs='+', choices=TASKS, default=list(TASKS))
    parser.add_argument('--sizes', nargs='+', type=int, default=[1000, 10_000])
    parser.add_argument('--what', nargs='+', choices=KINDS, default=list(KINDS))
    parser.add_argument('--results', type=Path, default=RESULTS, help='folder of the CSV files')
    arguments = parser.parse_args()
    peers = {name: Peer(arguments.peer_python, tuned) for name, tuned in PEERS.items()}
    machine = {'cpu': cpu_name(), 'cpus': os.cpu_count(), 'torch': torch.__version__}
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, 'data.npz')
            for task, size, setting, what in itertools.product(
                arguments.tasks, arguments.sizes, SETTINGS, arguments.what
            ):
                measure, summarise, name = KINDS[what]
                under = machine | {'task': task, 'transitions': size, 'setting': setting.name}
                print(f'{task}, {size} transitions, {setting.name}: {what}', flush=True)
                rows = []
                for repetition in range(arguments.repetitions):
                    new = measure(TASKS[task], size, setting, peers, repetition, path)
                    append(arguments.results / name, [under | row for row in new])
                    rows += new
                summarise(rows)
    finally:
        for peer in peers.values():
            peer.close()


KINDS = {
    'speed': (measure_speed, summarise_speed, 'training_speed.csv'),
    'likelihood': (
        measure_likelihood,
        summarise_likelihood,
        'training_speed_likelihood.csv',
    ),
}

if __name__ == '__main__':
    main()
