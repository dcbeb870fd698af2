"""Splines against what is known of them: interpolation, straight lines, parabolas, polynomials."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mbrl_planner.splines import KINDS, Knots, fewest_knots, spline_matrix


def times(horizon, knots):
    """Where actions and knots are, in steps."""
    return np.arange(horizon), np.linspace(0, horizon - 1, knots)


@pytest.mark.parametrize('kind', KINDS)
def test_rows_sum_to_one_and_no_knot_is_lost_whatever_the_numbers(kind):
    for horizon in range(2, 41):
        for knots in range(fewest_knots(kind), horizon + 1):
            matrix = spline_matrix(kind, horizon, knots)
            assert matrix.shape == (horizon, knots) and matrix.dtype == np.float64
            np.testing.assert_allclose(matrix.sum(1), 1.0, atol=1e-13)
            # a warm start can be told in knots again: far from losing rank
            assert np.linalg.svd(matrix, compute_uv=False)[-1] > 0.2


@pytest.mark.parametrize('kind', KINDS)
def test_with_a_knot_for_every_action_the_knots_are_the_actions(kind):
    np.testing.assert_allclose(spline_matrix(kind, 9, 9), np.eye(9), atol=1e-13)


@pytest.mark.parametrize('kind', ['linear', 'cubic'])
def test_a_spline_through_a_straight_line_is_that_line_and_goes_through_its_knots(kind):
    at, where = times(21, 6)
    np.testing.assert_allclose(spline_matrix(kind, 21, 6) @ (3 - 0.5 * where), 3 - 0.5 * at)
    knots = np.random.default_rng(0).normal(size=6)
    np.testing.assert_allclose((spline_matrix(kind, 21, 6) @ knots)[::4], knots, atol=1e-13)


def test_linear_is_what_numpy_interpolates():
    at, where = times(20, 7)
    knots = np.random.default_rng(1).normal(size=7)
    actions = spline_matrix('linear', 20, 7) @ knots
    np.testing.assert_allclose(actions, np.interp(at, where, knots), atol=1e-13)


def test_cubic_is_a_parabola_between_the_inner_knots_of_a_parabola():
    """Central differences of a parabola are its slopes, and a cubic piece has room for it."""
    at, where = times(26, 6)
    actions = spline_matrix('cubic', 26, 6) @ (where**2 - 7 * where)
    inner = (at >= where[1]) & (at <= where[-2])
    np.testing.assert_allclose(actions[inner], (at**2 - 7 * at)[inner], atol=1e-11)


def test_cubic_is_the_polynomial_that_has_the_values_and_slopes_of_its_knots():
    """Each piece solved for as a polynomial of its own."""
    horizon, count = 25, 7  # four steps between knots
    knots = np.random.default_rng(2).normal(size=count)
    actions = spline_matrix('cubic', horizon, count) @ knots
    slopes = [knots[1] - knots[0], *(knots[2:] - knots[:-2]) / 2, knots[-1] - knots[-2]]
    conditions = [[1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 1, 1], [0, 1, 2, 3]]
    for piece in range(count - 1):
        wanted = [knots[piece], slopes[piece], knots[piece + 1], slopes[piece + 1]]
        coefficients = np.linalg.solve(conditions, wanted)
        t = np.arange(5) / 4
        expected = np.polynomial.polynomial.polyval(t, coefficients)
        np.testing.assert_allclose(actions[4 * piece : 4 * piece + 5], expected, atol=1e-12)


def test_zero_holds_each_knot_until_the_next():
    actions = spline_matrix('zero', 7, 3) @ [1.0, 2.0, 3.0]
    np.testing.assert_array_equal(actions, [1, 1, 1, 2, 2, 3, 3])


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('square', 20, 5), "'square'; it must be one of 'zero', 'linear', 'cubic'"),
        (('zero', 20, 21), 'there are 21 knots; .* must have 1 to 20'),
        (('cubic', 20, 1), "a spline 'cubic' over 20 steps must have 2 to 20"),
    ],
)
def test_a_spline_that_cannot_be_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        spline_matrix(*arguments)


@pytest.mark.parametrize('kind', KINDS)
def test_knots_made_into_actions_and_back_are_the_same_knots(kind):
    knots = torch.tensor(np.random.default_rng(3).normal(size=(2, 5, 3)), dtype=torch.float32)
    between = Knots(17, 5, kind)
    back = between.project(between.expand(knots))
    torch.testing.assert_close(back, knots)
    wide, low, high = between.expand(knots), torch.full((3,), -0.5), torch.full((3,), 0.5)
    expected = np.clip(wide, -0.5, 0.5)
    np.testing.assert_allclose(between.actions(knots, low, high), expected, atol=1e-6)
    seen = []
    between.evaluate(lambda actions: seen.append(actions) or actions.sum((2, 3)), low, high)(
        knots[None]
    )
    np.testing.assert_allclose(seen[0][0], expected, atol=1e-6)


def test_any_actions_are_told_in_the_knots_that_come_nearest():
    """No other knots are nearer: the rest is orthogonal to all that knots can do."""
    actions = np.random.default_rng(4).normal(size=(17, 2))
    between = Knots(17, 5, 'cubic')
    rest = actions - between.expand(between.project(actions))
    np.testing.assert_allclose(spline_matrix('cubic', 17, 5).T @ rest, 0.0, atol=1e-5)


def test_without_knots_nothing_is_touched():
    actions = torch.rand(2, 4, 3)
    between = Knots(4, 0, 'linear')
    assert between.actions(actions, torch.zeros(3), torch.ones(3)) is actions
    assert between.evaluate(torch.sum, torch.zeros(3), torch.ones(3)) is torch.sum
    assert between.count == 4
