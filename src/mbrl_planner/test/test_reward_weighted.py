"""MPPI and PDDM: what their papers' updates come to by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mbrl_planner.optimizer import Start, cold_start
from mbrl_planner.optimizers import make_optimizer
from mbrl_planner.pddm import filtered
from mbrl_planner.reward_weighted import weighted_mean

LOW, HIGH = torch.tensor([-2.0]), torch.tensor([2.0])


def test_weights_are_exponentials_of_the_returns():
    candidates = torch.tensor([1.0, 2.0, 4.0]).view(1, 3, 1, 1)
    returns = torch.tensor([[0.0, math.log(2.0), math.log(5.0)]])  # weights 1 : 2 : 5
    mean = weighted_mean(candidates, returns, 1.0, torch.zeros(1, 1, 1))
    assert float(mean) == pytest.approx((1 + 2 * 2 + 5 * 4) / 8)
    mean = weighted_mean(candidates, returns, 2.0, torch.zeros(1, 1, 1))  # 1 : 4 : 25
    assert float(mean) == pytest.approx((1 + 4 * 2 + 25 * 4) / 30)


@pytest.mark.parametrize('bad', [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_has_no_weight(bad):
    candidates = torch.tensor([1.0, 3.0, 100.0]).view(1, 3, 1, 1)
    mean = weighted_mean(candidates, torch.tensor([[-7.0, -7.0, bad]]), 1.0, torch.zeros(1, 1, 1))
    assert float(mean) == pytest.approx(2.0)
    mean = weighted_mean(candidates, torch.full((1, 3), bad), 1.0, torch.full((1, 1, 1), 9.0))
    assert float(mean) == 9.0


def test_huge_returns_do_not_overflow():
    candidates = torch.tensor([1.0, 3.0]).view(1, 2, 1, 1)
    mean = weighted_mean(candidates, torch.tensor([[1e30, -1e30]]), 10.0, torch.zeros(1, 1, 1))
    assert float(mean) == 1.0


def test_the_filter_by_hand():
    noise = torch.tensor([1.0, 0.0, 2.0]).view(1, 1, 3, 1)
    # 0.7; 0.3 * 0.7; 0.7 * 2 + 0.3 * 0.21
    np.testing.assert_allclose(filtered(noise, 0.7).flatten(), [0.7, 0.21, 1.463], rtol=1e-6)
    assert torch.equal(filtered(noise, 1.0), noise)


@pytest.mark.parametrize('name', ['mppi', 'pddm'])
def test_sigma_has_its_effect(make_optimizer_settings, name):
    """mbrl-lib's MPPI draws the same candidates whatever sigma is."""

    def spread(sigma):
        seen = []

        def evaluate(actions):
            seen.append(actions.clone())
            return -actions.square().sum((2, 3))

        settings = make_optimizer_settings(
            name=name, candidates=4000, iterations=1, **{f'{name}__sigma': sigma}
        )
        generator = torch.Generator().manual_seed(0)
        start = cold_start(LOW, HIGH, 1, 1)
        make_optimizer(settings).optimize(evaluate, LOW, HIGH, start, [generator])
        return float(seen[0].std())

    # Half the range is 2. PDDM at the first step: 0.7 of it, a tenth of the candidates with 0.3.
    share = 1.0 if name == 'mppi' else 0.7 * math.sqrt(0.9 + 0.1 * 0.3**2)
    for sigma in (0.05, 0.2):
        assert spread(sigma) == pytest.approx(2 * sigma * share, rel=0.05)


@pytest.mark.parametrize('name', ['mppi', 'pddm'])
def test_an_iteration_is_the_papers_by_hand(make_optimizer_settings, name):
    seen = []

    def evaluate(actions):
        returns = -(actions - 0.5).square().sum((2, 3))
        seen.append((actions.double().numpy(), returns.double().numpy()))
        return returns

    settings = make_optimizer_settings(
        name=name, candidates=50, iterations=1, mppi__temperature=0.3, pddm__kappa=1 / 0.3
    )
    start = cold_start(LOW, HIGH, 1, 3)
    solution = make_optimizer(settings).optimize(
        evaluate, LOW, HIGH, start, [torch.Generator().manual_seed(0)]
    )
    actions, returns = seen[0]
    weights = np.exp(returns / 0.3)
    expected = np.einsum('rn,rnha->rha', weights / weights.sum(), actions)
    np.testing.assert_allclose(solution.actions, expected, rtol=1e-4, atol=1e-6)


def test_the_cost_of_noise_is_that_of_mppi(make_optimizer_settings):
    seen = []

    def evaluate(actions):
        seen.append(actions.double().numpy())
        return torch.zeros(actions.shape[:2])

    settings = make_optimizer_settings(
        name='mppi',
        candidates=50,
        iterations=1,
        mppi__sigma=0.1,
        mppi__noise_cost=0.3,
        mppi__temperature=1.0,
    )
    start = Start(torch.full((1, 2, 1), 0.4), torch.empty(1, 0, 2, 1))
    solution = make_optimizer(settings).optimize(
        evaluate, LOW, HIGH, start, [torch.Generator().manual_seed(0)]
    )
    cost = 0.3 * (0.4 * (seen[0] - 0.4) / 0.2**2).sum((2, 3))
    weights = np.exp(-cost)
    expected = np.einsum('rn,rnha->rha', weights / weights.sum(), seen[0])
    np.testing.assert_allclose(solution.actions, expected, rtol=1e-4)
