"""The cart-pole learned from nothing, through the graph, once per seed.

Each run is ``mbrl up cartpole_swingup --learn``: four processes over DDS, one random trial and then
planned ones, all of them run even if the task is solved earlier.

    python benchmarks/cartpole_swingup.py --seeds 0 1 2 3 4

Writes one row per trial to benchmarks/results/cartpole_swingup.csv and the curve beside it, and
prints the medians that the README quotes.
"""

from __future__ import annotations

import argparse
import csv
import importlib.metadata
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import matplotlib as mpl
import yaml

from mbrl_bringup.tasks import params_file_of
from mbrl_common.taskfile import node_parameters
from mbrl_common.testing import isolated_domain

mpl.use('Agg')
from matplotlib import pyplot as plt

TASK = 'cartpole_swingup'
RESULTS = Path(__file__).parent / 'results' / f'{TASK}.csv'
# Maximum return so far of PETS's own code on this task, one seed, after so many control steps.
PETS = {400: 9, 600: 54, 800: 82, 1000: 132, 1200: 169, 1600: 177, 3000: 180}


def run(seed: int, trials: int, folder: Path) -> list[dict[str, str]]:
    """One run; returns the rows of its trials, with what they were measured under."""
    document = yaml.safe_load(params_file_of(TASK).read_text())
    document['/**/mbrl']['ros__parameters']['target_return'] = 1e9  # never stop early
    environment = node_parameters(params_file_of(TASK), 'sim_bridge')['sim.environment']
    params = folder / f'{seed}.yaml'
    params.write_text(yaml.safe_dump(document))
    began = time.monotonic()
    with isolated_domain() as domain:
        command = ['mbrl', 'up', TASK, '--learn', '--trials', str(trials), '--seed', str(seed)]
        command += ['--params-file', str(params), '--run-folder', str(folder / str(seed))]
        code = subprocess.run([*command, '--domain-id', str(domain)], check=False).returncode
    if code not in (0, 3):
        sys.exit(f'{" ".join(command)} ended with exit code {code}')
    under = {
        'task': TASK,
        'environment': environment,
        'seed': str(seed),
        **{name: importlib.metadata.version(name) for name in ('torch', 'mujoco', 'numpy')},
        'run_time': f'{time.monotonic() - began:.1f}',
    }
    with (folder / str(seed) / 'episodes.csv').open(newline='') as file:
        return [under | row for row in csv.DictReader(file)]


def summarise(rows: list[dict[str, str]]) -> None:
    """Print what the returns come to over the seeds."""
    returns: dict[str, list[float]] = {}
    for row in rows:
        returns.setdefault(row['seed'], []).append(float(row['episode_return']))
    trials = min(map(len, returns.values()))
    print(f'{len(returns)} seeds; best return so far after each trial (median, range):')
    for trial in range(trials):
        best = [max(values[: trial + 1]) for values in returns.values()]
        print(
            f'  trial {trial + 1} ({(trial + 1) * 200} steps): {statistics.median(best):.1f} '
            f'({min(best):.1f} to {max(best):.1f})'
        )
    for name in ('plan_time_p50', 'training_time', 'wall_time', 'model_steps_per_action'):
        planned = [float(row[name]) for row in rows if row['kind'] == 'planned']
        print(f'  {name}: median {statistics.median(planned):.4g}')


def draw(rows: list[dict[str, str]], path: Path) -> None:
    """The learning curve of every seed, with PETS's own beside it."""
    figure, axes = plt.subplots(figsize=(7, 4), layout='constrained')
    for seed in sorted({row['seed'] for row in rows}, key=int):
        curve = [
            (int(r['total_steps']), float(r['episode_return'])) for r in rows if r['seed'] == seed
        ]
        axes.plot(*zip(*curve), color='tab:blue', alpha=0.6, marker='.', label=f'seed {seed}')
    axes.plot(*zip(*PETS.items()), color='tab:orange', marker='s', label="PETS's code, best so far")
    axes.set(
        xlabel='control steps', ylabel='return of the trial', title='Cart-pole swing-up (PETS)'
    )
    axes.set_xlim(0, 1700)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    """Run all seeds and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2, 3, 4])
    parser.add_argument('--trials', type=int, default=6)
    parser.add_argument('--csv', type=Path, default=RESULTS)
    arguments = parser.parse_args()
    rows: list[dict[str, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in arguments.seeds:
            rows += run(seed, arguments.trials, Path(folder))
    arguments.csv.parent.mkdir(parents=True, exist_ok=True)
    with arguments.csv.open('w', newline='') as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    draw(rows, arguments.csv.with_suffix('.png'))
    summarise(rows)


if __name__ == '__main__':
    main()
