"""Coverage, likelihood and error by spread, against what is known of Gaussians."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mbrl_dynamics.calibration import (
    calibration_error,
    coverage,
    error_by_spread,
    mixture_surprise,
    mixture_transform,
    particle_coverage,
)
from mbrl_dynamics.evaluation import LEVELS

MEANS = np.array([-1.0, 0.3, 2.0])
DEVIATIONS = np.array([0.5, 1.0, 0.2])


def assert_uniform(values: np.ndarray) -> None:
    """Kolmogorov and Smirnov's test at 1 %."""
    ordered = np.sort(values)
    steps = np.arange(len(values) + 1) / len(values)
    distance = max((ordered - steps[:-1]).max(), (steps[1:] - ordered).max())
    assert math.sqrt(len(values)) * distance < 1.63


def from_mixture(count: int, seed: int = 0) -> np.ndarray:
    """Draws [N, 1] from the mixture of MEANS and DEVIATIONS."""
    generator = np.random.default_rng(seed)
    member = generator.integers(0, 3, count)
    return generator.normal(MEANS[member], DEVIATIONS[member])[:, None]


def as_members(truth: np.ndarray, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    shape = (3, *truth.shape)
    mean = np.broadcast_to(MEANS[:, None, None], shape)
    return mean, np.broadcast_to((DEVIATIONS[:, None, None] * scale) ** 2, shape)


def test_the_transform_is_the_integral_of_the_mixtures_density() -> None:
    grid = np.linspace(-12.0, 12.0, 240_001)
    density = sum(
        np.exp(-0.5 * ((grid - m) / d) ** 2) / (d * math.sqrt(2 * math.pi))
        for m, d in zip(MEANS, DEVIATIONS)
    )
    integral = np.cumsum(density / 3) * (grid[1] - grid[0])
    truth = np.array([[-2.0], [-0.7], [0.0], [1.9], [2.3]])
    found = mixture_transform(*as_members(truth), truth)
    np.testing.assert_allclose(found[:, 0], np.interp(truth[:, 0], grid, integral), atol=1e-4)


def test_draws_from_the_mixture_are_transformed_to_a_uniform_distribution() -> None:
    truth = from_mixture(5000)
    transform = mixture_transform(*as_members(truth), truth)
    assert_uniform(transform[:, 0])
    np.testing.assert_allclose(coverage(transform)[:, 0], LEVELS, atol=0.02)
    assert calibration_error(coverage(transform))[0] < 0.02


@pytest.mark.parametrize(('scale', 'expected'), [(0.5, 0.5891), (2.0, 0.9990)])
def test_a_wrong_spread_covers_what_a_gaussian_says_it_does(scale: float, expected: float) -> None:
    """P(|z| < 1.645 scale) for a normal z."""
    truth = np.random.default_rng(1).normal(size=(20_000, 1))
    one = np.zeros((1, *truth.shape))
    shares = coverage(mixture_transform(one, one + scale**2, truth))
    assert shares[LEVELS == 0.9, 0] == pytest.approx(expected, abs=0.01)


def test_the_surprise_of_a_gaussian_is_its_entropy() -> None:
    deviation = np.array([0.1, 3.0])
    truth = np.random.default_rng(2).normal(size=(20_000, 2)) * deviation
    zero = np.zeros((1, *truth.shape))
    each, joint = mixture_surprise(zero, zero + deviation**2, truth)
    entropy = 0.5 * np.log(2 * math.pi * math.e * deviation**2)
    np.testing.assert_allclose(each.mean(0), entropy, atol=0.02)
    assert joint.mean() == pytest.approx(entropy.sum(), abs=0.03)


def test_the_surprise_of_a_mixture_is_that_of_its_density() -> None:
    truth = np.array([[0.1], [50.0]])
    each, joint = mixture_surprise(*as_members(truth), truth)
    density = np.mean(
        np.exp(-0.5 * ((0.1 - MEANS) / DEVIATIONS) ** 2) / (DEVIATIONS * math.sqrt(2 * math.pi))
    )
    assert each[0, 0] == pytest.approx(-math.log(density), rel=1e-12)
    np.testing.assert_array_equal(each[:, 0], joint)
    assert 1000 < each[1, 0] < math.inf, 'far away it is large, and still a number'


@pytest.mark.parametrize('particles', [5, 20, 60])
def test_particles_cover_draws_of_their_own_kind_as_often_as_they_say(particles: int) -> None:
    generator = np.random.default_rng(3)
    cloud, truth = generator.normal(size=(particles, 4000, 2)), generator.normal(size=(4000, 2))
    shares = particle_coverage(cloud, truth)
    known = (particles - 1) / (particles + 1) >= LEVELS
    assert np.isnan(shares[~known]).all()
    np.testing.assert_allclose(shares[known], LEVELS[known, None] + [0, 0], atol=0.025)


def test_what_lies_beyond_all_particles_is_in_no_interval() -> None:
    cloud = np.random.default_rng(4).normal(size=(20, 100, 1))
    shares = particle_coverage(cloud, np.full((100, 1), 50.0))
    assert (shares[LEVELS <= 0.9] == 0).all()


def test_one_particle_says_nothing() -> None:
    assert np.isnan(particle_coverage(np.zeros((1, 9, 2)), np.ones((9, 2)))).all()


def test_error_follows_spread_where_the_spread_is_right() -> None:
    generator = np.random.default_rng(5)
    spread = generator.uniform(0.1, 3.0, (40_000, 2))
    error, binned = error_by_spread(spread * generator.normal(size=spread.shape), spread)
    assert error.shape == (8, 2) and (np.diff(binned, axis=0) > 0).all()
    np.testing.assert_allclose(error, binned, rtol=0.05)


def test_fewer_transitions_than_bins_will_do() -> None:
    error, spread = error_by_spread(np.array([[3.0], [1.0]]), np.array([[2.0], [0.5]]))
    assert error.tolist() == [[1.0], [3.0]] and spread.tolist() == [[0.5], [2.0]]
