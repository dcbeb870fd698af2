"""Statistics in float64, and the guard for what does not change."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from mbrl_dynamics.normalizer import Normalizer


def test_scaled_columns_have_zero_mean_and_unit_deviation() -> None:
    values = np.random.default_rng(0).normal([1.0, -50.0], [0.1, 20.0], (500, 2))
    scaled = Normalizer.fit(values).normalize(values)
    np.testing.assert_allclose(scaled.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(scaled.std(axis=0), 1.0)


def test_a_tiny_deviation_beside_a_huge_mean_is_right_to_the_last_digits() -> None:
    values = 1e9 + np.random.default_rng(0).normal(0.0, 1e-3, (200, 1))
    exact = [Fraction(float(v)) for v in values[:, 0]]
    mean = sum(exact) / len(exact)
    variance = sum((v - mean) ** 2 for v in exact) / len(exact)
    normalizer = Normalizer.fit(values)
    assert normalizer.mean[0] == float(mean)
    np.testing.assert_allclose(normalizer.std[0], float(variance) ** 0.5, rtol=1e-9)
    textbook = (np.mean(values**2) - np.mean(values) ** 2) ** 0.5
    assert not np.isclose(textbook, normalizer.std[0], rtol=0.1)


def test_a_constant_column_is_shifted_and_not_blown_up() -> None:
    normalizer = Normalizer.fit(np.full((10, 1), 0.1))
    np.testing.assert_array_equal(normalizer.normalize(np.array([[0.1], [0.2]])), [[0.0], [0.1]])
