"""PDDM's reward for two Baoding balls in a hand (Nagabandi et al. 2019)."""

from __future__ import annotations

import torch

from mbrl_common.plugins import make_plugin
from mbrl_common.task import TaskSettings
from mbrl_planner.kinematics import Point
from mbrl_planner.objectives.base import Objective, Term
from mbrl_planner.objectives.settings import ROBOTS, ObjectiveSettings

AHEAD = {'ball1': 0.75 * torch.pi, 'ball2': -0.25 * torch.pi}
"""How far the target of each ball is ahead of the phase [rad]."""
SITES = ('orbit', 'orbit_x', 'orbit_z')
"""Centre of the targets' ellipse, and the ends of its two axes; the robot must have them."""
DROPPED = 0.06  # a ball that is lower has left the hand [m]
BENT = 0.15  # beyond this angle of the wrist there is a price [rad]
PHASE, WRIST = 'phase.position', 'WRJ0.position'


def baoding_pddm(task: TaskSettings, settings: ObjectiveSettings) -> Objective:
    """Reward ``-5 d_1 - 5 d_2 - 500 [dropped] - 10 [wrist > 0.15]`` of the state reached; a drop
    ends the episode.

    ``d_i`` is how far ball i is from its target, seen from above. The targets go round an ellipse
    above the palm of the robot ``objective.robot`` and move with it; the entry ``phase.position``
    of the state says where they are.

    Raises:
        ValueError: the robot lacks a site, or the task's state an entry.
        mbrl_common.settings.SettingsError: there is no such robot.
    """
    places = {ball: [f'{ball}_{letter}.position' for letter in 'xyz'] for ball in AHEAD}
    wanted = [*(entry for each in places.values() for entry in each), PHASE, WRIST]
    missing = [entry for entry in wanted if entry not in task.state]
    if missing:
        raise ValueError(
            f"it needs {', '.join(missing)} in 'task.state', which is {list(task.state)}"
        )
    model = make_plugin(ROBOTS, settings.robot, 'objective.robot').make_model()
    centre, first, second = (Point(model, task, site) for site in SITES)
    phase, wrist = task.state.index(PHASE), task.state.index(WRIST)
    columns = {ball: list(map(task.state.index, entries)) for ball, entries in places.items()}

    def target(ball: str, state: torch.Tensor) -> torch.Tensor:
        angle = state[..., phase, None] + AHEAD[ball]
        middle = centre(state)
        there = middle + angle.cos() * (first(state) - middle)
        return there + angle.sin() * (second(state) - middle)

    def distance(ball: str) -> Term:
        across = columns[ball][:2]

        def term(
            state: torch.Tensor, action: torch.Tensor, next_state: torch.Tensor, goal: torch.Tensor
        ) -> torch.Tensor:
            way = next_state[..., across] - target(ball, next_state)[..., :2]
            return -torch.linalg.vector_norm(way, dim=-1)

        return term

    heights = [entries[2] for entries in columns.values()]

    def has_dropped(next_state: torch.Tensor) -> torch.Tensor:
        return (next_state[..., heights] < DROPPED).any(-1)

    def dropped(
        state: torch.Tensor, action: torch.Tensor, next_state: torch.Tensor, goal: torch.Tensor
    ) -> torch.Tensor:
        return -has_dropped(next_state).to(next_state.dtype)

    def bent(
        state: torch.Tensor, action: torch.Tensor, next_state: torch.Tensor, goal: torch.Tensor
    ) -> torch.Tensor:
        return -(next_state[..., wrist] > BENT).to(next_state.dtype)

    return Objective(
        name='baoding_pddm',
        terms={**{ball: distance(ball) for ball in AHEAD}, 'dropped': dropped, 'wrist': bent},
        weights={**dict.fromkeys(AHEAD, 5.0), 'dropped': 500.0, 'wrist': 10.0},
        termination=has_dropped,
        targets=lambda state: torch.stack([target(ball, state) for ball in AHEAD], -2),
    )
