"""``mbrl up``: the graph as supervised processes, until Ctrl-C or until it has learned."""

from __future__ import annotations

import argparse

from mbrl_bringup.client import GraphClient
from mbrl_bringup.display import Terminal
from mbrl_bringup.episodes import EpisodeLog
from mbrl_bringup.graph import GraphOptions
from mbrl_bringup.run_folder import RunFolder
from mbrl_bringup.running import running_graph, shown
from mbrl_bringup.status_log import StatusLog
from mbrl_bringup.supervision import Supervision
from mbrl_bringup.tasks import learning_settings, params_file_of
from mbrl_bringup.trials import ControllerLostError, learn_trials
from mbrl_common.settings import SettingsError

EXIT_SOLVED = 0
EXIT_NOT_SOLVED = 3


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
    learning = _Learning(terminal, folder, seed, arguments.trials) if arguments.learn else None
    try:
        with running_graph(options, folder.logs, terminal.step) as running:
            graph, supervision = running.client, running.supervision
            log = StatusLog(folder.status, folder.trainings, terminal.note)
            graph.on_controller_status = log.controller
            graph.on_training_status = log.training
            terminal.table(
                ('node', 'pid', 'offers'),
                (
                    (node.path, str(state.pid), ', '.join(node.services))
                    for node, state in zip(running.nodes, supervision.states())
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
    terminal.note(f'to go on: mbrl up {arguments.task} --learn --resume {shown(folder.path)}')
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
        self._terminal.step(f'The run is in {shown(folder.path)}')
        for path, what in (
            (folder.episodes, 'one row per trial'),
            (folder.status, 'what the controller said of itself, each second'),
            (folder.trainings, 'one row per training'),
            (folder.learning_curve, 'return over control steps'),
            (folder.best_trial, f'the best trial, {best.episode}'),
            (folder.data, 'every transition, as bags'),
            (folder.models, 'the models'),
            (folder.parameters, 'the settings used'),
            (folder.logs, 'output of the nodes'),
        ):
            if path.exists():
                self._terminal.note(f'{path.name:<20} {what}')
        self._terminal.note(f'as a page: mbrl report {shown(folder.path)}')


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
