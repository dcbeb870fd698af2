"""PDDM's reward for the cube that a hand is to turn (Nagabandi et al. 2019)."""

from __future__ import annotations

import torch

from mbrl_common.task import TaskSettings
from mbrl_planner.objectives.base import Objective

ANGLES = tuple(f'cube_r{letter}.position' for letter in 'xyz')
GOALS = tuple(f'goal_r{letter}.position' for letter in 'xyz')
HEIGHT = 'cube_z.position'
DROPPED = -0.1  # so far below its start the cube has left the hand [m]


def cube_pddm(task: TaskSettings) -> Objective:
    """Reward ``-7 |angles - goal| - 1000 [dropped]`` of the state reached; a drop ends the episode.

    Angles are those of three hinges, about x, y and z, as PDDM has them: the length of their
    difference is no angle of a rotation, but for small ones. The goal is in the state.

    Raises:
        ValueError: the task's state lacks an angle of the cube or of its goal, or the height.
    """
    wanted = (*ANGLES, *GOALS, HEIGHT)
    missing = [entry for entry in wanted if entry not in task.state]
    if missing:
        raise ValueError(
            f"it needs {', '.join(missing)} in 'task.state', which is {list(task.state)}"
        )
    angles, goals = ([task.state.index(entry) for entry in each] for each in (ANGLES, GOALS))
    height = task.state.index(HEIGHT)

    def error(
        state: torch.Tensor, action: torch.Tensor, next_state: torch.Tensor, goal: torch.Tensor
    ) -> torch.Tensor:
        way = next_state[..., angles] - next_state[..., goals]
        return -torch.linalg.vector_norm(way, dim=-1)

    def has_dropped(next_state: torch.Tensor) -> torch.Tensor:
        return next_state[..., height] < DROPPED

    def dropped(
        state: torch.Tensor, action: torch.Tensor, next_state: torch.Tensor, goal: torch.Tensor
    ) -> torch.Tensor:
        return -has_dropped(next_state).to(next_state.dtype)

    return Objective(
        name='cube_pddm',
        terms={'error': error, 'dropped': dropped},
        weights={'error': 7.0, 'dropped': 1000.0},
        termination=has_dropped,
    )
