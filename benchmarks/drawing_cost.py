"""What drawing for RViz costs the control loop while nobody watches, and while somebody does.

    python benchmarks/drawing_cost.py --turns 4 --task valve_pddm

Runs the graph of ``graph_overhead``, of a task, in turn without ``trace.points`` (nothing could be
drawn), with them and nobody to watch, and with a process that subscribes to all that RViz shows
(without looking at it: RViz's own time is not ours). Prints, and writes to
benchmarks/results/drawing_cost.csv, the processor time that each process takes per control step,
which hardly depends on what others do, and beside it the overhead per step and the planning time,
which do: compare rows of one turn alone. At the end the ratios of runs that follow each other are
printed, as medians (ranges).
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import csv_rows
import graph_overhead
import numpy as np

from mbrl_common.testing import isolated_domain

RESULTS = Path(__file__).parent / 'results' / 'drawing_cost.csv'
KINDS = ('without', 'unwatched', 'watched')
NODES = ('controller', 'planner', 'bridge')
TRAINING = {  # how well it learns does not matter here
    'training.every_episodes': 1,
    'training.min_transitions': 20,
    'training.updates_after_episode': 300,
    'evaluation.after_training': False,
}
COLUMNS = (
    *('load', 'steps', 'overhead_ms_p50', 'overhead_ms_p90', 'overhead_ms_p99'),
    *('planning_ms_p50', 'planning_ms_p99'),
)
_WATCHER = """
import rclpy
from nav_msgs.msg import Path
from rclpy.node import Node
from visualization_msgs.msg import MarkerArray
rclpy.init()
node, counts = Node('watcher'), {}
def take(topic):
    counts[topic] = 0
    def count(data):
        counts[topic] += 1
    return count
for topic in ('markers', 'plan_markers', 'candidates'):
    node.create_subscription(MarkerArray, topic, take(topic), 10, raw=True)
node.create_subscription(Path, 'plan_path', take('plan_path'), 10, raw=True)
try:
    rclpy.spin(node)
except BaseException:
    print(counts, flush=True)
"""


@contextlib.contextmanager
def watcher() -> Iterator[None]:
    """A process that subscribes to all that is drawn; prints how many messages it got."""
    process = subprocess.Popen([sys.executable, '-c', _WATCHER])
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:  # rclpy's end hangs now and then
            process.kill()
            process.wait()


def without_trace(task: str, folder: Path) -> Path:
    """The task's parameter file without what is traced."""
    lines = graph_overhead.params_file(task).read_text().splitlines(keepends=True)
    path = folder / 'without.yaml'
    path.write_text(''.join(line for line in lines if not line.lstrip().startswith('trace:')))
    return path


def summarise(rows: list[dict[str, Any]]) -> None:
    """Print the ratios of runs that follow each other."""
    for kind, before in (('unwatched', 'without'), ('watched', 'unwatched')):
        print(f'{kind} over {before}: median (range)')
        for name in (*(f'{node}_cpu_ms' for node in NODES), 'overhead_ms_p50', 'overhead_ms_p99'):
            one, other = (
                [row[name] for row in rows if row['kind'] == each] for each in (kind, before)
            )
            ratios = np.divide(one, other)
            print(
                f'    {name}: {np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f}), '
                f'from {np.median(other):.3f} to {np.median(one):.3f} ms'
            )


def main() -> None:
    """Measure in turn, print, and append to the results."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--task', default=graph_overhead.TASK)
    parser.add_argument('--episodes', type=int, default=2, help='planned episodes of each run')
    parser.add_argument('--turns', type=int, default=4, help='turns of all three')
    parser.add_argument('--csv', type=Path, default=RESULTS, help='where to append the results')
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        given = graph_overhead.params_file(arguments.task)
        files = {'without': without_trace(arguments.task, Path(folder))}
        for turn in range(arguments.turns):
            for kind in KINDS:
                with isolated_domain(), contextlib.ExitStack() as beside:
                    if kind == 'watched':
                        beside.enter_context(watcher())
                    measured = graph_overhead.measure(
                        arguments.episodes, turn, files.get(kind, given), TRAINING
                    )
                spent = measured['cpu_ms']
                row = {'task': arguments.task, 'turn': turn, 'kind': kind}
                row |= {f'{node}_cpu_ms': spent[node] for node in NODES}
                row |= {name: measured[name] for name in COLUMNS}
                print(', '.join(f'{key} {value}' for key, value in row.items()), flush=True)
                csv_rows.append(arguments.csv, [row])
                rows.append(row)
    summarise(rows)


if __name__ == '__main__':
    main()
