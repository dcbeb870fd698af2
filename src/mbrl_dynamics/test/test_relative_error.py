"""The held-out error."""

from __future__ import annotations

import numpy as np

from mbrl_dynamics.relative_error import relative_error

CHANGE = np.array([[1.0, 0.0], [2.0, 0.0]])


def test_perfect_is_zero_and_predicting_no_change_is_one() -> None:
    assert relative_error(CHANGE, CHANGE) == 0.0
    assert relative_error(0.0 * CHANGE, CHANGE) == 1.0


def test_units_do_not_matter_and_entries_that_never_change_do_not_count() -> None:
    scale = np.array([1000.0, 7.0])
    assert relative_error(0.5 * CHANGE, CHANGE) == 0.5
    np.testing.assert_allclose(relative_error(0.5 * CHANGE * scale, CHANGE * scale), 0.5)


def test_without_data_or_change_it_is_not_a_number() -> None:
    assert np.isnan(relative_error(CHANGE[:0], CHANGE[:0]))
    assert np.isnan(relative_error(CHANGE, 0.0 * CHANGE))
