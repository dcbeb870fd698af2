"""A claw of three fingers that is to turn a valve, as PDDM's (Nagabandi et al. 2019, "Deep Dynamics
Models for Learning Dexterous Manipulation", https://arxiv.org/abs/1909.11652).

Their claw is ROBEL's D'Claw. This one has its nine joints and its lengths, masses of a hobby servo,
and is made of boxes and capsules; docs/tasks.md says what else differs.
"""

from __future__ import annotations

import mujoco
import numpy as np

FINGERS = 3
JOINTS = ('swing', 'knuckle', 'tip')
"""Of each finger, from the base: along the valve's rim, and twice in the finger's own plane."""
LIMITS = (0.48, np.pi / 2, np.pi / 2)  # of each joint, either way [rad]
START = (0.0, -1.0, 1.35)  # of each finger's joints [rad]
LINKS = (0.0675, 0.068, 0.076)  # lengths [m]
MASSES = (0.1, 0.09, 0.04)  # of the links [kg]
STIFFNESS = 2.0  # of each joint's position controller [N m/rad]
DAMPING = 0.1  # of each joint and of the valve [N m s/rad]
TORQUE = 0.5  # most of each joint [N m]: against the damping it goes at PDDM's 5 rad/s
ARMATURE = 0.001  # of each joint and of the valve [kg m^2]
BASE = (0.06, 0.315)  # radius and height of the fingers' first joints [m]
FRICTION = (0.2, 0.005, 0.0001)  # of fingertips and valve

LOBES = 3
LOBE = (0.021, 0.035)  # radius and half length of each [m]
HUB = (0.03, 0.02)  # radius and half height [m]
VALVE_HEIGHT = 0.102  # of the lobes' middle [m]
START_RANGE = np.pi / 4  # the valve begins within this, either way [rad]
GOAL_RANGE = (np.pi / 2, np.pi)  # and is to get to an angle in this, either way [rad]


class ValvePddm:
    """Joints ``finger1_swing`` to ``finger3_tip`` (moved by position controllers), ``valve``, and
    ``valve_goal``, which nothing moves: a pointer that says where the valve is to be."""

    def __init__(self) -> None:
        self.score = ValveScore()

    def make_model(self) -> mujoco.MjModel:
        """Build and compile the model."""
        spec = mujoco.MjSpec()
        spec.compiler.degree = False
        spec.option.timestep = 0.0025
        spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC  # pyramids slip more in some directions
        world = spec.worldbody
        world.add_geom(
            type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0.4, 0.4, 0.1], rgba=[0.3, 0.35, 0.4, 1.0]
        )
        world.add_geom(
            type=mujoco.mjtGeom.mjGEOM_CYLINDER,
            size=[BASE[0] + 0.03, 0.005, 0.0],
            pos=[0.0, 0.0, BASE[1] + 0.02],
            rgba=[0.25, 0.25, 0.28, 0.4],
            contype=0,
            conaffinity=0,
        )
        for number in range(FINGERS):
            _add_finger(spec, number)
        _add_valve(spec)
        _add_goal(spec)
        world.add_camera(
            name='side', pos=[0.42, -0.42, 0.42], xyaxes=[0.7, 0.7, 0, -0.3, 0.3, 0.9], fovy=45
        )
        world.add_light(pos=[0.5, -0.5, 1.5], dir=[-0.3, 0.3, -1.0])
        return spec.compile()

    def draw_initial_state(
        self, model: mujoco.MjModel, data: mujoco.MjData, generator: np.random.Generator
    ) -> None:
        """The claw in its starting pose, the valve and its goal at random."""
        data.qpos[: FINGERS * len(JOINTS)] = START * FINGERS
        data.ctrl[:] = START * FINGERS
        data.joint('valve').qpos = generator.uniform(-START_RANGE, START_RANGE)
        side = generator.choice((-1.0, 1.0))
        data.joint('valve_goal').qpos = side * generator.uniform(*GOAL_RANGE)


class ValveScore:
    """What PDDM reports: minus how far the valve is from its goal, the short way [rad]."""

    def begin(self, data: mujoco.MjData) -> None:
        """See ``Score``."""

    def step(self, data: mujoco.MjData) -> float:
        """See ``Score``."""
        way = float(data.joint('valve').qpos[0] - data.joint('valve_goal').qpos[0])
        return -abs((way + np.pi) % (2.0 * np.pi) - np.pi)


def _add_finger(spec: mujoco.MjSpec, number: int) -> None:
    """A finger that hangs down; its x points away from the valve's axis, its y along the rim."""
    angle = 2.0 * np.pi * number / FINGERS
    radius, height = BASE
    parent = spec.worldbody.add_body(
        name=f'finger{number + 1}',
        pos=[radius * np.cos(angle), radius * np.sin(angle), height],
        quat=[np.cos(angle / 2), 0.0, 0.0, np.sin(angle / 2)],
    )
    axes = ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0])
    above = 0.0
    for name, axis, limit, length, mass in zip(JOINTS, axes, LIMITS, LINKS, MASSES):
        link = parent.add_body(name=f'finger{number + 1}_{name}', pos=[0.0, 0.0, -above])
        joint = f'finger{number + 1}_{name}'
        link.add_joint(
            name=joint,
            type=mujoco.mjtJoint.mjJNT_HINGE,
            axis=axis,
            damping=[DAMPING, 0.0, 0.0],
            armature=ARMATURE,
            range=[-limit, limit],
            limited=mujoco.mjtLimited.mjLIMITED_TRUE,
        )
        if name != JOINTS[-1]:
            link.add_geom(
                type=mujoco.mjtGeom.mjGEOM_BOX,
                size=[0.0118, 0.014, length / 2],
                pos=[0.0, 0.0, -length / 2],
                mass=mass,
                rgba=[0.2, 0.22, 0.25, 1.0],
                contype=0,
                conaffinity=0,
            )
        else:
            link.add_geom(
                name=f'fingertip{number + 1}',
                type=mujoco.mjtGeom.mjGEOM_CAPSULE,
                fromto=[0.0, 0.0, 0.0, 0.0, 0.0, -length],
                size=[0.011, 0.0, 0.0],
                mass=mass,
                friction=FRICTION,
                rgba=[0.85, 0.33, 0.1, 1.0],
                contype=1,
                conaffinity=2,  # touches the valve, and no other finger
            )
        motor = spec.add_actuator(
            name=joint,
            target=joint,
            trntype=mujoco.mjtTrn.mjTRN_JOINT,
            ctrllimited=mujoco.mjtLimited.mjLIMITED_TRUE,
            ctrlrange=[-limit, limit],
        )
        motor.set_to_position(kp=STIFFNESS)
        motor.forcelimited = mujoco.mjtLimited.mjLIMITED_TRUE
        motor.forcerange = [-TORQUE, TORQUE]
        parent, above = link, length


def _add_valve(spec: mujoco.MjSpec) -> None:
    valve = spec.worldbody.add_body(name='valve', pos=[0.0, 0.0, VALVE_HEIGHT])
    valve.add_joint(
        name='valve',
        type=mujoco.mjtJoint.mjJNT_HINGE,
        axis=[0.0, 0.0, 1.0],
        damping=[DAMPING, 0.0, 0.0],
        armature=ARMATURE,
        limited=mujoco.mjtLimited.mjLIMITED_FALSE,
    )
    look = {'friction': FRICTION, 'contype': 2, 'conaffinity': 1}
    valve.add_geom(
        type=mujoco.mjtGeom.mjGEOM_CYLINDER,
        size=[*HUB, 0.0],
        rgba=[0.75, 0.75, 0.78, 1.0],
        **look,
    )
    radius, half = LOBE
    for number in range(LOBES):
        angle = 2.0 * np.pi * number / LOBES
        end = [2.0 * half * np.cos(angle), 2.0 * half * np.sin(angle), 0.0]
        valve.add_geom(
            type=mujoco.mjtGeom.mjGEOM_CAPSULE,
            fromto=[0.0, 0.0, 0.0, *end],
            size=[radius, 0.0, 0.0],
            rgba=[0.2, 0.6, 0.9, 1.0] if number == 0 else [0.75, 0.75, 0.78, 1.0],
            **look,
        )


def _add_goal(spec: mujoco.MjSpec) -> None:
    """Beneath the valve, where nothing touches it; it points where the blue lobe is to point."""
    goal = spec.worldbody.add_body(name='valve_goal', pos=[0.0, 0.0, 0.01])
    goal.add_joint(
        name='valve_goal',
        type=mujoco.mjtJoint.mjJNT_HINGE,
        axis=[0.0, 0.0, 1.0],
        limited=mujoco.mjtLimited.mjLIMITED_FALSE,
    )
    goal.add_geom(
        type=mujoco.mjtGeom.mjGEOM_CAPSULE,
        fromto=[0.1, 0.0, 0.0, 0.18, 0.0, 0.0],
        size=[0.008, 0.0, 0.0],
        rgba=[0.2, 0.6, 0.9, 1.0],
        contype=0,
        conaffinity=0,
    )
