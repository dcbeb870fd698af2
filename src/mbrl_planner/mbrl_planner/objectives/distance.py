"""Distances between parts of a robot, and to a place: for arms that reach, push or carry."""

from __future__ import annotations

from collections.abc import Callable

import torch

from mbrl_common.plugins import make_plugin
from mbrl_common.task import TaskSettings
from mbrl_planner.kinematics import Point
from mbrl_planner.objectives.base import Objective, Term
from mbrl_planner.objectives.quadratic import CONTROL_WEIGHT, control
from mbrl_planner.objectives.settings import ROBOTS, ObjectiveSettings

METRICS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    'length': lambda way: torch.linalg.vector_norm(way, dim=-1),
    'square': lambda way: way.square().sum(-1),
    'sum': lambda way: way.abs().sum(-1),
}
"""``objective.metric``: of ways [..., 3] in metres."""
GOAL = 'the goal'
"""In ``objective.distances``, the place that the goal says; no part may have that name."""


def distance(task: TaskSettings, settings: ObjectiveSettings) -> Objective:
    """Reward ``-sum_i w_i d(p_i, q_i) - w |action|^2`` of the state reached.

    ``objective.distances`` has the terms: ``near=hand to ball`` is the distance between two sites
    or bodies of the robot ``objective.robot``, by ``objective.metric``; ``hand to the goal`` is
    that to the goal, a place in the world: x, y and z. Weights are 1, and 0.01 for the action. No
    state ends the episode.

    Raises:
        ValueError: there is no distance, one is not ``term=part to part``, the robot lacks a part,
            or the task's state a joint that moves it.
        mbrl_common.settings.SettingsError: there is no such robot.
    """
    if not settings.distances:
        raise ValueError("it needs 'objective.distances', as 'near=hand to ball'")
    model = make_plugin(ROBOTS, settings.robot, 'objective.robot').make_model()
    terms: dict[str, Term] = {}
    takes_goal = False
    for entry in settings.distances:
        name, equals, parts = (part.strip() for part in entry.partition('='))
        first, to, second = (part.strip() for part in parts.partition(' to '))
        if not (name and equals and first and to and second) or name in (*terms, 'control'):
            raise ValueError(
                f"'objective.distances' has {entry!r}; an entry must be 'term=part to part', with "
                "a name of its own that is not 'control'"
            )
        points = [None if part == GOAL else Point(model, task, part) for part in (first, second)]
        takes_goal = takes_goal or None in points
        terms[name] = _distance(points[0], points[1], METRICS[settings.metric])
    place = ('x [m]', 'y [m]', 'z [m]') if takes_goal else ()
    return Objective(
        name='distance',
        terms={**terms, 'control': control},
        weights={**dict.fromkeys(terms, 1.0), 'control': CONTROL_WEIGHT},
        goal_names=place,
        default_goal=(0.0,) * len(place),
        place=(lambda goal: goal) if takes_goal else None,
    )


def _distance(
    first: Point | None, second: Point | None, metric: Callable[[torch.Tensor], torch.Tensor]
) -> Term:
    def term(
        state: torch.Tensor, action: torch.Tensor, next_state: torch.Tensor, goal: torch.Tensor
    ) -> torch.Tensor:
        start, end = (goal if point is None else point(next_state) for point in (first, second))
        return -metric(start - end)

    return term
