"""What can be drawn, as arrays: many shapes of a kind together, as that is fast to send."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Shape = TypeVar('Shape', bound='Shapes')


@dataclasses.dataclass(frozen=True)
class Shapes:
    """Shapes of a kind; each field is an array whose rows can be put below those of another."""

    colours: np.ndarray
    """Red, green, blue, alpha, uint8; [n, 4]: one for each shape."""


@dataclasses.dataclass(frozen=True)
class _Solids(Shapes):
    centres: np.ndarray
    """[m]; [n, 3]."""
    sizes: np.ndarray
    """Full extents along the shape's own axes [m]; [n, 3]."""
    quaternions: np.ndarray
    """x, y, z, w; [n, 4]."""


@dataclasses.dataclass(frozen=True)
class Boxes(_Solids):
    """Boxes."""


@dataclasses.dataclass(frozen=True)
class Ellipsoids(_Solids):
    """Spheres, and what they are when they are pressed."""


@dataclasses.dataclass(frozen=True)
class Cylinders(_Solids):
    """Cylinders along their z axis."""


@dataclasses.dataclass(frozen=True)
class Lines(Shapes):
    """Lines through points."""

    points: np.ndarray
    """Of all lines, one after the other [m]; [points, 3]."""
    lengths: np.ndarray
    """How many points each line has; [n]."""
    radii: np.ndarray
    """[m]; [n]."""


@dataclasses.dataclass(frozen=True)
class Points(Shapes):
    """Balls that are round from all sides."""

    positions: np.ndarray
    """[m]; [n, 3]."""
    radii: np.ndarray
    """[m]; [n]."""


@dataclasses.dataclass(frozen=True)
class Triangles(Shapes):
    """Surfaces; ``colours`` are those of the corners, [3 n, 4]."""

    corners: np.ndarray
    """Three after each other make a triangle [m]; [3 n, 3]."""


@dataclasses.dataclass(frozen=True)
class Arrows(Shapes):
    """Arrows."""

    origins: np.ndarray
    """[m]; [n, 3]."""
    vectors: np.ndarray
    """From tail to tip [m]; [n, 3]."""
    radii: np.ndarray
    """Of the shaft [m]; [n]."""


def together(shapes: Sequence[Shape]) -> Shape:
    """All of them as one; they must be of the same kind, and there must be one."""
    kind = type(shapes[0])
    return kind(
        **{
            field.name: np.concatenate([getattr(each, field.name) for each in shapes])
            for field in dataclasses.fields(kind)
        }
    )
