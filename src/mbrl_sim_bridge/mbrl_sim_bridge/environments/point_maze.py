"""A point robot in a maze with one way through, two dead ends, and walls that it runs into.

The maze of Levine's lectures on model-based reinforcement learning (CS285, Berkeley): a model that
was learned in one part of it is asked about the others. Seen from above, S the start::

    ┌───────────┬───────────┐  2
    │           │           │
    │   ┌───────┴───────┐   │  1
    │   │               │   │
    │   │     room      │   │  0
    │   │               │   │
    │                   │   │
    │       ────────────┘   │ -1
    │  S                    │
    └───────────────────────┘ -2
   -2  -1       0       1   2

The room opens towards the start alone; the corridor on the left and at the top ends at a wall. The
way from the start to the corner at (1.5, 1.5) is along the bottom and up on the right.
"""

from __future__ import annotations

import mujoco
import numpy as np

HALF_WIDTH = 2.0  # of the maze, inside [m]
RADIUS = 0.1  # of the robot [m]
START = (-1.5, -1.5)  # [m]
INITIAL_STD = 0.05  # of the initial position [m]; at rest
MASS = 1.0  # [kg]
DAMPING = 2.0  # of each axis [N s/m]
MAX_FORCE = 3.0  # of each axis's motor [N]

WALLS = (
    (-2.1, -2.1, 2.1, -2.0),
    (-2.1, 2.0, 2.1, 2.1),
    (-2.1, -2.0, -2.0, 2.0),
    (2.0, -2.0, 2.1, 2.0),
    (-1.05, 0.95, 1.05, 1.05),  # the room's top,
    (0.95, -1.05, 1.05, 0.95),  # right,
    (-0.25, -1.05, 0.95, -0.95),  # bottom
    (-1.05, -0.25, -0.95, 0.95),  # and left
    (-0.05, 1.05, 0.05, 2.0),  # the end of the corridor at the top
)
"""Each wall's left, lower, right and upper edge [m]."""


def is_free(position: np.ndarray) -> np.ndarray:
    """Whether the robot's centre can be there: bool [...] of positions [..., 2] in metres."""
    x, y = position[..., 0, None], position[..., 1, None]
    left, lower, right, upper = np.array(WALLS).T
    across = np.maximum(np.maximum(left - x, x - right), 0.0)
    along = np.maximum(np.maximum(lower - y, y - upper), 0.0)
    inside = np.abs(position).max(axis=-1) < HALF_WIDTH
    return np.asarray(inside & (np.hypot(across, along) >= RADIUS).all(axis=-1))


class PointMaze:
    """Joints ``x`` and ``y`` (slides, both actuated by a force of up to 3 N); nothing turns."""

    def make_model(self) -> mujoco.MjModel:
        """Build and compile the model."""
        spec = mujoco.MjSpec()
        spec.option.timestep = 0.01
        spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
        for left, lower, right, upper in WALLS:
            spec.worldbody.add_geom(
                type=mujoco.mjtGeom.mjGEOM_BOX,
                pos=[(left + right) / 2, (lower + upper) / 2, 0.15],
                size=[(right - left) / 2, (upper - lower) / 2, 0.15],
                condim=1,
                rgba=[0.35, 0.38, 0.42, 1.0],
            )
        robot = spec.worldbody.add_body(name='robot', pos=[0.0, 0.0, RADIUS])
        robot.add_geom(
            name='robot',
            type=mujoco.mjtGeom.mjGEOM_SPHERE,
            size=[RADIUS, 0.0, 0.0],
            mass=MASS,
            condim=1,  # no friction
            rgba=[0.85, 0.33, 0.1, 1.0],
        )
        for name, axis in (('x', [1, 0, 0]), ('y', [0, 1, 0])):
            robot.add_joint(
                name=name, type=mujoco.mjtJoint.mjJNT_SLIDE, axis=axis, damping=[DAMPING, 0, 0]
            )
            motor = spec.add_actuator(
                name=name,
                target=name,
                trntype=mujoco.mjtTrn.mjTRN_JOINT,
                ctrllimited=mujoco.mjtLimited.mjLIMITED_TRUE,
                ctrlrange=[-MAX_FORCE, MAX_FORCE],
            )
            motor.set_to_motor()
        spec.worldbody.add_camera(name='top', pos=[0.0, 0.0, 6.0], fovy=42)
        spec.visual.headlight.ambient = [0.5, 0.5, 0.5]
        return spec.compile()

    def draw_initial_state(
        self, model: mujoco.MjModel, data: mujoco.MjData, generator: np.random.Generator
    ) -> None:
        """At rest, N(0, 0.05 m) about the start."""
        data.qpos[:] = generator.normal(START, INITIAL_STD)
