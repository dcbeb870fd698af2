"""Films of episodes: what a player reads from them is what was written."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mbrl_common.settings import SettingsError
from mbrl_sim_bridge import video
from mbrl_sim_bridge.render import Renderer
from mbrl_sim_bridge.settings import SimBridgeSettings
from mbrl_sim_bridge.video import check_name, write_video

STATES = np.zeros((50, 4))
STATES[:, 0] = np.linspace(-2.0, 2.0, 50)  # the cart goes from left to right


@pytest.fixture(autouse=True)
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without OpenGL, which takes its time to begin."""
    monkeypatch.setenv('MUJOCO_GL', 'disable')


def sized(settings: SimBridgeSettings, width: int, height: int) -> SimBridgeSettings:
    sim = dataclasses.replace(settings.sim, render_width=width, render_height=height)
    return dataclasses.replace(settings, sim=sim)


@pytest.mark.parametrize(('frame_rate', 'frames', 'duration'), [(25.0, 50, 2.0), (5.0, 10, 2.0)])
def test_an_mp4_has_the_frames_the_size_and_the_speed_of_the_episode(
    frame_rate: float,
    frames: int,
    duration: float,
    settings: SimBridgeSettings,
    tmp_path: Path,
) -> None:
    av = pytest.importorskip('av')
    done: list[tuple[int, int]] = []
    path = tmp_path / 'episode.mp4'
    assert write_video(path, settings, STATES, frame_rate, lambda *n: done.append(n)) == path
    with av.open(str(path)) as film:
        (stream,) = film.streams
        assert float(stream.duration * stream.time_base) == pytest.approx(duration)
        assert (stream.width, stream.height) == (480, 180)
        read = [frame.to_ndarray(format='rgb24').astype(float) for frame in film.decode(stream)]
    assert len(read) == frames
    assert done == [(n, frames) for n in range(1, frames + 1)]
    chosen = STATES[:: len(STATES) // frames]
    with Renderer(settings) as renderer:
        drawn = [renderer.frame(state).astype(float) for state in chosen]
    assert np.abs(read[0] - drawn[0]).max() > 0, 'nothing was compressed'
    for number, picture in enumerate(read):
        away = [np.abs(picture - each).mean() for each in drawn]
        assert np.argmin(away) == number and away[number] < 2.5  # of 255
    assert [each.name for each in tmp_path.iterdir()] == ['episode.mp4']


def test_an_odd_size_is_made_even(settings: SimBridgeSettings, tmp_path: Path) -> None:
    av = pytest.importorskip('av')
    path = write_video(tmp_path / 'episode.mp4', sized(settings, 161, 91), STATES)
    with av.open(str(path)) as film:
        (stream,) = film.streams
        assert (stream.width, stream.height) == (162, 92)
        assert len(list(film.decode(stream))) == 50


def test_the_name_says_what_it_becomes(settings: SimBridgeSettings, tmp_path: Path) -> None:
    path = write_video(tmp_path / 'EPISODE.GIF', settings, STATES, 5.0)
    with Image.open(path) as film:
        assert (film.format, film.n_frames) == ('GIF', 10)  # type: ignore[attr-defined]
    with pytest.raises(SettingsError, match=r"ends in '.avi'; a film is .mp4 or .gif"):
        write_video(tmp_path / 'episode.avi', settings, STATES)
    with pytest.raises(ValueError, match='no state'):
        write_video(tmp_path / 'episode.gif', settings, STATES[:0])


def test_without_pyav_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'av', None)
    check_name(Path('a.gif'))
    with pytest.raises(SettingsError, match=r'needs PyAV.*pip install av, or give a name in .gif'):
        check_name(Path('a.mp4'))


@pytest.mark.parametrize('suffix', video.SUFFIXES)
def test_what_was_there_stays_until_the_new_one_is_complete(
    suffix: str, settings: SimBridgeSettings, tmp_path: Path
) -> None:
    if suffix == '.mp4':
        pytest.importorskip('av')
    path = tmp_path / f'episode{suffix}'
    path.write_text('before')

    def stop(done: int, of: int) -> None:
        if done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(path, settings, STATES, progress=stop)
    assert path.read_text() == 'before'
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(OSError, match='No such file'):
        write_video(tmp_path / 'nowhere' / f'a{suffix}', settings, STATES)


@pytest.mark.parametrize('encoder', ['libopenh264', 'mpeg4'])
def test_other_encoders_will_do(
    encoder: str, settings: SimBridgeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    av = pytest.importorskip('av')
    if encoder not in av.codecs_available:
        pytest.skip(f'this FFmpeg has no {encoder}')
    monkeypatch.setattr(video, '_ENCODERS', {encoder: video._ENCODERS[encoder]})
    path = write_video(tmp_path / 'episode.mp4', settings, STATES, 5.0)
    with av.open(str(path)) as film:
        assert len(list(film.decode(film.streams.video[0]))) == 10
