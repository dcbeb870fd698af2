"""A robot from a file of one's own, MJCF or URDF: ``mjcf:/opt/robots/arm.xml``."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np


class MjcfEnvironment:
    """The model of a file. Episodes begin in its keyframe ``home``, or in its first one, or, if it
    has none, in its default configuration; ``sim.reset_noise`` disturbs that."""

    def __init__(self, file: str = '') -> None:
        """
        Args:
            file: an absolute path, or one below ``~``; the nodes' working folders differ.

        Raises:
            ValueError: the path is not absolute, there is no such file, or MuJoCo cannot read it.
        """
        path = Path(file).expanduser()
        if not file or not path.is_absolute():
            raise ValueError("it needs a file with its whole path, as in 'mjcf:/opt/arm.xml'")
        if not path.is_file():
            raise ValueError(f'there is no file {path}')
        self._model = mujoco.MjModel.from_xml_path(str(path))
        names = [self._model.key(index).name for index in range(self._model.nkey)]
        self._key = names.index('home') if 'home' in names else 0

    def make_model(self) -> mujoco.MjModel:
        """The model of the file; one for each environment."""
        return self._model

    def draw_initial_state(
        self, model: mujoco.MjModel, data: mujoco.MjData, generator: np.random.Generator
    ) -> None:
        """The keyframe, with its controls; nothing is drawn."""
        if model.nkey:
            mujoco.mj_resetDataKeyframe(model, data, self._key)
