"""The cart-pole swing-up of PETS (Chua et al. 2018, "Deep Reinforcement Learning in a Handful of
Trials using Probabilistic Dynamics Models"): the tip of the pole is to stand above the goal."""

from __future__ import annotations

import torch

from mbrl_common.task import TaskSettings
from mbrl_planner.objectives.base import Objective

POLE_LENGTH = 0.6
"""From the hinge to the tip [m]; the reward's length scale too."""


def cartpole_swingup(task: TaskSettings) -> Objective:
    """Reward ``exp(-|tip - (goal, 0.6)|^2 / 0.6^2) - 0.01 |action|^2`` of the state reached.

    The tip is at ``(x - 0.6 sin(theta), -0.6 cos(theta))`` with theta = 0 hanging down: state
    entries ``slider.position`` [m] and ``hinge.position`` [rad]. With the goal 0 this is PETS's
    reward. No state ends the episode.

    Raises:
        ValueError: the task's state lacks one of the two entries.
    """
    for entry in ('slider.position', 'hinge.position'):
        if entry not in task.state:
            raise ValueError(f"it needs {entry!r} in 'task.state', which is {list(task.state)}")
    slider = task.state.index('slider.position')
    hinge = task.state.index('hinge.position')

    def tip(
        state: torch.Tensor,
        action: torch.Tensor,
        next_state: torch.Tensor,
        goal: torch.Tensor,
    ) -> torch.Tensor:
        angle = next_state[..., hinge]
        across = next_state[..., slider] - POLE_LENGTH * angle.sin() - goal[..., 0]
        below = POLE_LENGTH * angle.cos() + POLE_LENGTH
        return torch.exp((across.square() + below.square()) * (-1.0 / POLE_LENGTH**2))

    def control(
        state: torch.Tensor,
        action: torch.Tensor,
        next_state: torch.Tensor,
        goal: torch.Tensor,
    ) -> torch.Tensor:
        return -action.square().sum(-1)

    def above(goal: torch.Tensor) -> torch.Tensor:
        across = goal[..., 0]
        height = torch.full_like(across, POLE_LENGTH)
        return torch.stack([across, torch.zeros_like(across), height], -1)

    return Objective(
        name='cartpole_swingup',
        terms={'tip': tip, 'control': control},
        weights={'tip': 1.0, 'control': 0.01},
        goal_names=('x of the tip [m]',),
        default_goal=(0.0,),
        place=above,
    )
