"""Trials of one of PDDM's tasks with a model that is finished, whatever is set of the planner.

What a planner makes of a model is soon tried, where learning it anew takes an hour; but a model
learned from other plans may fail where its own would not. Needs a seed of a run that was kept:

    mbrl bench baoding_pddm --recipe suite --seeds 1 --episodes 1150 --keep
    python benchmarks/finished_model.py baoding_pddm \\
        benchmarks/results/bench/baoding_pddm-suite.runs/seed_0 --set optimizer.pddm.kappa=10
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

import csv_rows
import yaml
from pddm_ends import MEASURES, RESULTS, distances, row, show

from mbrl_bringup.learn import Episode, learn
from mbrl_bringup.tasks import params_file_of
from mbrl_common.settings import SettingsError
from mbrl_dynamics.bag import bags, read_arrays

FIRST = 1_000_000  # an episode of no run: its number decides what is drawn in it


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('task', choices=list(MEASURES))
    parser.add_argument('run', type=Path, help='folder OUT.runs/seed_N of `mbrl bench --keep`')
    parser.add_argument(
        '--set',
        action='append',
        default=[],
        metavar='NAME=VALUE',
        help="a parameter of the planner, in place of the file's; may be repeated",
    )
    parser.add_argument('--trials', type=int, default=50, help='episodes')
    parser.add_argument('--out', type=Path, help='default: benchmarks/results/TASK_finished.csv')
    arguments = parser.parse_args()
    changed: dict[str, Any] = {}
    for entry in arguments.set:
        name, equals, value = entry.partition('=')
        if not equals:
            parser.error(f'--set has {entry!r}; it must be NAME=VALUE, as optimizer.pddm.kappa=10')
        changed[name.strip()] = yaml.safe_load(value)
    if not any((arguments.run / 'models').glob('*.safetensors')):  # it would hold still
        parser.error(f'{arguments.run} has no models; it must be a seed of `mbrl bench --keep`')

    def done(episode: Episode) -> None:
        record = episode.record
        print(
            f'{record.episode - FIRST + 1:4d} of {arguments.trials}: {record.steps} steps, '
            f'return {record.episode_return:.1f}',
            flush=True,
        )

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        shutil.copytree(arguments.run / 'models', folder / 'models')
        try:
            learn(
                params_file_of(arguments.task),
                episodes=FIRST + arguments.trials,
                exploration_episodes=0,
                first_episode=FIRST,
                folder=folder,
                overrides={
                    'planner': changed,
                    'dynamics': {'training.every_episodes': 0, 'training.every_steps': 0},
                },
                on_episode=done,
            )
        except SettingsError as error:
            parser.error(str(error))
        measured = distances(arguments.task)
        trials = [read_arrays(bag) for bag in bags(folder / 'data')]
    said = ' '.join(arguments.set) or 'as in the file'
    rows = [{'planner': said, **row(0, steps, measured(steps))} for steps in trials]
    for index, each in enumerate(rows):
        each['episode'] = index
    csv_rows.append(arguments.out or RESULTS / f'{arguments.task}_finished.csv', rows)
    show(rows, MEASURES[arguments.task], arguments.trials)


if __name__ == '__main__':
    main()
