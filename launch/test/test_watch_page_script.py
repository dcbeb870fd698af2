"""What ``page.js`` makes of a page, run by a browser's engine, against numbers of Python's own.

The engine has no document and no canvas: what needs one is left to the browser.
"""

from __future__ import annotations

import bisect
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('mbrl_msgs')

from mbrl_bringup.testing_page import content
from mbrl_bringup.watch import page as page_module
from mbrl_bringup.watch.page import PageRecording, pack
from mbrl_bringup.watch.rviz import read
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

racer = pytest.importorskip('py_mini_racer', reason='there is no engine: requirements/dev.txt')

SCRIPT = Path(page_module.__file__).with_name('page.js')
RVIZ = Path(__file__).parent.parent / 'rviz' / 'cartpole_swingup.rviz'
BROWSER = """
const document = {getElementById: () => ({})};
function atob(text) {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  let bits = 0, held = 0, out = '';
  for (const letter of text.replace(/=/g, '')) {
    bits = ((bits << 6) | letters.indexOf(letter)) & 0xffff;
    held += 6;
    if (held >= 8) out += String.fromCharCode((bits >> (held -= 8)) & 255);
  }
  return out;
}
function pictureOf(shapes) {
  const picture = new Picture();
  picture.add(shapes);
  return read(picture);
}
function read(picture) {
  const rows = (floats) => Array.from(floats.values.subarray(0, floats.length));
  return {faces: picture.faces.map(rows), lines: picture.lines.map(rows)};
}
"""
Call = Callable[..., Any]


@pytest.fixture(scope='module')
def call() -> Call:
    """Calls a function, or evaluates an expression that is one, with arguments."""
    engine = racer.MiniRacer()
    engine.eval(BROWSER)
    engine.eval(SCRIPT.read_text())

    def run(function: str, *arguments: Any) -> Any:
        given = ', '.join(json.dumps(each) for each in arguments)
        return json.loads(str(engine.eval(f'JSON.stringify(({function})({given}))')))

    return run


def drawn(call: Call, shapes: Shapes) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Opaque and transparent faces [n, 10] (place, direction, colour), and lines [n, 13] (begin,
    end, corner, radius, colour), of shapes that went through a page."""
    picture = call('(blob) => pictureOf(shapesOf(blob))', json.loads(pack(shapes)))
    return tuple(
        [np.array(part).reshape(-1, width) for part in picture[name]]
        for name, width in (('faces', 10), ('lines', 13))
    )  # type: ignore[return-value]


def rotation(x: float, y: float, z: float, w: float) -> np.ndarray:
    """By the exponential of the turn's vector, and not by a formula of quaternions."""
    half, axis = math.atan2(math.hypot(x, y, z), w), np.array([x, y, z])
    length = np.linalg.norm(axis)
    a, b, c = axis / length if length else axis
    cross = np.array([[0, -c, b], [c, 0, -a], [-b, a, 0]])
    return np.eye(3) + math.sin(2 * half) * cross + (1 - math.cos(2 * half)) * cross @ cross


def solids(kind: type, count: int = 4) -> Any:
    random = np.random.default_rng(1)
    turns = random.normal(size=(count, 4))
    return kind(
        np.array([[255, 128, 0, 255]] * count, np.uint8),
        random.normal(size=(count, 3)),
        random.uniform(0.2, 2.0, (count, 3)),
        turns / np.linalg.norm(turns, axis=1, keepdims=True),
    )


def in_own_frames(shapes: Any, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners [n, m, 3] in parts of each shape's size about its centre, and directions."""
    each = faces.reshape(len(shapes.centres), -1, 10)
    turns = np.array([rotation(*turn) for turn in shapes.quaternions])
    there = (each[..., :3] - shapes.centres[:, None]) @ turns
    return there / shapes.sizes[:, None], each[..., 3:6] @ turns


def test_numbers_and_colours_are_what_python_packed(call: Call) -> None:
    random = np.random.default_rng(0)
    colours = random.integers(0, 256, (50, 4)).astype(np.uint8)
    spans = np.array([1e-3, 1.0, 1e4])
    points = Points(colours, random.normal(size=(50, 3)) * spans, np.full(50, 0.25))
    shapes = call(
        '(blob) => { const s = shapesOf(blob); return {...s, colours: Array.from(s.colours),'
        ' positions: Array.from(s.positions), radii: Array.from(s.radii)}; }',
        json.loads(pack(points)),
    )
    assert (shapes['kind'], shapes['count']) == ('Points', 50)
    np.testing.assert_array_equal(np.array(shapes['colours']).reshape(-1, 4), colours)
    np.testing.assert_allclose(shapes['radii'], 0.25)
    error = np.abs(np.array(shapes['positions']).reshape(-1, 3) - points.positions)
    assert (error < np.ptp(points.positions, axis=0) / 65535).all()


def test_what_there_is_at_a_time_is_the_last_that_was_not_after_it(call: Call) -> None:
    times = np.sort(np.random.default_rng(0).integers(0, 20, 30)).tolist()
    asked = [-1, *range(21), 7.5, 1e9]
    found = call(
        '(entries, asked) => asked.map((time) => lastBefore(entries, time))',
        [[each, 'x'] for each in times],
        asked,
    )
    assert found == [bisect.bisect_right(times, each) - 1 for each in asked]
    assert call('lastBefore', [], 3.0) == -1


@pytest.mark.parametrize('yaw, pitch', [(0.3, 0.4), (-2.0, -0.7), (3.1, 1.2)])
def test_places_are_projected_as_by_a_pinhole(call: Call, yaw: float, pitch: float) -> None:
    focus, distance, width, height = np.array([0.5, -1.0, 2.0]), 3.0, 800, 500
    view = {'yaw': yaw, 'pitch': pitch, 'distance': distance, 'focus': focus.tolist()}
    camera = call('(view, w, h) => ({...cameraOf(view, w, h), matrix:'
                  ' Array.from(cameraOf(view, w, h).matrix)})', view, width, height)  # fmt: skip
    turn = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    back = turn @ [np.cos(pitch), 0.0, np.sin(pitch)]
    eye = focus + distance * back
    np.testing.assert_allclose(camera['eye'], eye)
    right = np.cross([0, 0, 1], back)
    right /= np.linalg.norm(right)
    up = np.cross(back, right)
    places = focus + np.random.default_rng(0).normal(0, 0.5, (20, 3))
    matrix = np.array(camera['matrix']).reshape(4, 4).T  # by columns, as the graphics card has it
    x, y, depth, w = matrix @ np.vstack([places.T, np.ones(20)])
    ahead = (eye - places) @ back
    reach = height / 2 / math.tan(math.pi / 8)  # pixels, of what is one wide at one away
    np.testing.assert_allclose(
        x / w * width / 2, reach * ((places - eye) @ right) / ahead, atol=1e-3
    )
    np.testing.assert_allclose(y / w * height / 2, reach * ((places - eye) @ up) / ahead, atol=1e-3)
    assert (np.diff((depth / w)[np.argsort(ahead)]) > 0).all(), 'what is farther is behind'
    assert camera['focus'] == pytest.approx(reach)


def test_a_box_has_its_corners_and_its_sides_face_outward(call: Call) -> None:
    boxes = solids(Boxes)
    (opaque, clear), lines = drawn(call, boxes)
    assert not len(clear) and not any(map(len, lines))
    places, directions = in_own_frames(boxes, opaque)
    np.testing.assert_allclose(np.abs(places), 0.5, atol=1e-3)
    for of_one in places:
        assert len(np.unique(np.sign(of_one), axis=0)) == 8
    axis = np.abs(directions).argmax(-1)[..., None]
    along = np.take_along_axis(directions, axis, -1)
    np.testing.assert_allclose(np.abs(directions).sum(-1), np.abs(along)[..., 0], atol=1e-3)
    assert (np.take_along_axis(places, axis, -1) * along > 0).all()
    np.testing.assert_allclose(opaque[0, 6:], [1.0, 128 / 255, 0.0, 1.0], atol=1e-6)


def test_round_shapes_are_round(call: Call) -> None:
    balls = solids(Ellipsoids)
    places, _ = in_own_frames(balls, drawn(call, balls)[0][0])
    np.testing.assert_allclose(np.linalg.norm(places, axis=-1), 0.5, atol=1e-3)
    cylinders = solids(Cylinders)
    places, _ = in_own_frames(cylinders, drawn(call, cylinders)[0][0])
    across = np.hypot(places[..., 0], places[..., 1])
    np.testing.assert_allclose(np.abs(places[..., 2]), 0.5, atol=1e-3)
    assert ((np.abs(across - 0.5) < 1e-3) | (across < 1e-3)).all()
    points = Points(np.full((1, 4), 255, np.uint8), np.array([[1.0, 2.0, 3.0]]), np.array([0.2]))
    bead = drawn(call, points)[0][0][:, :3]
    np.testing.assert_allclose(np.linalg.norm(bead - [1, 2, 3], axis=1), 0.2, atol=1e-4)


def test_triangles_keep_their_corners_and_what_can_be_seen_through_is_apart(call: Call) -> None:
    random = np.random.default_rng(2)
    corners = random.normal(size=(6, 3))
    colours = np.array([[9, 8, 7, 255]] * 3 + [[1, 2, 3, 100]] * 3, np.uint8)
    (opaque, clear), _ = drawn(call, Triangles(colours, corners))
    for got, expected in ((opaque, corners[:3]), (clear, corners[3:])):
        np.testing.assert_allclose(got[:, :3], expected, atol=1e-4)
        normal = np.cross(expected[1] - expected[0], expected[2] - expected[0])
        np.testing.assert_allclose(got[:, 3:6], np.tile(normal, (3, 1)), atol=2e-3)
    np.testing.assert_allclose(clear[:, 6:] * 255, np.tile([1, 2, 3, 100], (3, 1)), atol=1e-4)


def test_lines_go_from_point_to_point_and_not_from_line_to_line(call: Call) -> None:
    points = np.random.default_rng(3).normal(size=(5, 3))
    colours = np.array([[255, 0, 0, 255], [0, 255, 0, 255]], np.uint8)
    lines = Lines(colours, points, np.array([3, 2]), np.array([0.01, 0.02]))
    _, (opaque, clear) = drawn(call, lines)
    assert len(opaque) == 3 * 6 and not len(clear)  # two triangles each
    ends = opaque.reshape(3, 6, 13)[:, 0]
    np.testing.assert_allclose(ends[:, :3], points[[0, 1, 3]], atol=1e-4)
    np.testing.assert_allclose(ends[:, 3:6], points[[1, 2, 4]], atol=1e-4)
    np.testing.assert_allclose(ends[:, 8], [0.01, 0.01, 0.02], atol=1e-6)
    np.testing.assert_array_equal(ends[:, 9:12], [[1, 0, 0], [1, 0, 0], [0, 1, 0]])


@pytest.mark.parametrize(
    'vector', [[0, 0, 1], [0, 0, -2], [1e-3, 0, -1], [1, 0, 0], [0.3, -0.4, 0.5]]
)
def test_an_arrow_reaches_from_tail_to_tip(call: Call, vector: list[float]) -> None:
    origin, way = np.array([0.1, 0.2, 0.3]), np.array(vector, float)
    arrow = Arrows(np.full((1, 4), 255, np.uint8), origin[None], way[None], np.array([0.02]))
    places = drawn(call, arrow)[0][0][:, :3] - origin
    length = np.linalg.norm(way)
    along = places @ way / length
    across = np.linalg.norm(places - along[:, None] * way / length, axis=1)
    assert along.min() == pytest.approx(0.0, abs=1e-3)
    assert along.max() == pytest.approx(length, abs=1e-3)
    assert across[along > length - 1e-3].max() < 1e-3, 'the tip is a point'
    assert across.max() == pytest.approx(0.05, abs=1e-3)


def test_a_page_shows_what_there_is_at_the_time_of_the_slider(call: Call, tmp_path: Path) -> None:
    file = tmp_path / 'a.html'
    recording = PageRecording('a', file, read(RVIZ))

    def point(x: float) -> Points:
        return Points(np.full((1, 4), 255, np.uint8), np.array([[x, 0.0, 0.0]]), np.array([0.1]))

    for time, x in ((10.0, 1.0), (11.0, 2.0), (12.0, None), (14.0, 3.0)):
        recording.arrived(time)
        recording.draw(['markers', 'cart', 'points'], None if x is None else point(x))
    recording.draw(['plan_path', 'a', 'points'], point(50.0))  # which is not shown at first
    recording.close()
    shown = """(data, time) => {
      const scene = Object.create(Scene.prototype);
      Object.assign(scene, {data, cache: new Map(), draw() {},
        hidden: new Set(data.topics.filter((each) => !each.shown).map((each) => each.name))});
      scene.at(time);
      return read(scene.picture);
    }"""
    data = content(file)
    assert {topic['name']: topic['shown'] for topic in data['topics']}['plan_path'] is False
    for time, x in ((0.0, 1.0), (0.99, 1.0), (1.0, 2.0), (2.5, None), (data['end'], 3.0)):
        picture = call(shown, data, time)
        places = np.array(picture['faces'][0]).reshape(-1, 10)[:, 0]
        assert (not len(places)) if x is None else places.mean() == pytest.approx(x, abs=1e-3)
    grid = np.array(picture['lines'][1]).reshape(-1, 13)
    cells, size = data['grid']['cells'], data['grid']['size']
    assert len(grid) == 2 * (cells + 1) * 6
    assert np.abs(grid[:, :6]).max() == pytest.approx(cells * size / 2)


def test_numbers_are_short(call: Call) -> None:
    shown = {
        0: '0',
        0.5: '0.5',
        1234.5678: '1235',
        -0.01: '-0.01',
        123456: '1.23e+5',
        2e-7: '2.00e-7',
    }
    assert [call('readable', value) for value in shown] == list(shown.values())
