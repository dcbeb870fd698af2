"""Objectives by name: whatever installed package names one in the group is found."""

from __future__ import annotations

from mbrl_common.plugins import make_plugin, plugin_names
from mbrl_common.settings import SettingsError
from mbrl_common.task import TaskSettings
from mbrl_planner.objectives.base import Objective
from mbrl_planner.objectives.settings import ObjectiveSettings

GROUP = 'mbrl_planner.objectives'
"""Entry points of this group are functions ``make(task: TaskSettings) -> Objective``."""


def objective_names() -> list[str]:
    """Names of all installed objectives."""
    return plugin_names(GROUP)


def make_objective(settings: ObjectiveSettings, task: TaskSettings) -> Objective:
    """The objective that the settings name, for a task, with the weights and the goal they give.

    Raises:
        SettingsError: unknown name or term, a wrong goal, a plug-in that cannot be loaded, or a
            task that the objective does not fit.
    """
    objective: Objective = make_plugin(GROUP, settings.name, 'objective.name', task)
    try:
        objective = objective.with_weights(settings.weight_values())
    except ValueError as error:
        raise SettingsError([f"parameter 'objective.weights': {error}"]) from error
    try:
        return objective.with_default_goal(settings.goal)
    except ValueError as error:
        raise SettingsError([f"parameter 'objective.goal': {error}"]) from error
