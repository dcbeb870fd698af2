"""PDDM's reward for the valve that a claw is to turn (Nagabandi et al. 2019)."""

from __future__ import annotations

import torch

from mbrl_common.task import TaskSettings
from mbrl_planner.objectives.base import Objective, Term

VALVE, GOAL = 'valve.position', 'valve_goal.position'
NEAR = (0.25, 0.1)  # a bonus is paid within the first, a larger one within the second [rad]
BONUS = (2.0, 18.0)  # the second is paid beside the first: 20 together


def valve_pddm(task: TaskSettings) -> Objective:
    """Reward ``-10 |e| + 2 [|e| < 0.25] + 18 [|e| < 0.1]`` of the state reached; ``e`` is the angle
    from the valve to its goal, the short way.

    The goal is an entry of the state, as PDDM has it. The bonuses are those that its code pays: 2,
    and in all 20 close to the goal; its text adds 1 and 10. No state ends the episode.

    Raises:
        ValueError: the task's state lacks ``valve.position`` or ``valve_goal.position``.
    """
    missing = [entry for entry in (VALVE, GOAL) if entry not in task.state]
    if missing:
        raise ValueError(
            f"it needs {', '.join(missing)} in 'task.state', which is {list(task.state)}"
        )
    valve, goal_angle = task.state.index(VALVE), task.state.index(GOAL)

    def distance(state: torch.Tensor) -> torch.Tensor:
        way = state[..., valve] - state[..., goal_angle]
        return (torch.remainder(way + torch.pi, 2.0 * torch.pi) - torch.pi).abs()

    def error(
        state: torch.Tensor, action: torch.Tensor, next_state: torch.Tensor, goal: torch.Tensor
    ) -> torch.Tensor:
        return -distance(next_state)

    def within(limit: float) -> Term:
        def term(
            state: torch.Tensor, action: torch.Tensor, next_state: torch.Tensor, goal: torch.Tensor
        ) -> torch.Tensor:
            return (distance(next_state) < limit).to(next_state.dtype)

        return term

    return Objective(
        name='valve_pddm',
        terms={'error': error, 'near': within(NEAR[0]), 'nearer': within(NEAR[1])},
        weights={'error': 10.0, 'near': BONUS[0], 'nearer': BONUS[1]},
    )
