"""The tracking objective: a goal that moves, against the wave in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mbrl_common.settings import SettingsError, build
from mbrl_common.task import TaskSettings
from mbrl_planner.objectives import ObjectiveSettings, make_objective
from mbrl_planner.rollout import Rollout
from mbrl_planner.settings import PlanningSettings

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


def test_a_rollout_in_a_model_meets_the_goal_where_it_is_at_each_step(objective, linear_model):
    random = np.random.default_rng(0)
    members = np.eye(4) + random.normal(0, 0.05, (2, 4, 4))
    model = linear_model(members, random.normal(0, 0.1, (2, 4, 1)))
    goals = np.stack([GOAL, GOAL[::-1]])  # of two robots
    start, actions = random.normal(0, 1, (2, 4)), random.uniform(-3, 3, (2, 3, 6, 1))
    rollout = Rollout(model, objective, PlanningSettings())
    generators = [torch.Generator(), torch.Generator()]
    single = (torch.tensor(each, dtype=torch.float32) for each in (start, goals))
    rollout.begin(*single, generators)
    returns = rollout(torch.tensor(actions, dtype=torch.float32))
    expected = np.zeros((2, 3))
    for member, robot, candidate in np.ndindex(2, 2, 3):
        state = start[robot]
        for step, action in enumerate(actions[robot, candidate]):
            state = members[member] @ state + model.control[member].double().numpy() @ action
            target = wave(goals[robot], PERIOD * (step + 1))
            squares = (state - target) ** 2
            squares[1] = 4 * np.sin((state[1] - target[1]) / 2) ** 2
            expected[robot, candidate] -= squares @ [1.0, 1.0, 0.1, 0.1] / 2
    np.testing.assert_allclose(returns, expected, rtol=1e-4)
