"""How well the simulation in real time holds its rate, and what that costs.

Runs ``sim_bridge`` with ``sim.real_time`` in a process of its own and listens to ``joint_states``
over DDS, as a controller does, while commands come at 100 Hz: with the loop's priority an ordinary
one and high. Then once more with a process that computes on every core, as a training would.

    python benchmarks/bridge_timing.py --seconds 20

Prints, and appends to benchmarks/results/bridge_timing.csv, the rate, how far the times between two
arrivals are from the period, how old a state is on arrival, and the share of one core that the
bridge takes.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import csv_rows
import numpy as np
import rclpy
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from mbrl_common.hot_path import HotPath
from mbrl_common.messages import nanoseconds
from mbrl_common.qos import STANDARD
from mbrl_common.taskfile import node_parameters
from mbrl_common.testing import NodeProcess, isolated_domain

CONFIG = Path(__file__).parent.parent / 'launch' / 'config' / 'cartpole_swingup.yaml'
RESULTS = Path(__file__).parent / 'results' / 'bridge_timing.csv'
COMMAND_PERIOD_NS = 10_000_000
BUSY = 'import numpy as np\na = np.ones((300, 300))\nwhile True: a @ a'


@contextlib.contextmanager
def busy_cores(count: int) -> Any:
    """Processes of one thread that compute meanwhile."""
    environment = {**os.environ, 'OPENBLAS_NUM_THREADS': '1', 'OMP_NUM_THREADS': '1'}
    processes = [
        subprocess.Popen([sys.executable, '-c', BUSY], env=environment) for _ in range(count)
    ]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has taken [s]."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


class Listener:
    """A controller that only commands, and notes when each state arrives."""

    def __init__(self) -> None:
        self.arrivals: list[tuple[int, int]] = []  # wall clock, stamp [ns]
        self._node = Node('listener')
        self._hot = HotPath(self._node)
        self._hot.create_subscription(JointState, 'joint_states', self._note, STANDARD)
        self._commands = self._hot.create_publisher(
            Float64MultiArray, 'effort_controller/commands', STANDARD
        )

    def _note(self, state: JointState) -> None:
        self.arrivals.append((time.time_ns(), nanoseconds(state.header.stamp)))

    def listen(self, seconds: float) -> None:
        """Listen and command for a while [s]."""
        end_ns = time.monotonic_ns() + round(seconds * 1e9)
        command_ns = time.monotonic_ns()
        while (now_ns := time.monotonic_ns()) < end_ns:
            if now_ns >= command_ns:
                self._commands.publish(Float64MultiArray(data=[0.1]))
                command_ns += COMMAND_PERIOD_NS
            self._hot.spin_once(max(0.0, (command_ns - time.monotonic_ns()) * 1e-9))

    def close(self) -> None:
        """Leave the graph."""
        self._hot.destroy()
        self._node.destroy_node()


def measure(rate: float, priority: int, seconds: float) -> dict[str, Any]:
    """Listen to a bridge for a while [s]; returns what was found."""
    parameters = node_parameters(CONFIG, 'sim_bridge') | {
        'sim.real_time': True,
        'sim.state_rate': rate,
        'sim.timestep': 1.0 / rate,
        'sim.thread_priority': priority,
    }
    with (
        isolated_domain(),
        NodeProcess('mbrl_sim_bridge', 'sim_bridge', parameters=parameters) as node,
    ):
        rclpy.init()
        listener = Listener()
        try:
            node.wait_for_output('simulating', 60.0)
            while not listener.arrivals:
                listener.listen(1.0)
            listener.listen(2.0)
            listener.arrivals.clear()
            before, began = cpu_seconds(node.pid), time.monotonic()
            listener.listen(seconds)
            share = (cpu_seconds(node.pid) - before) / (time.monotonic() - began)
        finally:
            listener.close()
            rclpy.try_shutdown()
    arrived, stamps = np.array(listener.arrivals).T
    away = np.abs(np.diff(arrived) * 1e-6 - 1e3 / rate)
    age = (arrived - stamps) * 1e-6
    return {
        'rate': rate,
        'priority': priority,
        'measured_rate': round((len(arrived) - 1) / ((arrived[-1] - arrived[0]) * 1e-9), 2),
        'lost': round((stamps[-1] - stamps[0]) * 1e-9 * rate) + 1 - len(stamps),
        'jitter_ms_p50': round(float(np.median(away)), 3),
        'jitter_ms_p99': round(float(np.percentile(away, 99)), 3),
        'jitter_ms_max': round(float(away.max()), 3),
        'age_ms_p50': round(float(np.median(age)), 3),
        'age_ms_p99': round(float(np.percentile(age, 99)), 3),
        'cpu_percent': round(100 * share, 1),
    }


def main() -> None:
    """Measure, print, and append to the results."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--seconds', type=float, default=20.0, help='of each measurement')
    parser.add_argument('--rates', type=float, nargs='+', default=[250.0, 500.0])
    parser.add_argument('--priorities', type=int, nargs='+', default=[0, 50])
    parser.add_argument('--csv', type=Path, default=RESULTS, help='where to append the results')
    arguments = parser.parse_args()
    cores = os.cpu_count() or 1
    rows = []
    for busy, priority, rate in itertools.product(
        (0, cores), arguments.priorities, arguments.rates
    ):
        load = round(os.getloadavg()[0], 2)
        with busy_cores(busy):
            found = measure(rate, priority, arguments.seconds)
        row = {'cpu': csv_rows.cpu_name(), 'cores': cores, 'load_before': load, 'busy': busy}
        rows.append(row | found)
        print(', '.join(f'{key} {value}' for key, value in rows[-1].items()), flush=True)
    csv_rows.append(arguments.csv, rows)


if __name__ == '__main__':
    main()
