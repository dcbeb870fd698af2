"""``mbrl record``: the command line, and the verb."""

from __future__ import annotations

import argparse
import os
import time
from datetime import datetime
from pathlib import Path
from typing import Any

EXIT_FAILED = 1
EXIT_USAGE = 2
_NICE = 5
_TICK = 0.1  # [s]
_FLUSH_PERIOD = 2.0  # [s]


def add_parser(verbs: Any, asking: argparse.ArgumentParser) -> None:
    """Add the command line to the subparsers of ``mbrl``.

    Args:
        verbs: the subparsers.
        asking: the options of all that asks a graph.
    """
    record = verbs.add_parser(
        'record',
        parents=[asking],
        help='all that a graph says, as a bag',
        description='Record what a graph says, also what is drawn of it, as a bag like those of '
        '`ros2 bag record`: for `ros2 bag play`, Foxglove, `mbrl watch` and `mbrl report`. Stays '
        'until Ctrl-C. Models are left out.',
    )
    record.add_argument(
        '-o',
        '--out',
        type=Path,
        metavar='FOLDER',
        help='new folder of the bag (default: recording_TIME)',
    )


def run(arguments: argparse.Namespace, terminal: Any) -> int:
    """Run the verb; returns the exit code."""
    from mbrl_bringup.client import joined
    from mbrl_bringup.interruption import Interrupted, check_interrupted
    from mbrl_bringup.record.bag_folder import BagFolder
    from mbrl_bringup.record.recorder import Recorder

    folder = arguments.out or Path(f'recording_{datetime.now():%Y-%m-%d_%H-%M-%S}')
    if folder.exists():
        terminal.error(f'{folder} is there already; nothing is written over')
        return EXIT_USAGE
    os.nice(_NICE)  # the loop comes first, also where there are few cores
    with joined('mbrl_record', arguments.namespace) as (node, executor):
        where = f"namespace '{node.get_namespace()}'"
        _wait_for_a_graph(node, arguments.timeout, where)
        try:
            bag = BagFolder(folder)
        except OSError as error:
            terminal.error(f'{folder} cannot be written: {error.strerror or error}')
            return EXIT_FAILED
        terminal.step(f'Recording the graph in {where} to {folder}, until Ctrl-C')
        recorder = Recorder(node, executor, bag, terminal.note)
        next_flush = time.monotonic() + _FLUSH_PERIOD
        try:
            try:
                while True:
                    check_interrupted()
                    recorder.spin(_TICK)
                    if time.monotonic() >= next_flush:
                        bag.flush()
                        next_flush = time.monotonic() + _FLUSH_PERIOD
            finally:
                bag.close()
        except Interrupted:
            count = sum(bag.topics.values())
            terminal.note(f'{folder}: {count} messages of {len(bag.topics)} topics')
            raise
        except OSError as error:
            terminal.error(f'{folder} ends here: {error.strerror or error}')
            return EXIT_FAILED


def _wait_for_a_graph(node: Any, timeout: float, where: str) -> None:
    """Until somebody else sends something in the namespace.

    Raises:
        GraphError: after ``timeout`` [s].
    """
    from mbrl_bringup.client import GraphError
    from mbrl_bringup.interruption import check_interrupted

    here = node.get_namespace().rstrip('/') + '/'
    deadline = time.monotonic() + timeout
    while not any(
        name.startswith(here) and node.count_publishers(name)
        for name, _ in node.get_topic_names_and_types()
        if name not in ('/rosout', '/parameter_events')
    ):
        check_interrupted()
        if time.monotonic() > deadline:
            raise GraphError(f'no graph in {where}: nobody sends anything')
        time.sleep(_TICK)
