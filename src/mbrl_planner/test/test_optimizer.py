"""All optimisers on problems with a known answer, and what no optimiser may do."""

from __future__ import annotations

import math
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mbrl_common.settings import SettingsError
from mbrl_planner.optimizer import Elites, Start, cold_start, select_elites
from mbrl_planner.optimizers import make_optimizer

LOW, HIGH = torch.tensor([-1.0, -2.0]), torch.tensor([1.0, 3.0])
HORIZON = 5


def generators(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def quadratic(targets):
    """Evaluate with its maximum, 0, where the actions are ``targets`` [R, H, A]."""
    return lambda actions: -(actions - targets[:, None]).square().sum((2, 3))


SETTINGS = {
    'icem': {
        'candidates': 500,
        'iterations': 20,
        'elites': 80,
        'icem__colour_beta': 0.0,
        'icem__decay': 1.05,
    },
    'cem': {'candidates': 500, 'iterations': 20, 'elites': 80, 'cem__epsilon': 1e-8},
    'mppi': {'candidates': 2000, 'iterations': 30, 'mppi__sigma': 0.1, 'mppi__temperature': 0.02},
    'pddm': {'candidates': 2000, 'iterations': 30, 'pddm__sigma': 0.15, 'pddm__kappa': 50.0},
    'gradient': {'iterations': 150, 'gradient__learning_rate': 0.05},
    'hybrid': {'candidates': 100, 'iterations': 3, 'elites': 20, 'hybrid__steps': 150},
    'random_shooting': {'candidates': 500, 'iterations': 20},
}
SEARCHING = [name for name in SETTINGS if name != 'random_shooting']  # it only ever guesses


@pytest.fixture
def optimizer_named(make_optimizer_settings):
    return lambda name: make_optimizer(make_optimizer_settings(name=name, **SETTINGS[name]))


@pytest.fixture(params=SEARCHING)
def searching(request, optimizer_named):
    return optimizer_named(request.param)


@pytest.fixture(params=list(SETTINGS))
def optimizer(request, optimizer_named):
    return optimizer_named(request.param)


def test_finds_an_optimum_inside_the_bounds(searching):
    targets = torch.tensor([[[0.3, -1.0]] * HORIZON])
    start = cold_start(LOW, HIGH, 1, HORIZON)
    solution = searching.optimize(quadratic(targets), LOW, HIGH, start, generators(0))
    np.testing.assert_allclose(solution.actions, targets, atol=0.05)
    if type(searching).__name__ != 'Hybrid':  # whose mean is that of the sampling alone
        np.testing.assert_allclose(solution.mean, targets, atol=0.05)
    assert -0.01 < float(solution.value) <= 0.0


def test_finds_an_optimum_on_the_bounds_and_stays_within(searching):
    targets = torch.tensor([[[1.5, -2.5], [-1.5, 3.5], [0.0, 3.5], [1.5, 0.5], [-1.5, -2.5]]])
    start = cold_start(LOW, HIGH, 1, HORIZON)
    seen = []

    def evaluate(actions):
        seen.append(actions.detach().clone())
        return quadratic(targets)(actions)

    solution = searching.optimize(evaluate, LOW, HIGH, start, generators(0))
    np.testing.assert_allclose(solution.actions, targets.clamp(LOW, HIGH), atol=0.2)
    for actions in (*seen, solution.actions, solution.mean, solution.elites):
        assert bool((actions >= LOW).all()) and bool((actions <= HIGH).all())


def test_problems_solved_at_once_are_the_problems_solved_alone(optimizer):
    targets = torch.randn(3, HORIZON, 2, generator=generators(7)[0])
    start = cold_start(LOW, HIGH, 3, HORIZON)
    together = optimizer.optimize(quadratic(targets), LOW, HIGH, start, generators(4, 5, 6))
    for r in range(3):
        alone = optimizer.optimize(
            quadratic(targets[r : r + 1]),
            LOW,
            HIGH,
            cold_start(LOW, HIGH, 1, HORIZON),
            generators(4 + r),
        )
        for name in ('actions', 'mean', 'elites', 'value'):
            np.testing.assert_allclose(
                getattr(together, name)[r], getattr(alone, name)[0], rtol=1e-5, atol=1e-6
            )


@pytest.mark.parametrize('bad', [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize('offset', [-10.0, 10.0])
def test_a_return_that_is_not_finite_never_wins(optimizer, bad, offset):
    """mbrl-lib puts -1e-10 for NaN: with negative returns that is the best of all."""

    def evaluate(actions):
        returns = offset - actions.square().sum((2, 3))
        return torch.where(actions[:, :, 0, 0] > 0.2, bad, returns)

    start = cold_start(LOW, HIGH, 1, HORIZON)
    solution = optimizer.optimize(evaluate, LOW, HIGH, start, generators(0))
    assert float(solution.actions[0, 0, 0]) <= 0.2
    if type(optimizer).__name__ != 'RandomShooting':
        np.testing.assert_allclose(solution.actions, 0.0, atol=0.15)
        assert abs(float(solution.value) - offset) < 0.2
    assert math.isfinite(float(solution.value))


def test_says_so_when_no_return_is_finite(optimizer):
    start = cold_start(LOW, HIGH, 1, HORIZON)
    solution = optimizer.optimize(
        lambda actions: actions.sum((2, 3)) * math.nan, LOW, HIGH, start, generators(0)
    )
    assert float(solution.value) == -math.inf
    assert bool(solution.mean.isfinite().all())


def test_nothing_is_remembered_between_two_calls(optimizer):
    """mbrl-lib's optimisers keep mean and elites over a reset."""
    start = cold_start(LOW, HIGH, 1, HORIZON)
    first = optimizer.optimize(quadratic(start.mean + 0.2), LOW, HIGH, start, generators(1))
    optimizer.optimize(quadratic(start.mean - 0.9), LOW, HIGH, start, generators(2))
    again = optimizer.optimize(quadratic(start.mean + 0.2), LOW, HIGH, start, generators(1))
    assert torch.equal(first.actions, again.actions)
    assert torch.equal(first.mean, again.mean)


@pytest.mark.parametrize('name', ['icem', 'cem', 'mppi', 'pddm', 'gradient', 'hybrid'])
def test_a_warm_start_near_the_optimum_gives_a_better_plan(make_optimizer_settings, name):
    optimizer = make_optimizer(make_optimizer_settings(name=name, candidates=16, elites=4))
    targets = torch.tensor([[[0.8, 2.0]] * HORIZON])
    cold = cold_start(LOW, HIGH, 1, HORIZON)
    warm = Start((targets + 0.05).clamp(LOW, HIGH), cold.elites)

    def mean_error(start):
        errors = []
        for seed in range(20):
            found = optimizer.optimize(quadratic(targets), LOW, HIGH, start, generators(seed))
            errors.append(-float(quadratic(targets)(found.actions[:, None])))
        return np.mean(errors)

    assert mean_error(warm) < 0.5 * mean_error(cold)


def test_elites_come_best_first_with_their_places():
    candidates = torch.arange(5.0).view(1, 5, 1, 1)
    returns = torch.tensor([[2.0, math.nan, 7.0, math.inf, 3.0]])
    elites = select_elites(candidates, returns, 4)
    assert elites.index[0, :3].tolist() == [2, 4, 0]
    assert elites.actions[0, :3, 0, 0].tolist() == [2.0, 4.0, 0.0]
    assert elites.returns[0].tolist() == [7.0, 3.0, 2.0, -math.inf]


def test_a_distribution_is_fitted_to_finite_elites_only():
    actions = torch.tensor([1.0, 3.0, 100.0]).view(1, 3, 1, 1).repeat(2, 1, 1, 1)
    returns = torch.tensor([[5.0, 4.0, -math.inf], [-math.inf] * 3])
    elites = Elites(actions, returns, torch.zeros(2, 3, dtype=torch.int64))
    mean, variance = elites.fit(torch.full((2, 1, 1), 9.0), torch.full((2, 1, 1), 8.0))
    assert mean.flatten().tolist() == [2.0, 9.0]
    assert variance.flatten().tolist() == [1.0, 8.0]


def test_a_deadline_that_has_passed_leaves_one_iteration(optimizer):
    targets = torch.tensor([[[0.3, -1.0]] * HORIZON])
    start = cold_start(LOW, HIGH, 1, HORIZON)
    now = time.perf_counter()
    solution = optimizer.optimize(quadratic(targets), LOW, HIGH, start, generators(0), now)
    assert len(solution.iterations) == 1
    assert math.isfinite(float(solution.value))
    assert bool((solution.actions >= LOW).all()) and bool((solution.actions <= HIGH).all())


def test_iterations_are_reported_as_they_were(optimizer):
    targets = torch.tensor([[[0.3, -1.0]] * HORIZON])
    seen = []

    def evaluate(actions):
        returns = quadratic(targets)(actions)
        if actions.requires_grad or type(optimizer).__name__ not in ('Gradient', 'Hybrid'):
            seen.append((actions.detach().double().numpy(), returns.detach().double().numpy()))
        return returns

    start = cold_start(LOW, HIGH, 1, HORIZON)
    solution = optimizer.optimize(evaluate, LOW, HIGH, start, generators(0))
    told = solution.iterations[-len(seen) :]
    half = (HIGH - LOW).double().numpy() / 2
    for iteration, (actions, returns) in zip(told, seen, strict=True):
        np.testing.assert_allclose(iteration.best, returns.max(1), rtol=1e-5)
        np.testing.assert_allclose(iteration.mean, returns.mean(1), rtol=1e-4)
        np.testing.assert_allclose(
            iteration.spread, (actions.std(1) / half).mean((1, 2)), rtol=1e-4, atol=1e-6
        )


def test_an_optimizer_that_is_not_there_is_named(make_optimizer_settings):
    settings = make_optimizer_settings(name='mpi')
    with pytest.raises(SettingsError, match=r"'mpi'; it must be one of .*did you mean 'mppi'"):
        make_optimizer(settings)


def test_the_example_of_the_readme_is_an_optimizer(make_optimizer_settings):
    readme = (Path(__file__).parents[1] / 'README.md').read_text()
    code = re.search(r'```python\n(# their_package/hill_climbing.py\n.*?)```', readme, re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    exec(code[1], names)
    settings = make_optimizer_settings(
        candidates=200, iterations=60, options=['reach=0.05'], elites=1
    )
    climbing = names['HillClimbing'](settings)
    targets = torch.tensor([[[0.3, -1.0]] * HORIZON])
    start = cold_start(LOW, HIGH, 1, HORIZON)
    solution = climbing.optimize(quadratic(targets), LOW, HIGH, start, generators(0))
    np.testing.assert_allclose(solution.actions, targets, atol=0.2)
    assert len(solution.iterations) == 60
