"""Kills the nodes of a graph that controls a robot, a hundred times, and looks at what happens.

The real graph over DDS, in real time, its nodes in processes of their own: the bridge as a robot
(joint states 10 ms late with 2 ms of jitter, noisy, 1 % of them and of the commands lost), planned
episodes of the cart-pole without end, trainings beside them. At random moments one node after the
other gets a SIGKILL and is started again, as `mbrl up` does. The checks, those of
launch/test/test_kills.py:

- every command is within the action's bounds and its rate limit;
- nothing is planned from states that are missing, no plan is followed past its end, and without
  planner or robot the safe command is sent; a robot whose controller was killed stops by itself;
- planned commands flow again within 2 s of the node's return;
- each acknowledged transition is on disk, once, and none is lost but those under way when their
  controller was killed.

    python benchmarks/kill_nodes.py --kills 100 --seed 0

Prints a line per kill and a table per node, and appends a row per kill to
benchmarks/results/kill_nodes.csv. Ends with 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import sys
import tempfile
from pathlib import Path

from csv_rows import append, cpu_name

from mbrl_bringup.testing import PACKAGES, TASK, running
from mbrl_bringup.testing_kills import OVERRIDES, Kill, Killing

RESULTS = Path(__file__).parent / 'results' / 'kill_nodes.csv'


def measure(kills: int, seed: int, folder: Path) -> tuple[list[Kill], list[str]]:
    """The kills, and what was wrong in the end."""
    done: list[Kill] = []
    with running(seed, folder, OVERRIDES) as (graph, probe):
        killing = Killing(graph, probe, seed)
        killing.begin()
        for number, node in zip(range(1, kills + 1), itertools.cycle(PACKAGES)):
            kill = killing.kill(node)
            done.append(kill)
            print(
                f'{number}/{kills} {node}: away for {kill.down:.2f} s, control back '
                f'{kill.back:.2f} s later'
                + ''.join(f'\n    WRONG: {text}' for text in kill.violations),
                flush=True,
            )
        wrong = killing.end(folder)
        stored = sum(killing.witness.stored.values())
        returns = [summary.episode_return for _, summary in killing.witness.episodes_ended]
    print(
        f'{len(returns)} episodes were completed, the best return was {max(returns, default=0):.0f}'
    )
    print(
        f'{stored} transitions were acknowledged; at most {killing.lost_at_most} were lost, under '
        'way when their controller was killed'
    )
    return done, wrong


def main() -> None:
    """Kill, print, and append to the results."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--kills', type=int, default=100)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--csv', type=Path, default=RESULTS, help='where to append the results')
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kills, wrong = measure(arguments.kills, arguments.seed, Path(folder))
    append(
        arguments.csv,
        [
            {
                'task': TASK,
                'cpu': cpu_name(),
                'cpus': os.cpu_count(),
                'seed': arguments.seed,
                'kill': number,
                'node': kill.node,
                'away': round(kill.down, 3),
                'control_back': round(kill.back, 3),
                'violations': len(kill.violations),
            }
            for number, kill in enumerate(kills, start=1)
        ],
    )
    print(f'{"node":<16}{"kills":>6}{"control back p50":>18}{"max":>8}{"violations":>12}')
    for node in PACKAGES:
        of_node = [kill for kill in kills if kill.node == node]
        if of_node:
            back = [kill.back for kill in of_node]
            violations = sum(len(kill.violations) for kill in of_node)
            print(
                f'{node:<16}{len(of_node):>6}{statistics.median(back):>16.2f} s{max(back):>6.2f} s'
                f'{violations:>12}'
            )
    for text in wrong:
        print(f'WRONG: dataset: {text}')
    sys.exit(bool(wrong or any(kill.violations for kill in kills)))


if __name__ == '__main__':
    main()
