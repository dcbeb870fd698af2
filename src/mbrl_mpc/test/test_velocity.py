"""Velocities against closed forms, on stamps that are not regular."""

import numpy as np
import pytest

from mbrl_mpc.velocity import BodyVelocity, JointVelocity

GAP = 10**9


def uneven(count, period, seed=0):
    """Stamps [ns] whose intervals are from a tenth to twice the period."""
    random = np.random.default_rng(seed)
    return np.cumsum(random.uniform(0.1, 1.9, count) * period * 1e9).astype(np.int64)


def run(filter_, positions, stamps):
    return [filter_.update(float(p), int(t)) for p, t in zip(positions, stamps)]


def test_a_steady_motion_has_its_velocity_from_the_second_sample_on():
    stamps = uneven(50, 0.01)
    found = run(JointVelocity(0.1, GAP), 3.0 - 2.0 * stamps * 1e-9, stamps)
    assert found[0] is None
    np.testing.assert_allclose(found[1:], -2.0, rtol=1e-6)


def test_a_start_from_rest_is_answered_as_by_the_first_order_low_pass_whatever_the_stamps():
    stamps = np.concatenate([[0, 5_000_000], 5_000_000 + uneven(200, 0.01)])
    time = (stamps - 5_000_000) * 1e-9
    found = run(JointVelocity(0.2, GAP), np.where(time > 0, 3.0 * time, 0.0), stamps)
    np.testing.assert_allclose(found[1:], 3.0 * (1 - np.exp(-time[1:] / 0.2)), atol=1e-9)


def test_an_oscillation_has_the_gain_and_lag_of_the_low_pass():
    stamps = uneven(60_000, 0.0001)
    time, rate, tau = stamps * 1e-9, 2 * np.pi * 3, 0.05
    found = np.array(run(JointVelocity(tau, GAP), np.sin(rate * time), stamps)[1:])
    gain, lag = 1 / np.hypot(1, rate * tau), np.arctan(rate * tau)
    expected = rate * gain * np.cos(rate * time[1:] - lag)
    settled = time[1:] > 20 * tau
    np.testing.assert_allclose(found[settled], expected[settled], atol=0.003 * rate * gain)


def test_noise_of_the_positions_comes_through_divided_by_the_time_constant():
    noise, tau, period = 1e-3, 0.05, 0.002
    positions = np.random.default_rng(4).normal(0, noise, 50_000)
    found = run(JointVelocity(tau, GAP), positions, range(0, 50_000 * 2_000_000, 2_000_000))
    assert np.std(found[1000:]) == pytest.approx(noise / tau, rel=0.05)
    assert np.std(np.diff(positions) / period) > 30 * noise / tau


def test_without_a_filter_it_is_the_difference():
    filter_ = JointVelocity(0.0, GAP)
    assert run(filter_, [1.0, 2.0, 1.0], [0, 500_000_000, 600_000_000]) == [
        None,
        pytest.approx(2.0),
        pytest.approx(-10.0),
    ]


def test_an_angle_goes_on_past_a_half_turn_and_another_position_does_not():
    stamps = uneven(400, 0.01)
    turned = 2.5 * stamps * 1e-9
    wrapped = (turned + np.pi) % (2 * np.pi) - np.pi
    found = run(JointVelocity(0.05, GAP, angle=True), wrapped, stamps)
    np.testing.assert_allclose(found[1:], 2.5, rtol=1e-5)
    assert min(run(JointVelocity(0.05, GAP), wrapped, stamps)[1:]) < -10


def test_after_a_gap_it_begins_anew():
    filter_ = JointVelocity(0.1, GAP)
    run(filter_, [0.0, 1.0], [0, 10**7])
    assert filter_.update(50.0, 3 * 10**9) is None
    assert filter_.update(50.0, 3 * 10**9 + 10**7) == 0.0


@pytest.mark.parametrize('angle', [False, True])
def test_a_position_near_the_largest_number_does_not_spoil_what_comes_after(angle):
    filter_ = JointVelocity(0.1, GAP, angle)
    found = run(filter_, [-1e308, 1e308, 0.0, 0.0, 0.01], range(0, 50_000_000, 10_000_000))
    assert all(value is None or np.isfinite(value) for value in found)
    if not angle:  # of an angle, those leaps are some motion within a turn
        assert found[-1] == pytest.approx(1 - np.exp(-0.1))
    body = BodyVelocity(0.1, GAP)
    rest = np.array([1.0, 0.0, 0.0, 0.0])
    for number, along in enumerate([-1e308, 1e308, 0.0, 0.0, 0.01]):
        last = body.update(np.array([along, 0.0, 0.0]), rest, number * 10_000_000)
        assert last is None or np.isfinite(last).all()
    assert last[0] == pytest.approx(1 - np.exp(-0.1))


def screw(time, speed, turning):
    """Pose of a body that moves with constant velocities in its own frame, turning about z."""
    angle = turning * time
    along, across, up = speed
    sine, versine = np.sin(angle) / turning, (1 - np.cos(angle)) / turning
    position = [along * sine - across * versine, along * versine + across * sine, up * time]
    return np.array(position), np.array([np.cos(angle / 2), 0.0, 0.0, np.sin(angle / 2)])


def test_a_body_that_drives_a_helix_has_constant_velocities_in_its_own_frame():
    speed, turning = (0.8, -0.3, 0.2), 2.0
    filter_ = BodyVelocity(0.05, GAP)
    for number, stamp in enumerate(uneven(300, 0.01)):
        position, attitude = screw(stamp * 1e-9, speed, turning)
        flipped = -attitude if number % 3 == 0 else attitude  # the same attitude
        found = filter_.update(position, flipped, int(stamp))
        assert (found is None) == (number == 0)
        if found is not None:
            np.testing.assert_allclose(found, [*speed, 0, 0, turning], atol=2e-4)


def test_a_body_that_lies_on_its_side_turns_about_an_axis_of_its_own():
    """Pitched by a right angle: its x points down, and it rolls about that."""
    half, rate = np.sqrt(0.5), 1.5
    filter_ = BodyVelocity(0.0, GAP)
    for stamp in (0, 10**8):
        roll = rate * stamp * 1e-9 / 2
        # (half, 0, half, 0) times (cos, sin, 0, 0)
        cos, sin = half * np.cos(roll), half * np.sin(roll)
        found = filter_.update(
            np.array([0.0, 0.0, -2e-9 * stamp]), np.array([cos, sin, cos, -sin]), stamp
        )
    np.testing.assert_allclose(found, [2.0, 0, 0, rate, 0, 0], atol=1e-12)


def test_the_chord_of_a_wide_turn_is_too_short_by_what_is_documented():
    turn = 0.4  # between two samples
    filter_ = BodyVelocity(0.0, GAP)
    filter_.update(*screw(0.0, (1.0, 0.0, 0.0), turn * 10), 0)
    found = filter_.update(*screw(0.1, (1.0, 0.0, 0.0), turn * 10), 10**8)
    assert found[0] == pytest.approx(1 - turn**2 / 24, abs=1e-4)
    assert found[5] == pytest.approx(turn * 10)


def test_a_body_begins_anew_after_a_gap():
    filter_ = BodyVelocity(0.1, GAP)
    rest = np.array([1.0, 0.0, 0.0, 0.0])
    assert filter_.update(np.zeros(3), rest, 0) is None
    assert filter_.update(np.ones(3), rest, 2 * GAP) is None
    np.testing.assert_array_equal(filter_.update(np.ones(3), rest, 2 * GAP + 10**7), np.zeros(6))
