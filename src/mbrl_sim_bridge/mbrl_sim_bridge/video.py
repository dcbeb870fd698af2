"""Recorded episodes as films: MP4 by PyAV, GIF by Pillow, at the speed that the robot had."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from mbrl_common.files import replaced
from mbrl_common.settings import SettingsError
from mbrl_sim_bridge.render import Progress, drawn_every, render_frames, write_gif
from mbrl_sim_bridge.settings import SimBridgeSettings

SUFFIXES = ('.mp4', '.gif')
_ENCODERS = {  # in the order of preference; a distribution's FFmpeg may lack the first
    'libx264': {'crf': '20', 'preset': 'fast'},
    'libopenh264': {},
    'mpeg4': {'qscale': '3'},
}
_FINEST = 1000  # denominator of a frame rate; MPEG-4 takes none above 65535


def write_video(
    path: Path,
    settings: SimBridgeSettings,
    states: np.ndarray,
    frame_rate: float = 25.0,
    progress: Progress | None = None,
) -> Path:
    """Write a trajectory as the film that the file's name asks for.

    Args:
        path: ends in one of ``SUFFIXES``; replaced only when the new one is complete.
        settings: the task (its control period) and the simulation (camera and size).
        states: shape [steps, state_dim]; at least one.
        frame_rate: at most so many frames per second of simulated time.
        progress: called after each frame.

    Returns:
        The path.

    Raises:
        SettingsError: another suffix, or there is no PyAV for an MP4.
        OSError: it cannot be written.
    """
    check_name(path)
    if len(states) == 0:
        raise ValueError(f'{path}: there is no state to draw')
    if path.suffix.lower() == '.gif':
        return write_gif(path, settings, states, frame_rate, progress)
    av = _pyav(path)
    every = drawn_every(settings, frame_rate)
    rate = Fraction(1.0 / (every * settings.task.control_period)).limit_denominator(_FINEST)
    with (
        replaced(path) as partial,
        partial.open('wb') as file,
        av.open(file, 'w', format='mp4') as film,
    ):
        stream = _stream(av, film, rate, settings)
        for frame in render_frames(settings, states, every, progress):
            picture = av.VideoFrame.from_ndarray(_even(frame), format='rgb24')
            film.mux(stream.encode(picture))
        film.mux(stream.encode())
    return path


def check_name(path: Path) -> None:
    """Whether a film can have this name.

    Raises:
        SettingsError: it ends in another suffix, or is an MP4 and there is no PyAV.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise SettingsError([f"{path} ends in '{path.suffix}'; a film is {' or '.join(SUFFIXES)}"])
    if path.suffix.lower() == '.mp4':
        _pyav(path)


def _pyav(path: Path) -> Any:
    try:
        import av
    except ImportError as error:
        raise SettingsError(
            [
                f'{path}: an MP4 needs PyAV, which is not installed here ({error}): '
                'pip install av, or give a name in .gif'
            ]
        ) from error
    return av


def _stream(av: Any, film: Any, rate: Fraction, settings: SimBridgeSettings) -> Any:
    name = next(name for name in _ENCODERS if name in av.codecs_available)
    stream = film.add_stream(name, rate=rate, options=_ENCODERS[name])
    width, height = settings.sim.render_width, settings.sim.render_height
    stream.width, stream.height = width + width % 2, height + height % 2
    stream.pix_fmt = 'yuv420p'  # what every player knows
    return stream


def _even(frame: np.ndarray) -> np.ndarray:
    """With an even width and height, for two pixels each share a colour: the last ones twice."""
    height, width, _ = frame.shape
    return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode='edge')
