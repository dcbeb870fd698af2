"""Any environment of gymnasium's that is simulated in MuJoCo, by its id: ``gymnasium:Hopper-v5``.

Physics, initial states and score are gymnasium's own: the same seed gives the initial state of
``env.reset(seed=seed)``, and the same actions the states and rewards of ``env.step(action)``.
Gymnasium's observations are not used; the task names what it wants of joints and bodies.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import mujoco
import numpy as np
from gymnasium.envs.mujoco import MujocoEnv

from mbrl_sim_bridge.environments import Score


class GymnasiumScore:
    """The reward of a ``MujocoEnv``, computed by its own ``step``, in which our simulation takes
    the place of the physics."""

    def __init__(self, env: MujocoEnv) -> None:
        """Takes the environment over: nobody else can step it then."""
        self._env = env
        self._now = env.data
        env.do_simulation = self._follow

    def begin(self, data: mujoco.MjData) -> None:
        """See ``Score``."""
        mujoco.mj_copyData(self._env.data, self._env.model, data)

    def step(self, data: mujoco.MjData) -> float:
        """See ``Score``."""
        env = self._env
        self._now = data
        # By its dt it divides ways into velocities; the task's control period may be another.
        env.frame_skip = round((data.time - env.data.time) / env.model.opt.timestep)
        _, reward, *_ = env.step(data.ctrl.copy())
        return float(reward)

    def _follow(self, ctrl: np.ndarray, n_frames: int) -> None:
        mujoco.mj_copyData(self._env.data, self._env.model, self._now)
        mujoco.mj_rnePostConstraint(self._env.model, self._env.data)  # as gymnasium does


class GymnasiumEnvironment:
    """An environment of gymnasium's."""

    def __init__(self, env_id: str = '') -> None:
        """
        Args:
            env_id: as ``gymnasium.make`` takes it.

        Raises:
            ValueError: no id, or the environment's MuJoCo state cannot be read.
            gymnasium.error.Error: there is no environment of that id.
        """
        if not env_id:
            raise ValueError("it needs an id, as in 'gymnasium:Hopper-v5'")
        env: Any = gymnasium.make(env_id, disable_env_checker=True).unwrapped
        parts = (getattr(env, 'model', None), getattr(env, 'data', None))
        if not (isinstance(parts[0], mujoco.MjModel) and isinstance(parts[1], mujoco.MjData)):
            raise ValueError(
                f'{env_id} ({type(env).__name__}) has no MuJoCo model and data that could be read; '
                'it must be simulated in MuJoCo, as gymnasium.envs.mujoco.MujocoEnv is'
            )
        self._env = env
        self.score: Score | None = GymnasiumScore(env) if isinstance(env, MujocoEnv) else None

    def make_model(self) -> mujoco.MjModel:
        """Gymnasium's model; one for each environment."""
        model: mujoco.MjModel = self._env.model
        return model

    def draw_initial_state(
        self, model: mujoco.MjModel, data: mujoco.MjData, generator: np.random.Generator
    ) -> None:
        """As gymnasium draws it."""
        self._env.np_random = generator
        self._env.reset()
        data.qpos[:], data.qvel[:] = self._env.data.qpos, self._env.data.qvel
        data.ctrl[:] = self._env.data.ctrl
        data.mocap_pos[:], data.mocap_quat[:] = (
            self._env.data.mocap_pos,
            self._env.data.mocap_quat,
        )
