"""Tasks by name: a task is a parameter file in this package's ``config`` folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from mbrl_common.settings import SettingsError, setting
from mbrl_common.task import TaskSettings
from mbrl_common.taskfile import node_parameters, node_settings


@dataclasses.dataclass(frozen=True)
class LearningSettings:
    """What ``mbrl up --learn`` does (section ``mbrl`` of a parameter file)."""

    task: TaskSettings
    target_return: float = setting('solved by a planned episode with this return [-]')
    trials: int = setting('episodes until it gives up, random ones included', 8, ge=1)
    exploration_trials: int = setting('random episodes at the start of a new run', 1, ge=0)


def share_folder() -> Path:
    """Where the package's configuration and launch files are installed."""
    from ament_index_python.packages import get_package_share_directory

    return Path(get_package_share_directory('mbrl_bringup'))


def task_names() -> list[str]:
    """The tasks that come with the package."""
    return sorted(path.stem for path in (share_folder() / 'config').glob('*.yaml'))


def params_file_of(task: str) -> Path:
    """The parameter file of a task.

    Raises:
        SettingsError: if there is none of that name.
    """
    path = share_folder() / 'config' / f'{task}.yaml'
    if not path.exists():
        known = ', '.join(task_names())
        raise SettingsError(
            [f"there is no task '{task}'; there is {known}. For your own, give --params-file"]
        )
    return path


def rviz_config_of(params_file: Path) -> Path:
    """The RViz configuration of the task that a parameter file is for, or else the general one."""
    folder = share_folder() / 'rviz'
    own = folder / f'{node_parameters(params_file, "mpc_controller").get("task.name")}.rviz'
    return own if own.is_file() else folder / 'any.rviz'


def learning_settings(params_file: Path) -> LearningSettings:
    """The section ``mbrl`` of a parameter file, checked."""
    return node_settings(params_file, 'mbrl', LearningSettings)
