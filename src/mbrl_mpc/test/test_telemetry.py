"""What the controller measures of itself."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mbrl_mpc.telemetry import RealTimeFactor


def read(factor: RealTimeFactor, speed: float, times: np.ndarray, ros: float = 100.0) -> None:
    """Let ROS time pass at ``speed`` from ``ros`` [s] on."""
    for now in times:
        factor.read(round((ros + speed * now) * 1e9), now)


@pytest.mark.parametrize('speed', [0.1, 1.0, 12.5])
@pytest.mark.parametrize('period', [0.002, 0.05, 0.3])
def test_the_factor_is_that_of_the_last_second(speed: float, period: float) -> None:
    factor = RealTimeFactor()
    times = np.arange(0.0, 4.0, period)
    read(factor, 3.0, times[times < 2.0])
    at_two = 100.0 + 3.0 * 2.0
    for now in times[times >= 2.0]:
        factor.read(round((at_two + speed * (now - 2.0)) * 1e9), now)
    assert factor.value(times[-1]) == pytest.approx(speed)


def test_it_is_not_known_before_a_second_has_passed() -> None:
    factor = RealTimeFactor()
    assert math.isnan(factor.value(5.0))
    read(factor, 2.0, np.arange(0.0, 0.95, 0.1))
    assert math.isnan(factor.value(0.95))
    factor.read(round(102.0e9), 1.0)
    assert factor.value(1.0) == pytest.approx(2.0)


def test_a_clock_without_messages_is_not_known_and_one_that_stopped_stands_still() -> None:
    factor = RealTimeFactor()
    for now in np.arange(0.0, 3.0, 0.1):
        factor.read(0, now)
    assert math.isnan(factor.value(3.0))
    read(factor, 1.0, np.arange(3.0, 6.0, 0.125))
    assert factor.value(5.875) == pytest.approx(1.0)
    assert factor.value(6.375) == pytest.approx(0.5, abs=0.06)
    assert factor.value(7.0) == 0.0


def test_a_clock_that_is_set_back_is_measured_anew() -> None:
    factor = RealTimeFactor()
    read(factor, 1.0, np.arange(0.0, 2.0, 0.125))
    read(factor, 4.0, np.arange(2.0, 2.875, 0.125), ros=1.0)
    assert math.isnan(factor.value(2.875))
    read(factor, 4.0, np.arange(2.875, 3.5, 0.125), ros=1.0)
    assert factor.value(3.375) == pytest.approx(4.0)
