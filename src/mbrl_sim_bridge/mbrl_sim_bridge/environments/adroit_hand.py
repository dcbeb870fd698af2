"""The Adroit hand, palm up, for things that lie in it: 24 joints, each with a position controller.

Made from gymnasium-robotics' model of it (Kumar 2016, Apache-2.0), which is read and not imported.
Friction and controllers are those of PDDM's hand (Nagabandi et al. 2019), whose joints are the
same. So is it that no tendons couple the last two joints of a finger.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import mujoco
import numpy as np

JOINTS = (
    *('WRJ1', 'WRJ0', 'FFJ3', 'FFJ2', 'FFJ1', 'FFJ0', 'MFJ3', 'MFJ2', 'MFJ1', 'MFJ0'),
    *('RFJ3', 'RFJ2', 'RFJ1', 'RFJ0', 'LFJ4', 'LFJ3', 'LFJ2', 'LFJ1', 'LFJ0'),
    *('THJ4', 'THJ3', 'THJ2', 'THJ1', 'THJ0'),
)
"""Wrist, first, middle, ring and little finger, thumb; of each from the base."""
START: Mapping[str, float] = {
    'WRJ0': -0.4,
    **dict.fromkeys(('FFJ2', 'MFJ2', 'RFJ2', 'LFJ2'), 0.3),
    **dict.fromkeys(('FFJ1', 'MFJ1', 'RFJ1', 'LFJ1'), 1.1),
    **dict.fromkeys(('FFJ0', 'MFJ0', 'RFJ0', 'LFJ0'), 0.2),
    'THJ4': 0.6,
    'THJ3': 0.4,
    'THJ0': -0.4,
}
"""A bowl: what the joints begin at, and 0 for the others [rad]."""
WRIST_STIFFNESS, FINGER_STIFFNESS = 5.0, 1.0  # of the position controllers [N m/rad]
LEAD = (
    0.6  # how far behind [rad] a controller's force says at most that it is; PDDM's target is 0.3
)
FRICTION = (1.0, 0.005, 0.001)  # of the hand
_FOREARM = (0.0, -0.54, 0.19)  # where it begins [m]
_FOLDER = Path('envs', 'assets', 'adroit_hand')


def adroit_asset(name: str) -> Path:
    """A file of gymnasium-robotics' folder of the hand.

    Raises:
        FileNotFoundError: it is not there, or the package is not installed.
    """
    found = importlib.util.find_spec('gymnasium_robotics')
    for folder in (found.submodule_search_locations or ()) if found else ():
        path = Path(folder) / _FOLDER / name
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"there is no {_FOLDER / name} of the package 'gymnasium-robotics', which has the model of "
        "the hand; install it: pip install 'gymnasium-robotics==1.4.2'"
    )


def make_hand() -> mujoco.MjSpec:
    """The hand above a floor, with cameras ``side`` and ``top``, and nothing in it."""
    spec = mujoco.MjSpec.from_file(str(adroit_asset('adroit_pen.xml')))
    _strip(spec)
    spec.option.timestep = 0.0025
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_EULER
    spec.option.noslip_iterations = 0
    forearm = spec.body('forearm')
    forearm.pos = _FOREARM
    forearm.alt.type = mujoco.mjtOrientation.mjORIENTATION_QUAT
    forearm.quat = [np.sqrt(0.5), -np.sqrt(0.5), 0.0, 0.0]
    for geom in spec.geoms:
        geom.friction = FRICTION
    for name in ('V_thbase', 'V_thhub'):  # specks that are there to be seen
        spec.geom(name).contype = spec.geom(name).conaffinity = 0
    for name in JOINTS:
        limits = spec.joint(name).range
        controller = spec.add_actuator(
            name=name,
            target=name,
            trntype=mujoco.mjtTrn.mjTRN_JOINT,
            ctrllimited=mujoco.mjtLimited.mjLIMITED_TRUE,
            ctrlrange=limits,
        )
        wrist = name.startswith('WR')
        stiffness = WRIST_STIFFNESS if wrist else FINGER_STIFFNESS
        controller.set_to_position(kp=stiffness)
        controller.forcelimited = mujoco.mjtLimited.mjLIMITED_TRUE
        controller.forcerange = [-stiffness * LEAD, stiffness * LEAD]
    _furnish(spec)
    return spec


def put_in_starting_pose(data: mujoco.MjData) -> None:
    """Write it into joints and controllers."""
    for name in JOINTS:
        data.joint(name).qpos = data.actuator(name).ctrl = START.get(name, 0.0)


def free_joint_settings() -> dict[str, object]:
    """What a joint must say to be without friction, for the file's default is that of a finger."""
    return {
        'limited': mujoco.mjtLimited.mjLIMITED_FALSE,
        'margin': 0.0,
        'armature': 0.0,
        'damping': [0.0, 0.0, 0.0],
        'frictionloss': 0.0,
    }


def _strip(spec: mujoco.MjSpec) -> None:
    """Leave the hand alone, with the contacts of its fingers among each other."""
    for part in (*spec.actuators, *spec.sensors, *spec.tendons, *spec.lights, *spec.cameras):
        spec.delete(part)
    world = spec.worldbody
    for body in list(world.bodies):
        if body.name != 'forearm':
            spec.delete(body)
    for part in (*world.geoms, *world.sites):
        spec.delete(part)
    for site in list(spec.sites):  # of touch sensors that are gone
        spec.delete(site)


def _furnish(spec: mujoco.MjSpec) -> None:
    world = spec.worldbody
    world.add_geom(
        name='floor',
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=[0.6, 0.6, 0.1],
        rgba=[0.3, 0.35, 0.4, 1.0],
        friction=[1.0, 0.005, 0.0001],
    )
    world.add_camera(
        name='side', pos=[0.34, -0.29, 0.53], xyaxes=[0.6, 0.8, 0, -0.56, 0.42, 0.72], fovy=45
    )
    world.add_camera(name='top', pos=[0.0, -0.02, 0.7], fovy=35)
    world.add_light(pos=[0.3, -0.3, 1.5], dir=[-0.2, 0.2, -1.0], diffuse=[0.7, 0.7, 0.7])
