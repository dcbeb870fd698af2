"""Shapes for RViz from arrays: many points in one message of few markers.

They stay arrays until they are bytes (``drawing_bytes``): a message of rclpy's is an object for
each point and each colour, which takes a node as long as several commands. All are in the frame
``world``, which is MuJoCo's, so nobody needs TF.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from visualization_msgs.msg import Marker

FRAME = 'world'
Colour = tuple[float, float, float, float]
"""Red, green, blue and opacity, from 0 to 1."""
_LOW, _MIDDLE, _HIGH = np.array([[0.27, 0.0, 0.33], [0.13, 0.57, 0.55], [0.99, 0.91, 0.14]])
_OF_POINTS = (
    *(Marker.LINE_LIST, Marker.LINE_STRIP, Marker.TRIANGLE_LIST),
    *(Marker.SPHERE_LIST, Marker.CUBE_LIST, Marker.POINTS),
)
_NO_POINTS, _NO_COLOURS = np.empty((0, 3)), np.empty((0, 4))


@dataclasses.dataclass(frozen=True)
class Shape:
    """What one marker says.

    Attributes:
        name: namespace of the marker, which RViz can switch off.
        kind: of ``Marker``: LINE_LIST, CUBE and so on.
        scale: along x, y and z [m]; what it means depends on the kind.
        colour: of all of it.
        points: [n, 3], of a kind that is made of points [m].
        colours: [n, 4], of each point, or none.
        number: tells it from others of its name.
        position, quaternion: where it is [m], and how it is turned (x, y, z, w).
    """

    name: str
    kind: int
    scale: tuple[float, float, float]
    colour: Colour
    points: np.ndarray = dataclasses.field(default_factory=lambda: _NO_POINTS)
    colours: np.ndarray = dataclasses.field(default_factory=lambda: _NO_COLOURS)
    number: int = 0
    position: Sequence[float] = (0.0, 0.0, 0.0)
    quaternion: Sequence[float] = (0.0, 0.0, 0.0, 1.0)

    @property
    def action(self) -> int:
        """Of ``Marker``: what is made of points, and has none, deletes what it has drawn before."""
        empty = self.kind in _OF_POINTS and not len(self.points)
        return int(Marker.DELETE if empty else Marker.ADD)


def shades(shares: np.ndarray, alpha: float = 1.0) -> np.ndarray:
    """From dark violet (0) over green to yellow (1): told apart in grey, and by most eyes.

    Args:
        shares: [n]; taken as 0 below it, and as 1 above that.
        alpha: opacity.

    Returns:
        [n, 4], a colour for each.
    """
    place = 2.0 * np.clip(shares, 0.0, 1.0)[:, None]
    rgb = np.where(
        place < 1.0, _LOW + (_MIDDLE - _LOW) * place, _MIDDLE + (_HIGH - _MIDDLE) * (place - 1.0)
    )
    return np.concatenate([rgb, np.full((len(rgb), 1), alpha)], axis=1)


def line_list(
    name: str, paths: np.ndarray, width: float, colours: np.ndarray | Sequence[Colour]
) -> Shape:
    """Many paths as one list of lines.

    Args:
        name: see :class:`Shape`.
        paths: [paths, n, 3].
        width: of the lines [m].
        colours: [paths, 4], one for each path, or [1, 4], one for all.
    """
    ends = np.stack([paths[:, :-1], paths[:, 1:]], axis=2)  # [paths, n - 1, 2, 3]
    of_points = _NO_COLOURS
    if len(colours) > 1:
        of_points = np.repeat(colours, 2 * ends.shape[1], axis=0)
    red, green, blue, alpha = colours[0]
    colour, scale = (red, green, blue, alpha), (width, 0.0, 0.0)
    return Shape(name, Marker.LINE_LIST, scale, colour, ends.reshape(-1, 3), of_points)


def line_strip(name: str, number: int, path: np.ndarray, width: float, colour: Colour) -> Shape:
    """One path [n, 3] as a line; ``number`` tells it from others of its name."""
    points = path if len(path) > 1 else _NO_POINTS
    return Shape(name, Marker.LINE_STRIP, (width, 0.0, 0.0), colour, points, number=number)


def triangles(name: str, corners: np.ndarray, faces: np.ndarray, colour: Colour) -> Shape:
    """A surface of triangles; ``faces`` [T, 3] says which of ``corners`` [n, 3] each has."""
    return Shape(name, Marker.TRIANGLE_LIST, (1.0, 1.0, 1.0), colour, corners[faces.ravel()])


def spheres(name: str, places: np.ndarray, size: float, colour: Colour) -> Shape:
    """Balls of the diameter ``size`` [m] at ``places`` [n, 3]."""
    return Shape(name, Marker.SPHERE_LIST, (size, size, size), colour, places)
