"""Bodies that float freely: their pose and velocities as ``nav_msgs/Odometry`` has them."""

from __future__ import annotations

import mujoco
import numpy as np

from mbrl_common.task import BODY_FIELDS, TaskSettings, split_entry


class FreeBodies:
    """The bodies of a model with a free joint that a task's state names.

    ``names`` are theirs, ``entries`` are ``<body>.<field>`` of all of them, in the order of
    ``BODY_FIELDS``.
    """

    def __init__(self, model: mujoco.MjModel, task: TaskSettings) -> None:
        free = {
            model.body(int(model.jnt_bodyid[joint])).name: joint
            for joint in range(model.njnt)
            if int(model.jnt_type[joint]) == int(mujoco.mjtJoint.mjJNT_FREE)
        }
        wanted = {split_entry(entry)[0] for entry in task.body_entries}
        self.names = tuple(name for name in free if name in wanted)
        self.entries = tuple(f'{name}.{field}' for name in self.names for field in BODY_FIELDS)
        self.hint = f'; it has the free bodies {", ".join(free)}' if free else ''
        """For the text of an error: which there are."""
        self._places = [
            (int(model.jnt_qposadr[free[name]]), int(model.jnt_dofadr[free[name]]))
            for name in self.names
        ]

    def values(self, data: mujoco.MjData) -> np.ndarray:
        """What ``entries`` are: position [m] and attitude (a unit quaternion) in the world,
        velocities in the body's own frame [m/s, rad/s]."""
        values = np.empty((len(self._places), len(BODY_FIELDS)))
        for row, (position, velocity) in zip(values, self._places):
            row[:7] = data.qpos[position : position + 7]
            mujoco.mju_normalize4(row[3:7])  # MuJoCo does so too, but not in qpos
            inverse = row[3:7] * [1.0, -1.0, -1.0, -1.0]
            # MuJoCo has the linear velocity in the world, and the angular one in the body.
            mujoco.mju_rotVecQuat(row[7:10], data.qvel[velocity : velocity + 3], inverse)
            row[10:] = data.qvel[velocity + 3 : velocity + 6]
        return values.ravel()

    def pose_places(self) -> dict[str, int]:
        """Where in ``qpos`` the entries of pose are."""
        return {
            f'{name}.{field}': position + offset
            for name, (position, _) in zip(self.names, self._places)
            for offset, field in enumerate(list(BODY_FIELDS)[:7])
        }
