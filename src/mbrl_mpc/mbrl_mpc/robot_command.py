"""What a robot's controller is sent: contents of ROS messages, and who else sends them.

``std_msgs/Float64MultiArray`` is what a ``forward_command_controller`` takes, of any interface: its
data is the action. ``trajectory_msgs/JointTrajectory`` is what a ``joint_trajectory_controller``
takes. One that commands efforts or velocities may ask for positions as well, or for settings of its
own; see its documentation.
"""

from __future__ import annotations

import collections
import dataclasses
from array import array
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

from mbrl_common.messages import to_field
from mbrl_common.task import TaskSettings

_UNKNOWN = '_NODE_NAME_UNKNOWN_'  # what the middleware says of a node not yet discovered


@dataclasses.dataclass(frozen=True)
class TrajectoryPoint:
    """One ``trajectory_msgs/JointTrajectoryPoint``; one of the three fields is filled."""

    positions: array
    velocities: array
    effort: array
    sec: int
    """Of ``time_from_start``."""
    nanosec: int


def trajectory_points(
    actions: np.ndarray, task: TaskSettings, command_as: str, delay: float = 0.0
) -> list[TrajectoryPoint]:
    """Points of a ``trajectory_msgs/JointTrajectory`` whose ``joint_names`` are ``task.action`` and
    whose ``header.stamp`` is 0, which means that it begins on arrival.

    Action k is the point of time ``delay + k task.control_period``. With ``delay`` 0 it holds from
    its time on, as this suite reads a robot's own bags; a controller that interpolates gets there
    at the end of its step with a ``delay`` of one control period.

    Args:
        actions: shape [points, action_dim], at least one; what the guard has let pass.
        task: names the joints, and gives the time between two points.
        command_as: what the values are: 'effort', 'velocity' or 'position'.
        delay: time_from_start of the first [s].

    Raises:
        ValueError: if the shape is another one, a value is not finite, or ``command_as`` is none of
            the three.
    """
    fields = {'position': 'positions', 'velocity': 'velocities', 'effort': 'effort'}
    if command_as not in fields:
        raise ValueError(f'command_as is {command_as!r}; it must be one of {", ".join(fields)}')
    if actions.ndim != 2 or not len(actions) or actions.shape[1] != task.action_dim:
        raise ValueError(
            f'actions have shape {actions.shape}; it must be (points, {task.action_dim}) with at '
            'least one point'
        )
    if not np.isfinite(actions).all():
        raise ValueError('actions must be finite')
    first, period = round(delay * 1e9), round(task.control_period * 1e9)
    points = []
    for number, action in enumerate(actions):
        sec, nanosec = divmod(first + number * period, 1_000_000_000)
        values = dict.fromkeys(fields.values(), array('d'))
        values[fields[command_as]] = to_field(action)
        points.append(TrajectoryPoint(**values, sec=sec, nanosec=nanosec))
    return points


def joint_positions(task: TaskSettings, state: np.ndarray) -> np.ndarray | None:
    """Where the actuated joints are, shape [action_dim], for ``ActionGuard.begin_at``; None if the
    state does not have the position of each."""
    wanted = [f'{joint}.position' for joint in task.action]
    if any(entry not in task.state for entry in wanted):
        return None
    return state[[task.state.index(entry) for entry in wanted]]


class Endpoint(Protocol):
    """What is used of ``rclpy.topic_endpoint_info.TopicEndpointInfo``."""

    @property
    def node_name(self) -> str: ...

    @property
    def node_namespace(self) -> str: ...


def foreign_commanders(
    publishers: Iterable[Endpoint], own_name: str, own_count: int = 1, allowed: Sequence[str] = ()
) -> list[str]:
    """Who else publishes on a command topic.

    Args:
        publishers: all there are, as ``Node.get_publishers_info_by_topic`` tells them.
        own_name: full name of this node, as ``/robot1/mpc_controller``.
        own_count: publishers that this node has on the topic itself.
        allowed: full names of nodes that may.

    Returns:
        Full names, sorted, each once. ``own_name`` is there if another node has the same name. A
        node that the middleware cannot name yet is ``an unknown node``.
    """
    counts = collections.Counter(_full_name(publisher) for publisher in publishers)
    unknown = 'an unknown node'
    # What cannot be named may be this node itself, as long as its own publishers are not all seen.
    unseen = max(0, own_count - counts[own_name])
    counts[unknown] = max(0, counts[unknown] - unseen)
    counts[own_name] = max(0, counts[own_name] - own_count)
    return sorted(name for name in counts if counts[name] and name not in allowed)


def foreign_text(names: Sequence[str], topic: str, own_name: str) -> str:
    """The same for people; empty if there is nobody."""
    if not names:
        return ''
    told = [f'a second {name}' if name == own_name else name for name in names]
    return (
        f"another controller commands this robot: {', '.join(told)} publishes on '{topic}'. "
        "Stop it, or allow it in 'robot.allowed_commanders'"
    )


def _full_name(publisher: Endpoint) -> str:
    if publisher.node_name in ('', _UNKNOWN):
        return 'an unknown node'
    return f'{publisher.node_namespace.rstrip("/")}/{publisher.node_name}'
