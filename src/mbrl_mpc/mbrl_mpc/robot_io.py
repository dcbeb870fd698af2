"""The controller's connection to a robot in real time: states in, commands out, and who else does.

Standard messages only; the cores say what to make of them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import numpy as np
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from rclpy.duration import Duration
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from mbrl_common.hot_path import HotPath
from mbrl_common.messages import to_field
from mbrl_common.qos import STANDARD
from mbrl_mpc.robot_command import foreign_commanders, foreign_text, trajectory_points
from mbrl_mpc.robot_messages import fill_trajectory, take_joint_state, take_odometry, take_pose
from mbrl_mpc.settings import MpcSettings
from mbrl_mpc.state import StateError
from mbrl_mpc.state_sources import Assembled, StateSources
from mbrl_mpc.state_watch import Kind, StateWatch, Verdict

EFFORT_TOPIC = 'effort_controller/commands'
TRAJECTORY_TOPIC = 'joint_trajectory_controller/joint_trajectory'


class Listener(Protocol):
    """Who is told of states."""

    def on_robot_state(self, state: np.ndarray, stamp: int, verdict: Verdict) -> None:
        """A state [S] that can be believed, of ``stamp`` [ns]."""

    def on_refused(self, text: str) -> None:
        """A message, or a state, was refused."""


class RobotCommands:
    """Sends actions to the robot's controller."""

    def __init__(self, node: Node, hot: HotPath, settings: MpcSettings) -> None:
        self._node = node
        self._task, self._robot = settings.task, settings.robot
        self._trajectory = settings.robot.command_type == 'trajectory'
        topic = TRAJECTORY_TOPIC if self._trajectory else EFFORT_TOPIC
        kind = JointTrajectory if self._trajectory else Float64MultiArray
        self._publisher = hot.create_publisher(kind, topic, STANDARD)
        self._topic = node.resolve_topic_name(topic)

    def send(self, action: np.ndarray, following: np.ndarray | None = None) -> None:
        """Send an action [A]; ``following`` [n, A] is what the plan has next."""
        if not self._publisher.get_subscription_count():
            return
        if not self._trajectory:
            self._publisher.publish(Float64MultiArray(data=to_field(action)))
            return
        actions = action[None]
        if following is not None and self._robot.trajectory_points > 1:
            actions = np.concatenate([actions, following])[: self._robot.trajectory_points]
        points = trajectory_points(
            actions, self._task, self._robot.command_as, self._robot.trajectory_delay
        )
        message = fill_trajectory(JointTrajectory(), JointTrajectoryPoint, self._task, points)
        self._publisher.publish(message)

    def wait_until_received(self, timeout: float) -> None:
        """Wait until all that was sent has arrived, at most so long [s]."""
        self._publisher.wait_for_all_acked(Duration(seconds=timeout))

    def others(self) -> str:
        """Who else commands the robot, for people; empty: nobody."""
        own = self._node.get_fully_qualified_name()
        # the publisher belongs to the hidden companion node
        hidden = f'{self._node.get_namespace().rstrip("/")}/_{self._node.get_name()}_hot_path'
        names = foreign_commanders(
            self._node.get_publishers_info_by_topic(self._topic),
            hidden,
            1,
            self._robot.allowed_commanders,
        )
        return foreign_text(names, self._topic, own)


class RobotStates:
    """Assembles states from all their sources and looks each over."""

    def __init__(
        self,
        hot: HotPath,
        settings: MpcSettings,
        listener: Listener,
        now: Callable[[], int],
    ) -> None:
        """
        Args:
            hot: where the subscriptions are made.
            settings: of the controller.
            listener: is told.
            now: time on the clock of the stamps [ns].
        """
        robot = settings.robot
        self._listener = listener
        self._now = now
        self._sources = StateSources(settings.task, robot)
        self.watch = StateWatch(settings.task, robot)
        for topic in robot.joint_state_topics:
            self._subscribe(hot, JointState, topic, take_joint_state)
        for topic in robot.odometry_topics:
            self._subscribe(hot, Odometry, topic, take_odometry)
        for body, topic in robot.poses.items():

            def take(sources: StateSources, message: Any, body: str = body) -> Assembled | None:
                return take_pose(sources, body, message)

            self._subscribe(hot, PoseStamped, topic, take)

    def forget(self) -> None:
        """The robot was reset, or moved by hand."""
        self.watch.forget()
        self._sources.reset()

    @property
    def problem(self) -> str:
        """What is missing, for people; empty: nothing."""
        stale = self.watch.stale()
        if stale is None:
            return ''
        return self._sources.incomplete() or stale.text

    def _subscribe(self, hot: HotPath, kind: type, topic: str, take: Any) -> None:
        hot.create_subscription(kind, topic, partial(self._on_message, topic, take), STANDARD)

    def _on_message(self, topic: str, take: Any, message: Any) -> None:
        try:
            assembled = take(self._sources, message)
        except StateError as error:
            self._listener.on_refused(f'{topic}: {error}')
            return
        if assembled is None:
            return
        verdict = self.watch.check(assembled.state, assembled.stamp, self._now())
        for finding in verdict.findings:
            if finding.kind is not Kind.REPEATED:
                self._listener.on_refused(f'{topic}: {finding.text}')
        if verdict.accepted:
            self._listener.on_robot_state(assembled.state, assembled.stamp, verdict)
