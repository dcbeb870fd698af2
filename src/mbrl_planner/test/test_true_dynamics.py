"""Planning in the true dynamics: what the optimisers can do when the model is not to blame."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mbrl_planner.mujoco_rollout import MujocoDynamics, MujocoRollout
from mbrl_planner.objectives import ObjectiveSettings, make_objective
from mbrl_planner.optimizer import Start, cold_start
from mbrl_planner.optimizers import make_optimizer
from mbrl_planner.settings import PlanningSettings
from mbrl_planner.warm_start import WarmStart


def control_episode(task, optimizer, objective, goal, horizon, steps, seed):
    """States [steps + 1, S] and return, as PETS counts it, of an episode under receding-horizon
    control."""
    low, high = torch.tensor([-3.0]), torch.tensor([3.0])
    rollout = MujocoRollout(
        task, objective, PlanningSettings(backend='mujoco', simulator='cartpole_pets')
    )
    robot = MujocoDynamics(task, 'cartpole_pets')
    states = [np.random.default_rng(seed).normal(0.0, 0.1, 4)]
    goal = torch.tensor(goal, dtype=torch.float64)
    warm_start = None
    total = 0.0
    for step in range(steps):
        now = objective.goal_after(goal, step)
        rollout.begin(torch.from_numpy(states[-1])[None], now[None])
        start = cold_start(low, high, 1, horizon)
        if warm_start is not None:
            start = Start(
                torch.from_numpy(warm_start.mean)[None], torch.from_numpy(warm_start.elites)[None]
            )
        generator = torch.Generator().manual_seed(1000 * seed + step)
        solution = optimizer.optimize(rollout, low, high, start, [generator])
        warm_start = WarmStart(solution.mean[0].numpy(), solution.elites[0].numpy()).shifted(1)
        action = solution.actions[0, 0].double().numpy()
        states.append(robot(states[-1][None], action[None, None])[0, 1])
        before, after = (torch.from_numpy(each) for each in states[-2:])
        total += float(objective.reward(before, torch.from_numpy(action), after, now))
    return np.array(states), total


@pytest.mark.parametrize('seed', [0])
def test_icem_with_its_defaults_swings_the_pole_up_and_holds_it(
    task, make_optimizer_settings, seed
):
    objective = make_objective(ObjectiveSettings('cartpole_swingup'), task)
    optimizer = make_optimizer(make_optimizer_settings())
    _, total = control_episode(task, optimizer, objective, [0.0], horizon=20, steps=200, seed=seed)
    assert total > 176  # the ceiling of this task is about 181


def test_a_quadratic_cost_swings_the_pole_up_and_holds_it(task, make_optimizer_settings):
    weights = ('slider.velocity=0.01', 'hinge.velocity=0.02')
    objective = make_objective(ObjectiveSettings('quadratic', weights), task)
    optimizer = make_optimizer(make_optimizer_settings(candidates=64, iterations=3))
    states, _ = control_episode(
        task, optimizer, objective, [0.0, np.pi, 0.0, 0.0], horizon=20, steps=150, seed=0
    )
    lean = np.pi - np.abs((states[100:, 1] + np.pi) % (2 * np.pi) - np.pi)
    assert lean.max() < 0.3
    assert np.abs(states[100:, 0]).max() < 0.6


def test_the_cart_follows_a_wave_and_better_if_the_horizon_sees_it_move(
    task, make_optimizer_settings
):
    weights = ('slider.position=10', 'hinge.position=0', 'hinge.velocity=0')
    objective = make_objective(ObjectiveSettings('tracking', weights), task)
    optimizer = make_optimizer(make_optimizer_settings(candidates=64, iterations=3))
    goal = [0.0, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0]

    class Blind(type(objective)):
        """The goal of the first step, for all of the horizon."""

        def goals(self, goal, horizon):
            return goal[None]

    blind = Blind(**vars(objective))
    time = 0.04 * np.arange(1, 151)
    wave = 0.5 * np.sin(2 * np.pi * 0.5 * time)
    distances = []
    for each in (objective, blind):
        states, _ = control_episode(task, optimizer, each, goal, horizon=20, steps=150, seed=0)
        distances.append(np.abs(states[1:, 0] - wave)[50:].mean())
    assert distances[0] < 0.03
    assert distances[0] < 0.5 * distances[1]
