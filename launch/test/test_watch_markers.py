"""Markers as shapes: where they are, what stays, what goes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

pytest.importorskip('visualization_msgs')

from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from mbrl_bringup.watch.markers import MarkerStore, Undrawable, shapes_of
from mbrl_bringup.watch.shapes import (
    Arrows,
    Boxes,
    Cylinders,
    Ellipsoids,
    Lines,
    Points,
    Shapes,
    Triangles,
)

QUARTER = math.sqrt(0.5)
RED, BLUE = ColorRGBA(r=1.0, a=1.0), ColorRGBA(b=1.0, a=0.5)


def marker(kind: int, points: Any = (), colors: Any = (), **fields: Any) -> Marker:
    """At (1, 2, 3), turned by a quarter about z, 0.2 x 0.4 x 0.6 large."""
    made = Marker(type=kind, ns='robot', color=RED, **fields)
    made.points = [Point(x=x, y=y, z=z) for x, y, z in points]
    made.colors = list(colors)
    made.scale.x, made.scale.y, made.scale.z = 0.2, 0.4, 0.6
    made.pose.position.x, made.pose.position.y, made.pose.position.z = 1.0, 2.0, 3.0
    made.pose.orientation.z = made.pose.orientation.w = QUARTER
    return made


def store_of(*markers: Marker) -> tuple[MarkerStore, list[str]]:
    notes: list[str] = []
    store = MarkerStore(notes.append)
    store.apply(MarkerArray(markers=list(markers)), 0.0)
    return store, notes


@pytest.mark.parametrize(
    ('kind', 'expected'),
    [(Marker.CUBE, Boxes), (Marker.SPHERE, Ellipsoids), (Marker.CYLINDER, Cylinders)],
)
def test_a_solid_is_where_the_marker_is(kind: int, expected: type) -> None:
    shapes = shapes_of(marker(kind))
    assert type(shapes) is expected
    assert isinstance(shapes, (Boxes, Ellipsoids, Cylinders))
    np.testing.assert_allclose(shapes.centres, [[1, 2, 3]])
    np.testing.assert_allclose(shapes.sizes, [[0.2, 0.4, 0.6]])
    np.testing.assert_allclose(shapes.quaternions, [[0, 0, QUARTER, QUARTER]])
    np.testing.assert_array_equal(shapes.colours, [[255, 0, 0, 255]])


def test_cubes_of_a_list_are_turned_each_and_placed_together() -> None:
    shapes = shapes_of(marker(Marker.CUBE_LIST, [(1, 0, 0), (0, 0, 0)], [RED, BLUE]))
    assert isinstance(shapes, Boxes)
    np.testing.assert_allclose(shapes.centres, [[1, 3, 3], [1, 2, 3]], atol=1e-12)
    np.testing.assert_allclose(shapes.quaternions, [[0, 0, QUARTER, QUARTER]] * 2)
    np.testing.assert_array_equal(shapes.colours, [[255, 0, 0, 255], [0, 0, 255, 128]])


@pytest.mark.parametrize('kind', [Marker.SPHERE_LIST, Marker.POINTS])
def test_points_have_half_the_width_as_radius(kind: int) -> None:
    shapes = shapes_of(marker(kind, [(0, 1, 0)]))
    assert isinstance(shapes, Points)
    np.testing.assert_allclose(shapes.positions, [[0, 2, 3]], atol=1e-12)
    np.testing.assert_allclose(shapes.radii, [0.1])


def test_lines_of_a_list_are_pairs_with_the_colour_of_their_first_point() -> None:
    points = [(0, 0, 0), (1, 0, 0), (0, 0, 1), (0, 0, 2), (9, 9, 9)]  # the last has no partner
    lines = shapes_of(marker(Marker.LINE_LIST, points, [RED, RED, BLUE, BLUE, RED]))
    assert isinstance(lines, Lines)
    assert lines.lengths.tolist() == [2, 2]
    np.testing.assert_allclose(lines.points, [[1, 2, 3], [1, 3, 3], [1, 2, 4], [1, 2, 5]])
    assert lines.colours.shape == (2, 4)


def test_a_strip_is_one_line_and_several_where_its_points_have_colours() -> None:
    points = [(0, 0, 0), (1, 0, 0), (1, 1, 0)]
    whole = shapes_of(marker(Marker.LINE_STRIP, points))
    pieces = shapes_of(marker(Marker.LINE_STRIP, points, [RED, BLUE, RED]))
    assert isinstance(whole, Lines) and isinstance(pieces, Lines)
    assert whole.lengths.tolist() == [3]
    assert pieces.lengths.tolist() == [2, 2]
    np.testing.assert_allclose(pieces.points[1], pieces.points[2])
    np.testing.assert_array_equal(pieces.colours, [[255, 0, 0, 255], [0, 0, 255, 128]])


@pytest.mark.parametrize('kind', [Marker.LINE_STRIP, Marker.LINE_LIST, Marker.POINTS])
def test_lists_may_be_empty(kind: int) -> None:
    assert len(shapes_of(marker(kind)).colours) == 0


@pytest.mark.parametrize('colors', [[RED], [RED] * 3])
def test_triangles_are_scaled_and_have_a_colour_for_each_corner(colors: list[ColorRGBA]) -> None:
    shapes = shapes_of(marker(Marker.TRIANGLE_LIST, [(0, 0, 0), (5, 0, 0), (0, 5, 5)], colors))
    assert isinstance(shapes, Triangles)
    np.testing.assert_allclose(shapes.corners, [[1, 2, 3], [1, 3, 3], [-1, 2, 6]])
    np.testing.assert_array_equal(shapes.colours, [[255, 0, 0, 255]] * 3)


def test_an_arrow_goes_along_x_or_between_two_points() -> None:
    along = shapes_of(marker(Marker.ARROW))
    between = shapes_of(marker(Marker.ARROW, [(1, 0, 0), (1, 0, 2)]))
    assert isinstance(along, Arrows) and isinstance(between, Arrows)
    np.testing.assert_allclose(along.vectors, [[0, 0.2, 0]], atol=1e-12)
    np.testing.assert_allclose(along.origins, [[1, 2, 3]])
    np.testing.assert_allclose(between.origins, [[1, 3, 3]])
    np.testing.assert_allclose(between.vectors, [[0, 0, 2]])


def test_an_orientation_that_was_left_out_is_none() -> None:
    given = marker(Marker.CUBE)
    given.pose.orientation.z = given.pose.orientation.w = 0.0
    shapes = shapes_of(given)
    assert isinstance(shapes, Boxes)
    np.testing.assert_allclose(shapes.quaternions, [[0, 0, 0, 1]])


def test_what_is_not_finite_or_not_known_is_refused() -> None:
    with pytest.raises(Undrawable, match='not finite'):
        shapes_of(marker(Marker.POINTS, [(0, math.nan, 0)]))
    with pytest.raises(Undrawable, match='type 10'):
        shapes_of(marker(Marker.MESH_RESOURCE))


def groups(changes: dict[str, Shapes | None]) -> dict[str, int | None]:
    return {name: None if each is None else len(each.colours) for name, each in changes.items()}


def test_markers_of_a_namespace_and_kind_are_together() -> None:
    notes: list[str] = []
    store = MarkerStore(notes.append)
    array = [marker(Marker.CUBE, id=0), marker(Marker.SPHERE, id=1), marker(Marker.CUBE, id=2)]
    array.append(Marker(type=Marker.CUBE, ns='a/b'))
    changes = groups(store.apply(MarkerArray(markers=array), 0.0))
    assert changes == {'robot/boxes': 2, 'robot/ellipsoids': 1, 'a.b/boxes': 1}


def test_a_marker_of_the_same_name_takes_the_others_place() -> None:
    store, _ = store_of(marker(Marker.CUBE, id=0), marker(Marker.CUBE, id=1))
    changed = store.apply(MarkerArray(markers=[marker(Marker.SPHERE, id=0)]), 0.0)
    assert groups(changed) == {'robot/boxes': 1, 'robot/ellipsoids': 1}


def test_what_is_deleted_is_gone() -> None:
    store, _ = store_of(marker(Marker.CUBE, id=0), marker(Marker.CUBE, id=1))
    first = Marker(ns='robot', id=0, action=Marker.DELETE)
    second = Marker(ns='robot', id=1, action=Marker.DELETE)
    assert groups(store.apply(MarkerArray(markers=[first]), 0.0)) == {'robot/boxes': 1}
    assert groups(store.apply(MarkerArray(markers=[second]), 0.0)) == {'robot/boxes': None}
    assert groups(store.apply(MarkerArray(markers=[second]), 0.0)) == {}


@pytest.mark.parametrize(
    ('ns', 'left'),
    [('', {'robot/boxes': None, 'other/boxes': None}), ('robot', {'robot/boxes': None})],
)
def test_all_can_be_deleted_or_all_of_a_namespace(ns: str, left: dict[str, None]) -> None:
    store, _ = store_of(marker(Marker.CUBE), Marker(type=Marker.CUBE, ns='other'))
    delete = Marker(ns=ns, action=Marker.DELETEALL)
    assert groups(store.apply(MarkerArray(markers=[delete]), 0.0)) == left


def test_a_marker_goes_when_its_time_is_over() -> None:
    store, _ = store_of(
        marker(Marker.CUBE, id=0, lifetime=Duration(sec=2)), marker(Marker.CUBE, id=1)
    )
    assert groups(store.apply(MarkerArray(), 1.9)) == {}
    assert groups(store.apply(MarkerArray(), 2.0)) == {'robot/boxes': 1}
    assert groups(store.apply(MarkerArray(), 9.0)) == {}


def test_why_something_is_not_drawn_is_said_once() -> None:
    wrong = [marker(Marker.MESH_RESOURCE, id=number) for number in range(3)]
    store, notes = store_of(*wrong, marker(Marker.CUBE, id=0))
    store.apply(MarkerArray(markers=wrong), 0.0)
    assert notes == ["marker 'robot' 0 is not drawn: markers of type 10 are not known here"]
