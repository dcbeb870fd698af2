"""What the messages of a graph mean to whoever watches: shapes, values and remarks.

It does not matter where the messages come from: a graph that runs, or a bag.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from mbrl_bringup.watch.markers import MarkerStore
from mbrl_bringup.watch.series import Controller, Remark, Rewards, Training, plan_values
from mbrl_bringup.watch.shapes import Shapes

MARKERS = 'visualization_msgs/msg/MarkerArray'


class SaveError(RuntimeError):
    """What is watched cannot be written to its file."""


class Lost(SaveError):
    """The same, and the process cannot end any more but by ``os._exit``."""


class Sink(Protocol):
    """What takes it."""

    def arrived(self, seconds: float) -> None:
        """When what is given next came [s], by a clock that only goes forward."""

    def at(self, seconds: float) -> None:
        """The ROS time of what is given next [s]."""

    def draw(self, place: list[str], shapes: Shapes | None) -> None:
        """Shapes under a name, instead of what was there; None: nothing."""

    def value(self, name: str, robot: str, value: float) -> None:
        """A value of a curve; ``name`` is '<plot>/<curve>', ``robot`` may be empty."""

    def remark(self, source: str, remark: Remark) -> None:
        """Something to read."""


class Sinks:
    """Several of them as one."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = list(sinks)

    def arrived(self, seconds: float) -> None:
        """See ``Sink``, as the others."""
        for sink in self._sinks:
            sink.arrived(seconds)

    def at(self, seconds: float) -> None:
        for sink in self._sinks:
            sink.at(seconds)

    def draw(self, place: list[str], shapes: Shapes | None) -> None:
        for sink in self._sinks:
            sink.draw(place, shapes)

    def value(self, name: str, robot: str, value: float) -> None:
        for sink in self._sinks:
            sink.value(name, robot, value)

    def remark(self, source: str, remark: Remark) -> None:
        for sink in self._sinks:
            sink.remark(source, remark)


class Place:
    """Where in a graph is listened: a namespace, and in it all robots or one."""

    def __init__(self, namespace: str, robot: int | None) -> None:
        """
        Args:
            namespace: of the graph, '/' or '/lab'.
            robot: which one of several; None: all of them.
        """
        self._here = namespace.rstrip('/') + '/'
        self._robot = None if robot is None else f'robot{robot}'

    def below(self, name: str) -> str | None:
        """A topic's place below the namespace: '' for what is shared, 'robot1'.

        None: it is elsewhere, or another robot's.
        """
        if not name.startswith(self._here):
            return None
        place = name.removeprefix(self._here).rpartition('/')[0]
        return place if self._robot in (None, place) or not place else None

    def robot_of(self, node: str) -> str | None:
        """The place of a robot by the name of its controller; None: not listened to."""
        robot = node.removeprefix(self._here).rpartition('/')[0]
        return robot if self._robot in (None, robot) else None


class Intake:
    """Takes in messages of all topics at a place, and hands on what is to be seen of them."""

    def __init__(self, sink: Sink, place: Place, note: Callable[[str], object]) -> None:
        """
        Args:
            sink: what is given to.
            place: of all topics.
            note: says something to a person.
        """
        self._to, self._place, self._note = sink, place, note
        self._now = 0.0

    def taker(self, kind: str, name: str) -> Callable[[Any, float], None]:
        """Makes what takes in the messages of one topic.

        Args:
            kind: one of ``KINDS``.
            name: of the topic, which must be at the place.

        Returns:
            A function of a message and when it came [s].
        """
        place = self._place.below(name)
        assert place is not None
        take = _MAKERS[kind](self, name, place)

        def timed(message: Any, now: float) -> None:
            self._now = now
            self._to.arrived(now)
            take(message)

        return timed

    def _markers(self, name: str, place: str) -> Callable[[Any], None]:
        store = MarkerStore(lambda text: self._note(f'{name}: {text}'))
        path = [*([place] if place else []), name.rpartition('/')[2]]

        def take(message: Any) -> None:
            stamps = [marker.header.stamp for marker in message.markers]
            if stamps and (seconds := max(map(seconds_of, stamps))) > 0:
                self._to.at(seconds)
            for group, shapes in store.apply(message, self._now).items():
                self._to.draw([*path, *group.split('/')], shapes)

        return take

    def _controller(self, _name: str, place: str) -> Callable[[Any], None]:
        controller = Controller()

        def take(status: Any) -> None:
            self._to.at(seconds_of(status.stamp))
            self._values(place, controller.values(status))
            for remark in controller.remarks(status):
                self._to.remark(place or 'controller', remark)

        return take

    def _training(self, _name: str, place: str) -> Callable[[Any], None]:
        training = Training()

        def take(status: Any) -> None:
            self._to.at(seconds_of(status.stamp))
            self._values(place, training.values(status))
            for remark in training.remarks(status):
                self._to.remark('dynamics', remark)

        return take

    def _plan(self, _name: str, place: str) -> Callable[[Any], None]:
        def take(plan: Any) -> None:
            self._to.at(seconds_of(plan.header.stamp))
            self._values(place, plan_values(plan))

        return take

    def _transition(self, _name: str, _place: str) -> Callable[[Any], None]:
        rewards: dict[str, Rewards] = {}

        def take(transition: Any) -> None:  # of all robots that share the topic
            robot = self._place.robot_of(transition.robot)
            if robot is not None:
                self._to.at(seconds_of(transition.next_stamp))
                values = rewards.setdefault(robot, Rewards()).values(transition)
                self._values(robot, values)

        return take

    def _values(self, robot: str, values: Iterator[tuple[str, float]]) -> None:
        for name, value in values:
            self._to.value(name, robot, value)


_MAKERS: dict[str, Callable[[Intake, str, str], Callable[[Any], None]]] = {
    MARKERS: Intake._markers,
    'mbrl_msgs/msg/ControllerStatus': Intake._controller,
    'mbrl_msgs/msg/TrainingStatus': Intake._training,
    'mbrl_msgs/msg/Plan': Intake._plan,
    'mbrl_msgs/msg/Transition': Intake._transition,
}
KINDS = tuple(_MAKERS)
"""Types of what can be shown."""


def seconds_of(stamp: Any) -> float:
    """Of a stamp of a message."""
    return float(stamp.sec + stamp.nanosec * 1e-9)
