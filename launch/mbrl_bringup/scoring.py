"""Scores transitions that nobody scored, by a task's objective: rewards, and ends of episodes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from mbrl_common.settings import SettingsError
from mbrl_common.taskfile import node_settings
from mbrl_dynamics.transitions import Transitions
from mbrl_mpc.settings import MpcSettings
from mbrl_planner.objectives import make_objective


def scorer(params_file: Path, goal: Sequence[float] = ()) -> Callable[[Transitions], Transitions]:
    """What scores transitions as the controller does that the parameter file describes.

    Args:
        params_file: the task's.
        goal: of the objective; empty: its default.

    Returns:
        A function that returns the same transitions with ``reward`` and ``terminated`` set.

    Raises:
        SettingsError: if the file is wrong, or the goal does not fit the objective.
    """
    settings = node_settings(params_file, 'mpc_controller', MpcSettings)
    objective = make_objective(settings.objective, settings.task)
    try:
        target = torch.from_numpy(objective.check_goal(goal))
    except ValueError as error:
        raise SettingsError([str(error)]) from error

    def score(transitions: Transitions) -> Transitions:
        state, action, next_state = (
            torch.from_numpy(array)
            for array in (transitions.state, transitions.action, transitions.next_state)
        )
        terminated = objective.terminated(next_state).numpy()
        goals = objective.goal_after(target, torch.from_numpy(transitions.step.astype('int64')))
        return dataclasses.replace(
            transitions,
            reward=objective.reward(state, action, next_state, goals).numpy(),
            terminated=terminated,
            truncated=transitions.truncated & ~terminated,
        )

    return score
