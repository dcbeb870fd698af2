"""A warm start moves with time."""

from __future__ import annotations

import numpy as np
import pytest

from mbrl_planner.warm_start import WarmStart

MEAN = np.arange(8.0).reshape(4, 2)
START = WarmStart(MEAN, np.stack([MEAN, -MEAN]))


@pytest.mark.parametrize(
    ('steps', 'rows'),
    [(0, [0, 1, 2, 3]), (1, [1, 2, 3, 3]), (3, [3, 3, 3, 3]), (9, [3, 3, 3, 3])],
)
def test_shifting_drops_what_is_over_and_repeats_the_last_action(steps, rows):
    shifted = START.shifted(steps)
    np.testing.assert_array_equal(shifted.mean, MEAN[rows])
    np.testing.assert_array_equal(shifted.elites, np.stack([MEAN[rows], -MEAN[rows]]))


def test_no_elites_stay_no_elites():
    assert WarmStart(MEAN, np.empty((0, 4, 2))).shifted(2).elites.shape == (0, 4, 2)


def test_time_does_not_run_backwards():
    with pytest.raises(ValueError, match='must be at least 0'):
        START.shifted(-1)
