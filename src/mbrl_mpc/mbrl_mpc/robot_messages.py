"""Standard messages in and out of the cores; works on any object with their fields."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mbrl_common.task import TaskSettings
from mbrl_mpc.robot_command import TrajectoryPoint
from mbrl_mpc.state import check_stamp
from mbrl_mpc.state_sources import Assembled, StateSources


def take_joint_state(sources: StateSources, message: Any) -> Assembled | None:
    """Give the sources a ``sensor_msgs/JointState``; the state that it completes, or None.

    Raises:
        StateError: if it is not to be believed, as all three of these.
    """
    stamp = _stamp(message)
    return sources.on_joints(
        message.name, message.position, message.velocity, message.effort, stamp
    )


def take_odometry(sources: StateSources, message: Any) -> Assembled | None:
    """The same with a ``nav_msgs/Odometry``."""
    pose, twist = message.pose.pose, message.twist.twist
    return sources.on_odometry(
        message.child_frame_id,
        message.header.frame_id,
        _vector(pose.position),
        _quaternion(pose.orientation),
        _vector(twist.linear),
        _vector(twist.angular),
        _stamp(message),
    )


def take_pose(sources: StateSources, body: str, message: Any) -> Assembled | None:
    """The same with a ``geometry_msgs/PoseStamped`` of a body of the state."""
    return sources.on_pose(
        body,
        message.header.frame_id,
        _vector(message.pose.position),
        _quaternion(message.pose.orientation),
        _stamp(message),
    )


def fill_trajectory(
    message: Any,
    make_point: Callable[[], Any],
    task: TaskSettings,
    points: Sequence[TrajectoryPoint],
) -> Any:
    """Fill an empty ``trajectory_msgs/JointTrajectory`` and return it.

    Args:
        message: the message.
        make_point: the type ``trajectory_msgs/JointTrajectoryPoint``.
        task: names the joints.
        points: from ``robot_command.trajectory_points``.
    """
    message.joint_names = list(task.action)
    filled = []
    for point in points:
        each = make_point()
        each.positions, each.velocities = point.positions, point.velocities
        each.effort = point.effort
        each.time_from_start.sec, each.time_from_start.nanosec = point.sec, point.nanosec
        filled.append(each)
    message.points = filled
    return message


def _stamp(message: Any) -> int:
    return check_stamp(message.header.stamp.sec, message.header.stamp.nanosec)


def _vector(vector: Any) -> tuple[float, float, float]:
    return vector.x, vector.y, vector.z


def _quaternion(orientation: Any) -> tuple[float, float, float, float]:
    return orientation.x, orientation.y, orientation.z, orientation.w
