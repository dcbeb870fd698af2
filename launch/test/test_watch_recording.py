"""What Rerun is given, read back from its file by its own program."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('mbrl_msgs')
pytest.importorskip('rerun', reason='Rerun is not installed: `make watch`')
import rerun_cli

from mbrl_bringup.watch.intake import SaveError
from mbrl_bringup.watch.recording import Recording, free_port
from mbrl_bringup.watch.rviz import Orbit
from mbrl_bringup.watch.series import PLOTS, Remark
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

PROGRAM = str(Path(rerun_cli.__file__).with_name('rerun'))
COLOURS = np.full((2, 4), 200, np.uint8)
TWO = np.arange(6.0).reshape(2, 3)
TURNS = np.tile([0.0, 0.0, 0.0, 1.0], (2, 1))
RADII = np.array([0.1, 0.2])
VIEW = Orbit((0.0, 0.0, 0.5), distance=4.0, yaw=4.7124, pitch=0.05)
SHAPES: list[Shapes] = [
    Boxes(COLOURS, TWO, TWO, TURNS),
    Ellipsoids(COLOURS, TWO, TWO, TURNS),
    Cylinders(COLOURS, TWO, TWO, TURNS),
    Lines(COLOURS, np.arange(15.0).reshape(5, 3), np.array([2, 3]), RADII),
    Lines(COLOURS[:0], TWO[:0], np.array([], int), RADII[:0]),
    Points(COLOURS, TWO, RADII),
    Triangles(COLOURS[[0, 0, 1]], np.arange(9.0).reshape(3, 3)),
    Arrows(COLOURS, TWO, TWO, RADII),
]


def shown(file: Path, *options: str) -> str:
    """What the program says is in the file, once it found nothing wrong with it."""
    for command in (['verify'], ['print', *options]):
        done = subprocess.run(
            [PROGRAM, 'rrd', *command, str(file)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    return done.stdout


def test_all_shapes_can_be_drawn_and_taken_away(tmp_path: Path) -> None:
    file = tmp_path / 'a.rrd'
    recording = Recording('test', file, serve=False, view=VIEW)
    for number, shapes in enumerate(SHAPES):
        recording.at(number * 0.1)
        recording.draw(['markers', 'robot', f'{number}'], shapes)
    recording.draw(['markers', 'robot', '0'], None)
    recording.close()
    text = shown(file, '-vv')
    for number, kind in enumerate(
        ('Boxes3D', 'Ellipsoids3D', 'Cylinders3D', 'LineStrips3D', 'LineStrips3D', 'Points3D')
    ):
        assert f'/scene/markers/robot/{number}' in text
        assert f'{kind}:' in text
    assert 'Mesh3D:' in text and 'Arrows3D:' in text and 'Clear:' in text


def test_values_and_remarks_are_at_their_time(tmp_path: Path) -> None:
    file = tmp_path / 'a.rrd'
    recording = Recording('test', file, serve=False, view=VIEW)
    recording.at(1.5)
    recording.value('return/episode', '', 170.0)
    recording.value('late/plans', 'robot1', 2.0)
    recording.remark('controller', Remark('no plan came', fault=True))
    recording.close()
    text = shown(file, '-vvv')
    for part in ('/return/episode', '/late/robot1/plans', '/log/controller', 'no plan came'):
        assert part in text
    for part in ('ros_time', 'log_time', 'PT1.5S', '170.0', 'WARN'):
        assert part in text


def test_the_plots_are_laid_out(tmp_path: Path) -> None:
    file = tmp_path / 'a.rrd'
    Recording('test', file, serve=False, view=VIEW).close()
    text = shown(file, '-vvv')
    assert all(title in text for title in PLOTS.values())


def test_a_bag_has_its_own_time(tmp_path: Path) -> None:
    file = tmp_path / 'a.rrd'
    recording = Recording('test', file, serve=False, view=VIEW, from_bag=True)
    recording.arrived(1.7e9)
    recording.draw(['markers', 'robot', 'boxes'], SHAPES[0])
    recording.close()
    assert '2023-11-14' in shown(file, '-vvv')  # the blueprint alone names the timeline, too


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(SaveError, match='cannot be written'):
        Recording('test', tmp_path / 'nowhere' / 'a.rrd', serve=False, view=VIEW)


def test_viewers_are_served_on_this_machine_alone() -> None:
    recording = Recording('test', None, serve=True, view=VIEW)
    try:
        assert recording.uri.startswith('rerun+http://127.0.0.1:')
        port = int(recording.uri.rpartition(':')[2].partition('/')[0])
        assert free_port(port) != port
        listening = subprocess.run(['ss', '-ltn'], capture_output=True, text=True, check=True)
        assert f'127.0.0.1:{port} ' in listening.stdout
        assert f'0.0.0.0:{port} ' not in listening.stdout
    finally:
        recording.close()
