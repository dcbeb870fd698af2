"""What an optimiser tried, for whoever wants to see it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mbrl_dynamics.model import DynamicsModel
from mbrl_dynamics.propagation import WAYS
from mbrl_planner.candidate_display import candidate_lines
from mbrl_planner.candidates import Candidates
from mbrl_planner.objectives import make_objective
from mbrl_planner.planner import Planner, PlanRequest
from mbrl_planner.rollout import Rollout
from mbrl_planner.trace import make_trace

STATE = [0.1, -0.2, 0.3, 0.4]
TRACE = {'trace__robot': 'cartpole_pets', 'trace__points': ['pole@0,0,-0.6', 'cart']}


@pytest.mark.parametrize('way', WAYS)
@pytest.mark.parametrize('particles', [3, 7])  # fewer than members; members with one less
def test_a_candidates_path_is_the_mean_of_its_states(way, particles, make_settings, snapshot):
    settings = make_settings(planner__propagation=way, planner__particles=particles)
    objective = make_objective(settings.objective, settings.task)
    rollout = Rollout(DynamicsModel.from_bytes(snapshot), objective, settings.planner)
    generators = [torch.Generator().manual_seed(seed) for seed in range(2)]
    rollout.begin(torch.tensor([STATE, STATE[::-1]]), torch.zeros(2, 1), generators)
    actions = torch.rand(2, 6, 20, 1, generator=generators[0]) - 0.5
    returns = rollout(actions)
    for problem in range(2):
        candidates = rollout.candidates(problem)
        np.testing.assert_array_equal(candidates.returns, returns[problem])
        paths = candidates.paths(torch.tensor([4, 1]))
        for row, candidate in enumerate((4, 1)):
            mean, _ = rollout.trajectory(torch.full((2,), candidate))
            np.testing.assert_allclose(paths[row], mean[problem], rtol=1e-5, atol=1e-5)


def test_some_are_the_worst_the_best_and_between_them_by_rank():
    returns = torch.tensor([3.0, math.nan, 1.0, math.inf, 2.0, -math.inf, 5.0, 4.0])
    candidates = Candidates(returns, lambda index: index[:, None, None].expand(-1, 4, 2).float())
    states, values = candidates.some(3)
    np.testing.assert_array_equal(values, [1.0, 3.0, 5.0])
    np.testing.assert_array_equal(states[:, 0, 0], [2, 0, 6])
    assert candidates.some(50)[1].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    none = Candidates(torch.full((3,), math.nan), candidates.paths)
    assert none.some(50)[0].shape == (0, 4, 2)


@pytest.mark.parametrize('backend', ['model', 'mujoco'])
@pytest.mark.parametrize('optimizer', ['icem', 'cem', 'mppi', 'gradient'])
def test_those_of_the_last_iteration_are_kept_on_request_and_change_no_plan(
    backend, optimizer, make_settings, snapshot
):
    if (backend, optimizer) == ('mujoco', 'gradient'):
        pytest.skip('the true model has no gradient')
    settings = make_settings(
        planner__backend=backend, planner__simulator='cartpole_pets', optimizer__name=optimizer
    )
    planner = Planner(settings)
    planner.set_model(snapshot, 1)
    request = PlanRequest(STATE, seed=3)
    alone = planner.plan(request)
    assert planner.candidates is None
    planner.keeps_candidates = True
    watched = planner.plan(request)
    np.testing.assert_array_equal(watched.actions, alone.actions)
    np.testing.assert_array_equal(watched.state_mean, alone.state_mean)
    states, returns = planner.candidates.some(1000)
    assert len(returns) > 1 and states.shape == (len(returns), 21, 4)
    np.testing.assert_allclose(states[:, 0], np.tile(STATE, (len(returns), 1)), atol=1e-6)
    if optimizer != 'gradient':  # which evaluates once more after its last step
        assert returns[-1] == pytest.approx(alone.iteration_best[-1], rel=1e-6)
    if optimizer == 'icem':  # which executes the best of them
        np.testing.assert_allclose(states[-1], alone.state_mean, atol=1e-5)


def test_lines_are_few_and_bright_for_the_best(make_settings):
    settings = make_settings(**TRACE)
    trace = make_trace(settings.trace, settings.task)
    states = np.random.default_rng(0).normal(size=(5, 201, 4))
    returns = np.array([-7.0, -3.0, -3.0, 0.0, 1.0])
    lines = candidate_lines(trace, states, returns)
    assert len(lines.points) == len(lines.colours) == 5 * 2 * 10 * 2
    np.testing.assert_allclose(lines.points[[0, 20]], trace(states[0, 0]))
    bright = lines.colours[::40, 1].tolist()
    assert bright == sorted(bright) and bright[0] < bright[1] == bright[2] < bright[3] < bright[4]


@pytest.mark.parametrize('count', [0, 1])
def test_few_candidates_or_none_are_drawn_as_well(count, make_settings):
    settings = make_settings(**TRACE)
    trace = make_trace(settings.trace, settings.task)
    lines = candidate_lines(trace, np.zeros((count, 21, 4)), np.zeros(count))
    assert len(lines.points) == count * 2 * 10 * 2
