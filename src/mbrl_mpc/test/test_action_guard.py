"""Nothing leaves that is not finite, within bounds and slow enough."""

import dataclasses

import numpy as np
import pytest

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


SECOND = 1_000_000_000


def test_the_rate_is_over_the_real_time_between_commands(task):
    guard = ActionGuard(task, max_rate=10.0)
    guard.check(np.array([0.0]), now_ns=5 * SECOND)
    found = [
        guard.check(np.array([3.0]), now_ns=5 * SECOND + step)[0]
        for step in (10_000_000, 15_000_000, 15_000_000, 35_000_000)
    ]
    np.testing.assert_allclose(found, [0.1, 0.15, 0.15, 0.35])
    assert guard.clamped == 4


def test_after_a_silence_one_command_goes_no_further_than_in_a_control_period(task):
    guard = ActionGuard(task, max_rate=10.0)
    guard.check(np.array([0.0]), now_ns=0)
    np.testing.assert_allclose(guard.check(np.array([3.0]), now_ns=60 * SECOND), [0.4])


def test_a_clock_that_runs_backwards_allows_no_change(task):
    guard = ActionGuard(task, max_rate=10.0)
    guard.check(np.array([1.0]), now_ns=SECOND)
    np.testing.assert_array_equal(guard.check(np.array([3.0]), now_ns=0), [1.0])


def test_an_action_of_another_length_becomes_the_safe_one(task):
    guard = ActionGuard(task, safe_action=(0.5,))
    for wrong in ([1.0, 2.0], [], [[1.0]], 1.0):
        np.testing.assert_array_equal(guard.check(np.array(wrong)), [0.5])
    assert guard.clamped == 4


def test_holding_the_safe_action_is_the_last_that_was_sent_also_after_a_reset(task):
    guard = ActionGuard(task, safe_action=(0.5,), hold=True)
    np.testing.assert_array_equal(guard.safe_action, [0.5])
    guard.check(np.array([9.0]))
    guard.reset()
    np.testing.assert_array_equal(guard.safe_action, [3.0])
    np.testing.assert_array_equal(guard.check(np.array([np.nan])), [3.0])
    guard.safe_action[0] = 7.0  # a copy
    guard.check(np.array([3.0]))[0] = 7.0
    np.testing.assert_array_equal(guard.safe_action, [3.0])


def test_a_robot_begins_where_it_is_told_to_be(task):
    guard = ActionGuard(task, max_rate=10.0, hold=True)
    guard.begin_at(np.array([-1.0]), now_ns=0)
    np.testing.assert_array_equal(guard.safe_action, [-1.0])
    np.testing.assert_allclose(guard.check(np.array([2.0]), now_ns=20_000_000), [-0.8])
    guard.begin_at(np.array([8.0]))
    np.testing.assert_array_equal(guard.safe_action, [3.0])
    for wrong in ([np.nan], [0.0, 0.0]):
        with pytest.raises(ValueError, match='must be 1 finite numbers'):
            guard.begin_at(np.array(wrong))
    np.testing.assert_array_equal(guard.safe_action, [3.0])
