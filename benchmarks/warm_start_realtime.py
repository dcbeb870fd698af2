"""What warm start does in real time: how rough the commands are, and what they earn.

The cart-pole is learned from nothing once per seed, in lockstep; the model then stays as it is.
With it the real graph runs in real time (the bridge as a robot: 10 ms late with 2 ms of jitter,
noisy, 1 % of states and commands lost), in turns with ``control.warm_start`` and without, from the
same starts. All else is the same for both. Roughness is the mean square of the change of the action
from one control step to the next, as they were in force.

    python benchmarks/warm_start_realtime.py
    python benchmarks/warm_start_realtime.py --planner optimizer.icem.initial_std=0.25
    python benchmarks/warm_start_realtime.py --lockstep --planner optimizer.icem.execute_best=false

Appends a row per episode to benchmarks/results/warm_start_realtime.csv, and prints medians and
ranges over the seeds. ``--lockstep`` does the same in one process, for trying out settings: it is
fast, and does not depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import csv_rows
import numpy as np
import yaml
from realtime_cartpole import PACKAGES, ROBOT, TASK
from seeds import with_range
from soak_watch import Watch
from warm_start_lockstep import Lockstep

from mbrl_bringup.learn import learn
from mbrl_bringup.tasks import params_file_of
from mbrl_common.qos import LATCHED, RECORD
from mbrl_common.testing import NodeProcess, Probe, isolated_domain
from mbrl_msgs.action import RunEpisodes
from mbrl_msgs.msg import ControllerStatus, Transition

RESULTS = Path(__file__).parent / 'results' / 'warm_start_realtime.csv'
COUNTED = ('late_steps', 'steps_lost')
TARGET = 0.5  # of the roughness without warm start
Run = Callable[[bool, int, int, int], list[dict[str, Any]]]
"""``run(warm, seed, first, episodes)``: number, return and actions by step of each episode."""


class RealTime:
    """The graph without its controller, which is started anew for each turn."""

    def __init__(
        self, folder: Path, seed: int, planner: Mapping[str, Any], robot: Mapping[str, Any]
    ) -> None:
        """
        Args:
            folder: where ``learn`` has kept a model; more is written there.
            seed: of the bridge.
            planner: parameters that win over the file's.
            robot: the bridge's imperfections.
        """
        parameters: dict[str, dict[str, Any]] = {
            'sim_bridge': {'sim.real_time': True, 'sim.timestep': 0.004, 'sim.seed': seed, **robot},
            'planner': dict(planner),
            'dynamics': {
                'data.folder': str(folder),
                'training.every_episodes': 0,
                'training.every_steps': 0,
            },
        }
        self._params = params_file_of(TASK)
        self._nodes = [
            NodeProcess(PACKAGES[name], name, params_file=self._params, parameters=parameters[name])
            for name in parameters
        ]

    def run(self, warm: bool, seed: int, first: int, episodes: int) -> list[dict[str, Any]]:
        """A turn of the controller; also counts what was late."""
        parameters = {'realtime.enabled': True, 'control.warm_start': warm}
        with (
            NodeProcess(
                'mbrl_mpc', 'mpc_controller', params_file=self._params, parameters=parameters
            ),
            Probe() as probe,
        ):
            transitions = probe.collect('transition', Transition, RECORD)
            statuses = probe.collect('controller_status', ControllerStatus, LATCHED)
            goal = RunEpisodes.Goal(
                episodes=episodes, seed=seed, first_episode=first, target_return=float('nan')
            )
            sent = probe.send_goal('mpc_controller/run_episodes', RunEpisodes, goal, timeout=60.0)
            result = sent.result(120.0 + 30.0 * episodes)
            if result.error_code:
                raise SystemExit(f'the episodes ended with an error: {result.error_msg}')
            late = {f'{name}_of_turn': getattr(statuses[-1], name) for name in COUNTED}
            return [
                {
                    'episode': each.episode,
                    'return': each.episode_return,
                    'actions': {
                        transition.step: np.array(transition.action)
                        for transition in transitions
                        if transition.episode == each.episode
                    },
                    **late,
                }
                for each in result.episodes
            ]

    def close(self) -> None:
        """End all."""
        for node in self._nodes:
            node.stop()


def roughness(actions: Mapping[int, np.ndarray]) -> float:
    """Mean square of the change from a step to the next; a step that is missing has none."""
    changes = [
        np.square(actions[step + 1] - action).mean()
        for step, action in actions.items()
        if step + 1 in actions
    ]
    return float(np.mean(changes))


def measure(run: Run, seed: int, turns: int, episodes: int) -> list[dict[str, Any]]:
    """A row per episode, with and without warm start in turns from the same starts."""
    rows = []
    for turn in range(turns):
        first = 1000 + turn * episodes
        for warm in (True, False) if turn % 2 == 0 else (False, True):
            watch = Watch({})
            for found in run(warm, seed, first, episodes):
                actions = found.pop('actions')
                rows.append(
                    {
                        'seed': seed,
                        'warm_start': warm,
                        'episode': found['episode'],
                        'episode_return': round(found['return'], 3),
                        'roughness': round(roughness(actions), 5),
                        'steps': len(actions),
                        **{f'{name}_of_turn': found.get(f'{name}_of_turn', 0) for name in COUNTED},
                    }
                )
            others = watch.read()['others']
            for row in rows[-episodes:]:
                row['others'] = others
    return rows


def summarise(rows: list[dict[str, Any]]) -> None:
    """Per seed the median episode; of these, median and range over the seeds."""
    seeds = dict.fromkeys(row['seed'] for row in rows)
    found: dict[tuple[str, bool], list[float]] = {}
    for seed in seeds:
        for warm in (True, False):
            chosen = [row for row in rows if (row['seed'], row['warm_start']) == (seed, warm)]
            for name in ('roughness', 'episode_return'):
                value = statistics.median(row[name] for row in chosen)
                found.setdefault((name, warm), []).append(value)
    ratios = [
        warm / cold for warm, cold in zip(found['roughness', True], found['roughness', False])
    ]
    for name, digits in (('roughness', 3), ('episode_return', 1)):
        print(
            f'{name}: with warm start {with_range(found[name, True], digits)}, '
            f'without {with_range(found[name, False], digits)}'
        )
    ratio = statistics.median(ratios)
    reached = 'reached' if ratio <= TARGET else 'MISSED'
    print(f'ratio of roughness: {with_range(ratios, 2)}; at most {TARGET}: {reached}')


def main() -> None:
    """Measure, print, and append to the results."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--turns', type=int, default=2, help='with and without, per seed')
    parser.add_argument('--episodes', type=int, default=3, help='of each turn')
    parser.add_argument('--trials', type=int, default=8, help='to learn in')
    parser.add_argument(
        '--planner', nargs='+', default=[], metavar='NAME=VALUE', help='parameters of the planner'
    )
    parser.add_argument('--perfect', action='store_true', help='a robot without imperfections')
    parser.add_argument('--lockstep', action='store_true', help='in one process; writes no rows')
    parser.add_argument(
        '--models', type=Path, help='keep what was learned there, or use what is there'
    )
    parser.add_argument('--csv', type=Path, default=RESULTS, help='where to append the results')
    arguments = parser.parse_args()
    planner = {
        name: yaml.safe_load(value)
        for name, _, value in (each.partition('=') for each in arguments.planner)
    }
    robot = {} if arguments.perfect else ROBOT
    under = {
        'task': TASK,
        'cpu': csv_rows.cpu_name(),
        'cpus': os.cpu_count(),
        'robot': 'delayed, noisy, lossy' if robot else 'perfect',
        'planner': ' '.join(arguments.planner) or 'as in the task',
    }
    rows = []
    with tempfile.TemporaryDirectory(prefix='warm_start_') as temporary:
        for seed in arguments.seeds:
            models = arguments.models or Path(temporary)
            learned, folder = models / f'seed_{seed}', Path(temporary) / f'run_{seed}'
            if not learned.exists():
                learn(params_file_of(TASK), seed=seed, episodes=arguments.trials, folder=learned)
            shutil.copytree(learned, folder)
            if arguments.lockstep:
                run = Lockstep(params_file_of(TASK), folder, planner).run
                found = measure(run, seed, arguments.turns, arguments.episodes)
            else:
                with isolated_domain():
                    graph = RealTime(folder, seed, planner, robot)
                    try:
                        found = measure(graph.run, seed, arguments.turns, arguments.episodes)
                    finally:
                        graph.close()
                csv_rows.append(arguments.csv, [under | row for row in found])
            rows += found
            print(f'seed {seed}:', flush=True)
            summarise(found)
    if len(arguments.seeds) > 1:
        print('all seeds:')
        summarise(rows)


if __name__ == '__main__':
    main()
