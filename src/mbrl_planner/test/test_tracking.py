"""The tracking objective: a goal that moves, against the wave in numpy, and in true dynamics."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mbrl_common.settings import SettingsError, build
from mbrl_common.task import TaskSettings
from mbrl_planner.objectives import ObjectiveSettings, make_objective
from mbrl_planner.optimizer import Start, cold_start
from mbrl_planner.planner import make_optimizer
from mbrl_planner.warm_start import WarmStart

# centre, amplitude, frequency, phase of the slider and of the hinge
GOAL = np.array([0.2, 0.5, 0.7, 0.3, 0.0, 0.1, 1.5, -1.0])
PERIOD = 0.04


def wave(goal, time):
    """Wanted state at a time [s]."""
    centre, amplitude, frequency, phase = goal.reshape(2, 4).T
    rate = 2 * np.pi * frequency
    argument = rate * time + phase
    return np.concatenate(
        [centre + amplitude * np.sin(argument), amplitude * rate * np.cos(argument)]
    )


@pytest.fixture
def objective(task):
    return make_objective(ObjectiveSettings('tracking', ('control=0',)), task)


def test_a_state_on_the_wave_costs_nothing_at_its_time_and_something_at_another(objective):
    goal = torch.from_numpy(GOAL)
    action = torch.zeros(1, dtype=torch.float64)
    for step in (0, 1, 17, 1000):
        state = torch.from_numpy(wave(GOAL, PERIOD * (step + 1)))  # where the step ends
        now = objective.goal_after(goal, step)
        assert float(objective.reward(state, action, state, now)) == pytest.approx(0.0, abs=1e-20)
        later = objective.goal_after(goal, step + 5)
        assert float(objective.reward(state, action, state, later)) < -0.01


def test_a_deviation_costs_its_square(objective):
    goal = torch.from_numpy(GOAL)
    action = torch.zeros(1, dtype=torch.float64)
    for index, weight in enumerate((1.0, None, 0.1, 0.1)):
        state = torch.from_numpy(wave(GOAL, PERIOD))
        state[index] += 0.5
        cost = 4 * np.sin(0.25) ** 2 if weight is None else weight * 0.25
        assert float(objective.reward(state, action, state, goal)) == pytest.approx(-cost)


def test_steps_of_a_goal_add_up_and_each_row_may_take_its_own(objective):
    goal = torch.from_numpy(GOAL)
    twice = objective.goal_after(objective.goal_after(goal, 3), 4)
    rows = objective.goal_after(goal, torch.tensor([0, 7]))
    assert rows.shape == (2, 8)
    torch.testing.assert_close(rows[1], twice)


def test_a_horizon_has_the_goal_of_each_of_its_steps(objective, task):
    goal = torch.from_numpy(np.stack([GOAL, 0.5 * GOAL]))  # of two robots
    goals = objective.goals(goal, 5)
    assert goals.shape == (5, 2, 8)
    for step in range(5):
        torch.testing.assert_close(goals[step], objective.goal_after(goal, step))
    still = make_objective(ObjectiveSettings('cartpole_swingup'), task)
    assert still.goals(torch.ones(2, 1), 5).shape == (1, 2, 1)


def test_a_task_without_positions_is_refused(parameters):
    task = build(TaskSettings, {**parameters['task'], 'state': ['a.velocity'], 'angles': []})
    with pytest.raises(SettingsError, match=r"it needs a position in 'task\.state'"):
        make_objective(ObjectiveSettings('tracking'), task)


def follow(true_cartpole, optimizer, objective, goal, knows_the_future, steps=150, horizon=20):
    """Distances [m] of the cart from its wave, under receding-horizon control."""
    low, high = torch.tensor([-3.0]), torch.tensor([3.0])
    goal, state, warm_start = torch.from_numpy(goal), np.zeros(4), None
    distances = []
    for step in range(steps):
        now = objective.goal_after(goal, step)
        goals = objective.goals(now, horizon) if knows_the_future else now

        def evaluate(actions, state=state, goals=goals):
            states = torch.from_numpy(true_cartpole.states(state, actions[0].numpy()))
            reward = objective.reward(states[:, :-1], actions[0].double(), states[:, 1:], goals)
            return reward.sum(-1).float()[None]

        start = cold_start(low, high, 1, horizon)
        if warm_start is not None:
            parts = (warm_start.mean, warm_start.elites)
            start = Start(*(torch.from_numpy(part)[None] for part in parts))
        generator = torch.Generator().manual_seed(step)
        solution = optimizer.optimize(evaluate, low, high, start, [generator])
        warm_start = WarmStart(solution.mean[0].numpy(), solution.elites[0].numpy()).shifted(1)
        action = solution.actions[0, :1].numpy()
        state = true_cartpole.states(state, action[None])[0, 1]
        distances.append(state[0] - wave(goal.numpy(), PERIOD * (step + 1))[0])
    return np.abs(distances)


def test_the_cart_follows_a_wave_and_better_if_the_horizon_sees_it_move(
    true_cartpole, task, make_optimizer_settings
):
    weights = ('slider.position=10', 'slider.velocity=0.1', 'hinge.position=0', 'hinge.velocity=0')
    objective = make_objective(ObjectiveSettings('tracking', weights), task)
    optimizer = make_optimizer(make_optimizer_settings(candidates=64, iterations=3))
    goal = np.array([0.0, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0])
    sees, blind = (
        follow(true_cartpole, optimizer, objective, goal, knows)[50:].mean()
        for knows in (True, False)
    )
    assert sees < 0.03
    assert sees < 0.5 * blind
