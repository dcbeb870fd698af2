"""The simulated robot's shapes, for RViz."""

from __future__ import annotations

import dataclasses
import time

import mujoco
import numpy as np
from builtin_interfaces.msg import Time
from rclpy.node import Node
from visualization_msgs.msg import Marker, MarkerArray

from mbrl_common import drawing
from mbrl_common.drawing_bytes import marker_bytes
from mbrl_common.qos import STANDARD
from mbrl_sim_bridge.markers import poses_of, shapes_of
from mbrl_sim_bridge.simulation import Simulation
from mbrl_sim_bridge.transforms import TransformPublisher

_MARKER_TYPES = {
    'box': Marker.CUBE,
    'sphere': Marker.SPHERE,
    'cylinder': Marker.CYLINDER,
    'mesh': Marker.TRIANGLE_LIST,
}
_MESH_PERIOD = 0.1  # [s]: meshes have many points, and are sent less often than what has none


class MarkerPublisher:
    """Publishes the shapes where they are, not too often, and only if somebody listens."""

    def __init__(self, node: Node, simulation: Simulation) -> None:
        self._simulation = simulation
        self._shapes = shapes_of(simulation.model)
        self._markers = self._make_markers()
        self._next = self._next_meshes = 0.0  # [s], of time.monotonic
        self._publisher = node.create_publisher(MarkerArray, 'markers', STANDARD)
        self._transforms = TransformPublisher(node)

    def publish(self, stamp: Time, rate: float) -> None:
        """Publish at most ``rate`` [Hz] messages per second of wall-clock time."""
        now = time.monotonic()
        if now < self._next:
            return
        watched = self._publisher.get_subscription_count() > 0
        if not watched and not self._transforms.watched:
            return
        self._next = now + 1.0 / rate
        model, data = self._simulation.model, self._simulation.data
        mujoco.mj_kinematics(model, data)
        if self._transforms.watched:
            self._transforms.publish(model, data, stamp)
        if watched:
            self._publish_markers(stamp, now)

    def _publish_markers(self, stamp: Time, now: float) -> None:
        positions, quaternions = poses_of(self._shapes, self._simulation.data)
        with_meshes = now >= self._next_meshes
        if with_meshes:
            self._next_meshes = now + _MESH_PERIOD
        due = [
            dataclasses.replace(marker, position=position, quaternion=quaternion)
            for marker, position, quaternion in zip(
                self._markers, positions.tolist(), quaternions.tolist()
            )
            if with_meshes or not len(marker.points)
        ]
        if due:
            self._publisher.publish(marker_bytes(due, stamp))

    def _make_markers(self) -> list[drawing.Shape]:
        return [
            drawing.Shape(
                self._simulation.settings.sim.environment,
                _MARKER_TYPES[shape.kind],
                shape.size,
                shape.rgba,
                np.empty((0, 3)) if shape.triangles is None else shape.triangles.reshape(-1, 3),
                number=number,
            )
            for number, shape in enumerate(self._shapes)
        ]
