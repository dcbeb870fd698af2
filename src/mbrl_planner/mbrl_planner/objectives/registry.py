"""Objectives by name: whatever installed package names one in the group is found."""

from __future__ import annotations

import difflib
from importlib.metadata import entry_points

from mbrl_common.settings import SettingsError
from mbrl_common.task import TaskSettings
from mbrl_planner.objectives.base import Objective
from mbrl_planner.objectives.settings import ObjectiveSettings

GROUP = 'mbrl_planner.objectives'
"""Entry points of this group are functions ``make(task: TaskSettings) -> Objective``."""


def objective_names() -> list[str]:
    """Names of all installed objectives."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def make_objective(settings: ObjectiveSettings, task: TaskSettings) -> Objective:
    """The objective that the settings name, for a task, with the weights and the goal they give.

    Raises:
        SettingsError: unknown name or term, a wrong goal, a plug-in that cannot be loaded, or a
            task that the objective does not fit.
    """
    found = entry_points(group=GROUP, name=settings.name)
    if len({point.value for point in found}) > 1:
        places = ', '.join(sorted({point.value for point in found}))
        raise SettingsError(
            [f"parameter 'objective.name': {settings.name!r} is claimed by several: {places}"]
        )
    if not found:
        known = objective_names()
        close = difflib.get_close_matches(settings.name, known, n=1)
        hint = f' (did you mean {close[0]!r}?)' if close else ''
        raise SettingsError(
            [
                f"parameter 'objective.name' is {settings.name!r}; it must be one of "
                f'{", ".join(map(repr, known)) or "(none is installed)"}{hint}'
            ]
        )
    point = next(iter(found))
    try:
        objective: Objective = point.load()(task)
    except Exception as error:  # a third party's code: whatever it raises, say whose it is
        raise SettingsError(
            [f"parameter 'objective.name': {settings.name!r} ({point.value}): {error}"]
        ) from error
    try:
        objective = objective.with_weights(settings.weight_values())
    except ValueError as error:
        raise SettingsError([f"parameter 'objective.weights': {error}"]) from error
    try:
        return objective.with_default_goal(settings.goal)
    except ValueError as error:
        raise SettingsError([f"parameter 'objective.goal': {error}"]) from error
