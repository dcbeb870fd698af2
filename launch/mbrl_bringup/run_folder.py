"""A run folder: everything that is left of a run, and all that is needed to go on with it.

| file | what |
|---|---|
| ``run.yaml`` | task, seed and versions |
| ``parameters.yaml`` | the parameter file used, as it was |
| ``episodes.csv`` | one row per episode, written as it ends |
| ``status.csv``, ``trainings.csv`` | what the graph said of itself: counts of faults, trainings |
| ``learning_curve.png``, ``best_trial.gif`` | the run in pictures |
| ``data/``, ``models/`` | the dynamics node's bags and models |
| ``logs/`` | the nodes' output |
"""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import yaml

from mbrl_common.settings import SettingsError

_PACKAGES = ('torch', 'numpy', 'mujoco', 'gymnasium', 'mcap')


class RunFolder:
    """Paths in a run folder, and its settings."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.parameters = self.path / 'parameters.yaml'
        self.episodes = self.path / 'episodes.csv'
        self.status = self.path / 'status.csv'
        self.trainings = self.path / 'trainings.csv'
        self.learning_curve = self.path / 'learning_curve.png'
        self.best_trial = self.path / 'best_trial.gif'
        self.data = self.path / 'data'
        self.models = self.path / 'models'
        self.logs = self.path / 'logs'
        self._record = self.path / 'run.yaml'

    @classmethod
    def default(cls, task: str) -> RunFolder:
        """A new one in ``runs/`` of the current folder, named after the task and the time."""
        stamp = datetime.datetime.now().strftime('%Y-%m-%d_%H-%M-%S')
        return cls(Path('runs') / f'{task}_{stamp}')

    def create(self, task: str, params_file: Path, seed: int) -> None:
        """Start a run in it.

        Raises:
            SettingsError: if a run is in it already, or it cannot be written.
        """
        if self._record.exists():
            raise SettingsError(
                [f'{self.path} holds a run already; to go on with it, give --resume {self.path}']
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.parameters.write_bytes(params_file.read_bytes())
            record = {'task': task, 'seed': seed, 'versions': _versions()}
            self._record.write_text(yaml.safe_dump(record, sort_keys=False))
        except OSError as error:
            raise SettingsError([f'{self.path} cannot be made a run folder: {error}']) from error

    def load(self) -> dict[str, Any]:
        """``task``, ``seed`` and ``versions`` of the run in it.

        Raises:
            SettingsError: if there is none.
        """
        try:
            record = yaml.safe_load(self._record.read_text())
        except (OSError, yaml.YAMLError) as error:
            raise SettingsError([f'{self.path} holds no run to go on with: {error}']) from error
        if not isinstance(record, dict) or not {'task', 'seed'} <= record.keys():
            raise SettingsError([f"{self._record} must have 'task' and 'seed'"])
        return record


def _versions() -> dict[str, str]:
    versions = {'python': platform.python_version(), 'ros': os.environ.get('ROS_DISTRO', 'wheels')}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = 'not installed'
    return versions
