"""Environments: a MuJoCo model and how an episode begins in it. One file each.

Third parties add theirs through the entry-point group ``mbrl_sim_bridge.environments``: the name
there is what the parameter ``sim.environment`` says, and the object is called without arguments, or
with what follows a colon in that name.
"""

from __future__ import annotations

from typing import Protocol

import mujoco
import numpy as np

from mbrl_common.plugins import make_plugin

GROUP = 'mbrl_sim_bridge.environments'


class Score(Protocol):
    """What an environment pays by itself; whatever the objective is, episodes can be compared."""

    def begin(self, data: mujoco.MjData) -> None:
        """An episode begins in this state."""

    def step(self, data: mujoco.MjData) -> float:
        """The reward of the control step that has led to this state from the last one."""


class Environment(Protocol):
    """What an environment must be able to do. It may have a ``Score``, as its attribute ``score``;
    with none, or None there, it pays nothing by itself. It may name joints that no state says in an
    attribute ``unseen_joints``; a plan in its model begins with them as they are at a reset."""

    def make_model(self) -> mujoco.MjModel:
        """The compiled model, without anything that depends on a task's settings."""

    def draw_initial_state(
        self, model: mujoco.MjModel, data: mujoco.MjData, generator: np.random.Generator
    ) -> None:
        """Write an initial ``qpos`` and ``qvel`` into ``data``, which is in the model's default
        configuration when this is called; all randomness is the generator's.
        """


def make_environment(name: str) -> Environment:
    """Make the environment of that name.

    Raises:
        SettingsError: if there is none, with the names that there are, or it cannot be loaded.
    """
    environment: Environment = make_plugin(GROUP, name, 'sim.environment')
    return environment
