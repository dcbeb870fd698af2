"""Rollouts through models whose returns are known in closed form or from numpy in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mbrl_dynamics.model import Prediction
from mbrl_dynamics.propagation import WAYS
from mbrl_planner.objectives import Objective
from mbrl_planner.optimizer import cold_start
from mbrl_planner.planner import make_optimizer
from mbrl_planner.rollout import Rollout
from mbrl_planner.settings import PlanningSettings

PROBLEMS, CANDIDATES, HORIZON, MEMBERS = 2, 7, 12, 3
RANDOM = np.random.default_rng(0)
TRANSITION = np.array([[1.0, 0.1], [-0.2, 0.9]]) + RANDOM.normal(0, 0.03, (MEMBERS, 2, 2))
CONTROL = np.array([[0.0], [0.1]]) + RANDOM.normal(0, 0.03, (MEMBERS, 2, 1))


def quadratic_objective(**changes):
    """Squared distance of the state reached from the goal, and of the action from zero."""
    return Objective(
        **{
            'name': 'quadratic',
            'terms': {
                'distance': lambda s, a, n, g: -(n - g).square().sum(-1),
                'control': lambda s, a, n, g: -a.square().sum(-1),
                'progress': lambda s, a, n, g: n[..., 0] - s[..., 0],
            },
            'weights': {'distance': 1.0, 'control': 0.1, 'progress': 0.5},
            'goal_names': ('position', 'velocity'),
            'default_goal': (0.0, 0.0),
            **changes,
        }
    )


def begun(model, objective, settings, state, goal=None, seed=0):
    rollout = Rollout(model, objective, settings)
    goal = np.zeros_like(state) if goal is None else goal
    generators = [torch.Generator().manual_seed(seed + r) for r in range(len(state))]
    rollout.begin(torch.tensor(state).float(), torch.tensor(goal).float(), generators)
    return rollout


def problem():
    random = np.random.default_rng(1)
    state = random.normal(size=(PROBLEMS, 2))
    goal = random.normal(size=(PROBLEMS, 2))
    actions = random.normal(size=(PROBLEMS, CANDIDATES, HORIZON, 1))
    return state, goal, actions


def truth(state, goal, actions):
    """States [R, N, E, H + 1, 2] and rewards [R, N, E, H] in float64, one step after the other."""
    states = np.empty((PROBLEMS, CANDIDATES, MEMBERS, HORIZON + 1, 2))
    rewards = np.empty((PROBLEMS, CANDIDATES, MEMBERS, HORIZON))
    for r, n, e in np.ndindex(PROBLEMS, CANDIDATES, MEMBERS):
        states[r, n, e, 0] = state[r]
        for h in range(HORIZON):
            action = actions[r, n, h]
            before = states[r, n, e, h]
            after = TRANSITION[e] @ before + CONTROL[e] @ action
            states[r, n, e, h + 1] = after
            rewards[r, n, e, h] = (
                -((after - goal[r]) ** 2).sum()
                - 0.1 * (action**2).sum()
                + 0.5 * (after[0] - before[0])
            )
    return states, rewards


def test_returns_are_those_of_every_member_on_its_own_averaged(linear_model):
    state, goal, actions = problem()
    model = linear_model(TRANSITION, CONTROL)
    rollout = begun(model, quadratic_objective(), PlanningSettings(), state, goal)
    returns = rollout(torch.tensor(actions).float())
    states, rewards = truth(state, goal, actions)
    np.testing.assert_allclose(returns, rewards.sum(-1).mean(-1), rtol=1e-4, atol=1e-4)
    assert rollout.model_steps == PROBLEMS * CANDIDATES * HORIZON * MEMBERS
    mean, std = rollout.trajectory(torch.tensor([3, 5]))
    for r, n in enumerate((3, 5)):
        np.testing.assert_allclose(mean[r], states[r, n].mean(0), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(std[r], states[r, n].std(0), rtol=1e-3, atol=1e-4)


def test_a_second_evaluation_does_not_see_the_first(linear_model):
    state, goal, actions = problem()
    rollout = begun(
        linear_model(TRANSITION, CONTROL), quadratic_objective(), PlanningSettings(), state, goal
    )
    actions = torch.tensor(actions).float()
    first = rollout(actions)
    rollout(actions * 100)
    rollout(actions[:, :3] * 50)
    assert torch.equal(rollout(actions), first)


@pytest.mark.parametrize('particles', [1, 4])
def test_particles_spread_by_the_members_variance_and_stay_with_their_member(
    linear_model, particles
):
    """s' = s + noise: after h steps the variance is h times that of one step, in every member."""
    members, variance = 2, 0.25
    drift = np.array([[[0.0]], [[1.0]]])
    model = linear_model(np.ones((members, 1, 1)), drift, variance)
    objective = Objective('sum', {'s': lambda s, a, n, g: n[..., 0]}, {'s': 1.0})
    settings = PlanningSettings(propagation='ts_inf', particles=2 * particles)
    rollout = begun(model, objective, settings, np.zeros((1, 1)), np.zeros((1, 0)))
    candidates = 8000 // particles
    returns = rollout(torch.ones(1, candidates, 5, 1))
    assert rollout.model_steps == candidates * particles * 5 * members
    last = rollout._last.states[-1, :, 0]  # [E, N, Q, S] after 5 steps
    for member in range(members):
        assert abs(float(last[member].mean()) - 5.0 * member) < 0.1
        assert abs(float(last[member].var()) - 5 * variance) < 0.1
    # return of a path: sum of 5 + 4 + 3 + 2 + 1 drifts for the second member, none for the first
    assert abs(float(returns.mean()) - 7.5) < 0.2
    # averaging over particles and members makes a candidate's return less noisy
    expected = variance * (25 + 16 + 9 + 4 + 1) / (members * particles)
    np.testing.assert_allclose(float(returns.var()), expected, rtol=0.15)


def test_particles_of_a_problem_do_not_depend_on_the_other_problems(linear_model):
    state, goal, actions = problem()
    model = linear_model(TRANSITION, CONTROL, 0.1)
    settings = PlanningSettings(propagation='ts_inf', particles=6)
    actions = torch.tensor(actions).float()
    together = begun(model, quadratic_objective(), settings, state, goal)(actions)
    for r in range(PROBLEMS):
        one = slice(r, r + 1)
        alone = begun(model, quadratic_objective(), settings, state[one], goal[one], seed=r)
        np.testing.assert_allclose(alone(actions[one])[0], together[r], rtol=1e-5)


def test_rewards_after_a_termination_count_nothing(linear_model):
    """The step that ends the episode is paid for; what the model imagines later, even NaN, not."""
    state, goal, actions = problem()
    model = linear_model(TRANSITION, CONTROL)

    def distance(s, a, n, g):
        reward = -(n - g).square().sum(-1)
        return torch.where((s[..., 0].abs() > 0.5).cummax(0).values, torch.nan, reward)

    objective = quadratic_objective(
        terms={**quadratic_objective().terms, 'distance': distance},
        termination=lambda n: n[..., 0].abs() > 0.5,
    )
    state[:, 0] = [0.0, -0.3]
    actions = np.abs(actions) * 8
    returns = begun(model, objective, PlanningSettings(), state, goal)(
        torch.tensor(actions).float()
    )
    states, rewards = truth(state, goal, actions)
    ended = np.maximum.accumulate(np.abs(states[..., 1:, 0]) > 0.5, axis=-1)
    assert 0.2 < ended.mean() < 0.9
    rewards[..., 1:][ended[..., :-1]] = 0.0
    np.testing.assert_allclose(returns, rewards.sum(-1).mean(-1), rtol=1e-4, atol=1e-4)


def test_disagreement_costs_what_its_penalty_says(linear_model):
    """Members that move by a, each times its own number: their deviation is known."""
    control = np.array([[[1.0]], [[3.0]]])
    model = linear_model(np.ones((2, 1, 1)), control)
    model.target_scale = torch.tensor([4.0])
    objective = Objective('s', {'s': lambda s, a, n, g: n[..., 0]}, {'s': 1.0})
    actions = torch.ones(1, 1, 5, 1)
    steps = np.arange(1, 6)
    for way, deviation in (('expectation', np.ones(5)), ('mean', steps)):
        settings = PlanningSettings(propagation=way, disagreement_penalty=10.0)
        rollout = begun(model, objective, settings, np.zeros((1, 1)), np.zeros((1, 0)))
        expected = (2.0 * steps).sum() - 10.0 * (deviation / 4.0).sum()
        np.testing.assert_allclose(rollout(actions), [[expected]], rtol=1e-5)


def test_disagreement_after_the_end_costs_nothing(linear_model):
    control = np.array([[[1.0]], [[3.0]]])
    model = linear_model(np.ones((2, 1, 1)), control)
    objective = Objective(
        's',
        {'s': lambda s, a, n, g: n[..., 0]},
        {'s': 1.0},
        termination=lambda n: n[..., 0] > 3.5,
    )
    settings = PlanningSettings(propagation='expectation', disagreement_penalty=10.0)
    rollout = begun(model, objective, settings, np.zeros((1, 1)), np.zeros((1, 0)))
    # Positions 2, 4, 6, ...: the second step is the last that counts.
    np.testing.assert_allclose(rollout(torch.ones(1, 1, 5, 1)), [[2.0 + 4.0 - 20.0]], rtol=1e-5)


def test_risk_is_the_deviation_of_the_particles_returns(linear_model):
    """Members that move by one and by three: after 1, 2, 3 steps sums of 6 and of 18."""
    model = linear_model(np.ones((2, 1, 1)), np.array([[[1.0]], [[3.0]]]))
    objective = Objective('s', {'s': lambda s, a, n, g: n[..., 0]}, {'s': 1.0})
    for aversion, expected in ((0.0, 12.0), (0.5, 9.0), (-2.0, 24.0)):
        settings = PlanningSettings(risk_aversion=aversion)
        rollout = begun(model, objective, settings, np.zeros((1, 1)), np.zeros((1, 0)))
        np.testing.assert_allclose(rollout(torch.ones(1, 1, 3, 1)), [[expected]], rtol=1e-5)


class Learned:
    """Members whose reward and end are heads of their own: both of the action alone."""

    members, state_dim, action_dim, history = 2, 1, 1, 1
    learns_reward = learns_termination = True
    target_scale = torch.ones(1)

    def predict(self, state, action, variance=True):
        """See ``mbrl_dynamics.propagation.Model``."""
        factor = torch.tensor([1.0, 2.0])[:, None]
        end = (action[..., 0] > 0.9).float()
        return Prediction(state, None, factor * action[..., 0], end)


def test_reward_and_end_may_be_the_models(linear_model):
    actions = torch.tensor([0.5, 0.25, 1.0, 0.5]).view(1, 1, 4, 1)
    for learned, expected in ((('reward',), 2.25), (('reward', 'termination'), 1.75)):
        settings = PlanningSettings(**dict.fromkeys(learned, 'model'))
        state = np.zeros((1, 1))
        rollout = begun(Learned(), quadratic_objective(), settings, state, np.zeros((1, 2)))
        np.testing.assert_allclose(rollout(actions), [[1.5 * expected]], rtol=1e-5)


@pytest.mark.parametrize('way', WAYS)
@pytest.mark.parametrize('particles', [2, 5])
def test_without_noise_and_disagreement_all_ways_give_the_same_return(linear_model, way, particles):
    state, goal, actions = problem()
    same = np.repeat(TRANSITION[:1], MEMBERS, 0), np.repeat(CONTROL[:1], MEMBERS, 0)
    actions = torch.tensor(actions).float()
    settings = PlanningSettings(propagation=way, particles=particles)
    returns = begun(linear_model(*same), quadratic_objective(), settings, state, goal)(actions)
    plain = begun(linear_model(*same), quadratic_objective(), PlanningSettings(), state, goal)
    torch.testing.assert_close(returns, plain(actions), rtol=1e-4, atol=1e-4)


def test_a_member_that_diverges_makes_the_candidate_worthless(linear_model):
    transition = np.array([[[1.0]], [[1e30]]])
    model = linear_model(transition, np.ones((2, 1, 1)))
    objective = Objective('s', {'s': lambda s, a, n, g: -n[..., 0].square()}, {'s': 1.0})
    rollout = begun(model, objective, PlanningSettings(), np.zeros((1, 1)), np.zeros((1, 0)))
    actions = torch.zeros(1, 2, 4, 1)
    actions[0, 1] = 1.0
    returns = rollout(actions)
    assert float(returns[0, 0]) == 0.0
    assert not bool(returns[0, 1].isfinite())


@pytest.mark.parametrize('name', ['icem', 'cem'])
def test_planning_in_a_linear_system_finds_the_optimal_control(
    linear_model, make_optimizer_settings, name
):
    """The double integrator with quadratic reward: linear equations give the optimum."""
    horizon, step, weight = 8, 0.3, 0.1
    transition = np.array([[[1.0, step], [0.0, 1.0]]])
    control = np.array([[[0.0], [step]]])
    start = np.array([1.0, 0.0])
    # states of all steps = free + effect @ actions; minimise |states|^2 + weight |actions|^2
    power = [np.linalg.matrix_power(transition[0], k) for k in range(horizon + 1)]
    free = np.concatenate([power[h + 1] @ start for h in range(horizon)])
    effect = np.zeros((2 * horizon, horizon))
    for h in range(horizon):
        for k in range(h + 1):
            effect[2 * h : 2 * h + 2, k] = (power[h - k] @ control[0])[:, 0]
    optimum = np.linalg.solve(effect.T @ effect + weight * np.eye(horizon), -effect.T @ free)
    best = -np.sum((free + effect @ optimum) ** 2) - weight * np.sum(optimum**2)
    assert np.abs(optimum).max() < 3

    objective = quadratic_objective(weights={'distance': 1.0, 'control': weight, 'progress': 0.0})
    model = linear_model(transition, control)
    rollout = begun(model, objective, PlanningSettings(), start[None])
    low, high = torch.tensor([-3.0]), torch.tensor([3.0])
    optimizer = make_optimizer(
        make_optimizer_settings(
            name=name,
            candidates=300,
            elites=30,
            iterations=25,
            cem__epsilon=1e-6,
            icem__colour_beta=0.5,
            icem__decay=1.0,
        )
    )
    solution = optimizer.optimize(
        rollout, low, high, cold_start(low, high, 1, horizon), [torch.Generator().manual_seed(0)]
    )
    np.testing.assert_allclose(solution.actions[0, :, 0], optimum, atol=0.1)
    assert best * 1.002 < float(solution.value) <= best * 0.9999
