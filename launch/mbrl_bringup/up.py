"""``mbrl up``: the graph as supervised processes, until Ctrl-C or until it has learned."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mbrl_bringup.client import GraphClient, GraphError, graph_client
from mbrl_bringup.display import Terminal
from mbrl_bringup.episodes import EpisodeLog
from mbrl_bringup.graph import GraphOptions, NodeDescription, describe_graph
from mbrl_bringup.run_folder import RunFolder
from mbrl_bringup.supervision import Supervision, node_command
from mbrl_bringup.tasks import learning_settings, params_file_of
from mbrl_bringup.trials import ControllerLostError, learn_trials
from mbrl_common.node import EXIT_WITH_PARENT
from mbrl_common.settings import SettingsError

EXIT_SOLVED = 0
EXIT_NOT_SOLVED = 3
_START_TIMEOUT = 60.0  # s, until all services are there
_FORGET_TIMEOUT = 30.0  # s, until DDS gives up a participant that was killed


def up(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Bring the graph up and stay; returns the exit code.

    Raises:
        SettingsError, SupervisionError, GraphError: with a text for the user.
    """
    if arguments.learn and arguments.robots > 1:
        raise SettingsError(
            [
                '--learn runs the trials of one robot; with --robots, bring the graph up without '
                'it, and send each robot its run_episodes'
            ]
        )
    folder, seed = _prepare(arguments)
    options = GraphOptions(
        params_file=folder.parameters,
        namespace=arguments.namespace.strip('/'),
        seed=seed,
        run_folder=folder.path,
        log_level=arguments.log_level,
        real_time=arguments.real_time,
        robots=arguments.robots,
    )
    nodes = describe_graph(options)
    commands = {node.label: node_command(node, folder.logs) for node in nodes}
    environment = {
        EXIT_WITH_PARENT: '1',
        'PYTHONUNBUFFERED': '1',
        'RCUTILS_COLORIZED_OUTPUT': '0',
    }
    learning = _Learning(terminal, folder, seed, arguments.trials) if arguments.learn else None
    with _alone(options.namespace):
        terminal.step(f'Starting {len(nodes)} nodes; their output goes to {_short(folder.logs)}')
        try:
            with (
                Supervision(commands, folder.logs, environment) as supervision,
                graph_client(options.namespace) as graph,
            ):
                _wait_until_up(graph, nodes, supervision)
                terminal.table(
                    ('node', 'pid', 'offers'),
                    (
                        (node.path, str(state.pid), ', '.join(node.services))
                        for node, state in zip(nodes, supervision.states())
                    ),
                )
                if learning is None:
                    terminal.step(f'The graph is up in {graph.where}; Ctrl-C ends it')
                    graph.watch_forever(_Watch(supervision, terminal))
                solved = learning.run(graph, supervision)
        finally:
            if learning is not None:  # the graph is down by now, and does not wait for pictures
                learning.conclude()
    if solved:
        terminal.step(f'[green]Solved[/] after {learning.log.total_steps} control steps')
        return EXIT_SOLVED
    terminal.step('Not solved: the trials are used up')
    terminal.note(f'to go on: mbrl up {arguments.task} --learn --resume {_short(folder.path)}')
    return EXIT_NOT_SOLVED


def _prepare(arguments: argparse.Namespace) -> tuple[RunFolder, int]:
    """The run folder, with the parameter file in it, and the seed."""
    if arguments.resume is not None:
        folder = RunFolder(arguments.resume)
        record = folder.load()
        if record['task'] != arguments.task:
            raise SettingsError(
                [f"{folder.path} is a run of '{record['task']}', not of '{arguments.task}'"]
            )
        if arguments.params_file is not None:
            folder.parameters.write_bytes(arguments.params_file.read_bytes())
        seed = record['seed'] if arguments.seed is None else arguments.seed
    else:
        params_file = arguments.params_file or params_file_of(arguments.task)
        if not params_file.is_file():
            raise SettingsError([f'there is no parameter file {params_file}'])
        if arguments.learn:
            learning_settings(params_file)  # refuse it before anything is made
        seed = 0 if arguments.seed is None else arguments.seed
        folder = (
            RunFolder.default(arguments.task)
            if arguments.run_folder is None
            else RunFolder(arguments.run_folder)
        )
        folder.create(arguments.task, params_file, seed)
    return folder, seed


def _wait_until_up(
    graph: GraphClient, nodes: list[NodeDescription], supervision: Supervision
) -> None:
    services = [service for node in nodes for service in node.services]
    graph.wait_until(
        lambda: not graph.missing(services),
        _START_TIMEOUT,
        lambda: (
            f'after {_START_TIMEOUT:.0f} s these are still missing: '
            + ', '.join(graph.missing(services))
        ),
        lambda: supervision.check(starting=True),
    )
    # What a killed graph left behind in DDS goes by itself; what stays is a second graph.
    names = [node.path for node in nodes]
    graph.wait_until(
        lambda: not graph.doubled(names),
        _FORGET_TIMEOUT,
        lambda: (
            f'another graph is up in {graph.where} of domain {_domain()}: '
            'end it, or choose another --namespace or --domain-id'
        ),
        lambda: supervision.check(starting=True),
    )


class _Learning:
    """Learning a task in a graph that is up, and what is left of it."""

    def __init__(
        self, terminal: Terminal, folder: RunFolder, seed: int, trials: int | None
    ) -> None:
        self._terminal = terminal
        self._folder = folder
        self._seed = seed
        self._settings = learning_settings(folder.parameters)
        self._trials = self._settings.trials if trials is None else trials
        self.log = EpisodeLog(folder.episodes)
        self._rows_before = len(self.log.rows)

    def run(self, graph: GraphClient, supervision: Supervision) -> bool:
        """Run the trials; returns whether the task is solved."""
        task = self._settings.task
        self._terminal.step(
            f'Learning {task.name}: up to {self._trials} trials of {task.max_steps} steps, '
            f'until one returns {self._settings.target_return:g}'
        )
        self._terminal.begin_trials(task.max_steps)
        try:
            return learn_trials(
                graph,
                self.log,
                self._terminal,
                trials=self._trials,
                exploration_trials=self._settings.exploration_trials,
                seed=self._seed,
                target_return=self._settings.target_return,
                watch=_Watch(supervision, self._terminal, vital='mpc_controller'),
            )
        finally:
            self._terminal.end_trials()

    def conclude(self) -> None:
        """Write the pictures, and say what is where."""
        from mbrl_bringup.pictures import draw_episode, draw_learning_curve

        best = self.log.best()
        if best is None or len(self.log.rows) == self._rows_before:
            return
        folder, settings = self._folder, self._settings
        draw_learning_curve(
            folder.learning_curve, settings.task.name, self.log.rows, settings.target_return
        )
        try:
            draw_episode(folder.best_trial, folder.parameters, folder.data, best.episode)
        except (OSError, ValueError) as error:  # a picture is no reason for a run to fail
            self._terminal.note(f'no picture of trial {best.episode}: {error}')
        self._terminal.step(f'The run is in {_short(folder.path)}')
        for path, what in (
            (folder.episodes, 'one row per trial'),
            (folder.learning_curve, 'return over control steps'),
            (folder.best_trial, f'the best trial, {best.episode}'),
            (folder.data, 'every transition, as bags'),
            (folder.models, 'the models'),
            (folder.parameters, 'the settings used'),
            (folder.logs, 'output of the nodes'),
        ):
            if path.exists():
                self._terminal.note(f'{path.name:<20} {what}')


class _Watch:
    """Looks after the processes: says when one was started again, and raises when one was not."""

    def __init__(
        self, supervision: Supervision, terminal: Terminal, vital: str | None = None
    ) -> None:
        self._supervision = supervision
        self._terminal = terminal
        self._vital = vital
        self._pids = {state.name: state.pid for state in supervision.check()}

    def __call__(self) -> None:
        for state in self._supervision.check():
            if state.pid and state.pid != self._pids[state.name]:
                self._pids[state.name] = state.pid
                if state.name == self._vital:
                    raise ControllerLostError(f'{state.name} ended and was started again')
                self._terminal.note(f'{state.name} ended and was started again; see {state.log}')


@contextlib.contextmanager
def _alone(namespace: str) -> Iterator[None]:
    """Two graphs of the same names would answer each other's messages."""
    name = f'mbrl-{os.getuid()}-{_domain()}-{namespace.replace("/", "-")}.lock'
    with (Path(tempfile.gettempdir()) / name).open('w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise GraphError(
                f"a graph is up already in namespace '/{namespace}' of domain {_domain()}: "
                'end it, or choose another --namespace or --domain-id'
            ) from None
        yield


def _domain() -> str:
    return os.environ.get('ROS_DOMAIN_ID', '') or '0'


def _short(path: Path) -> Path:
    """Relative to here, where that is shorter."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
