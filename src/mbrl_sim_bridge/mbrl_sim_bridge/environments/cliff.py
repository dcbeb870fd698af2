"""A ball on a slope that rises to the right, to a flat top that ends in a cliff.

The example of Levine's lectures on model-based reinforcement learning (CS285, Berkeley) for why
data that were not collected by the planner mislead it: on the slope, to the right is up. The ball
moves in the plane of x and z, does not turn, and has a motor along x; what holds it up is the
ground alone, so beyond the edge it falls.
"""

from __future__ import annotations

import mujoco
import numpy as np

FOOT = -2.0  # where the slope begins, at the height of the ground [m]
TOP = 1.2  # where it ends and the flat top begins [m]
EDGE = 2.0  # where that ends [m]
ANGLE = 0.3  # of the slope [rad]
RADIUS = 0.1  # of the ball [m]
MASS = 1.0  # [kg]
DAMPING = 4.0  # along x [N s/m]
MAX_FORCE = 8.0  # of the motor [N]; 3 N hold the ball on the slope
INITIAL_STD = 0.05  # of the initial position along the slope [m]; at rest

_THICKNESS = 0.1  # of the slope's plate and of the ground [m]
_RIGHT_END = 5.0  # of the ground below the cliff, where a wall stands [m]


def ground_height(x: float | np.ndarray) -> np.ndarray:
    """Height [m] of the ground at x [m]."""
    x = np.asarray(x, dtype=np.float64)
    height = np.tan(ANGLE) * (np.clip(x, FOOT, TOP) - FOOT)
    return np.where(x <= EDGE, height, 0.0)


def resting_height(x: float | np.ndarray) -> np.ndarray:
    """Height [m] of the centre of a ball that touches the slope or the top right below it."""
    x = np.asarray(x, dtype=np.float64)
    return np.minimum(
        np.tan(ANGLE) * (x - FOOT) + RADIUS / np.cos(ANGLE), ground_height(EDGE) + RADIUS
    )


class Cliff:
    """Joints ``x`` (a slide, actuated by up to 8 N) and ``z`` (a slide; gravity alone)."""

    def make_model(self) -> mujoco.MjModel:
        """Build and compile the model; positions are those of the ball's centre in the world."""
        spec = mujoco.MjSpec()
        spec.option.timestep = 0.005
        spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
        self._add_terrain(spec)
        ball = spec.worldbody.add_body(name='ball')
        ball.add_geom(
            name='ball',
            type=mujoco.mjtGeom.mjGEOM_SPHERE,
            size=[RADIUS, 0.0, 0.0],
            mass=MASS,
            condim=1,  # no friction
            rgba=[0.85, 0.33, 0.1, 1.0],
        )
        slide = mujoco.mjtJoint.mjJNT_SLIDE
        ball.add_joint(name='x', type=slide, axis=[1, 0, 0], damping=[DAMPING, 0, 0])
        ball.add_joint(name='z', type=slide, axis=[0, 0, 1])
        motor = spec.add_actuator(
            name='x',
            target='x',
            trntype=mujoco.mjtTrn.mjTRN_JOINT,
            ctrllimited=mujoco.mjtLimited.mjLIMITED_TRUE,
            ctrlrange=[-MAX_FORCE, MAX_FORCE],
        )
        motor.set_to_motor()
        spec.worldbody.add_camera(
            name='side', pos=[0.5, -7.0, 1.0], xyaxes=[1, 0, 0, 0, 0, 1], fovy=25
        )
        spec.visual.headlight.ambient = [0.5, 0.5, 0.5]
        return spec.compile()

    def draw_initial_state(
        self, model: mujoco.MjModel, data: mujoco.MjData, generator: np.random.Generator
    ) -> None:
        """At rest on the slope, N(0, 0.05 m) about a place 0.5 m from its foot."""
        x = FOOT + 0.5 + generator.normal(0.0, INITIAL_STD)
        data.joint('x').qpos[0] = x
        data.joint('z').qpos[0] = resting_height(x)

    @staticmethod
    def _add_terrain(spec: mujoco.MjSpec) -> None:
        """The slope's plate, the block with the flat top, the ground, and a wall at either end."""
        top = float(ground_height(EDGE))
        half, depth = _THICKNESS / 2, 0.5
        plate = np.array([(FOOT + TOP) / 2, top / 2]) + half * np.array(
            [np.sin(ANGLE), -np.cos(ANGLE)]
        )
        left = FOOT - 0.5
        boxes = {  # x and z of the centre, half sizes along x and z, angle
            'slope': (*plate, (TOP - FOOT) / np.cos(ANGLE) / 2, half, ANGLE),
            'top': ((TOP + EDGE) / 2, top / 2, (EDGE - TOP) / 2, top / 2, 0.0),
            'ground': ((left + _RIGHT_END) / 2, -half, (_RIGHT_END - left) / 2, half, 0.0),
            'left_wall': (left - half, 0.3, half, 0.3, 0.0),
            'right_wall': (_RIGHT_END + half, 0.3, half, 0.3, 0.0),
        }
        for name, (x, z, half_x, half_z, angle) in boxes.items():
            spec.worldbody.add_geom(
                name=name,
                type=mujoco.mjtGeom.mjGEOM_BOX,
                pos=[x, 0.0, z],
                size=[half_x, depth, half_z],
                quat=[np.cos(angle / 2), 0.0, -np.sin(angle / 2), 0.0],
                condim=1,
                rgba=[0.35, 0.38, 0.42, 1.0],
            )
