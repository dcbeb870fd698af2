"""Velocities from positions: differences over the time between two stamps, and a low pass.

Between two samples the position is taken as a straight line. Its derivative is then constant there,
and the first-order low pass ``tau v' = dq/dt - v`` has an exact solution over any interval: nothing
depends on stamps being regular. What comes out lags by half an interval and by ``tau``.
"""

from __future__ import annotations

import math

import numpy as np

from mbrl_mpc.attitude import conjugate, multiply, rotate_back, rotation_vector

_HUGE = 1e300  # beyond it a filter would overflow, and never come back


class LowPass:
    """``tau v' = u - v`` for a ``u`` that is constant over each interval; begins at the first u."""

    def __init__(self, time_constant: float) -> None:
        """
        Args:
            time_constant: [s]; 0: no filter.
        """
        self._tau = time_constant
        self._value: np.ndarray | None = None

    def reset(self) -> None:
        """Begin anew with the next value."""
        self._value = None

    def update(self, value: np.ndarray, interval: float) -> np.ndarray:
        """The filter's value at the end of an interval [s] in which the input was ``value``."""
        if self._value is None or self._tau <= 0:
            self._value = np.array(value, dtype=np.float64)
        else:
            self._value += -math.expm1(-interval / self._tau) * (value - self._value)
        return self._value.copy()


class JointVelocity:
    """Velocity of one joint from its positions."""

    def __init__(self, time_constant: float, longest_gap: int, angle: bool = False) -> None:
        """
        Args:
            time_constant: of the low pass [s].
            longest_gap: between two samples [ns]; after a longer one it begins anew.
            angle: the position is an angle without limits, and a full turn is no motion.
        """
        self._filter = LowPass(time_constant)
        self._gap = longest_gap
        self._angle = angle
        self._last: tuple[float, int] | None = None

    def update(self, position: float, stamp: int) -> float | None:
        """Velocity [1/s] at a stamp [ns] later than the last; None at the first sample, and where
        no number is large enough for it."""
        last, self._last = self._last, (position, stamp)
        if last is not None and 0 < stamp - last[1] <= self._gap:
            interval = (stamp - last[1]) * 1e-9
            change = position - last[0]
            if self._angle and math.isfinite(change):
                change = math.remainder(change, 2 * math.pi)
            if abs(change / interval) < _HUGE:
                return float(self._filter.update(np.array(change / interval), interval))
        self._filter.reset()
        return None


class BodyVelocity:
    """Linear and angular velocity of a free body, in its own frame, from its poses.

    The linear one is turned into the frame halfway between the two attitudes, where a motion of
    constant velocities along and about an axis is exact but for the chord of its arc: for a turn of
    ``a`` between two samples a part of ``a^2 / 24`` is missing. The angular one is exact.
    """

    def __init__(self, time_constant: float, longest_gap: int) -> None:
        """
        Args:
            time_constant: of the low pass [s].
            longest_gap: between two samples [ns]; after a longer one it begins anew.
        """
        self._filter = LowPass(time_constant)
        self._gap = longest_gap
        self._last: tuple[np.ndarray, np.ndarray, int] | None = None

    def update(self, position: np.ndarray, attitude: np.ndarray, stamp: int) -> np.ndarray | None:
        """Velocities [6] (linear [m/s], angular [rad/s]); None at the first sample, and where no
        number is large enough for them.

        Args:
            position: [3], in the fixed frame [m].
            attitude: unit quaternion w, x, y, z of the body in the fixed frame.
            stamp: [ns], later than the last.
        """
        last, self._last = self._last, (position, attitude, stamp)
        interval = 0.0 if last is None else (stamp - last[2]) * 1e-9
        if (
            last is None
            or not 0 < interval <= self._gap * 1e-9
            or not (np.abs(position / 2 - last[0] / 2) < _HUGE * interval).all()
        ):
            self._filter.reset()
            return None
        before = last[1]
        after = attitude if before @ attitude >= 0 else -attitude  # q and -q are one attitude
        halfway = before + after
        linear = rotate_back(halfway / np.linalg.norm(halfway), position - last[0]) / interval
        angular = rotation_vector(multiply(conjugate(before), after)) / interval
        return self._filter.update(np.concatenate([linear, angular]), interval)
