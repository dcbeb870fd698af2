"""How much time the graph costs per control step: from state published to command received.

Runs the real graph (planner, dynamics and mpc_controller in processes of their own, over DDS) on
the cart-pole. The simulation runs in this process, so that both ends are read off one clock; the
time that the planner itself reports is taken away. What is left is four hops of messages, four
executors, and the controller's own work.

    python benchmarks/graph_overhead.py --episodes 4

Beside it, in the same run, the floor: the same hops with nothing to do (``bare_chain``). Prints
median and percentiles, and writes one row per run to benchmarks/results/graph_overhead.csv.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from pathlib import Path
from typing import Any

import bare_chain
import csv_rows
import numpy as np
import rclpy
from ament_index_python.packages import get_package_share_directory
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor

from mbrl_common.node import spin
from mbrl_common.qos import STANDARD
from mbrl_common.taskfile import node_parameters
from mbrl_common.testing import NodeProcess, isolated_domain
from mbrl_msgs.action import RunEpisodes
from mbrl_msgs.msg import Command, Plan
from mbrl_sim_bridge.sim_bridge_node import SimBridge

TASK = 'cartpole_swingup'
NODES = ('dynamics', 'planner', 'controller', 'bridge')
RESULTS = Path(__file__).parent / 'results' / 'graph_overhead.csv'


class TimedBridge(SimBridge):
    """The simulation, noting when a state leaves and when its answer arrives."""

    def __init__(self) -> None:
        super().__init__()
        self.published = 0.0
        self.answers: dict[int, float] = {}  # plan id: seconds from state to command
        self.planning: dict[int, float] = {}  # plan id: seconds spent in the planner
        self.hot_path.create_subscription(Plan, 'plan', self._on_plan, STANDARD)

    def _publish_state(self, episode: int, step: int, truncated: bool) -> None:
        self.published = time.perf_counter()
        super()._publish_state(episode, step, truncated)

    def _on_command(self, command: Command) -> None:
        now = time.perf_counter()
        if command.source == Command.SOURCE_PLAN:
            self.answers[command.plan_id] = now - self.published
        super()._on_command(command)

    def _on_plan(self, plan: Plan) -> None:
        self.planning[plan.id] = plan.planning_time


def params_file(task: str = TASK) -> Path:
    """The parameter file of a task."""
    return Path(get_package_share_directory('mbrl_bringup')) / 'config' / f'{task}.yaml'


def measure(
    episodes: int, seed: int, params: Path | None = None, training: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Run ``episodes`` planned episodes (after one at random); returns the row of results.

    ``params`` is another parameter file than the task's, ``training`` more parameters of dynamics.
    One entry is no number: ``cpu_ms``, the processor time per step of each node, which others'
    work hardly changes.
    """
    params = params or params_file()
    own = ['--ros-args', '--params-file', str(params)]
    extra = {'dynamics': {'seed': seed, **(training or {})}}
    nodes = [
        NodeProcess(package, name, params_file=params, parameters=extra.get(name))
        for package, name in (
            ('mbrl_dynamics', 'dynamics'),
            ('mbrl_planner', 'planner'),
            ('mbrl_mpc', 'mpc_controller'),
        )
    ]
    rclpy.init(args=own)
    bridge = TimedBridge()
    executor = SingleThreadedExecutor()
    executor.add_node(bridge)
    try:
        client = ActionClient(bridge, RunEpisodes, 'mpc_controller/run_episodes')
        spin(executor, bridge.hot_path, lambda: not client.server_is_ready())
        goal = RunEpisodes.Goal(
            episodes=episodes + 1, exploration_episodes=1, seed=seed, target_return=float('nan')
        )
        before = [_cpu_seconds(node.pid) for node in nodes] + [time.process_time()]
        accepted = client.send_goal_async(goal)
        spin(executor, bridge.hot_path, lambda: not accepted.done())
        result = accepted.result().get_result_async()
        spin(executor, bridge.hot_path, lambda: not result.done())
        after = [_cpu_seconds(node.pid) for node in nodes] + [time.process_time()]
        outcome = result.result().result
        if outcome.error_code:
            raise SystemExit(f'the episodes ended with an error: {outcome.error_msg}')
    finally:
        bridge.hot_path.destroy()
        bridge.destroy_node()
        rclpy.try_shutdown()
        for node in nodes:
            node.stop()
    # A step that waited for a training is not one of the graph's overhead.
    both = [
        (total, bridge.planning[plan])
        for plan, total in bridge.answers.items()
        if plan in bridge.planning and total - bridge.planning[plan] < 0.1
    ]
    total, planning = (np.array(column) * 1e3 for column in zip(*both))
    overhead = total - planning
    steps = sum(episode.steps for episode in outcome.episodes)
    spent = (np.array(after) - before) * 1e3 / steps
    return {
        'cpu_ms': dict(zip(NODES, spent.round(3).tolist())),
        'task': node_parameters(params, 'planner')['task.name'],
        'environment': node_parameters(params, 'sim_bridge')['sim.environment'],
        'cpu': platform.processor() or platform.machine(),
        'cores': os.cpu_count(),
        'load': round(os.getloadavg()[0], 2),
        'seed': seed,
        'steps': len(overhead),
        'overhead_ms_p50': round(float(np.median(overhead)), 3),
        'overhead_ms_p90': round(float(np.percentile(overhead, 90)), 3),
        'overhead_ms_p99': round(float(np.percentile(overhead, 99)), 3),
        'planning_ms_p50': round(float(np.median(planning)), 3),
        'planning_ms_p99': round(float(np.percentile(planning, 99)), 3),
    }


def _cpu_seconds(pid: int) -> float:
    """Processor time that a process has taken."""
    user, system = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf('SC_CLK_TCK')


def main() -> None:
    """Measure, print, and append to the results."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--episodes', type=int, default=4, help='planned episodes of each run')
    parser.add_argument('--runs', type=int, default=3, help='runs, each with a seed of its own')
    parser.add_argument('--csv', type=Path, default=RESULTS, help='where to append the results')
    arguments = parser.parse_args()
    for seed in range(arguments.runs):
        with isolated_domain():
            row = measure(arguments.episodes, seed)
        del row['cpu_ms']
        with isolated_domain():
            bare = bare_chain.measure(500, row['planning_ms_p50'] * 1e-3)
        row['bare_chain_ms_p50'] = round(float(np.median(bare[100:])) * 1e3, 3)
        row['ratio'] = round(row['overhead_ms_p50'] / row['bare_chain_ms_p50'], 2)
        print(', '.join(f'{key} {value}' for key, value in row.items()), flush=True)
        csv_rows.append(arguments.csv, [row])


if __name__ == '__main__':
    main()
