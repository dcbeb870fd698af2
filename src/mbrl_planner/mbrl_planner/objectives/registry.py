"""Objectives by name: whatever installed package names one in the group is found."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from mbrl_common.plugins import plugin_names, use_plugin
from mbrl_common.settings import SettingsError
from mbrl_common.task import TaskSettings
from mbrl_planner.objectives.base import Objective
from mbrl_planner.objectives.healthy import with_bounds
from mbrl_planner.objectives.settings import ObjectiveSettings

GROUP = 'mbrl_planner.objectives'
"""Entry points of this group are functions ``make(task: TaskSettings) -> Objective``, or
``make(task, settings: ObjectiveSettings)``."""


def objective_names() -> list[str]:
    """Names of all installed objectives."""
    return plugin_names(GROUP)


def make_objective(settings: ObjectiveSettings, task: TaskSettings) -> Objective:
    """The objective that the settings name, for a task, with the bounds, the weights and the goal
    they give.

    Raises:
        SettingsError: unknown name or term, wrong bounds, a wrong goal, a plug-in that cannot be
            loaded, or a task that the objective does not fit.
    """

    def make(maker: Callable[..., Objective]) -> Objective:
        knows_settings = len(inspect.signature(maker).parameters) > 1
        return maker(task, settings) if knows_settings else maker(task)

    objective: Objective = use_plugin(GROUP, settings.name, 'objective.name', make)
    for parameter, change in (
        ('healthy', lambda made: with_bounds(made, task, settings.healthy)),
        ('weights', lambda made: made.with_weights(settings.weight_values())),
        ('goal', lambda made: made.with_default_goal(settings.goal)),
    ):
        if not getattr(settings, parameter):
            continue
        try:
            objective = change(objective)
        except ValueError as error:
            raise SettingsError([f"parameter 'objective.{parameter}': {error}"]) from error
    return objective
