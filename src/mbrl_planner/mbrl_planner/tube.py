"""A tube around a path, as triangles: the wider, the less sure is where the path goes."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

_AXES = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def thinned(count: int, most: int) -> np.ndarray:
    """At most ``most`` indices of ``count`` things, spread evenly, first and last included."""
    if count <= most:
        return np.arange(count)
    return np.linspace(0, count - 1, most).round().astype(np.intp)


def tube(path: np.ndarray, radius: np.ndarray, sides: int = 6) -> np.ndarray:
    """Rings of corners, which triangles make a tube of (``faces``).

    Args:
        path: [n, 3], points along its middle.
        radius: [n], at each of them.
        sides: of its cross-section.

    Returns:
        [n, sides, 3], the corners around each point.
    """
    across, up = _frames(path)
    angles = 2.0 * np.pi * np.arange(sides) / sides
    ring = np.cos(angles)[:, None] * across[:, None] + np.sin(angles)[:, None] * up[:, None]
    rings: np.ndarray = path[:, None] + radius[:, None, None] * ring
    return rings


@functools.lru_cache(maxsize=64)
def faces(points: int, sides: int = 6) -> np.ndarray:
    """Which corners, numbered along ``tube(...).reshape(-1, 3)``, make a triangle: [T, 3]."""
    ring, side = np.meshgrid(np.arange(points - 1), np.arange(sides), indexing='ij')
    here, beside = ring * sides + side, ring * sides + (side + 1) % sides
    first = np.stack([here, beside, here + sides], -1)
    second = np.stack([beside, beside + sides, here + sides], -1)
    corners = np.concatenate([first.reshape(-1, 3), second.reshape(-1, 3)])
    corners.flags.writeable = False  # it is kept for the next of that size
    return corners


def _frames(path: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors [n, 3] each, across the path and across each other, which turn as little
    as they can from point to point."""
    ways = np.diff(path, axis=0)
    length = np.sqrt(np.square(ways).sum(1, keepdims=True))
    moving = length[:, 0] > 1e-9
    ways = ways[moving] / length[moving]
    if not len(ways):
        ways, nearest = np.array([[1.0, 0.0, 0.0]]), np.zeros(len(path), dtype=np.intp)
    else:  # where nothing moves, the direction is that of the last motion
        nearest = np.clip(np.cumsum(moving) - 1, 0, None)
        nearest = np.append(nearest, nearest[-1])
    last = _axis_across(ways[0])
    rows = []
    for x, y, z in ways.tolist():  # plain numbers: numpy takes four times as long for three
        u, v, w, size = _across(last, x, y, z)
        if size < 1e-6:  # the path has turned by a right angle, into the very direction
            u, v, w, size = _across(_axis_across((x, y, z)), x, y, z)
        last = u, v, w = u / size, v / size, w / size
        rows.append((u, v, w, y * w - z * v, z * u - x * w, x * v - y * u))
    frames = np.array(rows)[nearest]
    return frames[:, :3], frames[:, 3:]


def _across(
    start: tuple[float, float, float], x: float, y: float, z: float
) -> tuple[float, float, float, float]:
    """What is left of ``start`` without its part along the unit vector (x, y, z), and how long."""
    a, b, c = start
    along = a * x + b * y + c * z
    u, v, w = a - along * x, b - along * y, c - along * z
    return u, v, w, math.sqrt(u * u + v * v + w * w)


def _axis_across(way: Sequence[float]) -> tuple[float, float, float]:
    """The axis that is most nearly across a direction [3]."""
    sizes = [abs(part) for part in way]
    return _AXES[sizes.index(min(sizes))]
