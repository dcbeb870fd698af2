"""For tests: what stands between two nodes and tells one of them something else.

A relay passes on what it gets, until it is told how to change it: then it lies, as a broken sensor,
a wrong clock, or a planner with a fault would.
"""

from __future__ import annotations

import contextlib
import copy
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState

from mbrl_common.messages import nanoseconds
from mbrl_common.qos import STANDARD
from mbrl_common.testing import Probe
from mbrl_msgs.srv import PlanActions

Change = Callable[[Any], Iterable[Any]]
"""Takes a message, and gives those to be sent in its place."""


def honest(message: Any) -> Iterable[Any]:
    """As it came."""
    return (message,)


def silent(_: Any) -> Iterable[Any]:
    """Nothing."""
    return ()


class Relay:
    """Passes the messages of one topic on to another; a node and a thread of its own."""

    def __init__(self, kind: type, source: str, target: str) -> None:
        self._probe = Probe(f'relay_{source.strip("/").replace("/", "_")}')
        self._publisher = self._probe.node.create_publisher(kind, target, STANDARD)
        self._change: Change = honest
        self.lies: list[Any] = []
        """What was sent last in place of what came: the messages since :meth:`lying` began."""
        self.last_honest: Any = None
        """The last message that was passed on as it came."""
        self._probe.node.create_subscription(kind, source, self._on_message, STANDARD)

    def _on_message(self, message: Any) -> None:
        change = self._change
        for sent in change(message):
            self._publisher.publish(sent)
            if change is honest:
                self.last_honest = sent
            else:
                self.lies.append(sent)

    def lie(self, change: Change) -> None:
        """From now on, send what ``change`` makes of each message."""
        self.lies = []
        self._change = change

    @contextlib.contextmanager
    def lying(self, change: Change) -> Iterator[None]:
        """The same, until the end of a ``with``."""
        before = self._change
        self.lie(change)
        try:
            yield
        finally:
            self._change = before

    def close(self) -> None:
        """Leave the graph."""
        self._probe.close()


def joint_state_relay() -> Relay:
    """Between a robot that sends ``joint_states_raw`` and a controller."""
    return Relay(JointState, 'joint_states_raw', 'joint_states')


def clock_relay() -> Relay:
    """Between a simulation whose clock is ``/clock_raw`` and all who read ``/clock``."""
    return Relay(Clock, '/clock_raw', '/clock')


# Joint states --------------------------------------------------------------------------------


def changed(change: Callable[[JointState], None]) -> Change:
    """Do something to a copy of each message."""

    def lie(message: JointState) -> Iterable[JointState]:
        copied = copy.deepcopy(message)
        change(copied)
        return (copied,)

    return lie


def stamped(seconds: float) -> Change:
    """Stamps so much later than they are; earlier, if negative."""

    def change(message: JointState) -> None:
        set_stamp(message.header.stamp, nanoseconds(message.header.stamp) + round(seconds * 1e9))

    return changed(change)


def told_the_time(seconds: float) -> Change:
    """The same for a clock."""

    def change(message: Clock) -> None:
        set_stamp(message.clock, nanoseconds(message.clock) + round(seconds * 1e9))

    return changed(change)


def moved(joint: int, by: float) -> Change:
    """A joint is said to be elsewhere [m or rad]."""

    def change(message: JointState) -> None:
        message.position[joint] += by

    return changed(change)


def repeated() -> Change:
    """The first message, again and again, with its stamp."""
    first: list[JointState] = []

    def lie(message: JointState) -> Iterable[JointState]:
        first.append(message)
        return (first[0],)

    return lie


def frozen() -> Change:
    """The values of the first message, with stamps that go on."""
    first: list[JointState] = []

    def lie(message: JointState) -> Iterable[JointState]:
        first.append(copy.deepcopy(message))
        still = copy.deepcopy(first[0])
        still.header = message.header
        return (still,)

    return lie


def backwards() -> Change:
    """Stamps that run backwards in time, as fast as time goes."""
    first: list[int] = []

    def change(message: JointState) -> None:
        stamp = nanoseconds(message.header.stamp)
        first.append(stamp)
        set_stamp(message.header.stamp, 2 * first[0] - stamp)

    return changed(change)


def now_and_then(change: Change, every: int) -> Change:
    """One of so many messages is changed, the others are as they came."""
    count = 0

    def lie(message: Any) -> Iterable[Any]:
        nonlocal count
        count += 1
        return change(message) if count % every == 0 else (message,)

    return lie


def set_stamp(stamp: Any, time_ns: int) -> None:
    """Set a ``builtin_interfaces/Time`` [ns]."""
    stamp.sec, stamp.nanosec = divmod(time_ns, 1_000_000_000)


# Plans ---------------------------------------------------------------------------------------

Answer = Callable[[PlanActions.Response], PlanActions.Response | None]
"""Takes the planner's answer, and gives what is answered; None: nothing, until this lie ends."""


def as_it_came(answer: PlanActions.Response) -> PlanActions.Response:
    """The planner's own answer."""
    return answer


class PlannerRelay:
    """Between a planner that serves ``planner_raw/plan`` and a controller; one question at a time,
    as the planner itself."""

    REMAP = ('~/plan', 'planner_raw/plan')

    def __init__(self) -> None:
        self._asks, self._answers = Probe('relay_plan_asks'), Probe('relay_plan_answers')
        self._change: Answer = as_it_came
        self._delay = 0.0
        self._lie_ends = threading.Event()
        self.answers = 0
        self._asks.call('planner_raw/plan', PlanActions, PlanActions.Request(), 60.0)  # it is there
        self._answers.node.create_service(PlanActions, 'planner/plan', self._on_request)

    def _on_request(
        self, request: PlanActions.Request, response: PlanActions.Response
    ) -> PlanActions.Response:
        try:
            answer = self._asks.call('planner_raw/plan', PlanActions, request, 5.0)
        except TimeoutError:
            return response  # a plan without steps
        time.sleep(self._delay)
        changed = self._change(answer)
        if changed is None:
            self._lie_ends.wait(30.0)
            changed = answer
        self.answers += 1
        return changed

    @contextlib.contextmanager
    def lying(self, change: Answer = as_it_came, delay: float = 0.0) -> Iterator[None]:
        """Answer otherwise, or so much later [s], until the end of a ``with``."""
        self._lie_ends.clear()
        self._change, self._delay = change, delay
        try:
            yield
        finally:
            self._change, self._delay = as_it_came, 0.0
            self._lie_ends.set()

    def close(self) -> None:
        """Leave the graph."""
        self._lie_ends.set()
        self._answers.close()  # first, as it may be asking
        self._asks.close()
