"""Recipes: what is changed of a task's parameter file, to be run (``recipes.yaml``)."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from mbrl_common.settings import SettingsError
from mbrl_common.taskfile import node_parameters, node_settings

NODES = ('dynamics', 'planner')
"""Nodes whose parameters a recipe may change."""
_ALL = ('sim_bridge', 'mpc_controller', *NODES)
_ENVIRONMENT = '{environment}'


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What is to be done with a task: by whom, when at random, and with which parameters."""

    name: str
    about: str
    runner: str
    explores: str
    overrides: Mapping[str, Mapping[str, Any]]
    """By node, dotted names to values that win over the task's file."""

    @property
    def only_random(self) -> bool:
        """Every episode acts at random, and nothing is learned: none depends on another."""
        dynamics = self.overrides.get('dynamics', {})
        never = [dynamics.get(f'training.every_{unit}') == 0 for unit in ('episodes', 'steps')]
        return self.explores == 'always' and all(never)

    def exploration_episodes(self, episodes: int, of_task: int) -> int:
        """How many of the episodes act at random; ``of_task`` is what the task's file says."""
        return {'first': min(of_task, episodes), 'always': episodes, 'never': 0}[self.explores]


@cache
def _document() -> dict[str, Any]:
    document = yaml.safe_load((Path(__file__).parent / 'recipes.yaml').read_text())
    assert isinstance(document, dict)
    return document


def recipe_names() -> list[str]:
    """The recipes that there are."""
    return list(_document())


def about(name: str) -> str:
    """What a recipe is, in a sentence."""
    return str(_document()[name]['about'])


def recipe(name: str, task: str, params_file: Path) -> Recipe:
    """A recipe for a task.

    Args:
        name: one of :func:`recipe_names`.
        task: the task's name; some recipes have other sizes for some.
        params_file: of the task.

    Raises:
        SettingsError: there is no such recipe, or a node does not take its parameters together
            with the file's.
    """
    if name not in _document():
        raise SettingsError(
            [f"there is no recipe '{name}'; there is {', '.join(recipe_names())}"],
        )
    body = _document()[name]
    special = body.get('tasks', {}).get(task, {})
    overrides: dict[str, dict[str, Any]] = {}
    preset = special.get('preset', body.get('preset'))
    if preset is not None:
        from mbrl_dynamics.presets import PRESETS

        overrides['dynamics'] = dict(PRESETS[preset])
    for part in (body, special):
        for node in NODES:
            for key, value in part.get(node, {}).items():
                filled = _environment(params_file) if value == _ENVIRONMENT else value
                overrides.setdefault(node, {})[key] = filled
    chosen = Recipe(
        name=name,
        about=body['about'],
        runner=body.get('runner', 'learn'),
        explores=body.get('explores', 'first'),
        overrides=overrides,
    )
    _check(chosen, params_file)
    return chosen


def _environment(params_file: Path) -> str:
    return str(node_parameters(params_file, 'sim_bridge').get('sim.environment', ''))


def _check(chosen: Recipe, params_file: Path) -> None:
    from mbrl_dynamics.settings import DynamicsSettings
    from mbrl_planner.settings import PlannerSettings

    classes: dict[str, type] = {'dynamics': DynamicsSettings, 'planner': PlannerSettings}
    for node, overrides in chosen.overrides.items():
        node_settings(params_file, node, classes[node], overrides)


def digest(chosen: Recipe, params_file: Path, max_steps: int | None) -> str:
    """A few letters that are others as soon as any parameter of any node is, but for what is only
    drawn: rows with the same ones may be put together."""
    said: dict[str, Any] = {
        node: {
            name: value
            for name, value in node_parameters(params_file, node).items()
            if not name.startswith('trace.')
        }
        | dict(chosen.overrides.get(node, {}))
        for node in _ALL
    }
    said['recipe'] = [chosen.runner, chosen.explores]
    said['exploration_trials'] = node_parameters(params_file, 'mbrl').get('exploration_trials')
    said['max_steps'] = max_steps
    text = json.dumps(said, sort_keys=True, default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:10]
