"""What is heard of a graph, and what it is handed on as."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

pytest.importorskip('mbrl_msgs')
from builtin_interfaces.msg import Time
from visualization_msgs.msg import Marker, MarkerArray

from mbrl_bringup.testing_sink import Heard
from mbrl_bringup.watch.subscriber import Subscriber, subscriber
from mbrl_common.qos import LATCHED, RECORD, STANDARD
from mbrl_common.testing import Probe, isolated_domain
from mbrl_msgs.msg import ControllerStatus, Transition


def spin_until(watch: Subscriber, condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20.0
    while not condition():
        assert time.monotonic() < deadline
        watch.spin(0.05)


@pytest.mark.parametrize('robot', [None, 1])
def test_robots_share_a_graph_and_one_can_be_picked_out(robot: int | None) -> None:
    heard = Heard()
    with (
        isolated_domain(),
        Probe(namespace='/lab') as probe,
        subscriber('lab', robot, print) as watch,
    ):
        for number in (0, 1):
            status = ControllerStatus(stamp=Time(sec=5), episode_return=10.0 + number)
            topic = f'robot{number}/controller_status'
            probe.node.create_publisher(ControllerStatus, topic, LATCHED).publish(status)
        outside = probe.node.create_publisher(ControllerStatus, '/elsewhere/status', LATCHED)
        outside.publish(ControllerStatus(episode_return=99.0))
        spin_until(watch, lambda: len(watch.topics) == (2 if robot is None else 1))
        watch.listen(heard)
        spin_until(watch, lambda: ('robot1', 'return/episode so far') in heard.values)
        steps = probe.node.create_publisher(Transition, 'transition', RECORD)
        markers = probe.node.create_publisher(MarkerArray, 'robot1/markers', STANDARD)

        def send() -> bool:
            for number in (0, 1):
                name = f'/lab/robot{number}/mpc_controller'
                steps.publish(Transition(robot=name, reward=float(number)))
            markers.publish(MarkerArray(markers=[Marker(type=Marker.CUBE, ns='cart')]))
            return bool(heard.drawn) and ('robot1', 'reward/step') in heard.values

        spin_until(watch, send)  # topics that came later are found as well
        spin_until(watch, lambda: robot is not None or ('robot0', 'reward/step') in heard.values)
    assert list(heard.drawn) == ['robot1/markers/cart/boxes']
    assert heard.values['robot1', 'return/episode so far'][-1] == 11.0
    assert heard.values['robot1', 'reward/step'][-1] == 1.0
    names = {'robot1'} if robot is not None else {'robot0', 'robot1'}
    assert {robot for robot, _ in heard.values} == names
    assert {source for source, _ in heard.remarks} == names
    assert 5.0 in heard.times
    assert not any(99.0 in values for values in heard.values.values())
