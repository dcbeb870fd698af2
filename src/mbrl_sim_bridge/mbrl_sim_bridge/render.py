"""Pictures of recorded episodes: frames and GIFs from a trajectory of states."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import mujoco
import numpy as np
from PIL import Image

from mbrl_common.files import replaced
from mbrl_common.settings import SettingsError
from mbrl_common.task import TaskSettings
from mbrl_sim_bridge.canvas_drawn import DrawnCanvas
from mbrl_sim_bridge.canvas_gl import GLCanvas, GLUnavailableError
from mbrl_sim_bridge.environments import make_environment
from mbrl_sim_bridge.free_bodies import FreeBodies
from mbrl_sim_bridge.settings import SimBridgeSettings

_MAX_GEOMS = 1000
_GIF_COLOURS = 128
_GIF_TICK = 0.01  # a GIF counts time in hundredths of a second

Progress = Callable[[int, int], None]
"""Called with the number of frames done and of all frames."""


class Canvas(Protocol):
    """What turns a scene into a picture."""

    name: str

    def draw(self, scene: mujoco.MjvScene) -> np.ndarray:
        """A frame, uint8 [height, width, 3]."""

    def close(self) -> None:
        """Give back what it holds."""


class Renderer:
    """Draws states of a task: with MuJoCo's OpenGL where there is one, or else plainly.

    A context manager; ``canvas.name`` says how it draws.
    """

    def __init__(self, settings: SimBridgeSettings) -> None:
        """Raises :class:`SettingsError` if the model lacks the camera or a joint of the state."""
        sim = settings.sim
        self._model = make_environment(sim.environment).make_model()
        self._data = mujoco.MjData(self._model)
        self._scene = mujoco.MjvScene(self._model, _MAX_GEOMS)
        self._option = mujoco.MjvOption()
        self._camera = _camera(self._model, sim.camera)
        self._entries, self._addresses = _positions(self._model, settings.task)
        self.canvas = _canvas(self._model, sim.render_width, sim.render_height)

    def __enter__(self) -> Renderer:
        return self

    def __exit__(self, *_: object) -> None:
        self.canvas.close()

    def frame(self, state: np.ndarray) -> np.ndarray:
        """A picture of a state; what the state does not name is as in the model's default.

        Args:
            state: shape [state_dim], in the task's order.

        Returns:
            uint8 [render_height, render_width, 3].
        """
        self._data.qpos[self._addresses] = np.asarray(state)[self._entries]
        mujoco.mj_forward(self._model, self._data)
        mujoco.mjv_updateScene(
            self._model,
            self._data,
            self._option,
            None,
            self._camera,
            mujoco.mjtCatBit.mjCAT_ALL.value,
            self._scene,
        )
        return self.canvas.draw(self._scene)


def render_frames(
    settings: SimBridgeSettings,
    states: np.ndarray,
    every: int = 1,
    progress: Progress | None = None,
) -> Iterator[np.ndarray]:
    """Pictures of every ``every``-th state of a trajectory.

    Args:
        settings: the task and the simulation, with camera and size.
        states: shape [steps, state_dim].
        every: 1 for all.
        progress: called after each frame.

    Yields:
        uint8 [render_height, render_width, 3].
    """
    chosen = np.asarray(states, dtype=np.float64)[::every]
    with Renderer(settings) as renderer:
        for number, state in enumerate(chosen, start=1):
            yield renderer.frame(state)
            if progress is not None:
                progress(number, len(chosen))


def write_gif(
    path: Path,
    settings: SimBridgeSettings,
    states: np.ndarray,
    frame_rate: float = 25.0,
    progress: Progress | None = None,
) -> Path:
    """Write a trajectory as a GIF that plays at the speed it had, and for ever.

    Args:
        path: the file; replaced only when the new one is complete.
        settings: the task (its control period) and the simulation (camera and size).
        states: shape [steps, state_dim]; at least one.
        frame_rate: at most so many frames per second of simulated time.
        progress: called after each frame.

    Returns:
        The path.
    """
    if len(states) == 0:
        raise ValueError(f'{path}: there is no state to draw')
    every = drawn_every(settings, frame_rate)
    delay = every * settings.task.control_period / _GIF_TICK
    delay = max(1, round(delay)) * round(1000 * _GIF_TICK)
    frames = render_frames(settings, states, every, progress)
    first = Image.fromarray(next(frames)).quantize(_GIF_COLOURS)
    # One palette for all: faster by far than one for each, and nothing flickers.
    others = (
        Image.fromarray(frame).quantize(palette=first, dither=Image.Dither.NONE) for frame in frames
    )
    with replaced(path) as partial:
        first.save(
            partial, format='GIF', save_all=True, append_images=others, duration=delay, loop=0
        )
    return path


def drawn_every(settings: SimBridgeSettings, frame_rate: float) -> int:
    """Which states to draw, every so manieth, for at most so many frames per simulated second."""
    return max(1, round(1.0 / (frame_rate * settings.task.control_period)))


def _canvas(model: mujoco.MjModel, width: int, height: int) -> Canvas:
    try:
        return GLCanvas(model, width, height)
    except GLUnavailableError:
        return DrawnCanvas(width, height)


def _camera(model: mujoco.MjModel, name: str) -> mujoco.MjvCamera:
    camera = mujoco.MjvCamera()
    mujoco.mjv_defaultFreeCamera(model, camera)
    if name:
        names = [model.camera(index).name for index in range(model.ncam)]
        if name not in names:
            known = ', '.join(repr(each) for each in ['', *names])
            raise SettingsError([f"parameter 'sim.camera' is {name!r}; it must be one of {known}"])
        camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        camera.fixedcamid = names.index(name)
    return camera


def _positions(model: mujoco.MjModel, task: TaskSettings) -> tuple[list[int], list[int]]:
    """Which entries of the state are positions, and where they go in ``qpos``."""
    entries, addresses = [], []
    poses = FreeBodies(model, task).pose_places()
    for entry, name in enumerate(task.state):
        joint, _, field = name.rpartition('.')
        if field == 'position':
            entries.append(entry)
            addresses.append(int(model.joint(joint).qposadr[0]))
        elif name in poses:
            entries.append(entry)
            addresses.append(poses[name])
    return entries, addresses
