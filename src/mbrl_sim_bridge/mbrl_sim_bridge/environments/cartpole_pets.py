"""The cart-pole swing-up of PETS (Chua et al. 2018, "Deep reinforcement learning in a handful of
trials using probabilistic dynamics models", https://arxiv.org/abs/1805.12114).

The model is gymnasium's ``inverted_pendulum.xml`` with a longer rail, a hinge without limits and
the pole hanging down; all else (joint damping 1, motor gear 100, control range ±3, RK4, timestep
0.02 s) is as in that file. PETS takes two physics steps per control step, of 0.04 s.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import mujoco
import numpy as np

RAIL_LIMIT = 2.5  # [m]
POLE_TIP = (0.001, 0.0, -0.6)  # the capsule's far end, hanging [m]
INITIAL_STD = 0.1  # of every initial position and velocity [m, rad, m/s, rad/s]


def gymnasium_asset(name: str) -> Path:
    """Where an MJCF file of gymnasium's is installed; gymnasium itself is not imported."""
    package = find_spec('gymnasium')
    if package is None or package.origin is None:
        raise FileNotFoundError(f'gymnasium, whose {name} is needed, is not installed')
    return Path(package.origin).parent / 'envs' / 'mujoco' / 'assets' / name


class CartpolePets:
    """Joints ``slider`` (along x, the actuated one) and ``hinge`` (about y, 0 hanging down)."""

    def make_model(self) -> mujoco.MjModel:
        """Edit gymnasium's model and compile it."""
        spec = mujoco.MjSpec.from_file(str(gymnasium_asset('inverted_pendulum.xml')))
        spec.joint('slider').range = [-RAIL_LIMIT, RAIL_LIMIT]
        spec.joint('hinge').limited = mujoco.mjtLimited.mjLIMITED_FALSE
        spec.geom('cpole').fromto = [0.0, 0.0, 0.0, *POLE_TIP]
        self._dress(spec)
        return spec.compile()

    def draw_initial_state(
        self, model: mujoco.MjModel, data: mujoco.MjData, generator: np.random.Generator
    ) -> None:
        """Disturb position and velocity by N(0, 0.1) about hanging at rest in the middle."""
        data.qpos[:] += generator.normal(0.0, INITIAL_STD, model.nq)
        data.qvel[:] += generator.normal(0.0, INITIAL_STD, model.nv)

    @staticmethod
    def _dress(spec: mujoco.MjSpec) -> None:
        """What is only seen: the rail as long as the cart can go, a camera, light, background."""
        spec.geom('rail').size = [0.02, RAIL_LIMIT + 0.1, 0.0]
        spec.worldbody.add_camera(
            name='side', pos=[0.0, -4.5, 0.0], xyaxes=[1, 0, 0, 0, 0, 1], fovy=28
        )
        spec.visual.headlight.ambient = [0.5, 0.5, 0.5]
        spec.add_texture(
            name='sky',
            type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
            builtin=mujoco.mjtBuiltin.mjBUILTIN_FLAT,
            rgb1=[0.91, 0.93, 0.96],
            rgb2=[0.91, 0.93, 0.96],
            width=16,
            height=96,
        )
