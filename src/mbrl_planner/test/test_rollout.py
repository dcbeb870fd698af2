"""Rollouts through models whose returns are known in closed form or from numpy in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mbrl_common.settings import SettingsError
from mbrl_dynamics.model import DynamicsModel, Prediction
from mbrl_dynamics.propagation import WAYS
from mbrl_planner.objectives import Objective
from mbrl_planner.optimizer import cold_start
from mbrl_planner.optimizers import make_optimizer
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
    last = rollout._last.imagined.states[-1, :, 0]  # [E, N, Q, S] after 5 steps
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


@pytest.mark.parametrize(
    ('share', 'expected'),
    [(0.01, 1.0), (0.2, 1.0), (0.4, 1.5), (0.5, (1 + 2 + 0.5 * 3) / 2.5), (1.0, 3.0)],
)
def test_the_worst_share_of_the_particles_is_averaged(linear_model, share, expected):
    """Five members that move by 1 to 5 in one step; the last particle counts as far as it fits."""
    control = np.array([3.0, 1.0, 5.0, 2.0, 4.0]).reshape(5, 1, 1)
    model = linear_model(np.ones((5, 1, 1)), control)
    objective = Objective('s', {'s': lambda s, a, n, g: n[..., 0]}, {'s': 1.0})
    for aversion in (0.0, 0.5):
        settings = PlanningSettings(worst_share=share, risk_aversion=aversion)
        rollout = begun(model, objective, settings, np.zeros((1, 1)), np.zeros((1, 0)))
        returns = rollout(torch.ones(1, 1, 1, 1))
        np.testing.assert_allclose(returns, [[expected - aversion * 2**0.5]], rtol=1e-5)


def test_empty_slots_are_not_among_the_worst(linear_model):
    """Four particles of three members: two slots are empty; they may be worse than all others."""
    model = linear_model(np.ones((3, 1, 1)), np.arange(1.0, 4.0).reshape(3, 1, 1))
    objective = Objective('s', {'s': lambda s, a, n, g: n[..., 0]}, {'s': 1.0})
    settings = PlanningSettings(propagation='ts_inf', particles=4, worst_share=0.75)
    for seed in range(6):
        rollout = begun(model, objective, settings, np.zeros((1, 1)), np.zeros((1, 0)), seed)
        returns = rollout(torch.ones(1, 2, 1, 1))
        there = rollout._propagation._weights[:, 0, 0]  # [members, slots]
        paid = torch.repeat_interleave(torch.arange(1.0, 4.0), there.sum(1).long())
        np.testing.assert_allclose(returns, [[float(paid[:3].mean())] * 2], rtol=1e-6)


def test_the_worst_share_of_a_gaussian_is_its_conditional_value_at_risk(linear_model):
    """Normal returns: the mean of the worst tenth is -density(quantile) / share deviations."""
    model = linear_model(np.ones((1, 1, 1)), np.zeros((1, 1, 1)), variance=4.0)
    objective = Objective('s', {'s': lambda s, a, n, g: n[..., 0]}, {'s': 1.0})
    settings = PlanningSettings(propagation='ts_inf', particles=10_000, worst_share=0.1)
    rollout = begun(model, objective, settings, np.zeros((1, 1)), np.zeros((1, 0)))
    returns = rollout(torch.zeros(1, 20, 1, 1))
    normal = torch.distributions.Normal(0.0, 1.0)
    density = normal.log_prob(normal.icdf(torch.tensor(0.1))).exp()
    assert float(returns.mean()) == pytest.approx(-2.0 * float(density) / 0.1, rel=0.01)


def test_nan_in_any_particle_is_nan_for_every_share(linear_model):
    transition = np.array([[[1.0]], [[np.nan]], [[1.0]]])
    model = linear_model(transition, np.ones((3, 1, 1)))
    objective = Objective('s', {'s': lambda s, a, n, g: n[..., 0]}, {'s': 1.0})
    for share in (0.1, 0.5, 1.0):
        settings = PlanningSettings(worst_share=share)
        rollout = begun(model, objective, settings, np.zeros((1, 1)), np.zeros((1, 0)))
        assert bool(rollout(torch.ones(1, 2, 3, 1)).isnan().all())


def test_the_last_state_is_worth_what_the_objective_says_unless_the_episode_has_ended(linear_model):
    """Members that move by one and three: the second ends at 9, in the last step."""
    model = linear_model(np.ones((2, 1, 1)), np.array([[[1.0]], [[3.0]]]))
    objective = Objective(
        's',
        {'s': lambda s, a, n, g: n[..., 0]},
        {'s': 1.0},
        goal_names=('factor',),
        default_goal=(0.0,),
        termination=lambda n: n[..., 0] > 8.5,
        terminal_value=lambda s, g: 10.0 * g[..., 0] * s[..., 0],
    )
    rollout = begun(
        model, objective, PlanningSettings(), np.zeros((2, 1)), np.array([[1.0], [2.0]])
    )
    # sums of 1, 2, 3 and 3, 6, 9; the first is worth 30 or 60 more
    np.testing.assert_allclose(rollout(torch.ones(2, 1, 3, 1)), [[27.0], [42.0]], rtol=1e-5)
    # two steps: the second is at 6 and has not ended
    np.testing.assert_allclose(rollout(torch.ones(2, 1, 2, 1)), [[46.0], [86.0]], rtol=1e-5)


def test_a_goal_that_moves_is_another_at_each_step(linear_model):
    model = linear_model(np.ones((2, 1, 1)), np.ones((2, 1, 1)))
    objective = Objective(
        's',
        {'s': lambda s, a, n, g: n[..., 0] * g[..., 0]},
        {'s': 1.0},
        goal_names=('factor',),
        default_goal=(0.0,),
        moved=lambda goal, steps: goal + 10.0 * steps[..., None],
        terminal_value=lambda s, g: 100.0 * g[..., 0],
    )
    rollout = begun(
        model, objective, PlanningSettings(), np.zeros((2, 1)), np.array([[1.0], [2.0]])
    )
    returns = rollout(torch.ones(2, 1, 3, 1))
    assert returns[:, 0].tolist() == [1 + 22 + 63 + 2100, 2 + 24 + 66 + 2200]


@pytest.mark.parametrize('particles', [6, 7])
def test_terms_add_up_to_the_return(linear_model, particles):
    state, goal, actions = problem()
    model = linear_model(TRANSITION, CONTROL, 0.01)
    objective = quadratic_objective(
        weights={'distance': 1.0, 'control': 0.0, 'progress': 0.5},
        termination=lambda n: n[..., 0].abs() > 1.0,
    )
    settings = PlanningSettings(propagation='ts_inf', particles=particles)
    rollout = begun(model, objective, settings, state, goal)
    returns = rollout(torch.tensor(actions).float())
    assert bool(rollout._last.over.any()) and not bool(rollout._last.over.all(0).any())
    index = torch.tensor([3, 5])
    terms = rollout.terms(index)
    assert rollout.term_names == ('distance', 'control', 'progress')
    torch.testing.assert_close(terms.sum(-1), returns[torch.arange(2), index])
    assert terms[:, 1].tolist() == [0.0, 0.0]


def test_terms_are_those_of_the_members_paths(linear_model):
    state, goal, actions = problem()
    rollout = begun(
        linear_model(TRANSITION, CONTROL), quadratic_objective(), PlanningSettings(), state, goal
    )
    rollout(torch.tensor(actions).float())
    states, _ = truth(state, goal, actions)
    found = rollout.terms(torch.tensor([3, 5]))
    for r, n in enumerate((3, 5)):
        path = states[r, n]
        distance = -((path[:, 1:] - goal[r]) ** 2).sum((-2, -1)).mean()
        progress = 0.5 * (path[:, -1, 0] - path[:, 0, 0]).mean()
        expected = [distance, -0.1 * (actions[r, n] ** 2).sum(), progress]
        np.testing.assert_allclose(found[r], expected, rtol=1e-4, atol=1e-4)


def test_a_learned_reward_is_one_term():
    actions = torch.tensor([0.5, 0.25, 1.0, 0.5]).view(1, 1, 4, 1)
    settings = PlanningSettings(reward='model', termination='model')
    rollout = begun(Learned(), quadratic_objective(), settings, np.zeros((1, 1)), np.zeros((1, 2)))
    returns = rollout(actions)
    assert rollout.term_names == ('model',)
    torch.testing.assert_close(rollout.terms(torch.tensor([0])), returns)


def smooth_objective():
    """With an end, a moving goal and a worth of the last state."""
    return quadratic_objective(
        termination=lambda n: n[..., 0] > 1.2,
        moved=lambda goal, steps: goal + 0.1 * steps[..., None],
        terminal_value=lambda s, g: -3.0 * (s - g).square().sum(-1),
    )


RISKS = {'worst_share': 0.6, 'risk_aversion': 0.3, 'disagreement_penalty': 0.2}


def in_double(model):
    """A linear model, all of it in float64."""
    for name in ('transition', 'control', 'target_scale'):
        setattr(model, name, getattr(model, name).double())
    return model


def returns_of(model, objective, settings, state, goal):
    """A function of the actions alone, with the same noise whenever it is called; float64."""
    rollout = Rollout(model, objective, settings)

    def function(actions):
        generators = [torch.Generator().manual_seed(r) for r in range(len(state))]
        rollout.begin(torch.tensor(state), torch.tensor(goal), generators)
        return rollout(actions)

    return function


@pytest.mark.parametrize('risks', [{}, RISKS], ids=['mean', 'risks'])
@pytest.mark.parametrize('particles', [6, 7])
@pytest.mark.parametrize('way', WAYS)
def test_the_gradient_is_that_of_finite_differences(linear_model, way, particles, risks):
    state, goal, actions = problem()
    model = in_double(linear_model(TRANSITION, CONTROL, 0.02))
    settings = PlanningSettings(propagation=way, particles=particles, **risks)
    function = returns_of(model, smooth_objective(), settings, state, goal)
    actions = torch.tensor(actions[:, :2, :5], requires_grad=True)
    assert torch.autograd.gradcheck(function, (actions,))
    with torch.no_grad():
        plain = function(actions)
    assert not plain.requires_grad
    assert torch.equal(plain, function(actions).detach())


@pytest.mark.parametrize('way', WAYS)
def test_so_it_is_in_a_trained_ensemble(snapshot, way):
    model = DynamicsModel.from_bytes(snapshot).mapped(
        lambda tensor: tensor.double() if tensor.is_floating_point() else tensor
    )
    objective = Objective(
        'tip',
        {
            'height': lambda s, a, n, g: n[..., 1].cos(),
            'control': lambda s, a, n, g: a[..., 0] ** 2,
        },
        {'height': 1.0, 'control': -0.1},
    )
    settings = PlanningSettings(propagation=way, particles=7, **RISKS)
    function = returns_of(model, objective, settings, np.zeros((1, 4)), np.zeros((1, 0)))
    numbers = torch.Generator().manual_seed(0)
    actions = torch.randn(1, 2, 6, 1, generator=numbers, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(function, (actions,))


def test_what_comes_after_the_end_has_no_influence_on_the_gradient(linear_model):
    """Also where it is NaN; and members that agree have no gradient of their deviation."""
    model = linear_model(np.ones((2, 1, 1)), np.ones((2, 1, 1)))
    objective = Objective(
        's',
        {'s': lambda s, a, n, g: (2.5 - n[..., 0]).sqrt()},
        {'s': 1.0},
        termination=lambda n: n[..., 0] > 1.5,
    )
    settings = PlanningSettings(risk_aversion=1.0, disagreement_penalty=1.0)
    rollout = begun(model, objective, settings, np.zeros((1, 1)), np.zeros((1, 0)))
    actions = torch.ones(1, 1, 4, 1, requires_grad=True)
    (gradient,) = torch.autograd.grad(rollout(actions).sum(), actions)
    slope = -0.5 * np.array([1.5**-0.5, 0.5**-0.5])
    expected = [slope.sum(), slope[1], 0.0, 0.0]
    np.testing.assert_allclose(gradient.flatten(), expected, rtol=1e-5)


def test_a_gradient_may_be_asked_for_after_a_problem_was_set_in_inference_mode(linear_model):
    state, goal, actions = problem()
    model = linear_model(TRANSITION, CONTROL, 0.1)
    settings = PlanningSettings(propagation='ts_inf', particles=7, **RISKS)
    plain = begun(model, quadratic_objective(), settings, state, goal)
    rollout = Rollout(model, quadratic_objective(), settings)
    with torch.inference_mode():
        generators = [torch.Generator().manual_seed(r) for r in range(PROBLEMS)]
        rollout.begin(torch.tensor(state).float(), torch.tensor(goal).float(), generators)
    gradients = []
    for each in (rollout, plain):
        asked = torch.tensor(actions).float().requires_grad_()
        gradients.append(torch.autograd.grad(each(asked).sum(), asked)[0])
    assert torch.equal(*gradients)
    mean, _ = rollout.trajectory(torch.tensor([0, 1]))
    assert not mean.requires_grad


def test_a_place_or_a_precision_that_a_model_does_not_know_is_refused(linear_model, snapshot):
    settings = PlanningSettings(precision='bf16')
    with pytest.raises(SettingsError, match=r'planner\.precision.*bf16.*LinearModel'):
        Rollout(linear_model(TRANSITION, CONTROL), quadratic_objective(), settings)
    if not torch.cuda.is_available():
        with pytest.raises(SettingsError, match=r'planner\.device.*cuda'):
            settings = PlanningSettings(device='cuda')
            Rollout(DynamicsModel.from_bytes(snapshot), quadratic_objective(), settings)


def test_in_bf16_returns_are_nearly_the_same(snapshot):
    model = DynamicsModel.from_bytes(snapshot)
    objective = Objective('tip', {'height': lambda s, a, n, g: n[..., 1].cos()}, {'height': 1.0})
    actions = torch.randn(1, 64, 20, 1, generator=torch.Generator().manual_seed(0))
    exact, rounded = (
        begun(model, objective, PlanningSettings(precision=each), np.zeros((1, 4)))(actions)
        for each in ('fp32', 'bf16')
    )
    assert 0 < float((exact - rounded).abs().mean()) < 0.05 * float(exact.std())
