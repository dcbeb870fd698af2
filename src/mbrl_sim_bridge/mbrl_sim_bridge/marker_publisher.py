"""The simulated robot's shapes, for RViz."""

from __future__ import annotations

import time

import mujoco
from builtin_interfaces.msg import Time
from rclpy.node import Node
from visualization_msgs.msg import Marker, MarkerArray

from mbrl_common.qos import STANDARD
from mbrl_sim_bridge.markers import poses_of, shapes_of
from mbrl_sim_bridge.simulation import Simulation

FRAME = 'world'
_MARKER_TYPES = {'box': Marker.CUBE, 'sphere': Marker.SPHERE, 'cylinder': Marker.CYLINDER}


class MarkerPublisher:
    """Publishes the shapes where they are, not too often, and only if somebody listens."""

    def __init__(self, node: Node, simulation: Simulation) -> None:
        self._simulation = simulation
        self._shapes = shapes_of(simulation.model)
        self._markers = self._make_markers()
        self._next = 0.0  # [s], of time.monotonic
        self._publisher = node.create_publisher(MarkerArray, 'markers', STANDARD)

    def publish(self, stamp: Time, rate: float) -> None:
        """Publish at most ``rate`` [Hz] messages per second of wall-clock time."""
        now = time.monotonic()
        if now < self._next or not self._publisher.get_subscription_count():
            return
        self._next = now + 1.0 / rate
        mujoco.mj_kinematics(self._simulation.model, self._simulation.data)
        positions, quaternions = poses_of(self._shapes, self._simulation.data)
        for marker, p, q in zip(self._markers.markers, positions.tolist(), quaternions.tolist()):
            marker.header.stamp = stamp
            pose = marker.pose
            pose.position.x, pose.position.y, pose.position.z = p
            (
                pose.orientation.x,
                pose.orientation.y,
                pose.orientation.z,
                pose.orientation.w,
            ) = q
        self._publisher.publish(self._markers)

    def _make_markers(self) -> MarkerArray:
        array = MarkerArray()
        for number, shape in enumerate(self._shapes):
            marker = Marker(
                ns=self._simulation.settings.sim.environment,
                id=number,
                type=_MARKER_TYPES[shape.kind],
                action=Marker.ADD,
            )
            marker.header.frame_id = FRAME
            marker.scale.x, marker.scale.y, marker.scale.z = shape.size
            marker.color.r, marker.color.g, marker.color.b, marker.color.a = shape.rgba
            array.markers.append(marker)
        return array
