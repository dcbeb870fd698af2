from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from mbrl_common.settings import SettingsError
from mbrl_sim_bridge.canvas_gl import GLCanvas, GLUnavailableError
from mbrl_sim_bridge.render import Renderer, render_frames, write_gif
from mbrl_sim_bridge.simulation import Simulation


@pytest.fixture(params=['drawn', 'gl'])
def drawing(request, settings, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run with both ways to draw; OpenGL only where there is one."""
    if request.param == 'drawn':
        monkeypatch.setenv('MUJOCO_GL', 'disable')
        return 'drawn'
    monkeypatch.delenv('MUJOCO_GL', raising=False)
    try:
        GLCanvas(Simulation(settings).model, 16, 16).close()
    except GLUnavailableError as error:
        pytest.skip(f'no OpenGL here: {error}')
    return 'egl'


def colour_centre(frame: np.ndarray, red: bool, blue: bool) -> np.ndarray:
    """Mean pixel (x, y) of what is green, and strongly red or blue or not, in the frame."""
    r, g, b = (frame[..., channel].astype(int) for channel in range(3))
    mask = (g > 60) & ((r > b + 50) if red else (r < g - 40)) & ((b > r + 40) if blue else True)
    rows, columns = np.nonzero(mask)
    return np.array([columns.mean(), rows.mean()])


def test_cart_and_pole_are_drawn_where_they_are(drawing, settings):
    with Renderer(settings) as renderer:
        assert renderer.canvas.name == drawing
        hanging = renderer.frame(np.array([1.0, 0.0, 0.0, 0.0]))
        upright = renderer.frame(np.array([-1.0, np.pi, 0.0, 0.0]))
    assert hanging.shape == (180, 480, 3) and hanging.dtype == np.uint8
    middle = np.array([240, 90])
    pixels_per_metre = 90 / (4.5 * np.tan(np.radians(14)))
    cart = colour_centre(hanging, red=True, blue=False)
    pole = colour_centre(hanging, red=False, blue=True)
    np.testing.assert_allclose(cart, middle + np.array([pixels_per_metre, 0]), atol=4)
    assert pole[1] > cart[1] + 10  # image rows go down
    assert pole[0] == pytest.approx(cart[0], abs=4)
    cart = colour_centre(upright, red=True, blue=False)
    pole = colour_centre(upright, red=False, blue=True)
    np.testing.assert_allclose(cart, middle - np.array([pixels_per_metre, 0]), atol=4)
    assert pole[1] < cart[1] - 10


def test_gif_plays_at_the_speed_of_the_task(drawing, settings, tmp_path: Path):
    states = np.zeros((50, 4))
    states[:, 1] = np.linspace(0, np.pi, 50)
    done = []
    path = write_gif(
        tmp_path / 'episode.gif',
        settings,
        states,
        frame_rate=12.5,
        progress=lambda n, of: done.append((n, of)),
    )
    with Image.open(path) as gif:
        durations = [frame.info['duration'] for frame in ImageSequence.Iterator(gif)]
        assert gif.size == (480, 180)
    assert sum(durations) == 50 * 40  # ms
    assert done == [(n, 25) for n in range(1, 26)]
    assert [each.name for each in tmp_path.iterdir()] == ['episode.gif']


def test_every_nth_state_is_drawn(settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv('MUJOCO_GL', 'disable')
    assert len(list(render_frames(settings, np.zeros((10, 4)), every=4))) == 3


def test_gif_without_states_is_refused(settings, tmp_path: Path):
    with pytest.raises(ValueError, match='no state'):
        write_gif(tmp_path / 'episode.gif', settings, np.zeros((0, 4)))
    assert not list(tmp_path.iterdir())


def test_unknown_camera_is_refused_with_the_known_ones(settings):
    sim = dataclasses.replace(settings.sim, camera='top')
    with pytest.raises(SettingsError, match="'top'; it must be one of '', 'side'"):
        Renderer(dataclasses.replace(settings, sim=sim))


def test_free_camera_sees_the_model_too(settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv('MUJOCO_GL', 'disable')
    sim = dataclasses.replace(settings.sim, camera='')
    with Renderer(dataclasses.replace(settings, sim=sim)) as renderer:
        frame = renderer.frame(np.zeros(4))
    assert len(np.unique(frame.reshape(-1, 3), axis=0)) > 3
