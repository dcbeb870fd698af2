"""The few messages that the control loop waits for, served without the rest of the node.

rclpy's ordinary executor builds its wait set anew for every message, out of all that its nodes
have: parameter services, lifecycle services, actions, timers, QoS events. For a node of this suite
that takes 0.3 to 0.5 ms, several times per control step. A hot path is a hidden companion node that
has nothing but the loop's own entities, with an executor of its own: rclpy's events executor where
it is there, which halves the time of a message again. ``run_node`` waits on it, and looks after the
rest of the node when others are at work. All callbacks run in one thread.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from rclpy.context import Context
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.executors import Executor, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile

_UNANSWERED = 16  # calls of a client that are remembered


def _fast_executor(context: Context) -> Executor:
    try:
        from rclpy.experimental.events_executor import EventsExecutor
    except ImportError:
        return SingleThreadedExecutor(context=context)
    # Only its spin_once() is used: its spin() delivers nothing in some builds of Jazzy and Kilted.
    return EventsExecutor(context=context)


class HotPath:
    """Subscriptions, clients, services and publishers of the control loop.

    Names are resolved by the owner, so its namespace and remappings hold.
    """

    def __init__(self, owner: Node) -> None:
        self._owner = owner
        self._node = Node(
            f'_{owner.get_name()}_hot_path',  # names with an underscore are hidden in ROS
            namespace=owner.get_namespace(),
            context=owner.context,
            use_global_arguments=False,  # __node would give it the owner's name
            enable_rosout=False,
            start_parameter_services=False,
        )
        self._executor = _fast_executor(owner.context)
        self._executor.add_node(self._node)
        self._rests = False
        self._failure: BaseException | None = None
        self._calls: dict[Any, list[Any]] = {}  # of each client, not known to be answered
        self._beat: Callable[[], None] | None = None
        self._beat_period = self._beat_due = math.inf  # [s]

    def create_subscription(
        self, kind: type, topic: str, callback: Callable[[Any], None], qos: QoSProfile
    ) -> Any:
        """As ``Node.create_subscription``."""
        return self._node.create_subscription(
            kind,
            self._owner.resolve_topic_name(topic),
            callback,
            qos,
            event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),
        )

    def create_publisher(self, kind: type, topic: str, qos: QoSProfile) -> Any:
        """As ``Node.create_publisher``."""
        return self._node.create_publisher(
            kind,
            self._owner.resolve_topic_name(topic),
            qos,
            event_callbacks=PublisherEventCallbacks(use_default_callbacks=False),
        )

    def create_client(self, kind: type, service: str) -> Any:
        """As ``Node.create_client``."""
        return self._node.create_client(kind, self._owner.resolve_service_name(service))

    def create_service(self, kind: type, service: str, callback: Callable[[Any, Any], Any]) -> Any:
        """As ``Node.create_service``."""
        return self._node.create_service(kind, self._owner.resolve_service_name(service), callback)

    def call(self, client: Any, request: Any, callback: Callable[[Any], None]) -> None:
        """Call a service; ``callback`` gets the response when it has come.

        A late answer counts, but of a service that does not answer only the last few calls are
        remembered.
        """
        future = client.call_async(request)
        future.add_done_callback(lambda done: self._run(lambda: callback(done.result())))
        calls = [call for call in self._calls.get(client, ()) if not call.done()]
        for forgotten in calls[: 1 - _UNANSWERED]:
            client.remove_pending_request(forgotten)
        self._calls[client] = [*calls[1 - _UNANSWERED :], future]

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called in the loop's thread; may be called from any thread."""
        self._executor.create_task(lambda: self._run(callback))

    def every(self, period: float, callback: Callable[[], None]) -> None:
        """Call back every ``period`` [s] of the steady clock, in the loop's thread.

        On a grid of its own: a call that comes late does not delay those after it, and one that
        is a whole period late is left out.
        """
        self._beat, self._beat_period = callback, period
        self._beat_due = time.monotonic() + period

    def _run(self, callback: Callable[[], None]) -> None:
        # An exception here would end the process inside the events executor, with nothing cleaned
        # up; spin_once() raises it where it can be dealt with.
        try:
            callback()
        except BaseException as error:
            self._failure = error

    def rest(self) -> None:
        """Said in a callback: others work now, so the rest of the node may be served."""
        self._rests = True

    def take_rest(self) -> bool:
        """Whether :meth:`rest` was said since this was asked last."""
        rests, self._rests = self._rests, False
        return rests

    def wake(self) -> None:
        """End a wait; may be called from a signal handler."""
        self._executor.wake()

    def spin_once(self, timeout: float) -> None:
        """Serve one message of the loop, or wait for ``timeout`` [s]; raises what it raised."""
        left = self._beat_due - time.monotonic()
        if left > 0:
            self._executor.spin_once(timeout_sec=min(timeout, left))
            left = self._beat_due - time.monotonic()
        if left <= 0 and self._beat is not None:
            self._beat_due += self._beat_period * (1 + int(-left / self._beat_period))
            self._beat()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def destroy(self) -> None:
        """Leave the graph."""
        self._executor.shutdown(timeout_sec=1.0)
        self._node.destroy_node()
