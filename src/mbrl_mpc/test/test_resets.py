"""Who resets is asked once, and again when another one has come to the graph meanwhile."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_srvs.srv import Trigger

from mbrl_common.testing import isolated_domain
from mbrl_mpc.resets import Resets, make_resets
from mbrl_mpc.service_watch import UNTIL_SEEN, ServiceWatch
from mbrl_mpc.settings import MpcSettings
from mbrl_msgs.srv import Reset


class Graph:
    """The controller's node, and those who reset, each in a context of its own."""

    def __init__(self, context: rclpy.Context) -> None:
        self.node = Node('controller', context=context)
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self.node)
        self.asked: list[Any] = []
        self.answers: list[tuple[bool, str, int]] = []

    def answer(self, success: bool, message: str, stamp: int) -> None:
        self.answers.append((success, message, stamp))

    def resets(self, settings: MpcSettings, how: str, name: str) -> Resets:
        """One way of resetting in real time."""
        service = name if how == 'service' else ''
        changed = dataclasses.replace(
            settings,
            robot=dataclasses.replace(settings.robot, reset=how, reset_service=service),
            realtime=dataclasses.replace(settings.realtime, enabled=True),
        )
        return make_resets(self.node, changed, self.answer)

    @contextlib.contextmanager
    def server(self, kind: type, name: str, *, answers: bool) -> Iterator[None]:
        """Somebody who resets; one that does not answer is there, and hears nothing."""

        def serve(request: Any, response: Any) -> Any:
            self.asked.append(request)
            response.success = True
            response.message = 'there'
            return response

        context = rclpy.Context()
        rclpy.init(context=context)
        node = Node('server', context=context)
        node.create_service(kind, name, serve)
        executor = SingleThreadedExecutor(context=context)
        if answers:
            executor.add_node(node)
        self._server = executor
        try:
            yield
        finally:
            executor.shutdown()
            node.destroy_node()
            context.try_shutdown()

    def spin(self, until: Callable[[], bool], each: Callable[[], None], limit: float) -> bool:
        """Serve all and call ``each``, until something is so; returns whether it is."""
        deadline = time.monotonic() + limit
        while not until() and time.monotonic() < deadline:
            self._executor.spin_once(timeout_sec=0.02)
            if not self._server._is_shutdown:
                self._server.spin_once(timeout_sec=0.02)
            each()
        return until()


@pytest.fixture
def graph() -> Iterator[Graph]:
    with isolated_domain():
        context = rclpy.Context()
        rclpy.init(context=context)
        made = Graph(context)
        yield made
        made.node.destroy_node()
        context.try_shutdown()


KINDS = [('simulator', Reset, 'sim_bridge/reset'), ('service', Trigger, 'robot/go_home')]


@pytest.mark.parametrize(('how', 'kind', 'name'), KINDS)
def test_who_is_there_is_asked_once(settings, graph, how, kind, name):
    resets = graph.resets(settings, how, name)
    with graph.server(kind, name, answers=True):
        there = lambda: graph.node.count_services(f'/{name}') == 1  # noqa: E731
        assert graph.spin(there, lambda: None, 20.0)
        graph.spin(lambda: False, lambda: None, 2 * UNTIL_SEEN)
        resets.ask(3, 7)
        assert graph.spin(lambda: bool(graph.answers), resets.look, 20.0)
        graph.spin(lambda: len(graph.asked) > 1, resets.look, 3 * UNTIL_SEEN)
    assert len(graph.asked) == len(graph.answers) == 1
    assert graph.answers[0][:2] == (True, 'there')


@pytest.mark.parametrize(('how', 'kind', 'name'), KINDS)
def test_who_comes_while_an_answer_is_waited_for_is_asked_the_same(
    settings, graph, how, kind, name
):
    resets = graph.resets(settings, how, name)
    resets.ask(3, 7)  # nobody is there
    with graph.server(kind, name, answers=False):
        there = lambda: graph.node.count_services(f'/{name}') == 1  # noqa: E731
        assert graph.spin(there, lambda: None, 20.0)
        graph.spin(lambda: False, resets.look, 3 * UNTIL_SEEN)  # asked, and it does not answer
        with graph.server(kind, name, answers=True):  # beside the one that is dead
            assert graph.spin(lambda: bool(graph.answers), resets.look, 20.0)
            graph.spin(lambda: len(graph.asked) > 1, resets.look, 3 * UNTIL_SEEN)
            assert len(graph.asked) == len(graph.answers) == 1
    if kind is Reset:
        assert (graph.asked[0].episode, graph.asked[0].seed) == (3, 7)


def test_a_new_server_is_told_of_once_and_not_before_it_can_answer(graph):
    now = 0.0
    watch = ServiceWatch(graph.node, '/robot/go_home', lambda: now)
    assert not watch.look()
    with graph.server(Trigger, 'robot/go_home', answers=True):
        there = lambda: graph.node.count_services('/robot/go_home') == 1  # noqa: E731
        assert graph.spin(there, lambda: None, 20.0)
        assert not watch.look()
        now = UNTIL_SEEN + 0.01
        assert not watch.look(ready=False)
        assert watch.look() and not watch.look()
        watch.note()
        now += 1.0
        assert not watch.look()


def test_whoever_comes_after_one_that_answered_and_died_is_asked_too(settings, graph):
    resets = graph.resets(settings, 'simulator', 'sim_bridge/reset')
    resets.ask(3, 7)
    for count in (1, 2):
        with graph.server(Reset, 'sim_bridge/reset', answers=True):
            assert graph.spin(lambda n=count: len(graph.answers) == n, resets.look, 20.0)
        gone = lambda: graph.node.count_services('/sim_bridge/reset') == 0  # noqa: E731
        assert graph.spin(gone, resets.look, 30.0)
        resets.look()  # it looks more often than anybody can leave and come back
    assert [(each.episode, each.seed) for each in graph.asked] == [(3, 7)] * 2
