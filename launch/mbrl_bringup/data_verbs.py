"""``mbrl data``: what is done with bags, on the command line. Needs no graph, and no rclpy.

Modules are imported in the verbs that need them: a list of bags must not wait for torch.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

EXIT_FAILED = 1
EXIT_USAGE = 2


def run(arguments: argparse.Namespace, terminal: Any) -> int:
    """Run the verb; returns the exit code."""
    from mbrl_common.settings import SettingsError
    from mbrl_dynamics.bag import BagError
    from mbrl_dynamics.bag_tools import TargetError
    from mbrl_dynamics.minari_io import MinariError

    logging.basicConfig(format='warning: %(message)s', level=logging.WARNING)
    missing = [str(path) for path in getattr(arguments, 'paths', []) if not path.exists()]
    if missing:
        terminal.error(f'there is no {", ".join(missing)}')
        return EXIT_USAGE
    action: Callable[[argparse.Namespace, Any], int] = {
        'list': _list,
        'check': _check,
        'merge': _merge,
        'split': _merge,
        'repair': _repair,
        'import': _import,
        'export-minari': _export_minari,
        'import-minari': _import_minari,
    }[arguments.action]
    try:
        return action(arguments, terminal)
    except (SettingsError, TargetError, MinariError) as error:
        terminal.error(str(error))
        return EXIT_USAGE
    except (BagError, OSError) as error:
        terminal.error(str(error))
        return EXIT_FAILED


def _list(arguments: argparse.Namespace, terminal: Any) -> int:
    from mbrl_dynamics.bag import BagError
    from mbrl_dynamics.bag_tools import BagSummary, summarise
    from mbrl_dynamics.ros_bag import find_bags

    summaries: list[BagSummary] = []
    problems = []
    with _progress(terminal, 'reading') as on_bag:
        for given in arguments.paths:
            try:
                for path in find_bags(given):
                    on_bag(path)
                    try:
                        summaries.append(summarise(path))
                    except (BagError, OSError) as error:
                        problems.append(str(error))
            except BagError as error:
                problems.append(str(error))
    if not terminal.console.is_terminal:
        terminal.console.width = 1000  # no line is folded
    columns = ('bag', 'episode', 'steps', 'duration', 'return', 'state', 'action', 'end')
    rows = [_row(each) for each in summaries if not each.topics]
    if rows:
        terminal.table(columns, rows)
    for each in summaries:
        if each.topics:
            terminal.note(f'{_shown(each.path)}: no transitions; topics: {each.topics}')
    terminal.note(
        f'{_count(len(summaries), "bag")}, '
        f'{_count(sum(len(each.episodes) for each in summaries), "episode")}, '
        f'{_count(sum(each.transitions for each in summaries), "step")}, '
        f'{sum(each.duration for each in summaries):.1f} s'
    )
    for text in problems:
        terminal.error(text)
    return EXIT_FAILED if problems else 0


def _check(arguments: argparse.Namespace, terminal: Any) -> int:
    from mbrl_dynamics.bag_check import check_bags

    with _progress(terminal, 'checking') as on_bag:
        found = check_bags(arguments.paths, on_bag)
    for problem in found.problems:
        terminal.console.print(f'{_shown(problem.path)}: {problem.text}', markup=False)
    terminal.note(
        f'{_count(found.bags, "bag")}, {_count(found.transitions, "step")}: '
        + _count(len(found.problems), 'problem')
    )
    return EXIT_FAILED if found.problems else 0


def _merge(arguments: argparse.Namespace, terminal: Any) -> int:
    from mbrl_dynamics.bag_tools import merge, split

    tool = merge if arguments.action == 'merge' else split
    with _progress(terminal, arguments.action) as on_bag:
        written = tool(arguments.paths, arguments.output, on_bag)
    return _say_written(written, arguments.output, terminal)


def _repair(arguments: argparse.Namespace, terminal: Any) -> int:
    from mbrl_dynamics.bag_tools import repair_bags

    count = 0
    for each in repair_bags(arguments.paths):
        lost = (
            'but for the record that was being written, if any, nothing was lost'
            if each.damaged is None
            else f'bytes that make no sense are left out; the old file is {_shown(each.damaged)}'
        )
        terminal.console.print(
            f'{_shown(each.path)}: finished, {each.saved} steps saved; {lost}', markup=False
        )
        count += 1
    terminal.note(f'{_count(count, "bag")} finished' if count else 'all bags were finished')
    return 0


def _import(arguments: argparse.Namespace, terminal: Any) -> int:
    from mbrl_dynamics.bag_collection import collect, renumbered
    from mbrl_dynamics.bag_tools import check_target, write

    check_target(arguments.output)
    _, read = _reader(arguments, always_score=True)
    with _progress(terminal, 'importing') as on_bag:
        transitions, duplicates = collect(arguments.paths, read, on_bag)
        written = write(renumbered(transitions), arguments.output, duplicates, on_bag)
    terminal.note(
        f'return {transitions.reward.sum():.1f}, '
        f'{_count(int(transitions.terminated.sum()), "episode")} ended by the objective'
    )
    return _say_written(written, arguments.output, terminal)


def _export_minari(arguments: argparse.Namespace, terminal: Any) -> int:
    from mbrl_dynamics.bag_collection import collect
    from mbrl_dynamics.minari_io import export_dataset

    task, read = _reader(arguments, always_score=False)
    with _progress(terminal, 'exporting') as on_bag:
        transitions, _ = collect(arguments.paths, read, on_bag)
        description = f'Transitions of the task {task.name}, recorded by a ROS 2 controller.'
        episodes, size = export_dataset(transitions, arguments.id, task, description)
    terminal.console.print(
        f'{arguments.id}: {_count(episodes, "episode")}, {_count(len(transitions), "step")}, '
        f'{size / 1e6:.1f} MB',
        markup=False,
    )
    return 0


def _import_minari(arguments: argparse.Namespace, terminal: Any) -> int:
    from mbrl_common.settings import SettingsError
    from mbrl_dynamics.bag_tools import check_target, write
    from mbrl_dynamics.minari_io import import_dataset

    check_target(arguments.output)
    period = arguments.control_period
    if period is not None and not 1e-9 <= period <= 3600.0:
        raise SettingsError([f'--control-period is {period:g}; it must be from 1e-9 to 3600 s'])
    with _progress(terminal, 'importing') as on_bag:
        transitions, stamps = import_dataset(arguments.id, period)
        written = write(transitions, arguments.output, on_bag=on_bag)
    terminal.note(
        f'state {transitions.state.shape[1]}, action {transitions.action.shape[1]}; {stamps}'
    )
    return _say_written(written, arguments.output, terminal)


def _reader(arguments: argparse.Namespace, always_score: bool) -> tuple[Any, Callable[[Path], Any]]:
    """The task, and what reads a bag of any kind for it, and scores it."""
    import numpy as np

    from mbrl_bringup.scoring import scorer
    from mbrl_common.taskfile import node_settings
    from mbrl_dynamics.bag import BagError
    from mbrl_dynamics.bag_source import transitions_of
    from mbrl_dynamics.settings import DynamicsSettings
    from mbrl_dynamics.transitions import Transitions, check_transitions

    params_file = _params_file(arguments)
    topics = {
        'data.joint_state_topics': getattr(arguments, 'joint_state_topics', None),
        'data.command_topic': getattr(arguments, 'command_topic', None),
    }
    settings = node_settings(
        params_file,
        'dynamics',
        DynamicsSettings,
        {name: value for name, value in topics.items() if value is not None},
    )
    score = scorer(params_file, arguments.goal)

    def read(path: Path) -> Transitions:
        found = transitions_of(path, settings.task, settings.data)
        try:
            check_transitions(found, settings.task.state_dim, settings.task.action_dim)
        except ValueError as error:
            raise BagError(f'{path}: {error}') from error
        if len(found) and (always_score or np.isnan(found.reward).any()):
            return score(found)
        return found

    return settings.task, read


def _params_file(arguments: argparse.Namespace) -> Path:
    from mbrl_bringup.tasks import params_file_of
    from mbrl_common.settings import SettingsError

    if arguments.params_file is None:
        return params_file_of(arguments.task)
    if not arguments.params_file.is_file():
        raise SettingsError([f'there is no parameter file {arguments.params_file}'])
    return Path(arguments.params_file)


def _say_written(written: Any, folder: Path, terminal: Any) -> int:
    left_out = (
        f'; {written.duplicates} that were there twice left out' if written.duplicates else ''
    )
    terminal.console.print(
        f'{_shown(folder)}: {_count(len(written.paths), "bag")}, '
        f'{_count(written.transitions, "step")}{left_out}',
        markup=False,
    )
    return 0


def _row(each: Any) -> tuple[str, ...]:
    numbers = each.episodes
    cut_off = len(numbers) - each.terminated - each.truncated
    ends = ((each.terminated, 'terminated'), (each.truncated, 'time limit'), (cut_off, 'cut off'))
    ended = [text if len(numbers) == 1 else f'{count} {text}' for count, text in ends if count]
    if not each.finished:
        ended.append('not finished')
    return (
        _shown(each.path),
        str(numbers[0]) if len(numbers) == 1 else f'{len(numbers)} of them',
        str(each.transitions),
        f'{each.duration:.1f} s',
        '?' if math.isnan(each.episode_return) else f'{each.episode_return:.1f}',
        str(each.state_dim),
        str(each.action_dim),
        ', '.join(ended),
    )


def _count(number: int, what: str) -> str:
    return f'{number or "no"} {what}{"" if number == 1 else "s"}'


def _shown(path: Path) -> str:
    """The path as short as it can be from here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith('..') else relative


@contextlib.contextmanager
def _progress(terminal: Any, doing: str) -> Iterator[Callable[[Path], None]]:
    """Shows, where there is a terminal to redraw, which bag is worked on."""
    if not terminal.console.is_terminal:
        yield lambda path: None
        return
    with terminal.console.status(doing) as status:
        count = 0

        def on_bag(path: Path) -> None:
            nonlocal count
            count += 1
            status.update(f'{doing}, {count}: {_shown(path)}')

        yield on_bag
