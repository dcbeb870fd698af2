"""A hot path has its owner's names, and does not keep the owner waiting."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import Float64
from std_srvs.srv import Trigger

from mbrl_common.hot_path import HotPath
from mbrl_common.node import spin
from mbrl_common.qos import STANDARD
from mbrl_common.testing import Probe, isolated_domain


@pytest.fixture
def probe() -> Iterator[Probe]:
    with isolated_domain(), Probe() as node:
        yield node


class Owner(Node):
    """Doubles numbers on its hot path, and has an ordinary service."""

    def __init__(self, context: rclpy.Context, cli_args: list[str]) -> None:
        super().__init__('owner', namespace='robot', context=context, cli_args=cli_args)
        self.hot_path = HotPath(self)
        self._answer = self.hot_path.create_publisher(Float64, 'answer', STANDARD)
        self.hot_path.create_subscription(Float64, 'question', self._double, STANDARD)
        self.hot_path.create_service(Trigger, '~/hot', self._trigger)
        self.create_service(Trigger, '~/cold', self._trigger)

    def _double(self, message: Float64) -> None:
        self._answer.publish(Float64(data=2 * message.data))

    def _trigger(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = True
        return response


@contextlib.contextmanager
def spinning(*cli_args: str) -> Iterator[None]:
    context = rclpy.Context()
    rclpy.init(context=context)
    owner = Owner(context, ['--ros-args', *cli_args] if cli_args else [])
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(owner)
    going_on = True
    thread = threading.Thread(target=spin, args=(executor, owner.hot_path, lambda: going_on))
    thread.start()
    try:
        yield
    finally:
        going_on = False
        thread.join()
        owner.hot_path.destroy()
        owner.destroy_node()
        context.try_shutdown()


def ask(probe: Probe, number: float, topic: str) -> float:
    """Ask until there is an answer: the first ones may be given before anyone listens."""
    answers = probe.collect(topic, Float64)
    for _ in range(50):
        probe.publish('robot/question', Float64, Float64(data=number))
        with contextlib.suppress(TimeoutError):
            probe.wait_until(lambda: answers, 0.2)
            break
    return answers[0].data


def test_both_paths_are_served_in_the_owners_namespace(probe: Probe) -> None:
    with spinning():
        assert ask(probe, 21.0, 'robot/answer') == 42.0
        for service in ('robot/owner/hot', 'robot/owner/cold'):
            assert probe.call(service, Trigger, Trigger.Request()).success


def test_the_owners_remappings_hold(probe: Probe) -> None:
    with spinning('-r', 'answer:=/elsewhere', '-r', '~/hot:=/warm'):
        assert ask(probe, 1.0, '/elsewhere') == 2.0
        assert probe.call('/warm', Trigger, Trigger.Request()).success


def test_the_hot_path_is_hidden(probe: Probe) -> None:
    with spinning():
        names = probe.wait_until(
            lambda: [name for name in probe.node.get_node_names() if 'owner' in name]
        )
        assert all(name == 'owner' or name.startswith('_') for name in names)


def test_an_exception_in_a_callback_is_raised_where_it_can_be_dealt_with(probe: Probe) -> None:
    context = rclpy.Context()
    rclpy.init(context=context)
    owner = Owner(context, [])

    def fail(*_: object) -> None:
        raise ValueError('a bad message')

    try:
        owner.hot_path.call_soon(fail)
        with pytest.raises(ValueError, match='a bad message'):
            for _ in range(10):
                owner.hot_path.spin_once(0.1)
        probe.node.create_service(Trigger, 'elsewhere', lambda _, response: response)
        client = owner.hot_path.create_client(Trigger, '/elsewhere')
        assert client.wait_for_service(10.0)
        owner.hot_path.call(client, Trigger.Request(), fail)
        with pytest.raises(ValueError, match='a bad message'):
            for _ in range(50):
                owner.hot_path.spin_once(0.1)
    finally:
        owner.hot_path.destroy()
        owner.destroy_node()
        context.try_shutdown()


def test_calls_of_a_service_that_is_not_there_are_forgotten() -> None:
    with isolated_domain():
        context = rclpy.Context()
        rclpy.init(context=context)
        owner = Owner(context, [])
        try:
            client = owner.hot_path.create_client(Trigger, '/nobody')
            for _ in range(500):
                owner.hot_path.call(client, Trigger.Request(), lambda _: None)
            assert len(client._pending_requests) <= 16
            assert sum(map(len, owner.hot_path._calls.values())) <= 16
        finally:
            owner.hot_path.destroy()
            owner.destroy_node()
            context.try_shutdown()


def test_of_many_calls_the_last_ones_count_however_late_they_are_answered(probe: Probe) -> None:
    context = rclpy.Context()
    rclpy.init(context=context)
    owner = Owner(context, [])
    may_answer = threading.Event()

    def answer(_: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        may_answer.wait(20.0)
        response.success = True
        return response

    answered: list[int] = []
    try:
        probe.node.create_service(Trigger, 'slow', answer)
        client = owner.hot_path.create_client(Trigger, '/slow')
        assert client.wait_for_service(10.0)
        probe.wait_until(lambda: probe.node.count_clients('/slow'))
        for number in range(40):
            owner.hot_path.call(client, Trigger.Request(), lambda _, n=number: answered.append(n))
            owner.hot_path.spin_once(0.0)
        may_answer.set()
        for _ in range(200):
            owner.hot_path.spin_once(0.1)
            if 39 in answered:
                break
        assert 39 in answered and min(answered) >= 24
        assert len(client._pending_requests) <= 16
    finally:
        may_answer.set()
        owner.hot_path.destroy()
        owner.destroy_node()
        context.try_shutdown()
