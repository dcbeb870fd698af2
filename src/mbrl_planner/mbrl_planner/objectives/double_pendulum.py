"""Gymnasium's ``InvertedDoublePendulum-v5``: the tip of two poles on a cart is to stay up."""

from __future__ import annotations

import torch

from mbrl_common.task import TaskSettings
from mbrl_planner.objectives.base import Objective

POLE_LENGTH = 0.6  # of each [m]
FALLEN = 1.0  # the episode ends with the tip at this height or below [m]
_ENTRIES = (
    *('slider.position', 'hinge.position', 'hinge2.position'),
    *('hinge.velocity', 'hinge2.velocity'),
)


def inverted_double_pendulum(task: TaskSettings) -> Objective:
    """Reward ``10 - 0.01 x^2 - (z - 2)^2 - 0.001 v_1^2 - 0.005 v_2^2`` of the state reached, and no
    10 where it ends the episode.

    x and z are the tip's, v_1 and v_2 the velocities of ``hinge`` and ``hinge2``; both are 0 with
    the poles upright. As gymnasium's, which takes x and z a part of a physics step earlier.

    Raises:
        ValueError: the task's state lacks one of the entries.
    """
    missing = [entry for entry in _ENTRIES if entry not in task.state]
    if missing:
        raise ValueError(
            f"it needs {', '.join(missing)} in 'task.state', which is {list(task.state)}"
        )
    slider, hinge, second, velocity, second_velocity = map(task.state.index, _ENTRIES)

    def height(state: torch.Tensor) -> torch.Tensor:
        lower = state[..., hinge]
        return POLE_LENGTH * (lower.cos() + (lower + state[..., second]).cos())

    def tip(
        state: torch.Tensor, action: torch.Tensor, next_state: torch.Tensor, goal: torch.Tensor
    ) -> torch.Tensor:
        lower = next_state[..., hinge]
        across = POLE_LENGTH * (lower.sin() + (lower + next_state[..., second]).sin())
        across = across + next_state[..., slider]
        return -0.01 * across.square() - (height(next_state) - 2.0).square()

    def speed(
        state: torch.Tensor, action: torch.Tensor, next_state: torch.Tensor, goal: torch.Tensor
    ) -> torch.Tensor:
        return -(
            0.001 * next_state[..., velocity].square()
            + 0.005 * next_state[..., second_velocity].square()
        )

    def fallen(next_state: torch.Tensor) -> torch.Tensor:
        return height(next_state) <= FALLEN

    def up(
        state: torch.Tensor, action: torch.Tensor, next_state: torch.Tensor, goal: torch.Tensor
    ) -> torch.Tensor:
        return (~fallen(next_state)).to(next_state.dtype)

    return Objective(
        name='inverted_double_pendulum',
        terms={'up': up, 'tip': tip, 'speed': speed},
        weights={'up': 10.0, 'tip': 1.0, 'speed': 1.0},
        termination=fallen,
    )
