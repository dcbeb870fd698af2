"""Late plans, with and without a training beside the control loop.

Runs the real graph on the cart-pole (planner, dynamics and mpc_controller in processes of their
own, over DDS; the simulation in this one, so that both ends are read off one clock): one random
episode, a training, and then planned episodes, alternately alone and with a training going on all
the time (the action ``dynamics/train``, begun again whenever it ends). Automatic trainings are off,
so that the loop never waits for one. A step is late if its command comes later than one control
period after its state; the simulation waits for it, so the loop runs as fast as it can, which is
harder on the machine than real time.

    python benchmarks/control_while_training.py --rounds 3

Prints per condition: plans and how many were late, percentiles of the time from state to command
and of the planning alone, and of the time until the dynamics node acknowledged a transition.
Appends a row per round and condition to benchmarks/results/control_while_training.csv.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from ament_index_python.packages import get_package_share_directory
from graph_overhead import TASK, TimedBridge
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor

from mbrl_common.node import spin
from mbrl_common.qos import RECORD
from mbrl_common.taskfile import node_parameters
from mbrl_common.testing import NodeProcess, isolated_domain
from mbrl_msgs.action import RunEpisodes, Train
from mbrl_msgs.msg import Transition, TransitionAck

RESULTS = Path(__file__).parent / 'results' / 'control_while_training.csv'
OFF = {'training.every_episodes': 0, 'training.every_steps': 0}


class WatchedBridge(TimedBridge):
    """Notes as well how long each transition takes to be acknowledged."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: dict[int, float] = {}
        self.acknowledged: list[float] = []
        self.hot_path.create_subscription(Transition, 'transition', self._on_transition, RECORD)
        self.hot_path.create_subscription(TransitionAck, 'transition_ack', self._on_ack, RECORD)

    def begin(self) -> None:
        """Forget what was measured so far."""
        for each in (self.answers, self.planning, self.sent, self.acknowledged):
            each.clear()

    def _on_transition(self, transition: Transition) -> None:
        self.sent.setdefault(transition.sequence, time.perf_counter())

    def _on_ack(self, ack: TransitionAck) -> None:
        sent = self.sent.pop(ack.next_sequence - 1, None)
        if sent is not None:
            self.acknowledged.append(time.perf_counter() - sent)


class Graph:
    """The nodes, and the actions that are called."""

    def __init__(self, seed: int, updates: int) -> None:
        self.params = Path(get_package_share_directory('mbrl_bringup')) / 'config' / f'{TASK}.yaml'
        extra = {
            'dynamics': {'seed': seed, **OFF, 'training.updates_after_episode': updates},
        }
        self.nodes = [
            NodeProcess(package, name, params_file=self.params, parameters=extra.get(name))
            for package, name in (
                ('mbrl_dynamics', 'dynamics'),
                ('mbrl_planner', 'planner'),
                ('mbrl_mpc', 'mpc_controller'),
            )
        ]
        rclpy.init(args=['--ros-args', '--params-file', str(self.params)])
        self.bridge = WatchedBridge()
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.bridge)
        self._episodes = ActionClient(self.bridge, RunEpisodes, 'mpc_controller/run_episodes')
        self._train = ActionClient(self.bridge, Train, 'dynamics/train')
        self._until(self._episodes.server_is_ready)
        self._until(self._train.server_is_ready)
        self._training: Any = None
        self.trainings = 0

    def close(self) -> None:
        """End all processes."""
        self.bridge.hot_path.destroy()
        self.bridge.destroy_node()
        rclpy.try_shutdown()
        for node in self.nodes:
            node.stop()

    def run(self, seed: int, first: int, episodes: int, explore: int, training: bool) -> None:
        """Run episodes, with a training beside them or not."""
        goal = RunEpisodes.Goal(
            episodes=episodes, exploration_episodes=explore, seed=seed, first_episode=first
        )
        accepted = self._episodes.send_goal_async(goal)
        self._until(accepted.done)
        result = accepted.result().get_result_async()
        while not result.done():
            if training and (self._training is None or self._training.done()):
                self.train()
            self._until(lambda: result.done() or (training and self._training.done()))
        outcome = result.result().result
        if outcome.error_code:
            raise SystemExit(f'the episodes ended with an error: {outcome.error_msg}')

    def train(self) -> None:
        """Begin a training."""
        accepted = self._train.send_goal_async(Train.Goal())
        self._until(accepted.done)
        self._training = accepted.result().get_result_async()
        self.trainings += 1

    def wait_for_training(self) -> None:
        """Wait for the training that was begun last."""
        if self._training is not None:
            self._until(self._training.done)

    def _until(self, true: Any) -> None:
        spin(self.executor, self.bridge.hot_path, lambda: not true())


def measure(rounds: int, episodes: int, seed: int) -> list[dict[str, Any]]:
    """The rows of all rounds, both conditions each."""
    graph = Graph(seed, updates=3000)
    rows = []
    try:
        period = node_parameters(graph.params, 'planner')['task.control_period']
        environment = node_parameters(graph.params, 'sim_bridge')['sim.environment']
        graph.run(seed, 0, 1, 1, training=False)
        graph.train()
        graph.wait_for_training()
        first = 1
        for number in range(rounds):
            for training in (False, True) if number % 2 == 0 else (True, False):
                graph.bridge.begin()
                before = graph.trainings
                began = time.perf_counter()
                graph.run(seed, first, episodes, 0, training)
                first += episodes
                answers = np.array(list(graph.bridge.answers.values()))
                planning = np.array(list(graph.bridge.planning.values()))
                rows.append(
                    {
                        'task': TASK,
                        'environment': environment,
                        'cpu': platform.processor() or platform.machine(),
                        'cores': os.cpu_count(),
                        'load': round(os.getloadavg()[0], 2),
                        'round': number,
                        'training': training,
                        'trainings': graph.trainings - before,
                        'plans': len(answers),
                        'late_plans': int((answers > period).sum()),
                        'rate_hz': round(len(answers) / (time.perf_counter() - began), 1),
                        **_percentiles('answer', answers),
                        **_percentiles('planning', planning),
                        **_percentiles('ack', np.array(graph.bridge.acknowledged)),
                    }
                )
                print(', '.join(f'{key} {value}' for key, value in rows[-1].items()), flush=True)
                graph.wait_for_training()
    finally:
        graph.close()
    return rows


def _percentiles(name: str, seconds: np.ndarray) -> dict[str, float]:
    return {
        f'{name}_ms_p{percent}': round(float(np.percentile(seconds, percent)) * 1e3, 2)
        for percent in (50, 95, 99)
    }


def summarise(rows: list[dict[str, Any]]) -> None:
    """Print medians over the rounds, side by side."""
    names = [name for name in rows[0] if name.endswith(('p50', 'p95', 'p99')) or name == 'rate_hz']
    print('median over the rounds: alone, with a training beside')
    for training in (False, True):
        chosen = [row for row in rows if row['training'] is training]
        late, plans = (sum(row[name] for row in chosen) for name in ('late_plans', 'plans'))
        print(f'  {"with" if training else "without"} training: {late} of {plans} plans late')
    for name in names:
        pair = [
            np.median([row[name] for row in rows if row['training'] is training])
            for training in (False, True)
        ]
        print(f'  {name}: {pair[0]:.2f}, {pair[1]:.2f}')


def main() -> None:
    """Measure, print, and append to the results."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--rounds', type=int, default=3, help='alternations of the two conditions')
    parser.add_argument('--episodes', type=int, default=3, help='episodes per condition and round')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--csv', type=Path, default=RESULTS, help='where to append the results')
    arguments = parser.parse_args()
    with isolated_domain():
        rows = measure(arguments.rounds, arguments.episodes, arguments.seed)
    arguments.csv.parent.mkdir(parents=True, exist_ok=True)
    new = not arguments.csv.exists()
    with arguments.csv.open('a', newline='') as file:
        writer = csv.DictWriter(file, rows[0])
        if new:
            writer.writeheader()
        writer.writerows(rows)
    summarise(rows)


if __name__ == '__main__':
    main()
