"""Reads a run: a run folder, or bags. What is not there or broken is said, and the rest is read."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import Any

import yaml

from mbrl_bringup import csv_table
from mbrl_bringup.episodes import EpisodeRow
from mbrl_bringup.report.logs import read_logs
from mbrl_bringup.report.models import read_models
from mbrl_bringup.report.recordings import episode_rows, read_bags, read_status
from mbrl_bringup.report.run import GivenWrongly, Options, Run, Say
from mbrl_bringup.run_folder import RunFolder
from mbrl_bringup.status_log import StatusRow, TrainingRow
from mbrl_bringup.tasks import learning_settings
from mbrl_common.settings import SettingsError, flatten
from mbrl_common.taskfile import node_parameters, node_settings
from mbrl_dynamics.bag import BagError
from mbrl_dynamics.ros_bag import RosBag, find_bags
from mbrl_dynamics.settings import DynamicsSettings

NODES = ('sim_bridge', 'mpc_controller', 'planner', 'dynamics', 'mbrl')
_LARGEST_PICTURE = 12_000_000  # bytes


def check_run(path: Path) -> None:
    """Whether there is anything to report on.

    Raises:
        GivenWrongly: if not.
    """
    if not path.exists():
        raise GivenWrongly(f'there is no {path}')
    if any((path / name).exists() for name in ('run.yaml', 'episodes.csv')):
        return
    several = sorted(path.glob('*/run.yaml'))
    if several:
        raise GivenWrongly(
            f'{path} has {len(several)} runs; give the folders of those that you mean'
        )
    try:
        find_bags(path)
        if not path.is_dir():
            RosBag(path)
    except (BagError, OSError) as error:
        what = 'it has no run.yaml, no episodes.csv and no bags' if path.is_dir() else error
        raise GivenWrongly(f'{path} is no run: {what}') from error


def collect_run(path: Path, options: Options, say: Say) -> Run:
    """Everything that a run has; nothing in it is changed.

    Args:
        path: of the run; see :func:`check_run`.
        options: what is given beside it.
        say: what is being done.
    """
    run = Run(path=path, name=path.resolve().name)
    folder = RunFolder(path)
    if path.is_dir():
        _read_record(run, folder)
    params_file = _params_file(run, folder, options)
    settings = None if params_file is None else _read_settings(run, folder, params_file)
    if path.is_dir():
        _read_tables(run, folder)
    place = folder.data if folder.data.is_dir() else path
    read_bags(run, place, settings, None if settings is None else params_file, say)
    if not run.status:
        with contextlib.suppress(BagError, OSError):  # no bags: said already
            read_status(run, path, say)
    if not run.episodes and run.transitions is not None:
        run.episodes, run.from_bags = episode_rows(run.transitions), True
    read_models(run, folder.path, settings, options.model, say)
    if path.is_dir():
        _read_rest(run, folder)
    if not run.episodes:
        run.notes.append('no episode has ended yet')
    _note_rows_to_come(run)
    return run


def _read_record(run: Run, folder: RunFolder) -> None:
    if not (folder.path / 'run.yaml').exists():
        return
    try:
        record = folder.load()
        run.task, run.seed = str(record['task']), int(record['seed'])
        run.versions = {str(k): str(v) for k, v in dict(record.get('versions') or {}).items()}
    except (SettingsError, TypeError, ValueError) as error:
        run.problems.append(f'run.yaml: {error}')


def _params_file(run: Run, folder: RunFolder, options: Options) -> Path | None:
    """The run's own, or what is given."""
    if run.path.is_dir() and folder.parameters.is_file():
        return folder.parameters
    if options.params_file is None:
        run.notes.append(
            'there is no parameter file: names, units and limits are not known; give --task or '
            '--params-file'
        )
    return options.params_file


def _read_settings(run: Run, folder: RunFolder, params_file: Path) -> DynamicsSettings | None:
    try:
        run.settings_text = params_file.read_text()
        run.settings = {
            node: node_parameters(params_file, node) | _said(folder, node) for node in NODES
        }
        settings = node_settings(params_file, 'dynamics', DynamicsSettings)
    except (SettingsError, OSError, UnicodeDecodeError) as error:
        run.problems.append(f'parameters: {error}')
        return None
    task = settings.task
    run.task = run.task or task.name
    run.period, run.state, run.action = task.control_period, task.state, task.action
    try:
        run.target_return = learning_settings(params_file).target_return
    except SettingsError:
        run.target_return = math.nan  # the section is for `mbrl up --learn` alone
    return settings


def _said(folder: RunFolder, node: str) -> dict[str, Any]:
    """What the command line gave to a node: `mbrl up` leaves it beside the node's output."""
    path = folder.logs / f'{node}.yaml'
    if not path.is_file():
        return {}
    try:
        section = yaml.safe_load(path.read_text())[f'/**/{node}']['ros__parameters']
        return {k: v for k, v in flatten(section).items() if k not in ('data.folder', 'autostart')}
    except (OSError, yaml.YAMLError, TypeError, LookupError, AttributeError, ValueError):
        return {}


def _read_tables(run: Run, folder: RunFolder) -> None:
    tables: tuple[tuple[str, Path, Any], ...] = (
        ('episodes', folder.episodes, EpisodeRow),
        ('status', folder.status, StatusRow),
        ('trainings', folder.trainings, TrainingRow),
    )
    for name, path, kind in tables:
        if not path.exists():
            continue
        try:
            setattr(run, name, csv_table.read(path, kind, whole_lines=True))
        except (SettingsError, OSError) as error:
            run.problems.append(str(error))


def _read_rest(run: Run, folder: RunFolder) -> None:
    try:
        run.log = read_logs(folder.logs)
        if folder.best_trial.is_file():
            if folder.best_trial.stat().st_size <= _LARGEST_PICTURE:
                run.picture = folder.best_trial.read_bytes()
            else:
                run.notes.append(
                    f'{folder.best_trial.name} is left out: it is too large for a page'
                )
    except OSError as error:
        run.problems.append(str(error))
    if run.picture and not run.picture.startswith(b'GIF8'):
        run.problems.append(f'{folder.best_trial}: is no GIF')
        run.picture = b''


def _note_rows_to_come(run: Run) -> None:
    """Steps on disk of which no row tells: of an episode that runs, or was cut off."""
    if run.transitions is None or run.from_bags or not run.episodes:
        return
    more = len(run.transitions) - sum(row.steps for row in run.episodes)
    if more > 0:
        run.notes.append(
            f'{more} steps on disk belong to no row of episodes.csv: an episode runs now, or was '
            'cut off'
        )
