"""A cube that a hand is to turn, as PDDM's (Nagabandi et al. 2019, "Deep Dynamics Models for
Learning Dexterous Manipulation", https://arxiv.org/abs/1909.11652)."""

from __future__ import annotations

import itertools

import mujoco
import numpy as np

from mbrl_sim_bridge.environments.adroit_hand import (
    free_joint_settings,
    make_hand,
    put_in_starting_pose,
)

HALF = 0.0335  # of an edge [m]
ROUNDING = 0.005  # radius of the edges [m]
MASS, INERTIA = 0.05, 6.48e-5  # [kg, kg m^2]
DAMPING = 0.001  # of each of its joints [N s/m, N m s/rad]
ARMATURE = 1e-5  # likewise; without it, three hinges are singular where the second is at 90 degrees
START = (0.0, -0.02, 0.24)  # of its centre [m]
SHOWN_AT = (-0.08, -0.12, 0.25)  # where the goal is seen [m]
GOALS = ((1.5, 0.0, 0.0), (-1.5, 0.0, 0.0), (0.0, 0.0, 1.5), (0.0, 0.0, -1.5))
"""Down, up, left and right: angles about x, y and z, of which one is drawn [rad]."""


class CubePddm:
    """The joints of the hand (all moved by position controllers), ``cube_x`` to ``cube_z``, by
    which the cube is off its start, ``cube_rx`` to ``cube_rz``, and ``goal_rx`` to ``goal_rz`` of a
    second cube that nothing moves: what the first is to look like."""

    def __init__(self) -> None:
        self.score = CubeScore()

    def make_model(self) -> mujoco.MjModel:
        """Put the cube into the hand and compile it."""
        spec = make_hand()
        cube = _add_body(spec, 'cube', START)
        still = {**free_joint_settings(), 'armature': ARMATURE}
        moving = {**still, 'damping': [DAMPING, 0.0, 0.0]}
        for letter, axis in zip('xyz', np.eye(3)):
            cube.add_joint(
                name=f'cube_{letter}', type=mujoco.mjtJoint.mjJNT_SLIDE, axis=axis, **moving
            )
        _add_hinges(cube, 'cube', moving)
        _add_shape(cube)
        _add_faces(cube)
        goal = _add_body(spec, 'goal', SHOWN_AT)
        _add_hinges(goal, 'goal', still)
        _add_faces(goal)
        return spec.compile()

    def draw_initial_state(
        self, model: mujoco.MjModel, data: mujoco.MjData, generator: np.random.Generator
    ) -> None:
        """The hand in its starting pose, the cube above it, at rest; the goal at random."""
        put_in_starting_pose(data)
        for letter, angle in zip('xyz', GOALS[generator.integers(len(GOALS))]):
            data.joint(f'goal_r{letter}').qpos = angle


class CubeScore:
    """What PDDM reports: minus the length of the difference of the three angles [rad]."""

    def begin(self, data: mujoco.MjData) -> None:
        """See ``Score``."""

    def step(self, data: mujoco.MjData) -> float:
        """See ``Score``."""
        ways = [data.joint(f'cube_r{c}').qpos - data.joint(f'goal_r{c}').qpos for c in 'xyz']
        return -float(np.linalg.norm(ways))


def _add_body(spec: mujoco.MjSpec, name: str, place: tuple[float, float, float]) -> mujoco.MjsBody:
    return spec.worldbody.add_body(
        name=name,
        pos=place,
        explicitinertial=True,
        mass=MASS,
        ipos=[0.0, 0.0, 0.0],
        iquat=[1.0, 0.0, 0.0, 0.0],
        inertia=[INERTIA] * 3,
    )


def _add_hinges(body: mujoco.MjsBody, name: str, settings: dict[str, object]) -> None:
    for letter, axis in zip('xyz', np.eye(3)):
        body.add_joint(
            name=f'{name}_r{letter}', type=mujoco.mjtJoint.mjJNT_HINGE, axis=axis, **settings
        )


def _add_shape(cube: mujoco.MjsBody) -> None:
    """What touches: three boxes that make the faces, and a capsule along each edge."""
    touching = {'condim': 4, 'friction': [1.0, 0.005, 0.0001], 'margin': 0.0, 'group': 3}
    inner = HALF - ROUNDING
    for direction in np.eye(3):
        cube.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=inner + ROUNDING * direction, **touching)
    for axis in range(3):
        for signs in itertools.product((-inner, inner), repeat=2):
            start = np.insert(signs, axis, -inner)
            end = np.insert(signs, axis, inner)
            cube.add_geom(
                type=mujoco.mjtGeom.mjGEOM_CAPSULE,
                fromto=[*start, *end],
                size=[ROUNDING, 0.0, 0.0],
                **touching,
            )


def _add_faces(body: mujoco.MjsBody) -> None:
    """What is seen: a cube whose faces have six colours."""
    colours = ('#e05a2b', '#f2b134', '#3b8ea5', '#7cb36b', '#f3f3f3', '#5c4b8a')
    faces = itertools.product(range(3), (-1.0, 1.0))
    for (axis, side), colour in zip(faces, colours):
        size = np.full(3, HALF - 0.002)
        size[axis] = 0.0005
        place = np.zeros(3)
        place[axis] = side * (HALF - 0.0004)
        rgb = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        body.add_geom(
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=size,
            pos=place,
            rgba=[*rgb, 1.0],
            contype=0,
            conaffinity=0,
            group=1,
        )
