"""Attitudes of a body as unit quaternions w, x, y, z, from its own frame into the fixed one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

_NORM_TOLERANCE = 0.02


def unit_quaternion(body: str, orientation: Sequence[float], last: np.ndarray | None) -> np.ndarray:
    """Unit quaternion w, x, y, z. Of q and -q, the same attitude, the one nearer to the last.

    A state that flips its sign would look like a leap. The first one has w >= 0.

    Args:
        body: for the error's text.
        orientation: x, y, z, w, as ``geometry_msgs/Quaternion`` has it.
        last: w, x, y, z of the last one.

    Raises:
        ValueError: if its norm is not about 1, as where nobody filled it in.
    """
    x, y, z, w = (float(part) for part in orientation)
    attitude = np.array([w, x, y, z])
    norm = math.hypot(w, x, y, z)
    if not abs(norm - 1.0) <= _NORM_TOLERANCE:
        raise ValueError(
            f'the orientation of {body!r} is {attitude.tolist()} (w, x, y, z) of norm {norm:.3g}; '
            'it must be a unit quaternion. Does the sender fill it in?'
        )
    attitude /= norm
    flipped = w < 0 if last is None else last @ attitude < 0
    return -attitude if flipped else attitude


def conjugate(quaternion: np.ndarray) -> np.ndarray:
    """The inverse of a unit quaternion w, x, y, z."""
    return quaternion * np.array([1.0, -1.0, -1.0, -1.0])


def multiply(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Product of two quaternions w, x, y, z."""
    scalar = left[0] * right[0] - left[1:] @ right[1:]
    vector = left[0] * right[1:] + right[0] * left[1:] + np.cross(left[1:], right[1:])
    return np.concatenate([[scalar], vector])


def rotate_back(attitude: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """A vector [3] of the fixed frame, in the frame of a body of this attitude."""
    pure = np.concatenate([[0.0], vector])
    return multiply(multiply(conjugate(attitude), pure), attitude)[1:]


def rotation_vector(quaternion: np.ndarray) -> np.ndarray:
    """Axis times angle [3] of a unit quaternion w, x, y, z."""
    sine = float(np.linalg.norm(quaternion[1:]))
    if sine < 1e-12:
        return 2.0 * quaternion[1:]
    return quaternion[1:] * (2.0 * math.atan2(sine, quaternion[0]) / sine)
