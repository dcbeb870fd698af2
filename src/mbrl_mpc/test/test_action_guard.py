"""Nothing leaves that is not finite, within bounds and slow enough."""

import dataclasses

import numpy as np

from mbrl_mpc.action_guard import ActionGuard


def test_an_action_within_bounds_passes_unchanged(task):
    guard = ActionGuard(task)
    np.testing.assert_array_equal(guard.check(np.array([1.25])), [1.25])
    assert guard.clamped == 0


def test_an_action_outside_the_bounds_is_clamped_and_counted(task):
    guard = ActionGuard(task)
    np.testing.assert_array_equal(guard.check(np.array([7.0])), [3.0])
    np.testing.assert_array_equal(guard.check(np.array([-7.0])), [-3.0])
    assert guard.clamped == 2


def test_an_action_that_is_not_finite_becomes_the_safe_one(task):
    guard = ActionGuard(task, safe_action=(0.5,))
    for bad in (np.nan, np.inf, -np.inf):
        np.testing.assert_array_equal(guard.check(np.array([bad])), [0.5])
    assert guard.clamped == 3


def test_a_safe_zero_outside_the_bounds_becomes_the_nearest_bound(task):
    lifted = dataclasses.replace(task, action_low=(1.0,))
    np.testing.assert_array_equal(ActionGuard(lifted).safe_action, [1.0])


def test_the_rate_limit_holds_between_actions_and_is_forgotten_at_a_reset(task):
    guard = ActionGuard(task, max_rate=10.0)  # 0.4 per step of 0.04 s
    np.testing.assert_allclose(guard.check(np.array([1.0])), [1.0])
    np.testing.assert_allclose(guard.check(np.array([3.0])), [1.4])
    np.testing.assert_allclose(guard.check(np.array([-3.0])), [1.0])
    guard.reset()
    np.testing.assert_allclose(guard.check(np.array([-3.0])), [-3.0])
    assert guard.clamped == 2
