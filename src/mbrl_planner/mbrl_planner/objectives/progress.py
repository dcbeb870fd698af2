"""Moving on: what is paid for is how fast positions rise. For all that runs, swims or climbs."""

from __future__ import annotations

import torch

from mbrl_common.task import TaskSettings
from mbrl_planner.objectives.base import Objective, Term
from mbrl_planner.objectives.quadratic import CONTROL_WEIGHT, control, field_of

_POSITIONS = ('position', 'x', 'y', 'z')


def progress(task: TaskSettings) -> Objective:
    """Reward ``sum_i w_i (s'_i - s_i) / period - w |action|^2``.

    There is a term for each position in the state (of a joint, or x, y, z of a body), named as the
    task names it, and ``control``. Weights are 0, and 0.01 for the action: the parameter file says
    which way is forward. ``objective.healthy`` says when the robot has fallen.

    Raises:
        ValueError: the task's state has no position.
    """
    positions = [entry for entry in task.state if field_of(entry) in _POSITIONS]
    if not positions:
        raise ValueError(f"it needs a position in 'task.state', which is {list(task.state)}")
    return Objective(
        name='progress',
        terms={
            **{entry: _rate(task.state.index(entry), task.control_period) for entry in positions},
            'control': control,
        },
        weights={**dict.fromkeys(positions, 0.0), 'control': CONTROL_WEIGHT},
    )


def _rate(index: int, period: float) -> Term:
    def rate(
        state: torch.Tensor, action: torch.Tensor, next_state: torch.Tensor, goal: torch.Tensor
    ) -> torch.Tensor:
        return (next_state[..., index] - state[..., index]) * (1.0 / period)

    return rate
