"""The quadratic cost of control textbooks, for any task: no Python is needed for it."""

from __future__ import annotations

import torch

from mbrl_common.task import BODY_FIELDS, TaskSettings
from mbrl_planner.objectives.base import Objective, Term

WEIGHTS = {
    'position': 1.0,
    'velocity': 0.1,
    'effort': 0.0,
    **{field: 0.1 if unit.endswith('/s') else 1.0 for field, unit in BODY_FIELDS.items()},
}
"""Default weight of an entry of the state, by its field."""
CONTROL_WEIGHT = 0.01


def quadratic(task: TaskSettings) -> Objective:
    """Reward ``-sum_i w_i d(s_i, g_i)^2 - w |action|^2`` of the state reached.

    There is a term for each entry of the state, named as the task names it
    (``slider.position``), and ``control``. The goal is the wanted value of every entry. An entry of
    ``task.angles`` has ``d^2 = 2 (1 - cos(s_i - g_i))``: the square for small differences, the same
    after a full turn, smooth where the wrapped difference has a kink. No state ends the episode.
    """
    terms: dict[str, Term] = {}
    weights: dict[str, float] = {}
    for index, entry in enumerate(task.state):
        terms[entry] = _deviation(index, entry in task.angles)
        weights[entry] = WEIGHTS[field_of(entry)]
    return Objective(
        name='quadratic',
        terms={**terms, 'control': control},
        weights={**weights, 'control': CONTROL_WEIGHT},
        goal_names=tuple(f'{entry} [{unit(entry, task)}]' for entry in task.state),
        # No rotation is the quaternion 1, 0, 0, 0.
        default_goal=tuple(1.0 if field_of(entry) == 'qw' else 0.0 for entry in task.state),
        wanted=lambda goal: goal,
    )


def control(
    state: torch.Tensor, action: torch.Tensor, next_state: torch.Tensor, goal: torch.Tensor
) -> torch.Tensor:
    """The term ``-|action|^2``."""
    return -action.square().sum(-1)


def squared_difference(value: torch.Tensor, target: torch.Tensor, angle: bool) -> torch.Tensor:
    """``(value - target)^2``, or ``2 (1 - cos(value - target))`` of an angle."""
    difference = value - target
    if angle:
        difference = 2.0 * (0.5 * difference).sin()  # exact for small ones, unlike 1 - cos
    return difference.square()


def field_of(entry: str) -> str:
    """Of an entry of the state: ``position``, ``velocity``, ``effort``, or of a body ``x``, ..."""
    return entry.rpartition('.')[2]


def unit(entry: str, task: TaskSettings) -> str:
    """The unit of an entry of the state, as far as the task says it."""
    if entry in task.angles:
        return 'rad'
    joint = {'position': 'm or rad', 'velocity': 'm/s or rad/s', 'effort': 'N or N m'}
    return {**joint, **BODY_FIELDS}[field_of(entry)]


def _deviation(index: int, angle: bool) -> Term:
    def deviation(
        state: torch.Tensor, action: torch.Tensor, next_state: torch.Tensor, goal: torch.Tensor
    ) -> torch.Tensor:
        return -squared_difference(next_state[..., index], goal[..., index], angle)

    return deviation
