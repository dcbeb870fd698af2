"""What came true of what was predicted."""

import math

import numpy as np
import pytest

from mbrl_mpc.foresight import RECENT, Foresight


def test_the_error_is_relative_to_predicting_no_change_and_that_of_the_newest_steps():
    foresight = Foresight()
    assert math.isnan(foresight.error)
    for _ in range(RECENT):
        foresight.compare(np.array([5.0, 0.0]), np.array([0.0, 0.0]), np.array([1.0, 0.0]))
    assert foresight.error == pytest.approx(4.0)
    for _ in range(RECENT):
        foresight.compare(np.array([1.1, 0.0]), np.array([0.0, 0.0]), np.array([1.0, 0.0]))
    assert foresight.error == pytest.approx(0.1)


def test_a_plan_is_compared_with_what_its_steps_brought():
    foresight = Foresight()
    for step in range(10):
        foresight.planned(step, 4, 100.0 + step)
        foresight.rewarded(step, float(step))
    # the newest plan that is over began with step 6: 6 + 7 + 8 + 9
    assert (foresight.predicted_return, foresight.received_return) == (106.0, 30.0)


def test_over_a_step_that_is_missing_nothing_is_compared():
    foresight = Foresight()
    foresight.planned(0, 3, 1.0)
    foresight.rewarded(0, 1.0)
    foresight.rewarded(2, 1.0)
    foresight.planned(3, 2, 7.0)
    for step in (3, 4):
        assert math.isnan(foresight.received_return)
        foresight.rewarded(step, 2.0)
    assert (foresight.predicted_return, foresight.received_return) == (7.0, 4.0)
