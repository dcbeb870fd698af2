"""Numbers in and out of messages without Python loops. Works on any object with the fields."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np


def to_field(values: Any) -> array:
    """A ``float64[]`` field from anything numpy takes; flattened row-major."""
    field = array('d')
    field.frombytes(np.asarray(values, dtype=np.float64).tobytes())
    return field


def from_field(field: Any, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """A float64 copy of a ``float64[]`` field, in ``shape`` if given (one entry may be -1)."""
    values = np.array(field, dtype=np.float64)
    return values if shape is None else values.reshape(shape)


def seconds(stamp: Any) -> float:
    """A ``builtin_interfaces/Time`` or ``Duration`` in seconds."""
    return stamp.sec + stamp.nanosec * 1e-9


def nanoseconds(stamp: Any) -> int:
    """A ``builtin_interfaces/Time`` in nanoseconds, exact."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec
