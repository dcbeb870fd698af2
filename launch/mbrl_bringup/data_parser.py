"""The command line of ``mbrl data``."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def add_parser(verbs: Any) -> None:
    """Add the command line to the subparsers of ``mbrl``."""
    data = verbs.add_parser(
        'data',
        help='list, check, merge, split, repair, import and export bags',
        description='What is done with bags. Needs no running graph. Ends with 0 if all went well, '
        '1 if something is wrong with a bag, 2 if something given is wrong.',
    )
    actions = data.add_subparsers(
        dest='action', required=True, metavar='ACTION', help='each has --help'
    )

    def add(name: str, help: str, description: str) -> Any:
        return actions.add_parser(name, help=help, description=description)

    _paths(add('list', 'a row for each bag', 'A row for each bag: what is in it.'))
    _paths(
        add(
            'check',
            'whether bags are sound',
            'Whether bags are sound, together: readable and finished, finite, of one width, '
            'without duplicates and gaps, stamps rising, each state the one that was reached. '
            'Prints a line for each problem; a reward that is not known is none.',
        )
    )
    merge = add(
        'merge',
        'bags of several runs into one folder',
        'Put the episodes of many bags into one folder, a bag each, numbered from 0. What is there '
        'twice is written once.',
    )
    _paths(merge)
    _target(merge)
    split = add(
        'split',
        'a bag for each episode',
        'Put each episode into a bag of its own, under the number that it has.',
    )
    _paths(split)
    _target(split)
    _paths(
        add(
            'repair',
            'finish what a crash cut off',
            'Finish the bags that a crash cut off. Bytes that make no sense are kept beside them, '
            'as *.damaged.',
        )
    )
    robots = add(
        'import',
        "a robot's own bags",
        "Make bags of transitions of a robot's own (joint states and commands), scored by a task's "
        'objective. The section of the node dynamics says which topics to take. Bags of '
        'transitions are scored anew.',
    )
    _paths(robots, 'BAG', 'an MCAP file, a folder of `ros2 bag record`, or a folder of them')
    _task(robots)
    _target(robots)
    robots.add_argument(
        '--joint-state-topics',
        nargs='+',
        metavar='TOPIC',
        help="topics of the joint states (default: the parameter file's, joint_states)",
    )
    robots.add_argument(
        '--command-topic',
        metavar='TOPIC',
        help="topic of the commands (default: the parameter file's, effort_controller/commands)",
    )
    export = add(
        'export-minari',
        'a dataset for offline reinforcement learning',
        'Write the episodes of bags as a Minari dataset, where MINARI_DATASETS_PATH says, or in '
        '~/.minari/datasets. Rewards that are not known are given by the objective.',
    )
    _paths(export)
    _task(export)
    export.add_argument(
        '--id', required=True, metavar='ID', help='name of the dataset, as cartpole/mine-v0'
    )
    load = add(
        'import-minari',
        'the same way back',
        'Write the episodes of a Minari dataset that is on this machine as bags.',
    )
    load.add_argument('id', metavar='ID', help='name of the dataset, as D4RL/door/human-v2')
    _target(load)
    load.add_argument(
        '--control-period',
        type=float,
        metavar='S',
        help='time between two steps, where the dataset does not say (default: 1 s)',
    )


def _paths(parser: Any, name: str = 'PATH', what: str = 'a bag, or a folder of bags') -> None:
    parser.add_argument('paths', type=Path, nargs='+', metavar=name, help=what)


def _target(parser: Any) -> None:
    parser.add_argument(
        '-o',
        '--output',
        type=Path,
        required=True,
        metavar='FOLDER',
        help='where the new bags go; a new folder, or one without bags',
    )


def _task(parser: Any) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument('--task', metavar='TASK', help='name of the task')
    which.add_argument(
        '--params-file', type=Path, metavar='FILE', help="parameter file, of one's own task"
    )
    parser.add_argument(
        '--goal',
        type=float,
        nargs='+',
        default=[],
        metavar='X',
        help="the objective's goal (default: its own)",
    )
