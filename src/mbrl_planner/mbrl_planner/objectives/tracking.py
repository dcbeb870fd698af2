"""Following joints that are to swing: a goal that moves, for any task."""

from __future__ import annotations

import math

import torch

from mbrl_common.task import TaskSettings
from mbrl_planner.objectives.base import Objective, Term
from mbrl_planner.objectives.quadratic import (
    CONTROL_WEIGHT,
    WEIGHTS,
    control,
    field_of,
    squared_difference,
    unit,
)

_PER_JOINT = 4  # centre, amplitude, frequency, phase


def tracking(task: TaskSettings) -> Objective:
    """Reward ``-sum_i w_i d(s_i, r_i(t))^2 - w |action|^2`` of the state reached at time t.

    Every position of the state is to follow ``r(t) = centre + amplitude sin(2 pi frequency t +
    phase)``, with t = 0 at the beginning of the episode, and its velocity the derivative of that.
    The goal has the four numbers for each position, in the state's order; an amplitude of 0 holds
    the centre. Terms, weights and angles are as in ``quadratic``; efforts, and velocities whose
    position is not in the state, have no term. No state ends the episode.

    Raises:
        ValueError: the task's state has no position.
    """
    positions = [entry for entry in task.state if field_of(entry) == 'position']
    if not positions:
        raise ValueError(f"it needs a position in 'task.state', which is {list(task.state)}")
    terms: dict[str, Term] = {}
    for joint, position in enumerate(positions):
        index = task.state.index(position)
        terms[position] = _position(index, joint, task.control_period, position in task.angles)
        velocity = position.rpartition('.')[0] + '.velocity'
        if velocity in task.state:
            terms[velocity] = _velocity(task.state.index(velocity), joint, task.control_period)

    def moved(goal: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
        centre, amplitude, frequency, phase = goal.unflatten(-1, (-1, _PER_JOINT)).unbind(-1)
        turned = phase + 2 * math.pi * task.control_period * frequency * steps[..., None]
        phase = turned.remainder(2 * math.pi)
        parts = torch.broadcast_tensors(centre, amplitude, frequency, phase)
        return torch.stack(parts, -1).flatten(-2)

    def wanted(goal: torch.Tensor) -> torch.Tensor:
        state = goal.new_zeros(*goal.shape[:-1], task.state_dim)
        for joint, position in enumerate(positions):
            centre, amplitude, _, phase = _wave(goal, joint, 0.0)
            state[..., task.state.index(position)] = centre + amplitude * phase.sin()
        return state

    names = []
    for position in positions:
        there = unit(position, task)
        names += [f'centre of {position} [{there}]', f'its amplitude [{there}]']
        names += ['its frequency [Hz]', 'its phase [rad]']
    return Objective(
        name='tracking',
        terms={**terms, 'control': control},
        weights={**{each: WEIGHTS[field_of(each)] for each in terms}, 'control': CONTROL_WEIGHT},
        goal_names=tuple(names),
        default_goal=(0.0,) * len(names),
        moved=moved,
        wanted=wanted,
    )


def _wave(
    goal: torch.Tensor, joint: int, period: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Centre, amplitude, angular frequency, and the phase one step on, where the step ends."""
    centre, amplitude, frequency, phase = (
        goal[..., _PER_JOINT * joint + part] for part in range(_PER_JOINT)
    )
    rate = 2 * math.pi * frequency
    return centre, amplitude, rate, phase + period * rate


def _position(index: int, joint: int, period: float, angle: bool) -> Term:
    def deviation(
        state: torch.Tensor, action: torch.Tensor, next_state: torch.Tensor, goal: torch.Tensor
    ) -> torch.Tensor:
        centre, amplitude, _, phase = _wave(goal, joint, period)
        target = centre + amplitude * phase.sin()
        return -squared_difference(next_state[..., index], target, angle)

    return deviation


def _velocity(index: int, joint: int, period: float) -> Term:
    def deviation(
        state: torch.Tensor, action: torch.Tensor, next_state: torch.Tensor, goal: torch.Tensor
    ) -> torch.Tensor:
        _, amplitude, rate, phase = _wave(goal, joint, period)
        return -squared_difference(next_state[..., index], amplitude * rate * phase.cos(), False)

    return deviation
