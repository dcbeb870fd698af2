"""iCEM: each of the paper's additions does what it says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mbrl_planner.icem import Icem
from mbrl_planner.optimizer import Start, cold_start

LOW, HIGH = torch.tensor([-3.0]), torch.tensor([3.0])
HORIZON = 6


def optimize(settings, start=None, evaluate=None, seed=0):
    seen = []

    def record(actions):
        seen.append(actions.clone())
        return -(actions - 0.5).square().sum((2, 3)) if evaluate is None else evaluate(actions)

    start = cold_start(LOW, HIGH, 1, HORIZON) if start is None else start
    generators = [torch.Generator().manual_seed(seed)]
    return Icem(settings).optimize(record, LOW, HIGH, start, generators), seen


def test_the_population_decays_but_not_below_two_per_elite(make_optimizer_settings):
    settings = make_optimizer_settings(
        candidates=40, iterations=5, elites=12, icem__decay=1.25, icem__colour_beta=1.0
    )
    _, seen = optimize(settings)
    assert [actions.shape[1] for actions in seen] == [40, 32, 26, 24, 24]


def test_elites_of_the_last_plan_are_tried_first(make_optimizer_settings):
    elites = torch.linspace(-2, 2, 4)[None, :, None, None].expand(1, 4, HORIZON, 1)
    start = Start(torch.zeros(1, HORIZON, 1), elites)
    settings = make_optimizer_settings(elites=10, icem__keep_fraction=0.3)
    _, seen = optimize(settings, start)
    assert torch.equal(seen[0][:, :3], elites[:, :3])


def test_elites_are_kept_for_the_next_iteration_and_the_next_plan(make_optimizer_settings):
    settings = make_optimizer_settings(elites=10, iterations=2, icem__keep_fraction=0.3)
    solution, (first, second) = optimize(settings)
    order = torch.argsort((first[0] - 0.5).square().sum((1, 2)))
    assert torch.equal(second[0, :3], first[0, order[:3]])
    order = torch.argsort((second[0] - 0.5).square().sum((1, 2)))
    assert torch.equal(solution.elites[0], second[0, order[:3]])


@pytest.mark.parametrize('add', [True, False])
def test_the_mean_is_a_candidate_of_the_last_iteration_only(make_optimizer_settings, add):
    settings = make_optimizer_settings(elites=4, iterations=2, icem__alpha=0.2, icem__add_mean=add)
    _, (first, second) = optimize(settings)
    order = torch.argsort((first[0] - 0.5).square().sum((1, 2)))
    mean = 0.8 * first[0, order[:4]].mean(0)  # and 0.2 of the start's mean, which is 0
    assert bool(torch.isclose(second[0, -1], mean, atol=1e-6).all()) is add
    assert not torch.isclose(first[0, -1], torch.zeros(1)).all()


def test_the_best_candidate_is_returned_or_else_the_mean(make_optimizer_settings):
    best, (*_, last) = optimize(make_optimizer_settings())
    winner = int(torch.argmin((last[0] - 0.5).square().sum((1, 2))))
    assert int(best.index) == winner
    assert torch.equal(best.actions[0], last[0, winner])
    mean, _ = optimize(make_optimizer_settings(icem__execute_best=False))
    assert mean.index is None
    assert torch.equal(mean.actions, mean.mean)
    assert torch.equal(mean.mean, best.mean)


def test_the_initial_deviation_sets_how_far_candidates_go(make_optimizer_settings):
    """mbrl-lib's MPPI gives the same candidates for any sigma."""
    spreads = []
    for std in (0.01, 0.1, 0.3):
        settings = make_optimizer_settings(
            candidates=4000, iterations=1, icem__initial_std=std, icem__add_mean=False
        )
        _, (candidates,) = optimize(settings)
        spreads.append(float(candidates.std()))
    np.testing.assert_allclose(spreads, [0.03, 0.3, 0.9], rtol=0.05)


def test_noise_is_correlated_in_time(make_optimizer_settings):
    def roughness(beta):
        settings = make_optimizer_settings(
            candidates=2000, iterations=1, icem__initial_std=0.1, icem__colour_beta=beta
        )
        _, (candidates,) = optimize(settings, cold_start(LOW, HIGH, 1, 20))
        return float(candidates.diff(dim=2).square().mean() / candidates.square().mean())

    assert abs(roughness(0.0) - 2.0) < 0.1
    assert roughness(2.0) < 0.5
