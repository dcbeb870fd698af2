"""The command ``mbrl``: bring a graph up, and the few verbs for it where there is no ``ros2``."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from mbrl_bringup import data_parser, discovery, video_verb
from mbrl_bringup.argument_types import positive
from mbrl_bringup.bench import parser as bench_parser
from mbrl_bringup.graph import LOG_LEVELS
from mbrl_bringup.interruption import Interrupted, interrupt_at_once, remember_signals
from mbrl_bringup.record import verb as record_verb
from mbrl_bringup.report import parser as report_parser
from mbrl_bringup.watch import parser as watch_parser
from mbrl_mpc.modes import MEANINGS

EXIT_FAILED = 1
EXIT_USAGE = 2


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog='mbrl',
        description='Learn a robot from its own data, and control it by planning in what was '
        'learned. Brings up the ROS 2 graph and talks to it.',
        epilog='The graph keeps to this machine, unless --network or '
        'ROS_AUTOMATIC_DISCOVERY_RANGE says more.',
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        '--namespace', default='', metavar='NAME', help='ROS namespace of the graph'
    )
    common.add_argument(
        '--domain-id',
        type=_integer(0, 232),
        metavar='N',
        help='ROS domain of the graph (default: ROS_DOMAIN_ID, or 0)',
    )
    common.add_argument(
        '--network',
        action='store_true',
        help='see, and be seen by, other machines (default: this one alone, where nodes that were '
        'started again are known sooner)',
    )
    asking = argparse.ArgumentParser(add_help=False, parents=[common])
    asking.add_argument(
        '--timeout',
        type=positive,
        default=5.0,
        metavar='S',
        help='how long to wait (default: 5 s)',
    )
    of_one = argparse.ArgumentParser(add_help=False, parents=[asking])
    of_one.add_argument(
        '--robot', type=_integer(0), metavar='N', help='which one, of several (see up --robots)'
    )
    verbs = parser.add_subparsers(dest='verb', required=True, metavar='VERB')

    up = verbs.add_parser(
        'up',
        parents=[common],
        help='bring up the graph of a task, and stay until Ctrl-C',
        description='Bring up the graph of a task as supervised processes, and stay until Ctrl-C. '
        'With --learn: learn the task, and end. Ends with 0 when the task is solved, 3 when the '
        'trials are used up, 1 when something failed, 2 when something given is wrong.',
    )
    up.add_argument('task', metavar='TASK', help='name of the task, e.g. cartpole_swingup')
    up.add_argument('--learn', action='store_true', help='learn the task by trials, then end')
    up.add_argument(
        '--trials',
        type=_integer(1),
        metavar='N',
        help="with --learn: trials before it gives up (default: the parameter file's, 8)",
    )
    up.add_argument(
        '--params-file',
        type=Path,
        metavar='FILE',
        help="parameter file (default: the task's; with --resume: the run's)",
    )
    up.add_argument(
        '--seed', type=_integer(0), metavar='N', help="seed (default: 0; with --resume: the run's)"
    )
    up.add_argument(
        '--real-time',
        action='store_true',
        help='by the clock, as with a robot, instead of in lockstep',
    )
    up.add_argument(
        '--robots',
        type=_integer(1),
        default=1,
        metavar='N',
        help='in namespaces robot0, robot1, ...; they share a planner and a dataset (default: 1)',
    )
    where = up.add_mutually_exclusive_group()
    where.add_argument(
        '--run-folder', type=Path, metavar='DIR', help='new folder (default: runs/TASK_TIME)'
    )
    where.add_argument(
        '--resume', type=Path, metavar='DIR', help='go on with the run in this folder'
    )
    up.add_argument(
        '--log-level', choices=LOG_LEVELS, default='info', help='of all nodes (default: info)'
    )

    verbs.add_parser('tasks', help='list the tasks', description='List the tasks that are there.')
    status = verbs.add_parser(
        'status',
        parents=[of_one],
        help='the graph at a glance',
        description='What the controller and the dynamics node say of themselves: rates, lateness, '
        'the model and its error, the episode, faults.',
    )
    status.add_argument(
        '--follow', action='store_true', help='go on, drawn anew as it changes, until Ctrl-C'
    )
    retrain = verbs.add_parser(
        'retrain',
        parents=[asking],
        help='train the model on all data now',
        description='Start a training on all data; `mbrl status` shows how it goes.',
    )
    retrain.add_argument(
        '--from-scratch', action='store_true', help='from new random weights, not from the current'
    )
    verbs.add_parser(
        'replan',
        parents=[of_one],
        help='drop the plan in execution and plan afresh',
        description='Drop the plan in execution and its warm start; the next step is planned '
        'afresh.',
    )
    goal = verbs.add_parser(
        'goal',
        parents=[of_one],
        help='set a new goal',
        description="Set the objective's goal; it holds from the next plan on, without retraining.",
    )
    goal.add_argument(
        'values', type=float, nargs='+', metavar='X', help='the goal, as the objective takes it'
    )
    mode = verbs.add_parser(
        'mode',
        parents=[of_one],
        help='choose what decides the actions',
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description='Choose what decides the actions, from the next control step on:\n\n'
        + '\n'.join(f'  {name:17} {text}' for name, text in MEANINGS.items())
        + '\n\nExploration episodes act at random in every mode; of the kind that it names, if it '
        'names one.',
    )
    mode.add_argument(
        'name', choices=MEANINGS, metavar='NAME', help='the mode, one of those listed above'
    )
    mode.add_argument(
        '--every',
        type=_integer(1),
        metavar='N',
        help='with every: steps that each plan is followed for (default: 1)',
    )
    mode.add_argument(
        '--bound',
        type=positive,
        metavar='X',
        help='with on_error: how far a state may be from what was expected, relative to the '
        'change expected (default: 1)',
    )
    evaluate = verbs.add_parser(
        'evaluate',
        parents=[common],
        help='measure how good the model is',
        description='Measure the model in use on held-out data, or on a bag, one step and many '
        'steps ahead: errors, beside those of predicting that nothing changes, and how far the '
        'predicted spread can be trusted.',
    )
    evaluate.add_argument(
        '--source',
        metavar='PATH',
        help='a bag or a folder of bags, all of which counts as held-out (default: held-out data '
        'of the run)',
    )
    evaluate.add_argument(
        '--horizon',
        type=_integer(1, 1000),
        default=0,
        metavar='K',
        help="steps ahead (default: the parameter file's, 25)",
    )
    evaluate.add_argument(
        '--plots', action='store_true', help='draw pictures into the run folder as well'
    )
    evaluate.add_argument(
        '--timeout', type=positive, default=120.0, metavar='S', help='how long to wait (120 s)'
    )
    data_parser.add_parser(verbs)
    bench_parser.add_parser(verbs, common)
    report_parser.add_parser(verbs)
    video_verb.add_parser(verbs)
    watch_parser.add_parser(verbs, of_one)
    record_verb.add_parser(verbs, asking)
    return parser


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command; ends the process with its exit code."""
    remember_signals()
    try:
        sys.exit(_run(make_parser().parse_args(arguments)))
    except Interrupted as interrupted:
        sys.exit(interrupted.exit_code)


def _run(arguments: argparse.Namespace) -> int:
    if getattr(arguments, 'domain_id', None) is not None:
        os.environ['ROS_DOMAIN_ID'] = str(arguments.domain_id)
    if hasattr(arguments, 'network') and getattr(
        arguments, 'graph', True
    ):  # it joins a graph, and what it starts does
        profile = discovery.takes_profile()
        os.environ.update(discovery.reach(arguments.network, os.environ, profile))

    # Imported late: --help must not take seconds, nor need ROS.
    from mbrl_bringup.display import Terminal

    if arguments.verb == 'data':
        from mbrl_bringup import data_verbs

        interrupt_at_once()
        return data_verbs.run(arguments, Terminal())
    if arguments.verb == 'video':
        interrupt_at_once()
        return video_verb.run(arguments, Terminal())
    if arguments.verb == 'bench':
        from mbrl_bringup.bench import verb

        if not arguments.graph:
            interrupt_at_once()
        return verb.run(arguments, Terminal())
    if arguments.verb == 'report':
        from mbrl_bringup.report import verb as report_verb

        interrupt_at_once()
        return report_verb.run(arguments, Terminal())

    from mbrl_bringup.client import GraphError
    from mbrl_bringup.supervision import SupervisionError
    from mbrl_bringup.up import up
    from mbrl_bringup.watch import verb as watch_verb
    from mbrl_common.settings import SettingsError

    terminal = Terminal()
    verbs = {
        'up': up,
        'tasks': _tasks,
        'status': _status,
        'retrain': _retrain,
        'replan': _replan,
        'goal': _goal,
        'mode': _mode,
        'evaluate': _evaluate,
        'watch': watch_verb.run,
        'record': record_verb.run,
    }
    try:
        return verbs[arguments.verb](arguments, terminal)
    except SettingsError as error:
        terminal.error(str(error))
        return EXIT_USAGE
    except (GraphError, SupervisionError) as error:
        terminal.error(str(error))
        return EXIT_FAILED


def _tasks(arguments: argparse.Namespace, terminal: Any) -> int:
    from mbrl_bringup.tasks import params_file_of, task_names

    terminal.table(('task', 'parameters'), ((t, str(params_file_of(t))) for t in task_names()))
    return 0


def _status(arguments: argparse.Namespace, terminal: Any) -> int:
    from mbrl_bringup.client import graph_client

    with graph_client(arguments.namespace, arguments.robot) as graph:
        graph.wait_until(
            lambda: graph.controller_status and graph.training_status,
            arguments.timeout,
            lambda: (
                f'no graph in {graph.where}: it says nothing of '
                + ' or '.join(
                    name
                    for name, status in (
                        ('mpc_controller', graph.controller_status),
                        ('dynamics', graph.training_status),
                    )
                    if status is None
                )
            ),
        )
        if arguments.follow:
            with terminal.live() as show:
                graph.watch_forever(lambda: show(_status_tables(graph)))
        for table in _status_tables(graph):
            terminal.table(*table)
    return 0


def _status_tables(graph: Any) -> list[tuple[tuple[str, str], Iterable[tuple[str, str]]]]:
    from mbrl_bringup.status import age_row, controller_rows, training_rows

    controller, training = graph.controller_status, graph.training_status
    return [
        (('mpc_controller', age_row(graph.heard('controller'))), controller_rows(controller)),
        (('dynamics', age_row(graph.heard('training'))), training_rows(training)),
    ]


def _retrain(arguments: argparse.Namespace, terminal: Any) -> int:
    from mbrl_bringup.client import graph_client

    with graph_client(arguments.namespace) as graph:
        answer = graph.retrain(arguments.from_scratch, arguments.timeout)
    return _say(answer, f'job {answer.job_id}: {answer.message}', terminal)


def _replan(arguments: argparse.Namespace, terminal: Any) -> int:
    from mbrl_bringup.client import graph_client

    with graph_client(arguments.namespace, arguments.robot) as graph:
        answer = graph.replan(arguments.timeout)
    return _say(answer, answer.message, terminal)


def _goal(arguments: argparse.Namespace, terminal: Any) -> int:
    from mbrl_bringup.client import graph_client

    with graph_client(arguments.namespace, arguments.robot) as graph:
        answer = graph.set_goal(arguments.values, arguments.timeout)
    return _say(answer, answer.message, terminal)


def _mode(arguments: argparse.Namespace, terminal: Any) -> int:
    from mbrl_bringup.client import graph_client

    for option, mode in (('every', 'every'), ('bound', 'on_error')):
        if getattr(arguments, option) is not None and arguments.name != mode:
            terminal.error(f'--{option} is for the mode {mode}; this is {arguments.name}')
            return EXIT_USAGE
    with graph_client(arguments.namespace, arguments.robot) as graph:
        answer = graph.set_mode(
            arguments.name, arguments.every or 1, arguments.bound or 1.0, arguments.timeout
        )
    return _say(answer, answer.message, terminal)


def _evaluate(arguments: argparse.Namespace, terminal: Any) -> int:
    from mbrl_bringup import evaluation_report as report
    from mbrl_bringup.client import graph_client

    source = arguments.source or ''
    if source and Path(source).exists():  # the node has a working folder of its own
        source = str(Path(source).resolve())
    with graph_client(arguments.namespace) as graph:
        answer = graph.evaluate(source, arguments.horizon, arguments.plots, arguments.timeout)
    if not answer.success:
        return _say(answer, '', terminal)
    terminal.table(report.ENTRY_COLUMNS, report.entry_rows(answer.evaluation))
    terminal.table(report.STEP_COLUMNS, report.step_rows(answer.evaluation))
    if answer.folder:
        terminal.note(answer.folder)
    return _say(answer, answer.message, terminal)


def _say(answer: Any, text: str, terminal: Any) -> int:
    if answer.success:
        terminal.console.print(text, markup=False)
        return 0
    terminal.error(answer.message)
    return EXIT_FAILED


def _integer(low: int, high: float = math.inf) -> Any:
    def integer(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            limit = f'at least {low}' if high == math.inf else f'from {low} to {high:g}'
            raise argparse.ArgumentTypeError(f'{text} must be {limit}')
        return value

    return integer
