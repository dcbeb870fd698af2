"""Listens to a graph, to whatever of it can be shown, and hands it to a sink."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from visualization_msgs.msg import MarkerArray

from mbrl_bringup.client import joined
from mbrl_bringup.watch.intake import KINDS, MARKERS, Intake, Place, Sink
from mbrl_common.qos import LATCHED
from mbrl_msgs.msg import ControllerStatus, Plan, TrainingStatus, Transition

# Whoever sends does not wait for this one, and sends nothing a second time for its sake.
LISTENING = QoSProfile(
    reliability=ReliabilityPolicy.BEST_EFFORT, history=HistoryPolicy.KEEP_LAST, depth=100
)
_LOOK_PERIOD = 1.0  # [s], for topics that are new


class Subscriber:
    """A node's subscriptions to all topics of the suite's types, in its namespace and below."""

    def __init__(
        self,
        node: Node,
        executor: SingleThreadedExecutor,
        robot: int | None,
        note: Callable[[str], object],
    ) -> None:
        """
        Args:
            node: of which the subscriptions are.
            executor: that the node is in.
            robot: which one of several; None: all of them.
            note: says something to a person.
        """
        self._node = node
        self._executor = executor
        self._place = Place(node.get_namespace(), robot)
        self._note = note
        self._intake: Intake | None = None
        self._topics: set[str] = set()
        self._next_look = 0.0
        self.last_heard = time.monotonic()
        """When the newest message came, by that clock [s]."""

    @property
    def where(self) -> str:
        """The namespace, for messages to people."""
        return f"namespace '{self._node.get_namespace()}'"

    @property
    def topics(self) -> list[str]:
        """What somebody sends, of that which can be shown."""
        return sorted(name for name, _ in self._shown())

    def listen(self, sink: Sink) -> None:
        """From now on, hand what comes to ``sink``."""
        self._intake = Intake(sink, self._place, self._note)

    def spin(self, seconds: float) -> None:
        """Take in what comes for ``seconds``, and look for topics that are new."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self._intake is not None and time.monotonic() >= self._next_look:
                self._look(self._intake)
                self._next_look = time.monotonic() + _LOOK_PERIOD
            self._executor.spin_once(timeout_sec=left)

    def _shown(self) -> Iterator[tuple[str, str]]:
        """Topics with somebody who sends: name and type."""
        for name, types in self._node.get_topic_names_and_types():
            kind = next((each for each in types if each in KINDS), None)
            here = kind is not None and self._place.below(name) is not None
            if kind is not None and here and self._node.count_publishers(name):
                yield name, kind

    def _look(self, intake: Intake) -> None:
        for name, kind in self._shown():
            if name not in self._topics:
                self._topics.add(name)
                message = _TYPES[kind]
                qos = LATCHED if message in (ControllerStatus, TrainingStatus) else LISTENING
                heard = self._heard(intake.taker(kind, name))
                self._node.create_subscription(message, name, heard, qos)

    def _heard(self, take: Callable[[Any, float], None]) -> Callable[[Any], None]:
        def heard(message: Any) -> None:
            self.last_heard = time.monotonic()
            take(message, self.last_heard)

        return heard


_TYPES: dict[str, type] = {
    MARKERS: MarkerArray,
    'mbrl_msgs/msg/ControllerStatus': ControllerStatus,
    'mbrl_msgs/msg/TrainingStatus': TrainingStatus,
    'mbrl_msgs/msg/Plan': Plan,
    'mbrl_msgs/msg/Transition': Transition,
}


@contextlib.contextmanager
def subscriber(
    namespace: str, robot: int | None, note: Callable[[str], object]
) -> Iterator[Subscriber]:
    """Join the ROS graph for a while, as the node ``mbrl_watch``."""
    with joined('mbrl_watch', namespace) as (node, executor):
        yield Subscriber(node, executor, robot, note)
