"""CEM against PETS's update, calculated by hand."""

from __future__ import annotations

import math

import numpy as np
import torch

from mbrl_planner.cem import CUT, Cem, truncated_normal
from mbrl_planner.optimizer import Start, cold_start

LOW = torch.tensor([-2.0, -1.0], dtype=torch.float64)
HIGH = torch.tensor([2.0, 3.0], dtype=torch.float64)


def optimize(settings, start=None, evaluate=None, seed=0):
    seen = []

    def record(actions):
        seen.append(actions.clone())
        return -(actions - 0.3).square().sum((2, 3)) if evaluate is None else evaluate(actions)

    start = cold_start(LOW, HIGH, 1, 3) if start is None else start
    generators = [torch.Generator().manual_seed(seed)]
    return Cem(settings).optimize(record, LOW, HIGH, start, generators), seen


def test_mean_and_variance_are_updated_as_in_pets(make_optimizer_settings):
    settings = make_optimizer_settings(
        name='cem', candidates=40, elites=7, iterations=2, cem__alpha=0.1, cem__epsilon=0.0
    )
    solution, seen = optimize(settings)
    low, high = LOW.numpy(), HIGH.numpy()
    mean = np.broadcast_to((low + high) / 2, (3, 2))
    variance = np.broadcast_to((high - low) ** 2 / 16, (3, 2))
    stds = []
    for candidates in seen:
        stds.append(
            np.sqrt(np.minimum(np.minimum((mean - low) / 2, (high - mean) / 2) ** 2, variance))
        )
        population = candidates[0].numpy()
        returns = -((population - 0.3) ** 2).sum((1, 2))
        elites = population[np.argsort(returns)[-7:]]
        mean = 0.1 * mean + 0.9 * elites.mean(0)
        variance = 0.1 * variance + 0.9 * elites.var(0)
    np.testing.assert_allclose(solution.mean[0], mean, rtol=1e-12)
    np.testing.assert_array_equal(solution.actions, solution.mean)
    # the second population has the standard deviation that the first one's elites gave it
    noise = truncated_normal((40, 3, 2), [torch.Generator().manual_seed(0)], LOW)
    first = (LOW + HIGH) / 2 + noise * torch.from_numpy(stds[0])
    np.testing.assert_allclose(seen[0], first, rtol=1e-12)
    assert np.all(stds[1] < stds[0])


def test_variance_shrinks_towards_a_bound_so_that_candidates_stay_inside(make_optimizer_settings):
    settings = make_optimizer_settings(name='cem', candidates=2000, elites=5, iterations=1)
    start = Start(torch.tensor([[[1.9, -0.5]]], dtype=torch.float64), torch.empty(1, 0, 1, 2))
    _, (candidates,) = optimize(settings, start)
    assert float(candidates.min()) >= -1.0
    np.testing.assert_allclose(candidates[0, :, 0, 0].mean(), 1.9, atol=0.005)
    assert abs(float(candidates[0, :, 0, 0].max()) - 2.0) < 0.005
    assert abs(float(candidates[0, :, 0, 0].min()) - 1.8) < 0.005


def test_stops_when_the_variance_is_small(make_optimizer_settings):
    few = make_optimizer_settings(name='cem', iterations=50, cem__epsilon=0.05)
    _, seen = optimize(few)
    assert 1 <= len(seen) < 20


def test_a_problem_that_has_stopped_waits_unchanged_for_the_others(make_optimizer_settings):
    settings = make_optimizer_settings(name='cem', iterations=30, cem__epsilon=0.05)

    def evaluate(actions):  # the second problem is flat: its variance never shrinks
        returns = -(actions - 0.3).square().sum((2, 3))
        returns[1:] = 0.0
        return returns

    def run(problems):
        start = cold_start(LOW, HIGH, problems, 3)
        generators = [torch.Generator().manual_seed(r) for r in range(problems)]
        return Cem(settings).optimize(evaluate, LOW, HIGH, start, generators)

    alone, together = run(1), run(2)
    np.testing.assert_array_equal(together.mean[0], alone.mean[0])
    np.testing.assert_array_equal(together.value[0], alone.value[0])


def test_truncated_normal_has_the_right_variance_and_no_tails():
    noise = truncated_normal((200_000,), [torch.Generator().manual_seed(0)], LOW)
    density = math.exp(-(CUT**2) / 2) / math.sqrt(2 * math.pi)
    variance = 1 - 2 * CUT * density / math.erf(CUT / math.sqrt(2))
    assert abs(float(noise.var()) - variance) < 0.01
    assert abs(float(noise.mean())) < 0.01
    assert float(noise.abs().max()) <= CUT
