"""The command line of ``mbrl watch``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

VIEWERS = ('window', 'web', 'none')


def add_parser(verbs: Any, of_one: argparse.ArgumentParser) -> None:
    """Add the command line to the subparsers of ``mbrl``.

    Args:
        verbs: the subparsers.
        of_one: the options of all that asks one robot's graph.
    """
    watch = verbs.add_parser(
        'watch',
        parents=[of_one],
        help='the graph live, or a bag: the scene, plots, back in time',
        description='Show a running graph, or a recorded one, in Rerun or as a page of HTML: the '
        'scene, and plots of return, reward, what plans promise, model error, plan time, lateness '
        'and training, with all of the past to go back to. It only listens, and nobody waits for '
        'it. Stays until Ctrl-C, or until its window is closed. But for pages it needs Rerun: '
        '`make watch` installs it.',
    )
    watch.add_argument(
        'bag',
        nargs='?',
        type=Path,
        metavar='BAG',
        help='a bag of what a graph said, instead of a graph that runs (see `mbrl record`), or a '
        'folder with one',
    )
    watch.add_argument(
        '--viewer',
        choices=VIEWERS,
        help='a window, a page for a browser on this machine, or neither (default: a window where '
        'there is a display, otherwise a page)',
    )
    watch.add_argument(
        '--save',
        type=Path,
        metavar='FILE',
        help='write it to a new file as well: FILE.rrd, which `rerun FILE.rrd` shows again, or '
        'FILE.html, a page that any browser shows',
    )
    watch.add_argument(
        '--task',
        metavar='TASK',
        help="whose view of the scene is taken (default: the run's that a bag belongs to, or a "
        'general one)',
    )
