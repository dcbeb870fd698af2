"""The held-out error."""

from __future__ import annotations

import numpy as np

from mbrl_dynamics.evaluation import relative_error

STATE = np.array([[0.0, 5.0], [1.0, 5.0]])
NEXT = np.array([[1.0, 5.0], [3.0, 5.0]])


def test_perfect_is_zero_and_predicting_no_change_is_one() -> None:
    assert relative_error(NEXT, STATE, NEXT) == 0.0
    assert relative_error(STATE, STATE, NEXT) == 1.0


def test_units_do_not_matter_and_entries_that_never_change_do_not_count() -> None:
    predicted = STATE + 0.5 * (NEXT - STATE)
    scale = np.array([1000.0, 7.0])
    assert relative_error(predicted, STATE, NEXT) == 0.5
    np.testing.assert_allclose(relative_error(predicted * scale, STATE * scale, NEXT * scale), 0.5)


def test_without_data_or_change_it_is_not_a_number() -> None:
    assert np.isnan(relative_error(STATE[:0], STATE[:0], NEXT[:0]))
    assert np.isnan(relative_error(STATE, STATE, STATE))
