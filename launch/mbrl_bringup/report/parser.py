"""The command line of ``mbrl report``."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def add_parser(verbs: Any) -> None:
    """Add the command line to the subparsers of ``mbrl``."""
    report = verbs.add_parser(
        'report',
        help='a run as a page of HTML, or several side by side',
        description='Write one HTML page about a run, with pictures and without anything from '
        'outside: how it learned, how good the model is, what went wrong, with which settings. Of '
        'several runs: their curves, medians, and the settings in which they differ. Needs no '
        'running graph, changes nothing in a run, and makes do with what is there. Ends with 0 '
        'when the page was written, 1 if something in a run could not be read (the page says '
        'what), 2 if something given is wrong (nothing is written).',
    )
    report.add_argument(
        'runs',
        type=Path,
        nargs='+',
        metavar='RUN',
        help='run folder of `mbrl up`, folder of learn(), a bag, or a folder of bags',
    )
    report.add_argument(
        '-o',
        '--out',
        type=Path,
        metavar='FILE',
        help='where the page goes (default: report.html in the run folder; of several: here)',
    )
    which = report.add_mutually_exclusive_group()
    which.add_argument(
        '--task', metavar='TASK', help='task of what has no parameter file of its own, as bags'
    )
    which.add_argument(
        '--params-file', type=Path, metavar='FILE', help="the same, of one's own task"
    )
    report.add_argument(
        '--model',
        type=Path,
        metavar='FILE',
        help='a model (*.safetensors) to be measured on what has none of its own; all of it counts '
        'as held-out',
    )
    report.add_argument('--open', action='store_true', help='show the page in a browser')
