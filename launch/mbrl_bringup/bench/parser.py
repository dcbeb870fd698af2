"""The command line of ``mbrl bench``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

RESULTS = Path('benchmarks/results/bench')


def add_parser(verbs: Any, common: argparse.ArgumentParser) -> None:
    """Add the command line to the subparsers of ``mbrl``; ``common`` says where a graph is."""
    bench = verbs.add_parser(
        'bench',
        parents=[common],
        help='run a task by a recipe, and put it beside published figures',
        description='Run a task by a recipe, seed after seed in one process without ROS. Each '
        'episode is a row of a CSV file as soon as it has ended. The same command goes on where it '
        'was stopped: after the last whole episode (sac, and with --graph: with the seed that was '
        'not done), from what lies in the folder OUT.runs; without it, a seed that is not done is '
        'run again from its first episode. With --graph the rows come from the ROS graph in '
        'lockstep, its nodes as processes, where --namespace and --domain-id say. At the end the '
        'curve is drawn. `mbrl bench --recipes` lists the recipes. Ends with 0 if all was run, 1 '
        'if something failed, 2 if something given is wrong.',
    )
    bench.add_argument('task', nargs='?', metavar='TASK', help='name of the task')
    bench.add_argument(
        '--recipe', default='pets', metavar='NAME', help='how it is learned (default: pets)'
    )
    bench.add_argument(
        '--seeds',
        type=_count,
        default=3,
        metavar='N',
        help='how many: 0 to N-1 (default: 3)',
    )
    bench.add_argument(
        '--episodes',
        type=_count,
        metavar='N',
        help="of each seed, random ones included (default: the parameter file's trials)",
    )
    bench.add_argument(
        '--max-steps', type=_count, metavar='N', help="of an episode (default: the task's)"
    )
    bench.add_argument(
        '--params-file', type=Path, metavar='FILE', help="parameter file (default: the task's)"
    )
    bench.add_argument(
        '--out',
        type=Path,
        metavar='CSV',
        help=f'where rows go (default: {RESULTS}/TASK-RECIPE.csv, or TASK-RECIPE-graph.csv); the '
        'curve goes beside it',
    )
    bench.add_argument(
        '--graph',
        action='store_true',
        help='by the ROS graph, as `mbrl up --learn` runs it; the rows are another line, '
        'RECIPE-graph, and the same but for times',
    )
    bench.add_argument(
        '--threads',
        type=_count,
        default=1,
        metavar='N',
        help='that simulate, in the recipe random; the rows do not depend on it. Pays where a step '
        'of the physics takes long, as in ant (default: 1)',
    )
    bench.add_argument(
        '--video',
        action='store_true',
        help='draw the best planned episode of each seed as a film, OUT-seedN.mp4 (needs PyAV)',
    )
    bench.add_argument(
        '--keep',
        action='store_true',
        help='keep data and models of seeds that are done, so that more --episodes can go on from '
        'them',
    )
    bench.add_argument(
        '--table',
        action='store_true',
        help='run nothing; print what was run beside what others published, with sources (of TASK, '
        'or of all)',
    )
    bench.add_argument(
        '--results',
        type=Path,
        default=RESULTS,
        metavar='DIR',
        help=f'with --table: folder of the CSV files (default: {RESULTS})',
    )
    bench.add_argument(
        '--markdown', action='store_true', help='with --table: as Markdown, for a document'
    )
    bench.add_argument(
        '--recipes', action='store_true', help='run nothing; list the recipes, and what each is'
    )


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'{text} must be at least 1')
    return value
