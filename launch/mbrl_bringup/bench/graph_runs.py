"""A seed of ``mbrl bench --graph``: the nodes as processes, in lockstep, as ``mbrl up --learn``.

The seed's folder is a run folder (``run_folder``); its parameter file has the recipe in it. Rows
are those of a run in one process, but for times: the controller's summaries say most of them, and
what they do not say, bags and models do.
"""

from __future__ import annotations

import dataclasses
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from mbrl_bringup.bench.replay import replayed_score
from mbrl_bringup.bench.rows import Row, machine, versions
from mbrl_bringup.bench.runs import Bench, Display, SeedFailedError
from mbrl_bringup.client import GraphError
from mbrl_bringup.episodes import EpisodeLog, EpisodeRow
from mbrl_bringup.graph import GraphOptions
from mbrl_bringup.run_folder import RunFolder
from mbrl_bringup.running import running_graph
from mbrl_bringup.supervision import Supervision, SupervisionError
from mbrl_bringup.trials import learn_trials
from mbrl_common.taskfile import node_parameters, node_settings
from mbrl_dynamics.model_store import versions_in
from mbrl_dynamics.snapshot import decode
from mbrl_mpc.pilot import reset_seed_of
from mbrl_sim_bridge.settings import SimBridgeSettings
from mbrl_sim_bridge.simulation import SimulationError

_SECTIONS = ('sim_bridge', 'mpc_controller', 'dynamics', 'planner', 'mbrl')
_ALL_MODELS = 10**9  # which of them an episode ended with is looked up after it


def run_by_graph(
    bench: Bench, seed: int, folder: Path, display: Display, put: Callable[[Row], None]
) -> None:
    """Bring the graph up, run all episodes of a seed, and end it again.

    Args:
        bench: what is to be run; ``bench.graph`` is the namespace.
        seed: of everything.
        folder: of the seed; whatever is in it goes.
        display: shows how far it is.
        put: takes each row, as its episode has ended.

    Raises:
        SeedFailedError: the graph did not come up, refused, or lost a node.
        SettingsError: something given is wrong.
    """
    shutil.rmtree(folder, ignore_errors=True)
    run = RunFolder(folder)
    run.create(bench.task, bench.params_file, seed)
    write_parameters(run.parameters, bench)
    options = GraphOptions(
        params_file=run.parameters,
        namespace=(bench.graph or '').strip('/'),
        seed=seed,
        run_folder=run.path,
    )
    rows = _Rows(bench, seed, run, display, put)
    try:
        with running_graph(options, run.logs, display.note) as running:
            learn_trials(
                running.client,
                EpisodeLog(run.episodes),
                rows,
                trials=bench.episodes,
                exploration_trials=bench.exploration_episodes,
                seed=seed,
                target_return=math.nan,
                watch=_unbroken(running.supervision),
                max_steps=bench.max_steps or 0,
            )
    except (GraphError, SupervisionError) as error:
        raise SeedFailedError(f'seed {seed}: {error}') from error


def write_parameters(path: Path, bench: Bench) -> None:
    """Write the task's parameters with the recipe's in them, node by node.

    Raises:
        SettingsError: if the task's file is wrong.
    """
    document = {}
    for section in _SECTIONS:
        parameters = node_parameters(bench.params_file, section)
        parameters |= dict(bench.recipe.overrides.get(section, {}))
        longest = parameters.get('task.max_steps')
        if bench.max_steps is not None and longest is not None and bench.max_steps > longest:
            parameters['task.max_steps'] = bench.max_steps
        if section == 'dynamics':
            parameters['data.keep_models'] = _ALL_MODELS
        document[f'/**/{section}'] = {'ros__parameters': _plain(parameters)}
    path.write_text(yaml.safe_dump(document, sort_keys=False))


def _plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in parameters.items()
    }


def _unbroken(supervision: Supervision) -> Callable[[], None]:
    """A watch that ends the run with the first process that ends: what would be gone on with after
    that is another run than the seed says."""
    pids = {state.name: state.pid for state in supervision.check()}

    def watch() -> None:
        for state in supervision.check():
            if state.pid != pids[state.name]:
                raise GraphError(f'{state.name} ended in mid run; see {state.log}')

    return watch


class _Rows:
    """Makes rows of trials as they end."""

    def __init__(
        self,
        bench: Bench,
        seed: int,
        run: RunFolder,
        display: Display,
        put: Callable[[Row], None],
    ) -> None:
        self._bench = bench
        self._seed = seed
        self._run = run
        self._display = display
        self._put = put
        self._simulation = node_settings(run.parameters, 'sim_bridge', SimBridgeSettings)

    def progress(self, summary: Any) -> None:
        """An episode goes on."""
        self._display.step(summary)

    def note(self, text: str) -> None:
        """Something else happened."""
        self._display.note(text)

    def row(self, row: EpisodeRow) -> None:
        """An episode has ended."""
        known = {field.name for field in dataclasses.fields(Row)}
        values = {key: value for key, value in dataclasses.asdict(row).items() if key in known}
        values |= {
            'task': self._bench.task,
            'recipe': self._bench.name,
            'settings': self._bench.settings,
            'unchanged': self._bench.unchanged,
            'seed': self._seed,
            'environment_steps': row.total_steps,
            'score': self._score(row.episode),
            'model_version': self._model_after(row.total_steps),
            'model_steps': row.model_steps_per_action,
            'versions': versions(),
            'machine': machine(),
        }
        self._put(Row(**values))

    def _score(self, episode: int) -> float:
        bag = self._run.data / f'episode_{episode:05d}.mcap'
        try:
            return replayed_score(self._simulation, reset_seed_of(self._seed, episode), bag)
        except (OSError, ValueError, SimulationError) as error:
            self._display.note(f'the score of episode {episode} is not known: {error}')
            return math.nan

    def _model_after(self, steps: int) -> int:
        """Version of the newest model learned from no more than so many steps; 0: none. By now the
        next episode may have trained others."""
        if not self._run.models.is_dir():
            return 0
        for version, path in reversed(versions_in(self._run.models).items()):
            if decode(path.read_bytes())[1].dataset_size <= steps:
                return version
        return 0
