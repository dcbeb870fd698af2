"""MuJoCo's own OpenGL picture of a scene, off screen."""

from __future__ import annotations

import importlib
import os

import mujoco
import numpy as np

# Reasons by backend. A second try after one that failed can abort the process (MuJoCo 4.0, GLFW).
_unavailable: dict[str, str] = {}


class GLUnavailableError(RuntimeError):
    """No OpenGL context can be made on this machine."""


class GLCanvas:
    """Draws scenes of one model through EGL, OSMesa or GLFW.

    ``MUJOCO_GL`` says which, as everywhere with MuJoCo (``disable``: none); where it is unset, EGL,
    which needs no display. MuJoCo itself reads that variable when it is imported; here it counts
    when a canvas is made, so that importing a simulation never depends on OpenGL.
    """

    def __init__(self, model: mujoco.MjModel, width: int, height: int) -> None:
        """Raises :class:`GLUnavailableError`, saying why, if there is no such context."""
        self.name = os.environ.get('MUJOCO_GL', '').strip().lower() or 'egl'
        if self.name not in ('egl', 'osmesa', 'glfw'):
            raise GLUnavailableError(f'MUJOCO_GL is {self.name!r}')
        if self.name in _unavailable:
            raise GLUnavailableError(_unavailable[self.name])
        model.vis.global_.offwidth = max(width, model.vis.global_.offwidth)
        model.vis.global_.offheight = max(height, model.vis.global_.offheight)
        try:
            backend = importlib.import_module(f'mujoco.{self.name}')
            self._window = backend.GLContext(width, height)
            self._window.make_current()
            self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        except Exception as error:  # ImportError, OSError, AttributeError, FatalError, GLError ...
            _unavailable[self.name] = f'{self.name}: {error}'
            raise GLUnavailableError(_unavailable[self.name]) from error
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        self._viewport = mujoco.MjrRect(0, 0, width, height)

    def draw(self, scene: mujoco.MjvScene) -> np.ndarray:
        """A frame, uint8 [height, width, 3]."""
        frame = np.empty((self._viewport.height, self._viewport.width, 3), dtype=np.uint8)
        mujoco.mjr_render(self._viewport, scene, self._context)
        mujoco.mjr_readPixels(frame, None, self._viewport, self._context)
        return frame[::-1]  # OpenGL's first row is the lowest

    def close(self) -> None:
        """Give the context back."""
        self._context.free()
        self._window.free()
