"""The cart-pole in real time for an hour: does memory grow, do commands come later, is data lost?

The real graph over DDS, its nodes in processes of their own, and the bridge as a robot: joint
states 10 ms late with 2 ms of jitter, noisy, 1 % of them and of the commands lost. One random
episode, then planned ones without end, and a training on all data every minute, beside control.
Every ten seconds it is noted what memory each process has, what was late or lost until then, and
how much of the machine others took, without which lateness says little.

    python benchmarks/soak.py --minutes 60
    python benchmarks/soak.py --minutes 1 --csv /tmp/soak.csv

Writes benchmarks/results/soak.csv anew, a row at a time, and draws soak.png beside it; at the end
counts the transitions on disk against those that were acknowledged, and prints a verdict
(``soak_report``). Ctrl-C, or SIGTERM, ends it early, with what there is.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import csv_rows
import numpy as np
import rclpy
import soak_report
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from realtime_cartpole import PACKAGES, ROBOT, TASK
from soak_watch import Watch

from mbrl_bringup.tasks import params_file_of
from mbrl_common.qos import LATCHED
from mbrl_common.testing import NodeProcess, isolated_domain
from mbrl_dynamics.bag_collection import collect
from mbrl_msgs.action import RunEpisodes
from mbrl_msgs.msg import ControllerStatus, TrainingStatus, TransitionAck
from mbrl_msgs.srv import Retrain

RESULTS = Path(__file__).parent / 'results' / 'soak.csv'
ENDLESS = 1_000_000  # episodes
TRAINING_PERIOD = 60.0  # s
READING_PERIOD = 10.0  # s
POLL_PERIOD = 1.0  # s; seldom, so that watching costs nothing
CALLBACKS = 16  # at most, in one poll
NEWEST = QoSProfile(depth=1)  # of the acknowledgements the newest says all


class Operator:
    """Has the robot run, the model trained, and hears what the nodes say of themselves."""

    def __init__(self, seed: int) -> None:
        self.status = ControllerStatus()
        self.training = TrainingStatus()
        self.acknowledged = 0
        self.endings = 0
        """Runs of episodes that ended by themselves, which none should."""
        self._seed = seed
        self._goal: Any = None
        self._result: Any = None
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        self._node = node = Node('soak', start_parameter_services=False, enable_rosout=False)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(node)
        node.create_subscription(ControllerStatus, 'controller_status', self._on_status, LATCHED)
        node.create_subscription(TrainingStatus, 'training_status', self._on_training, LATCHED)
        node.create_subscription(TransitionAck, 'transition_ack', self._on_ack, NEWEST)
        self._episodes = ActionClient(node, RunEpisodes, 'mpc_controller/run_episodes')
        self._retrain = node.create_client(Retrain, 'dynamics/retrain')

    def _on_status(self, status: ControllerStatus) -> None:
        self.status = status

    def _on_training(self, status: TrainingStatus) -> None:
        self.training = status

    def _on_ack(self, ack: TransitionAck) -> None:
        self.acknowledged = max(self.acknowledged, ack.next_sequence)

    def poll(self) -> None:
        """Hear what has come."""
        for _ in range(CALLBACKS):
            self._executor.spin_once(timeout_sec=0)

    def until(self, true: Any, timeout: float) -> bool:
        """Listen until something is true; False: it was not in time [s]."""
        deadline = time.monotonic() + timeout
        while not true() and time.monotonic() < deadline:
            self._executor.spin_once(timeout_sec=0.1)
        return bool(true())

    def start(self) -> None:
        """Wait for the nodes, and begin."""
        if not self.until(self._episodes.server_is_ready, 60.0):
            raise SystemExit('the controller does not come')
        if not self.until(self._retrain.service_is_ready, 60.0):
            raise SystemExit('the dynamics node does not come')
        self._run(exploration=1)

    def _run(self, exploration: int) -> None:
        goal = RunEpisodes.Goal(
            episodes=ENDLESS,
            exploration_episodes=exploration,
            first_episode=self.training.episodes,
            seed=self._seed,
        )
        accepted = self._episodes.send_goal_async(goal)
        if not self.until(accepted.done, 30.0) or not accepted.result().accepted:
            raise SystemExit('the controller does not take episodes')
        self._goal = accepted.result()
        self._result = self._goal.get_result_async()

    def keep_running(self) -> None:
        """Begin anew if the episodes have ended, and say why they did."""
        if self._result.done():
            self.endings += 1
            print(f'  the episodes ended: {self._result.result().result.error_msg}', flush=True)
            self._run(exploration=0 if self.training.model_version else 1)

    def train(self) -> None:
        """Begin a training."""
        self._retrain.call_async(Retrain.Request())

    def stop(self) -> None:
        """End the episodes, and wait until all is stored."""
        cancelled = self._goal.cancel_goal_async()
        self.until(cancelled.done, 10.0)
        self.until(self._result.done, 10.0)
        ended = time.monotonic() + 1.5  # a status after that has all counts
        self.until(lambda: time.monotonic() > ended and not self.status.unacknowledged, 30.0)

    def counts(self) -> dict[str, Any]:
        """What is to be noted of all this, since the beginning."""
        status, training = self.status, self.training
        made = self.acknowledged + status.unacknowledged
        return {
            'periods': made + status.steps_lost,
            'late_steps': status.late_steps,
            'late_plans': status.late_plans,
            'steps_lost': status.steps_lost,
            'plan_p50_ms': round(status.plan_time_p50 * 1e3, 3),
            'plan_p95_ms': round(status.plan_time_p95 * 1e3, 3),
            'acknowledged': self.acknowledged,
            'unacknowledged': status.unacknowledged,
            'refused': training.transitions_refused,
            'lost': training.transitions_lost + status.transitions_lost,
            'write_errors': training.write_errors,
            'refused_states': status.refused_states,
            'dataset_size': training.dataset_size,
            'episodes': training.episodes,
            'model_version': training.model_version,
            'training_s': round(training.training_time, 2),
            'endings': self.endings,
        }

    def close(self) -> None:
        """Leave the graph."""
        self._node.destroy_node()
        rclpy.try_shutdown()


class Stop:
    """Whether somebody wants this to end."""

    def __init__(self) -> None:
        self.wanted = False
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, self._on_signal)

    def _on_signal(self, *_: Any) -> None:
        self.wanted = True


def run(minutes: float, seed: int, folder: Path, path: Path) -> None:
    """All of it; a row is written as soon as it is there."""
    stop = Stop()
    path.unlink(missing_ok=True)
    under = {'cpu': csv_rows.cpu_name(), 'cpus': os.cpu_count(), 'seed': seed}
    parameters: dict[str, dict[str, Any]] = {
        'sim_bridge': {'sim.real_time': True, 'sim.timestep': 0.004, 'sim.seed': seed, **ROBOT},
        'mpc_controller': {'realtime.enabled': True},
        'dynamics': {
            'seed': seed,
            'data.folder': str(folder),
            'training.every_episodes': 0,
            'training.every_steps': 0,
        },
    }
    with isolated_domain():
        nodes = {
            name: NodeProcess(
                package, name, params_file=params_file_of(TASK), parameters=parameters.get(name)
            )
            for name, package in PACKAGES.items()
        }
        operator = Operator(seed)
        try:
            operator.start()
            watch = Watch({name: node.pid for name, node in nodes.items()}, workers=['dynamics'])
            last = _watch(minutes, stop, operator, nodes, watch, under, path)
            operator.stop()
        finally:
            operator.close()
            for node in nodes.values():
                node.stop(30.0)  # the bag is finished, too
    on_disk, missing = _stored(folder, operator.acknowledged)
    csv_rows.append(path, [last | operator.counts() | {'on_disk': on_disk, 'missing': missing}])


def _watch(
    minutes: float,
    stop: Stop,
    operator: Operator,
    nodes: dict[str, NodeProcess],
    watch: Watch,
    under: dict[str, Any],
    path: Path,
) -> dict[str, Any]:
    """Until the time is over, somebody wants an end, or a node dies; returns the last row."""
    began = time.monotonic()
    reading_at, training_at = began + READING_PERIOD, 0.0
    row: dict[str, Any] = {}
    while not stop.wanted and time.monotonic() < began + 60.0 * minutes:
        time.sleep(POLL_PERIOD)
        operator.poll()
        operator.keep_running()
        now = time.monotonic()
        if now >= training_at and operator.training.episodes > 0:
            operator.train()
            training_at = now + TRAINING_PERIOD
        if now >= reading_at:
            reading_at += READING_PERIOD
            row = {'minute': round((now - began) / 60.0, 3), **under, **operator.counts()}
            row |= {'on_disk': '', 'missing': ''} | watch.read()
            csv_rows.append(path, [row])
            _print(row)
        dead = [name for name, node in nodes.items() if node.process.poll() is not None]
        if dead:
            print(f'{dead[0]} has died:\n{nodes[dead[0]].output()[-2000:]}', flush=True)
            break
    if not row:
        raise SystemExit('ended before there was anything to be seen')
    return row


def _print(row: dict[str, Any]) -> None:
    memory = ', '.join(f'{row[f"{name}_rss_mb"]:.0f}' for name in PACKAGES)
    print(
        f'{row["minute"]:6.2f} min: {row["periods"]} periods, {row["late_steps"]} late, '
        f'{row["late_plans"]} late plans, {row["steps_lost"]} lost, plan p95 '
        f'{row["plan_p95_ms"]:.1f} ms, model {row["model_version"]}, {memory} MB, others '
        f'{row["others"]:.0%}',
        flush=True,
    )


def _stored(folder: Path, acknowledged: int) -> tuple[int, int]:
    """Transitions in the bags, and how many that were acknowledged are not among them."""
    transitions, _ = collect([folder / 'data'])
    there = np.unique(transitions.sequence)
    return len(transitions), acknowledged - int((there < acknowledged).sum())


def main() -> None:
    """Run, draw, and judge."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--minutes', type=float, default=60.0)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--folder', type=Path, help='keep the data there; none: they are removed')
    parser.add_argument('--csv', type=Path, default=RESULTS, help='is written anew')
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = arguments.folder
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix='soak_')))
        run(arguments.minutes, arguments.seed, folder, arguments.csv)
    soak_report.plot(arguments.csv, arguments.csv.with_suffix('.png'))
    raise SystemExit(0 if soak_report.report(arguments.csv) else 1)


if __name__ == '__main__':
    main()
