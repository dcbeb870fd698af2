"""Two Baoding balls that a hand is to move about each other, as PDDM's (Nagabandi et al. 2019,
"Deep Dynamics Models for Learning Dexterous Manipulation", https://arxiv.org/abs/1909.11652).

The balls are to follow two targets that go round an ellipse above the palm, half a turn apart.
Where they are at a time is said by ``phase``, a joint that turns by itself: once in six seconds.
"""

from __future__ import annotations

import mujoco
import numpy as np

from mbrl_sim_bridge.environments.adroit_hand import (
    free_joint_settings,
    make_hand,
    put_in_starting_pose,
)

RADIUS, MASS = 0.028, 0.043  # of each ball [m, kg]
STARTS = ((-0.029, -0.001, 0.19), (0.03, 0.01, 0.19))  # of the balls, in the world [m]
CENTRE = (0.005, -0.07, 0.055)  # of the ellipse, in the palm's frame [m]
AXES = {'orbit_x': (0.02, 0.0, 0.0), 'orbit_z': (0.0, 0.0, 0.036)}  # from there [m]
AHEAD = (0.75 * np.pi, -0.25 * np.pi)  # of each ball's target to the phase [rad]
PERIOD = 6.0  # of the targets [s]


class BaodingPddm:
    """The joints of the hand (all moved by position controllers), ``ball1_x`` to ``ball2_z``, which
    are places in the world, and ``phase``."""

    unseen_joints = ('ball1_spin', 'ball2_spin')
    """How the balls lie and spin: no joint state says it, and it matters little."""

    def __init__(self) -> None:
        self.score: BaodingScore | None = None

    def make_model(self) -> mujoco.MjModel:
        """Put the balls into the hand and compile it."""
        spec = make_hand()
        palm = spec.body('palm')
        palm.add_site(name='orbit', pos=CENTRE, size=[0.002, 0.0, 0.0])
        for name, way in AXES.items():
            palm.add_site(name=name, pos=np.add(CENTRE, way), size=[0.002, 0.0, 0.0])
        for number, start in enumerate(STARTS, start=1):
            _add_ball(spec, f'ball{number}', start, [0.85, 0.33, 0.1] if number == 1 else [0.2] * 3)
        _add_phase(spec)
        model = spec.compile()
        self.score = BaodingScore(model)
        return model

    def draw_initial_state(
        self, model: mujoco.MjModel, data: mujoco.MjData, generator: np.random.Generator
    ) -> None:
        """Always the same: the hand in its starting pose, the balls above it, at rest."""
        put_in_starting_pose(data)
        data.joint('phase').qvel = 2.0 * np.pi / PERIOD


class BaodingScore:
    """What PDDM reports: minus how far the balls are from their targets, seen from above [m]."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self._model = model
        self._now = mujoco.MjData(model)

    def begin(self, data: mujoco.MjData) -> None:
        """See ``Score``."""

    def step(self, data: mujoco.MjData) -> float:
        """See ``Score``."""
        now = self._now
        now.qpos[:] = data.qpos
        mujoco.mj_kinematics(self._model, now)  # those in ``data`` are of a physics step before
        palm = now.body('palm')
        total = 0.0
        for number, ahead in enumerate(AHEAD, start=1):
            angle = float(data.joint('phase').qpos[0]) + ahead
            local = np.array(CENTRE)
            local[0] += AXES['orbit_x'][0] * np.cos(angle)
            local[2] += AXES['orbit_z'][2] * np.sin(angle)
            target = palm.xpos + palm.xmat.reshape(3, 3) @ local
            total += float(np.hypot(*(now.body(f'ball{number}').xpos - target)[:2]))
        return -total


def _add_ball(
    spec: mujoco.MjSpec, name: str, start: tuple[float, float, float], colour: list[float]
) -> None:
    ball = spec.worldbody.add_body(name=name, pos=start)
    for letter, axis, ref in zip('xyz', np.eye(3), start):
        ball.add_joint(
            name=f'{name}_{letter}',
            type=mujoco.mjtJoint.mjJNT_SLIDE,
            axis=axis,
            ref=ref,
            **free_joint_settings(),
        )
    ball.add_joint(name=f'{name}_spin', type=mujoco.mjtJoint.mjJNT_BALL, **free_joint_settings())
    ball.add_geom(
        name=name,
        type=mujoco.mjtGeom.mjGEOM_SPHERE,
        size=[RADIUS, 0.0, 0.0],
        mass=MASS,
        condim=4,
        friction=[1.0, 0.005, 0.0001],
        margin=0.0,
        rgba=[*colour, 1.0],
    )


def _add_phase(spec: mujoco.MjSpec) -> None:
    """A hand of a clock on the floor, which nothing brakes."""
    phase = spec.worldbody.add_body(name='phase', pos=[0.25, 0.1, 0.002])
    phase.add_joint(
        name='phase',
        type=mujoco.mjtJoint.mjJNT_HINGE,
        axis=[0.0, 0.0, 1.0],
        **free_joint_settings(),
    )
    phase.add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[0.05, 0.004, 0.001],
        pos=[0.05, 0.0, 0.0],
        mass=0.01,
        rgba=[0.9, 0.9, 0.9, 1.0],
        contype=0,
        conaffinity=0,
    )
