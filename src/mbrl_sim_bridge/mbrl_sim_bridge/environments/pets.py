"""Reacher, pusher and half-cheetah of PETS (Chua et al. 2018, "Deep reinforcement learning in a
handful of trials using probabilistic dynamics models", https://arxiv.org/abs/1805.12114).

Made from gymnasium's models of the same robots. Numbers are those of PETS's own environments
(``dmbrl/env`` of its published code); where MuJoCo or an asset is another, docs/tasks.md says so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import mujoco
import numpy as np

from mbrl_sim_bridge.environments.cartpole_pets import gymnasium_asset

HAND_LENGTH = 0.16828  # of the reacher, from the wrist to what is to be at the target [m]
_OBJECT_MASS = 0.04  # of the pusher's; the armature of its slides in gymnasium's file [kg]

_ARM = {  # joint of the reacher: range (None: unlimited) [rad], damping [N m s/rad]
    'r_shoulder_pan_joint': ((-2.2854, 1.714602), 10.0),
    'r_shoulder_lift_joint': ((-0.5236, 1.3963), 10.0),
    'r_upper_arm_roll_joint': ((-3.9, 0.8), 0.1),
    'r_elbow_flex_joint': ((-2.3213, 0.0), 1.0),
    'r_forearm_roll_joint': (None, 0.1),
    'r_wrist_flex_joint': ((-2.094, 0.0), 0.1),
    'r_wrist_roll_joint': (None, 0.1),
}
_FINGER = (0.07691, 0.03)  # where the left one begins, from the wrist [m]
_LINK = (0.09137, 0.00495)  # from there to its second link [m]

Draw = Callable[[mujoco.MjData, np.random.Generator], None]


@dataclasses.dataclass(frozen=True)
class PetsEnvironment:
    """One of the three.

    Attributes:
        asset: gymnasium's file.
        edit: makes PETS's model of it.
        draw: writes an initial state into data in the default configuration.
    """

    asset: str
    edit: Callable[[mujoco.MjSpec], None]
    draw: Draw

    def make_model(self) -> mujoco.MjModel:
        """Edit gymnasium's model and compile it."""
        spec = mujoco.MjSpec.from_file(str(gymnasium_asset(self.asset)))
        self.edit(spec)
        return spec.compile()

    def draw_initial_state(
        self, model: mujoco.MjModel, data: mujoco.MjData, generator: np.random.Generator
    ) -> None:
        """As PETS draws it."""
        self.draw(data, generator)


def reacher_pets() -> PetsEnvironment:
    """A 7-joint arm whose hand's end (site ``hand_end``) is to be at ``target``, which has three
    slides and no motor."""
    return PetsEnvironment('pusher.xml', _make_reacher, _draw_reacher)


def pusher_pets() -> PetsEnvironment:
    """A 7-joint arm that is to push the ``object`` to the ``goal``."""
    return PetsEnvironment('pusher_v5.xml', _make_pusher, _draw_pusher)


def half_cheetah_pets() -> PetsEnvironment:
    """The half-cheetah, which begins almost exactly at rest."""
    return PetsEnvironment('half_cheetah.xml', lambda spec: None, _draw_half_cheetah)


def _make_pusher(spec: mujoco.MjSpec) -> None:
    spec.joint('r_shoulder_pan_joint').range = [-2.2854, 2.0]
    # The file gives the object 8 mg, and its slides an armature of 0.04 kg. It moves as if it had
    # that mass, but MuJoCo makes its contacts as soft as the mass alone asks for: the hand sinks
    # centimetres into it. On slides without gravity, mass and armature are otherwise the same.
    for joint in spec.body('object').joints:
        joint.armature = 0.0
    (cylinder,) = spec.body('object').geoms
    cylinder.mass = _OBJECT_MASS
    _add_camera(spec)


def _draw_pusher(data: mujoco.MjData, generator: np.random.Generator) -> None:
    data.qpos[-4:-2] = generator.normal((-0.25, 0.15), 0.025)
    data.qvel[:-4] = generator.uniform(-0.005, 0.005, len(data.qvel) - 4)


def _draw_half_cheetah(data: mujoco.MjData, generator: np.random.Generator) -> None:
    data.qpos[:] += generator.normal(0.0, 0.001, len(data.qpos))
    data.qvel[:] += generator.normal(0.0, 0.001, len(data.qvel))


def _draw_reacher(data: mujoco.MjData, generator: np.random.Generator) -> None:
    data.qpos[-3:] += generator.normal(0.0, 0.1, 3)


def _make_reacher(spec: mujoco.MjSpec) -> None:
    for name in ('object', 'goal'):
        spec.delete(spec.body(name))
    spec.delete(spec.geom('table'))
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_RK4
    spec.body('r_shoulder_pan_link').pos = [0.0, -0.188, 0.0]
    for name, (limits, damping) in _ARM.items():
        joint = spec.joint(name)
        joint.damping[0] = damping
        if limits is None:
            joint.limited = mujoco.mjtLimited.mjLIMITED_FALSE
        else:
            joint.range = limits
    for actuator in spec.actuators:
        actuator.ctrlrange = [-20.0, 20.0]
    spec.geom('fa').fromto = [0.0, 0.0, 0.0, 0.321, 0.0, 0.0]
    _make_hand(spec)
    for geom in spec.geoms:
        geom.density = 1000.0
        geom.contype = geom.conaffinity = 0  # nothing touches anything
    _add_target(spec)
    _add_camera(spec)


def _make_hand(spec: mujoco.MjSpec) -> None:
    """Two fingers of two links each, on a palm, in place of the pusher's fork."""
    wrist = spec.body('r_wrist_roll_link')
    spec.delete(spec.body('tips_arm'))
    for geom in list(wrist.geoms):
        spec.delete(geom)

    def add_capsule(
        body: mujoco.MjsBody, start: list[float], end: list[float], size: float
    ) -> None:
        body.add_geom(
            type=mujoco.mjtGeom.mjGEOM_CAPSULE, fromto=[*start, *end], size=[size, 0.0, 0.0]
        )

    add_capsule(wrist, [-0.02, 0.0, 0.0], [0.02, 0.0, 0.0], 0.01)
    add_capsule(wrist, [0.05, 0.0, -0.02], [0.05, 0.0, 0.02], 0.05)
    for side in (1.0, -1.0):
        x, y = _FINGER[0], side * _FINGER[1]
        along, across = _LINK[0], side * _LINK[1]
        add_capsule(wrist, [x, y, 0.0], [x + along, y + across, 0.0], 0.01)
        add_capsule(wrist, [x + along, y + across, 0.0], [x + 2 * along, y + across, 0.0], 0.01)
    wrist.add_site(name='hand_end', pos=[HAND_LENGTH, 0.0, 0.0], size=[0.01, 0.01, 0.01])


def _add_target(spec: mujoco.MjSpec) -> None:
    """In front of the arm; its slides say where it is in the world."""
    where = (0.0, 0.25, 0.0)
    target = spec.worldbody.add_body(name='target', pos=where)
    target.add_geom(
        name='target',
        type=mujoco.mjtGeom.mjGEOM_SPHERE,
        size=[0.035, 0.0, 0.0],
        rgba=[0.9, 0.2, 0.2, 1.0],
        contype=0,
        conaffinity=0,
    )
    for name, axis, ref in zip('xyz', np.eye(3), where):
        target.add_joint(
            name=f'target_{name}',
            type=mujoco.mjtJoint.mjJNT_SLIDE,
            axis=axis,
            ref=ref,
            limited=mujoco.mjtLimited.mjLIMITED_FALSE,
            armature=0.0,
            damping=[0.0, 0.0, 0.0],
        )


def _add_camera(spec: mujoco.MjSpec) -> None:
    spec.worldbody.add_camera(
        name='side', pos=[1.8, -1.6, 1.2], xyaxes=[0.7, 0.7, 0.0, -0.35, 0.35, 0.87], fovy=45
    )
