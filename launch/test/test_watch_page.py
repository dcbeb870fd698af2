"""The page of what was watched: what a browser is given, read back."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('mbrl_msgs')

from mbrl_bringup.tasks import task_names
from mbrl_bringup.testing_page import content
from mbrl_bringup.watch import page as page_module
from mbrl_bringup.watch.intake import SaveError
from mbrl_bringup.watch.page import PageRecording, joined, pack
from mbrl_bringup.watch.rviz import RvizConfig, read
from mbrl_bringup.watch.series import Remark
from mbrl_bringup.watch.shapes import Boxes, Lines, Points, Shapes, Triangles

FOLDER = Path(__file__).parent.parent / 'rviz'
COLOURS = np.array([[255, 0, 0, 255], [0, 255, 0, 128]], np.uint8)


@pytest.fixture
def config() -> RvizConfig:
    return read(FOLDER / 'cartpole_swingup.rviz')


def points(*x: float) -> Points:
    places = np.array([[each, 0.5, -2.0] for each in x])
    return Points(COLOURS[:1].repeat(len(x), axis=0), places, np.full(len(x), 0.1))


def rows(field: dict[str, Any]) -> np.ndarray:
    """As ``rowsOf`` of page.js."""
    low, high = np.array(field['low']), np.array(field['high'])
    parts = np.frombuffer(base64.b64decode(field['data']), '<u2').reshape(-1, len(low))
    return low + parts / 65535 * (high - low)


def test_shapes_come_back_as_they_were() -> None:
    generator = np.random.default_rng(0)
    turns = generator.normal(size=(2, 4))
    boxes = Boxes(COLOURS, generator.normal(size=(2, 3)), generator.uniform(size=(2, 3)), turns)
    packed = json.loads(pack(boxes))
    assert (packed['kind'], packed['count']) == ('Boxes', 2)
    assert base64.b64decode(packed['colours']) == COLOURS.tobytes()
    for name in ('centres', 'sizes', 'quaternions'):
        values = getattr(boxes, name)
        np.testing.assert_allclose(rows(packed['fields'][name]), values, atol=1e-4)
    corners = generator.normal(size=(9, 3)) * 5.0
    surface = Triangles(np.tile(COLOURS[1], (9, 1)), corners)
    packed = json.loads(pack(surface))
    assert len(base64.b64decode(packed['colours'])) == 4, 'one colour is said once'
    np.testing.assert_allclose(rows(packed['fields']['corners']), corners, atol=2e-4)


def test_nothing_is_packed_as_nothing() -> None:
    empty = Lines(COLOURS[:0], np.empty((0, 3)), np.empty(0, int), np.empty(0))
    packed = json.loads(pack(empty))
    assert packed['count'] == 0 and packed['lengths'] == []
    assert rows(packed['fields']['points']).shape == (0, 3)


def test_lines_that_go_on_from_each_other_become_one() -> None:
    a, b, c, d = np.eye(4)[:, :3]
    colours = COLOURS[[0, 0, 1, 1]]
    ends = np.array([a, b, b, c, c, d, a, b])  # a-b-c red, c-d green, a-b green
    lines = joined(Lines(colours, ends, np.full(4, 2), np.full(4, 0.1)))
    assert lines.lengths.tolist() == [3, 2, 2]
    np.testing.assert_array_equal(lines.points, [a, b, c, c, d, a, b])
    np.testing.assert_array_equal(lines.colours, COLOURS[[0, 1, 1]])
    strip = Lines(COLOURS[:1], np.array([a, b, c]), np.array([3]), np.array([0.1]))
    assert joined(strip) is strip


def test_a_page_has_each_thing_at_its_time(tmp_path: Path, config: RvizConfig) -> None:
    file = tmp_path / 'a.html'
    recording = PageRecording('a <run>', file, config)
    place = ['plan_markers', 'goal', 'points']
    recording.arrived(100.0)
    recording.draw(place, points(0.0, 1.0))
    recording.draw(['markers', 'cart', 'points'], points(3.0))
    recording.arrived(101.0)
    recording.draw(place, points(0.0, 1.0))  # the same: not said again
    recording.value('return/episode so far', '', 5.0)
    recording.arrived(102.34567)
    recording.draw(place, None)
    recording.value('return/episode so far', 'robot1', 6.0)
    recording.remark('controller', Remark('</script> no plan came', fault=True))
    recording.close()
    assert '<run>' not in file.read_text() and 'src=' not in file.read_text()
    found = content(file)
    assert found['end'] == 2.3457
    places = {each['name']: each for each in found['places']}
    goal = places['plan_markers/goal/points']
    assert goal['topic'] == 'plan_markers' and [t for t, _ in goal['events']] == [0.0, 2.3457]
    shown, gone = (number for _, number in goal['events'])
    assert gone == -1
    positions = rows(found['blobs'][shown]['fields']['positions'])
    np.testing.assert_allclose(positions, [[0, 0.5, -2], [1, 0.5, -2]], atol=1e-4)
    (plot,) = found['plots']
    curves = {curve['name']: curve['points'] for curve in plot['curves']}
    assert curves == {'episode so far': [[1.0, 5.0]], 'robot1 episode so far': [[2.3457, 6.0]]}
    assert found['said'] == [[2.3457, 'controller', '</script> no plan came', True]]
    labels = [(topic['label'], topic['shown']) for topic in found['topics']]
    assert labels == [('Robot', True), ('Plan', True)]


def test_of_what_is_too_much_the_oldest_goes_and_the_rest_is_whole(
    tmp_path: Path, config: RvizConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, 'MOST', 20 * len(pack(points(0.0))))
    file = tmp_path / 'a.html'
    recording = PageRecording('a', file, config)
    recording.arrived(0.0)
    recording.draw(['markers', 'floor', 'points'], points(-1.0))  # once, and there ever since
    for step in range(1, 101):
        recording.arrived(float(step))
        recording.draw(['markers', 'cart', 'points'], points(step * 0.5))
        recording.value('reward/step', '', float(step))
    recording.close()
    found = content(file)
    assert found['end'] == 100.0
    floor, cart = found['places']
    assert [time for time, _ in floor['events']] == [cart['events'][0][0]]
    assert 75.0 < cart['events'][0][0] < 85.0, 'the scene begins later'
    assert len(cart['events']) < 25 and cart['events'][-1][0] == found['end']
    last = rows(found['blobs'][cart['events'][-1][1]]['fields']['positions'])
    assert last[0, 0] == pytest.approx(50.0)
    rewards = found['plots'][0]['curves'][0]['points']
    assert rewards[0] == [1.0, 1.0] and rewards[-1] == [100.0, 100.0], 'the curves do not'


def test_a_page_that_cannot_be_written_is_said(tmp_path: Path, config: RvizConfig) -> None:
    with pytest.raises(SaveError, match='cannot be written'):
        PageRecording('a', tmp_path / 'nowhere' / 'a.html', config)


@pytest.mark.parametrize('task', [*task_names(), 'any'])
def test_every_rviz_configuration_is_understood(task: str) -> None:
    found = read(FOLDER / f'{task}.rviz')
    assert [d.topic for d in found.displays] == [
        *('markers', 'plan_markers', 'candidates', 'plan_path')
    ]
    assert found.label('robot1/markers') == 'Robot (robot1)' and found.label('other') == 'other'
    assert found.shown('markers') and found.shown('other') and not found.shown('plan_path')
    away = np.linalg.norm(np.subtract(found.view.eye, found.view.focus))
    assert away == pytest.approx(found.view.distance)
    assert found.grid.plane in ('XY', 'XZ') and all(0 <= part <= 1 for part in found.background)


def test_what_is_no_configuration_is_said(tmp_path: Path) -> None:
    file = tmp_path / 'a.rviz'
    file.write_text('Panels: []')
    with pytest.raises(ValueError, match=r'a\.rviz is no RViz configuration'):
        read(file)


def test_all_kinds_of_shapes_have_a_way_to_be_drawn() -> None:
    script = (Path(page_module.__file__).parent / 'page.js').read_text()
    kinds = {kind.__name__ for kind in Shapes.__subclasses__() if kind.__name__[0] != '_'}
    kinds |= {'Boxes', 'Ellipsoids', 'Cylinders'}
    assert set(re.findall(r'  add([A-Z]\w+)\(shapes\)', script)) == kinds
