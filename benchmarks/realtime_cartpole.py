"""The cart-pole learned in real time, on a robot with delays, beside the same in lockstep.

The real graph over DDS, its nodes in processes of their own: the bridge as a robot (joint states at
250 Hz, 10 ms late with 2 ms of jitter, noisy, 1 % of them and of the commands lost), trainings
beside control as in lockstep. Learned from nothing, trial by trial, and for each seed also in
lockstep in one process.

    python benchmarks/realtime_cartpole.py

Appends a row per trial to benchmarks/results/realtime_cartpole.csv and prints, per seed, the best
returns by trial 8, and how many control periods were late or without a transition. ``--perfect``
takes delays, noise and losses away.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path
from typing import Any

import rclpy
from csv_rows import append, cpu_name
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from seeds import with_range

from mbrl_bringup.learn import learn
from mbrl_bringup.tasks import params_file_of
from mbrl_common.qos import LATCHED
from mbrl_common.taskfile import node_parameters
from mbrl_common.testing import NodeProcess, isolated_domain
from mbrl_msgs.action import RunEpisodes
from mbrl_msgs.msg import ControllerStatus

RESULTS = Path(__file__).parent / 'results' / 'realtime_cartpole.csv'
TASK = 'cartpole_swingup'
PACKAGES = {
    'sim_bridge': 'mbrl_sim_bridge',
    'dynamics': 'mbrl_dynamics',
    'planner': 'mbrl_planner',
    'mpc_controller': 'mbrl_mpc',
}
ROBOT: dict[str, Any] = {
    'sim.state_latency': 0.01,
    'sim.state_jitter': 0.002,
    'sim.position_noise': 0.001,
    'sim.velocity_noise': 0.01,
    'sim.state_drop': 0.01,
    'sim.command_drop': 0.01,
}


class Graph:
    """The four nodes, and who calls them."""

    def __init__(self, seed: int, robot: dict[str, Any]) -> None:
        self._status: ControllerStatus | None = None
        parameters: dict[str, dict[str, Any]] = {
            'sim_bridge': {'sim.real_time': True, 'sim.timestep': 0.004, 'sim.seed': seed, **robot},
            'mpc_controller': {'realtime.enabled': True},
            'dynamics': {'seed': seed},
        }
        self._processes = [
            NodeProcess(
                package, name, params_file=params_file_of(TASK), parameters=parameters.get(name)
            )
            for name, package in PACKAGES.items()
        ]
        rclpy.init()
        self._node = Node('realtime_cartpole')
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._node.create_subscription(
            ControllerStatus, 'controller_status', self._on_status, LATCHED
        )
        self._episodes = ActionClient(self._node, RunEpisodes, 'mpc_controller/run_episodes')
        self._until(self._episodes.server_is_ready)

    def _on_status(self, status: ControllerStatus) -> None:
        self._status = status

    def _until(self, true: Any) -> None:
        while not true():
            self._executor.spin_once(timeout_sec=0.1)

    def run(self, seed: int, trials: int) -> tuple[list[Any], ControllerStatus]:
        """All trials, the first at random; their summaries, and the controller's last word."""
        goal = RunEpisodes.Goal(episodes=trials, exploration_episodes=1, seed=seed)
        accepted = self._episodes.send_goal_async(goal, self._on_feedback)
        self._until(accepted.done)
        result = accepted.result().get_result_async()
        self._until(result.done)
        outcome = result.result().result
        if outcome.error_code:
            raise SystemExit(f'the episodes ended with an error: {outcome.error_msg}')
        ended = time.monotonic() + 1.5  # its next status has all counts
        self._until(lambda: time.monotonic() > ended)
        assert self._status is not None
        return list(outcome.episodes), self._status

    def _on_feedback(self, message: Any) -> None:
        if message.feedback.episode_ended:
            episode = message.feedback.current
            print(
                f'  trial {episode.episode + 1}: {episode.episode_return:.1f}, '
                f'plan p95 {episode.plan_time_p95 * 1e3:.1f} ms',
                flush=True,
            )

    def close(self) -> None:
        """End all."""
        self._node.destroy_node()
        rclpy.try_shutdown()
        for process in self._processes:
            process.stop()


def measure(seed: int, trials: int, robot: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a seed."""
    parameters = node_parameters(params_file_of(TASK), 'sim_bridge')
    under = {
        'task': TASK,
        'environment': parameters['sim.environment'],
        'cpu': cpu_name(),
        'cpus': os.cpu_count(),
        'robot': 'perfect' if not robot else 'delayed, noisy, lossy',
        'seed': seed,
    }
    rows = []
    episodes = learn(params_file_of(TASK), seed=seed, episodes=trials, exploration_episodes=1)
    for each in episodes:
        record = each.record
        rows.append(
            under
            | {
                'time': 'lockstep',
                'trial': record.episode + 1,
                'episode_return': round(record.episode_return, 3),
                'steps': record.steps,
                'plan_time_p95': round(record.plan_time(95), 5),
                'late_steps': 0,  # nothing is, where the simulation waits
                'late_plans': 0,
                'steps_lost': 0,
            }
        )
    best = max(row['episode_return'] for row in rows)
    print(f'seed {seed}, lockstep: best return {best:.1f}', flush=True)
    with isolated_domain():
        graph = Graph(seed, robot)
        try:
            summaries, status = graph.run(seed, trials)
        finally:
            graph.close()
    for each in summaries:
        rows.append(
            under
            | {
                'time': 'real',
                'trial': each.episode + 1,
                'episode_return': round(each.episode_return, 3),
                'steps': each.steps,
                'plan_time_p95': round(each.plan_time_p95, 5),
                'late_steps': status.late_steps,
                'late_plans': status.late_plans,
                'steps_lost': status.steps_lost,
            }
        )
    return rows


def main() -> None:
    """Measure, print, and append to the results."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--trials', type=int, default=8)
    parser.add_argument('--perfect', action='store_true', help='a robot without imperfections')
    parser.add_argument('--csv', type=Path, default=RESULTS, help='where to append the results')
    arguments = parser.parse_args()
    best: dict[str, list[float]] = {'lockstep': [], 'real': []}
    for seed in arguments.seeds:
        rows = measure(seed, arguments.trials, {} if arguments.perfect else ROBOT)
        append(arguments.csv, rows)
        for kind, values in best.items():
            values.append(max(row['episode_return'] for row in rows if row['time'] == kind))
        last = rows[-1]
        steps = sum(row['steps'] for row in rows if row['time'] == 'real')
        print(
            f'seed {seed}: real time {best["real"][-1]:.1f}, lockstep {best["lockstep"][-1]:.1f}; '
            f'of {steps} control periods {last["late_steps"]} late, {last["steps_lost"]} without '
            'a transition',
            flush=True,
        )
    for kind, values in best.items():
        print(f'{kind}: best return by trial {arguments.trials}: {with_range(values)}')
    ratio = statistics.median(best['real']) / statistics.median(best['lockstep'])
    print(f'real time reaches {ratio:.1%} of lockstep')


if __name__ == '__main__':
    main()
