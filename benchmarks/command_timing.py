"""How long the controller takes from a state to its command, and how evenly its commands come.

Runs ``mpc_controller`` in a process of its own, over DDS, acting at random: no planner, no trainer.
Three things are measured, each beside a bare rclpy node that does the same (``bare_command``), in
turns, so that both have the same neighbours:

- ``answer``: from a state to the command that answers it, which goes out at once (lockstep);
- ``answer_1khz``: the same in real time, where commands go out by a clock, a thousand a second;
- ``beat``: how far the time between two commands is from 10 ms, in real time at 100 Hz.

    python benchmarks/command_timing.py
    python benchmarks/command_timing.py --priorities 0 50 --beside nothing training

    python benchmarks/command_timing.py --watched --rounds 6

measures the controller, in turns as well, with a process that subscribes to all that it draws, and
with nobody to watch. In real time both follow plans, which the robot gives at once: there is
something to draw.

``--priorities`` are those of the controller and of the bare node (SCHED_FIFO; 0: an ordinary
process; others need the right to it), ``--beside training`` runs a training meanwhile. Prints 50th
and 99th percentile and the longest, and how much of the machine others took; appends a row per
measurement to benchmarks/results/command_timing.csv.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bare_command
import csv_rows
import numpy as np
from command_robot import Robot, urgent
from drawing_cost import watcher
from endless_training import endless_training
from soak_watch import Watch

from mbrl_bringup.tasks import params_file_of
from mbrl_common.node import EXIT_WITH_PARENT
from mbrl_common.settings import describe
from mbrl_common.taskfile import node_parameters
from mbrl_common.testing import NodeProcess, isolated_domain
from mbrl_mpc.settings import MpcSettings

RESULTS = Path(__file__).parent / 'results' / 'command_timing.csv'
TASK = 'cartpole_swingup'
RATES = {'answer': 0.0, 'answer_1khz': 1000.0, 'beat': 100.0}  # of commands; 0: each state's answer
TARGETS = {'answer': 5.0, 'answer_1khz': 5.0, 'beat': 3.0}  # ms, of the 99th percentile
PRIORITY_PARAMETER = 'realtime.process_priority'
WARM_UP = 3.0  # s; a node looks for who watches once a second


@contextlib.contextmanager
def controller(rate: float, priority: int) -> Iterator[int]:
    """The controller; its process id."""
    parameters: dict[str, Any] = {
        'task.max_steps': 1_000_000,
        'control.ack_timeout': 60.0,  # nobody stores what is sent
        'realtime.enabled': rate > 0,
    }
    if rate:
        parameters['realtime.command_rate'] = rate
        if any(leaf.name == PRIORITY_PARAMETER for leaf in describe(MpcSettings)):
            parameters[PRIORITY_PARAMETER] = priority
    with NodeProcess(
        'mbrl_mpc', 'mpc_controller', params_file=params_file_of(TASK), parameters=parameters
    ) as node:
        yield node.pid


@contextlib.contextmanager
def bare(rate: float) -> Iterator[int]:
    """The bare node; its process id."""
    command = [sys.executable, bare_command.__file__, '--ros-args', '-p', f'rate:={rate}']
    process = subprocess.Popen(command, env={**os.environ, EXIT_WITH_PARENT: str(os.getpid())})
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def prioritise(pid: int, priority: int) -> None:
    """Give all threads of a process a priority, where they have not taken it themselves."""
    for thread in Path(f'/proc/{pid}/task').iterdir():
        with contextlib.suppress(ProcessLookupError):
            if os.sched_getscheduler(int(thread.name)) == os.SCHED_OTHER:
                os.sched_setscheduler(int(thread.name), os.SCHED_FIFO, os.sched_param(priority))


def measure(what: str, who: str, priority: int, seconds: float) -> dict[str, Any]:
    """One measurement."""
    rate = RATES[what]
    period = node_parameters(params_file_of(TASK), 'mpc_controller')['task.control_period']
    with contextlib.ExitStack() as stack:
        stack.enter_context(isolated_domain())
        node = bare(rate) if who == 'bare' else controller(rate, priority)
        pid = stack.enter_context(node)
        allowed = stack.enter_context(urgent())
        robot = Robot(period, lockstep=rate == 0)
        stack.callback(robot.close)
        if who == 'watched':
            stack.enter_context(watcher())
        if who != 'bare':
            robot.begin(planned=who != 'ours' and rate > 0)
        robot.until_commanded(10, 60.0)
        if priority:
            prioritise(pid, priority)
        robot.run(WARM_UP)
        robot.forget()
        watch = Watch({})
        robot.run(seconds)
        others = watch.read()['others']
    if what == 'beat':
        values = np.abs(np.diff(robot.arrivals) * 1e3 - 1e3 / rate)
    else:
        values = np.array(robot.answers) * 1e3
    return {
        'measurements': len(values),
        'unanswered': 0 if what == 'beat' else robot.unanswered,
        'rate_hz': round((len(robot.arrivals) - 1) / np.ptp(robot.arrivals), 1),
        'p50_ms': round(float(np.median(values)), 3),
        'p99_ms': round(float(np.percentile(values, 99)), 3),
        'max_ms': round(float(values.max()), 3),
        'others': others,
        'urgent_listener': allowed,
    }


def measure_beside(
    beside: str, priority: int, kinds: list[str], who: tuple[str, str], rounds: int, seconds: float
) -> Iterator[dict[str, Any]]:
    """All measurements with one thing beside, the two in turns."""
    with endless_training() if beside == 'training' else contextlib.nullcontext():
        for number, what, each in itertools.product(range(rounds), kinds, who):
            yield {
                'cpu': csv_rows.cpu_name(),
                'cpus': os.cpu_count(),
                'what': what,
                'who': each,
                'priority': priority,
                'beside': beside,
                'round': number,
                **measure(what, each, priority, seconds),
            }


def summarise(rows: list[dict[str, Any]]) -> None:
    """Print medians over the rounds, the one beside the other."""
    first, second = dict.fromkeys(row['who'] for row in rows)
    print(
        f'measured     beside    priority  {first}: p50, p99, max [ms]  {second}: p50, p99, max   '
        f'p99 {first} over {second}, median of the rounds (range)'
    )
    cases = dict.fromkeys((row['what'], row['beside'], row['priority']) for row in rows)
    for what, beside, priority in cases:
        found: dict[str, list[float]] = {}
        by_round: dict[str, list[float]] = {}
        for who in (first, second):
            chosen = [
                row
                for row in rows
                if (row['what'], row['beside'], row['priority']) == (what, beside, priority)
                and row['who'] == who
            ]
            found[who] = [
                statistics.median(row[name] for row in chosen)
                for name in ('p50_ms', 'p99_ms', 'max_ms')
            ]
            by_round[who] = [row['p99_ms'] for row in chosen]
        one, other = (', '.join(f'{value:6.2f}' for value in each) for each in found.values())
        reached = 'reached' if found[first][1] < TARGETS[what] else 'MISSED'
        ratios = np.divide(by_round[first], by_round[second])
        print(
            f'{what:12s} {beside:8s} {priority:4d}  {one}  {other}  '
            f'{np.median(ratios):8.2f} ({ratios.min():.2f} to {ratios.max():.2f})   '
            f'{first} below {TARGETS[what]:g} ms: {reached}'
        )
    print(f'others took {statistics.median(row["others"] for row in rows):.1%} of the machine')


def main() -> None:
    """Measure, print, and append to the results."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--what', nargs='+', default=list(RATES), choices=list(RATES))
    parser.add_argument('--seconds', type=float, default=20.0, help='of each measurement')
    parser.add_argument('--rounds', type=int, default=3, help='turns of the two')
    parser.add_argument('--priorities', type=int, nargs='+', default=[0])
    parser.add_argument('--beside', nargs='+', default=['nothing'], choices=('nothing', 'training'))
    parser.add_argument('--watched', action='store_true', help='compare watched and unwatched')
    parser.add_argument('--csv', type=Path, default=RESULTS, help='where to append the results')
    arguments = parser.parse_args()
    who = ('watched', 'unwatched') if arguments.watched else ('ours', 'bare')
    rows = []
    for beside, priority in itertools.product(arguments.beside, arguments.priorities):
        for row in measure_beside(
            beside, priority, arguments.what, who, arguments.rounds, arguments.seconds
        ):
            rows.append(row)
            csv_rows.append(arguments.csv, [row])
            print(', '.join(f'{key} {value}' for key, value in list(row.items())[2:]), flush=True)
    summarise(rows)


if __name__ == '__main__':
    main()
