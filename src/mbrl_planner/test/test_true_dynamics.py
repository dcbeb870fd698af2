"""Planning in the true dynamics: what the optimisers can do when the model is not to blame."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mbrl_planner.objectives import ObjectiveSettings, make_objective
from mbrl_planner.optimizer import Start, cold_start
from mbrl_planner.planner import make_optimizer
from mbrl_planner.warm_start import WarmStart


def control_episode(true_cartpole, optimizer, objective, horizon, steps, seed):
    """Return of an episode under receding-horizon control, as PETS counts it."""
    low, high = torch.tensor([-3.0]), torch.tensor([3.0])
    state = np.random.default_rng(seed).normal(0.0, 0.1, 4)
    goal = torch.zeros(1, dtype=torch.float64)
    warm_start = None
    total = 0.0
    for step in range(steps):

        def evaluate(actions, state=state):
            states = torch.from_numpy(true_cartpole.states(state, actions[0].numpy()))
            reward = objective.reward(states[:, :-1], actions[0].double(), states[:, 1:], goal)
            return reward.sum(-1).float()[None]

        start = cold_start(low, high, 1, horizon)
        if warm_start is not None:
            start = Start(
                torch.from_numpy(warm_start.mean)[None], torch.from_numpy(warm_start.elites)[None]
            )
        generator = torch.Generator().manual_seed(1000 * seed + step)
        solution = optimizer.optimize(evaluate, low, high, start, [generator])
        warm_start = WarmStart(solution.mean[0].numpy(), solution.elites[0].numpy()).shifted(1)
        action = solution.actions[0, 0].double().numpy()
        next_state = true_cartpole.states(state, action[None, None])[0, 1]
        total += float(
            objective.reward(
                torch.from_numpy(state),
                torch.from_numpy(action),
                torch.from_numpy(next_state),
                goal,
            )
        )
        state = next_state
    return total


@pytest.mark.parametrize('seed', [0])
def test_icem_with_its_defaults_swings_the_pole_up_and_holds_it(
    true_cartpole, task, make_optimizer_settings, seed
):
    objective = make_objective(ObjectiveSettings('cartpole_swingup'), task)
    optimizer = make_optimizer(make_optimizer_settings())
    total = control_episode(true_cartpole, optimizer, objective, horizon=20, steps=200, seed=seed)
    assert total > 176  # the ceiling of this task is about 181
