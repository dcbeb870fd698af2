"""Shapes from arrays."""

from __future__ import annotations

import numpy as np
from visualization_msgs.msg import Marker

from mbrl_common import drawing

RED = (1.0, 0.0, 0.0, 0.5)


def test_paths_become_one_list_of_lines_from_point_to_point() -> None:
    paths = np.random.default_rng(0).normal(size=(3, 4, 3))
    colours = drawing.shades(np.array([0.0, 0.5, 1.0]))
    shape = drawing.line_list('paths', paths, 0.01, colours)
    assert (shape.kind, shape.action, shape.scale[0]) == (Marker.LINE_LIST, Marker.ADD, 0.01)
    lines = shape.points.reshape(3, 3, 2, 3)  # path, line, end
    np.testing.assert_array_equal(lines[:, :, 0], paths[:, :-1])
    np.testing.assert_array_equal(lines[:, :, 1], paths[:, 1:])
    np.testing.assert_array_equal(shape.colours, np.repeat(colours, 6, axis=0))


def test_with_one_colour_for_all_no_point_has_its_own() -> None:
    shape = drawing.line_list('paths', np.zeros((3, 4, 3)), 0.01, [RED])
    assert len(shape.points) == 18 and not len(shape.colours)
    assert shape.colour == RED


def test_a_strip_a_surface_and_balls_have_their_points() -> None:
    path = np.arange(12.0).reshape(4, 3)
    strip = drawing.line_strip('way', 7, path, 0.02, RED)
    assert (strip.kind, strip.number, strip.scale[0]) == (Marker.LINE_STRIP, 7, 0.02)
    np.testing.assert_array_equal(strip.points, path)
    faces = np.array([[0, 1, 2], [1, 2, 3]])
    surface = drawing.triangles('face', path, faces, RED)
    assert surface.kind == Marker.TRIANGLE_LIST and surface.scale[2] == 1.0
    np.testing.assert_array_equal(surface.points, path[faces.ravel()])
    balls = drawing.spheres('goal', path, 0.1, RED)
    assert balls.kind == Marker.SPHERE_LIST and balls.scale[1] == 0.1
    np.testing.assert_array_equal(balls.points, path)
    for shape in (strip, surface, balls):
        assert shape.action == Marker.ADD
        assert (*shape.position, *shape.quaternion) == (0, 0, 0, 0, 0, 0, 1)


def test_what_has_no_points_deletes_what_was_drawn() -> None:
    nothing, no_faces = np.empty((0, 3)), np.empty((0, 3), dtype=np.intp)
    for shape in (
        drawing.line_list('a', np.empty((0, 5, 3)), 0.01, [RED]),
        drawing.line_list('a', np.empty((2, 1, 3)), 0.01, [RED]),
        drawing.line_strip('a', 0, np.zeros((1, 3)), 0.01, RED),
        drawing.triangles('a', nothing, no_faces, RED),
        drawing.spheres('a', nothing, 0.1, RED),
    ):
        assert shape.action == Marker.DELETE and not len(shape.points)
    cube = drawing.Shape('a', Marker.CUBE, (1.0, 1.0, 1.0), RED)
    assert cube.action == Marker.ADD


def test_shades_get_brighter() -> None:
    shades = drawing.shades(np.linspace(-0.5, 1.5, 101))
    luminance = shades[:, :3] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) >= 0).all()
    assert luminance[0] < 0.1 and luminance[-1] > 0.8
    assert shades.min() >= 0 and shades.max() <= 1
    middle = drawing.shades(np.array([0.25, 0.5]), alpha=0.3)
    np.testing.assert_allclose(middle, [[0.2, 0.285, 0.44, 0.3], [0.13, 0.57, 0.55, 0.3]])
