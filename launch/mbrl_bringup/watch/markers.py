"""Markers of RViz, of whoever publishes them, as :mod:`shapes` with the names they go by."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from visualization_msgs.msg import Marker

from mbrl_bringup.watch.shapes import (
    Arrows,
    Boxes,
    Cylinders,
    Ellipsoids,
    Lines,
    Points,
    Shapes,
    Triangles,
    together,
)


class Undrawable(ValueError):
    """A marker that cannot be drawn; the text says why."""


class MarkerStore:
    """The markers of a topic that are there now, by namespace and id, as RViz keeps them."""

    def __init__(self, note: Callable[[str], object]) -> None:
        """
        Args:
            note: says, once for each reason, why something is not drawn.
        """
        self._note = note
        self._noted: set[str] = set()
        self._pieces: dict[tuple[str, int], tuple[Shapes, float]] = {}
        """Shape, and when it goes."""
        self._drawn: set[str] = set()

    def apply(self, message: Any, now: float) -> dict[str, Shapes | None]:
        """Take in a ``MarkerArray``.

        Args:
            message: the array.
            now: of any clock that only goes forward [s]; lifetimes are counted by it.

        Returns:
            Shapes by name, '<namespace>/<kind>'; None: nothing is left of that name. Only names
            of namespaces that the message, or a lifetime, has changed.
        """
        changed = {ns for (ns, _), (_, end) in self._pieces.items() if end <= now}
        for marker in message.markers:
            if marker.action == Marker.DELETEALL:
                # Of one namespace, where it names one; some senders rely on that.
                gone = {ns for ns, _ in self._pieces if marker.ns in ('', ns)}
                self._pieces = {k: v for k, v in self._pieces.items() if k[0] not in gone}
                changed |= gone
                continue
            key = (marker.ns, marker.id)
            if marker.action == Marker.DELETE:
                if self._pieces.pop(key, None) is not None:
                    changed.add(marker.ns)
                continue
            changed.add(marker.ns)
            lifetime = marker.lifetime.sec + marker.lifetime.nanosec * 1e-9
            try:
                self._pieces[key] = (shapes_of(marker), now + lifetime if lifetime else math.inf)
            except Undrawable as error:
                self._pieces.pop(key, None)
                if str(error) not in self._noted:
                    self._noted.add(str(error))
                    self._note(f"marker '{marker.ns}' {marker.id} is not drawn: {error}")
        self._pieces = {k: v for k, v in self._pieces.items() if v[1] > now}
        return self._groups(changed)

    def _groups(self, namespaces: set[str]) -> dict[str, Shapes | None]:
        groups: dict[str, list[Shapes]] = {}
        for (ns, _), (shapes, _end) in sorted(self._pieces.items(), key=lambda item: item[0]):
            if ns in namespaces:
                name = f'{_part(ns)}/{type(shapes).__name__.lower()}'
                groups.setdefault(name, []).append(shapes)
        places = {_part(ns) for ns in namespaces}
        before = {name for name in self._drawn if name.partition('/')[0] in places}
        self._drawn = self._drawn - before | set(groups)
        return {
            **dict.fromkeys(sorted(before - set(groups))),
            **{name: together(shapes) for name, shapes in groups.items()},
        }


def _part(namespace: str) -> str:
    """As a part of a name."""
    return namespace.replace('/', '.') or 'unnamed'


def shapes_of(marker: Any) -> Shapes:
    """The shapes of a ``Marker`` that is to be added.

    Raises:
        Undrawable: if its type is not known here, or it has numbers that make no sense.
    """
    draw = _DRAW.get(marker.type)
    if draw is None:
        raise Undrawable(f'markers of type {marker.type} are not known here')
    position, rotation = marker.pose.position, marker.pose.orientation
    place = np.array([position.x, position.y, position.z])
    turn = np.array([rotation.x, rotation.y, rotation.z, rotation.w])
    size = np.array([marker.scale.x, marker.scale.y, marker.scale.z])
    points = np.array([(p.x, p.y, p.z) for p in marker.points]).reshape(-1, 3)
    if not all(np.isfinite(values).all() for values in (place, turn, size, points)):
        raise Undrawable('it has numbers that are not finite')
    length = float(np.linalg.norm(turn))
    turn = turn / length if length > 1e-9 else np.array([0.0, 0.0, 0.0, 1.0])
    return draw(marker, place, turn, size, points)


def _solid(kind: type[Boxes] | type[Cylinders] | type[Ellipsoids]) -> Callable[..., Shapes]:
    def draw(marker: Any, place: Any, turn: Any, size: Any, _points: Any) -> Shapes:
        colours = _colours(marker, 1)
        return kind(colours, place[None], size[None], turn[None])

    return draw


def _boxes(marker: Any, place: Any, turn: Any, size: Any, points: Any) -> Shapes:
    count = len(points)
    sizes, turns = np.tile(size, (count, 1)), np.tile(turn, (count, 1))
    return Boxes(_colours(marker, count), _moved(points, place, turn), sizes, turns)


def _balls(marker: Any, place: Any, turn: Any, size: Any, points: Any) -> Shapes:
    radii = np.full(len(points), size[0] / 2)
    return Points(_colours(marker, len(points)), _moved(points, place, turn), radii)


def _line_list(marker: Any, place: Any, turn: Any, size: Any, points: Any) -> Shapes:
    points = points[: len(points) // 2 * 2]
    count = len(points) // 2
    colours = _colours(marker, len(points))[::2]
    radii = np.full(count, size[0] / 2)
    return Lines(colours, _moved(points, place, turn), np.full(count, 2), radii)


def _line_strip(marker: Any, place: Any, turn: Any, size: Any, points: Any) -> Shapes:
    points = _moved(points, place, turn)
    if len(marker.colors) == len(points) > 1:  # each piece has a colour of its own
        count = len(points) - 1
        ends = np.repeat(points, 2, axis=0)[1:-1]
        colours = _colours(marker, len(points))[:-1]
        return Lines(colours, ends, np.full(count, 2), np.full(count, size[0] / 2))
    count = int(len(points) > 1)
    lengths = np.full(count, len(points))
    points = points if count else points[:0]
    return Lines(_colours(marker, count), points, lengths, np.full(count, size[0] / 2))


def _triangles(marker: Any, place: Any, turn: Any, size: Any, points: Any) -> Shapes:
    points = points[: len(points) // 3 * 3]
    if len(points) and len(marker.colors) == len(points) // 3:
        colours = np.repeat(_colours(marker, len(points) // 3), 3, axis=0)
    else:
        colours = _colours(marker, len(points))
    return Triangles(colours, _moved(points * size, place, turn))


def _arrow(marker: Any, place: Any, turn: Any, size: Any, points: Any) -> Shapes:
    colours = _colours(marker, 1)
    if len(points) >= 2:  # from the first to the second; the scale has the shaft's width
        tail, tip = _moved(points[:2], place, turn)
        return Arrows(colours, tail[None], (tip - tail)[None], np.array([size[0] / 2]))
    vector = _moved(np.array([[size[0], 0.0, 0.0]]), np.zeros(3), turn)
    return Arrows(colours, place[None], vector, np.array([size[1] / 2]))


_DRAW: dict[int, Callable[..., Shapes]] = {
    Marker.ARROW: _arrow,
    Marker.CUBE: _solid(Boxes),
    Marker.SPHERE: _solid(Ellipsoids),
    Marker.CYLINDER: _solid(Cylinders),
    Marker.LINE_STRIP: _line_strip,
    Marker.LINE_LIST: _line_list,
    Marker.CUBE_LIST: _boxes,
    Marker.SPHERE_LIST: _balls,
    Marker.POINTS: _balls,
    Marker.TRIANGLE_LIST: _triangles,
}


def _colours(marker: Any, count: int) -> np.ndarray:
    """Of ``count`` shapes; those of its own, where it has one for each, or the marker's."""
    given = marker.colors if len(marker.colors) == count else [marker.color]
    values = np.array([(c.r, c.g, c.b, c.a) for c in given]).reshape(-1, 4)
    shades = (np.clip(np.nan_to_num(values), 0.0, 1.0) * 255.0).round().astype(np.uint8)
    return shades if len(shades) == count else np.repeat(shades[:1], count, axis=0)


def _moved(points: np.ndarray, place: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Points [n, 3] of the marker's frame in that of its header; ``turn`` is x, y, z, w."""
    axis, w = turn[:3], turn[3]
    across = 2.0 * np.cross(axis, points)
    return points + w * across + np.cross(axis, across) + place
