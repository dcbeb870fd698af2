"""Listens to all topics of a graph and puts what comes into a bag, as it is."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSProfile,
    ReliabilityPolicy,
)

from mbrl_bringup.record.bag_folder import BagFolder
from mbrl_bringup.record.definitions import definition_of

GLOBAL = ('/diagnostics', '/tf', '/tf_static', '/rosout')
"""What belongs to no namespace, and is recorded as well."""
LEFT_OUT = ('mbrl_msgs/msg/ModelSnapshot', 'rcl_interfaces/msg/ParameterEvent')
"""Types that are not: a run folder has the models, and a planner would take one that is played."""
_LOOK_PERIOD = 0.5  # [s], for topics that are new
_DEPTH = 1000


class Recorder:
    """A node's subscriptions to whatever is sent in its namespace and below."""

    def __init__(
        self,
        node: Node,
        executor: SingleThreadedExecutor,
        bag: BagFolder,
        note: Callable[[str], object],
    ) -> None:
        """
        Args:
            node: of which the subscriptions are.
            executor: that the node is in.
            bag: what comes goes there.
            note: says something to a person.
        """
        self._node, self._executor, self._bag, self._note = node, executor, bag, note
        self._known: set[str] = set()
        self._next_look = 0.0
        self._failure: OSError | None = None

    def spin(self, seconds: float) -> None:
        """Take in what comes for ``seconds``, and look for topics that are new.

        Raises:
            OSError: if something cannot be written.
        """
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if time.monotonic() >= self._next_look:
                self._look()
                self._next_look = time.monotonic() + _LOOK_PERIOD
            self._executor.spin_once(timeout_sec=left)
            if self._failure is not None:
                raise self._failure

    def _look(self) -> None:
        here = self._node.get_namespace().rstrip('/') + '/'
        for name, types in self._node.get_topic_names_and_types():
            hidden = '/_' in name  # such as what actions say to each other
            if name in self._known or hidden or not (name.startswith(here) or name in GLOBAL):
                continue
            publishers = self._node.get_publishers_info_by_topic(name)
            if not publishers or any(kind in LEFT_OUT for kind in types):
                continue
            self._known.add(name)
            if len(types) > 1:
                self._note(f'{name} is not recorded: it has several types, {", ".join(types)}')
                continue
            try:
                self._begin(name, types[0], publishers)
            except Exception as error:  # of one topic; the others go on
                self._note(f'{name} is not recorded: {error}')

    def _begin(self, name: str, kind: str, publishers: Sequence[Any]) -> None:
        package, _, message = kind.split('/')
        definition = definition_of(kind)
        message_class = getattr(importlib.import_module(f'{package}.msg'), message)
        profiles = [publisher.qos_profile for publisher in publishers]
        type_hash = str(publishers[0].topic_type_hash)

        def take(data: bytes, about: dict[str, int]) -> None:
            now = time.time_ns()
            try:
                self._bag.write(name, data, now, about['source_timestamp'] or now)
            except OSError as error:
                self._failure = error  # an exception in here would be rclpy's

        self._node.create_subscription(message_class, name, take, asked(profiles), raw=True)
        self._bag.add_topic(name, kind, definition, [described(p) for p in profiles], type_hash)


def asked(offered: Sequence[QoSProfile]) -> QoSProfile:
    """What all publishers of a topic can give, as rosbag2 asks for it."""
    reliable = all(p.reliability == ReliabilityPolicy.RELIABLE for p in offered)
    latched = all(p.durability == DurabilityPolicy.TRANSIENT_LOCAL for p in offered)
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=_DEPTH,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def described(profile: QoSProfile) -> dict[str, Any]:
    """A publisher's QoS, as in ``metadata.yaml`` of version 9."""

    def span(duration: Any) -> dict[str, int]:
        seconds, rest = divmod(duration.nanoseconds, 1_000_000_000)
        return {'sec': seconds, 'nsec': rest}

    return {
        'history': profile.history.name.lower(),
        'depth': profile.depth,
        'reliability': profile.reliability.name.lower(),
        'durability': profile.durability.name.lower(),
        'deadline': span(profile.deadline),
        'lifespan': span(profile.lifespan),
        'liveliness': profile.liveliness.name.lower(),
        'liveliness_lease_duration': span(profile.liveliness_lease_duration),
        'avoid_ros_namespace_conventions': profile.avoid_ros_namespace_conventions,
    }
