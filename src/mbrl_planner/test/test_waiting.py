"""Requests that wait are taken together, over real DDS."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import rclpy
from rclpy.node import Node

from mbrl_common.hot_path import HotPath
from mbrl_common.testing import Probe, isolated_domain
from mbrl_msgs.srv import Retrain
from mbrl_planner.waiting import take_waiting


class Together:
    """A service that is held up until ``go``, and answers all who wait by then."""

    def __init__(self, node: Node) -> None:
        self.hot_path = HotPath(node)
        self.service = self.hot_path.create_service(Retrain, 'together', self._serve)
        self.batches: list[int] = []
        self.called = threading.Event()
        self.go = threading.Event()
        self.stop = threading.Event()

    def _serve(self, request: Any, response: Any) -> Any:
        self.called.set()
        self.go.wait(20.0)
        others = list(take_waiting(self.service))
        self.batches.append(1 + len(others))
        for other, header in others:
            self.service.send_response(_answer(other, Retrain.Response()), header)
        return _answer(request, response)

    def spin(self) -> None:
        while not self.stop.is_set():
            self.hot_path.spin_once(0.02)


def _answer(request: Any, response: Any) -> Any:
    response.message = str(request.from_scratch)
    return response


@pytest.fixture
def together() -> Iterator[Together]:
    with isolated_domain():
        context = rclpy.Context()
        rclpy.init(context=context)
        node = Node('server', context=context)
        server = Together(node)
        thread = threading.Thread(target=server.spin)
        thread.start()
        yield server
        server.go.set()
        server.stop.set()
        thread.join()
        server.hot_path.destroy()
        node.destroy_node()
        context.try_shutdown()


def test_who_waits_is_served_together_and_gets_an_own_answer(together: Together) -> None:
    with Probe() as probe:
        clients = [probe.node.create_client(Retrain, 'together') for _ in range(4)]
        for client in clients:
            assert client.wait_for_service(10.0)
        first = clients[0].call_async(Retrain.Request(from_scratch=False))
        assert together.called.wait(10.0)
        scratch = (True, False, True)
        others = [
            client.call_async(Retrain.Request(from_scratch=each))
            for client, each in zip(clients[1:], scratch)
        ]
        with pytest.raises(TimeoutError):  # no one is served before the first is
            probe.wait_until(lambda: any(each.done() for each in others), 0.5)
        together.go.set()
        probe.wait_until(lambda: all(each.done() for each in (first, *others)), 10.0)
        assert first.result().message == 'False'
        assert [each.result().message for each in others] == [str(each) for each in scratch]
        assert together.batches == [4]
        # The service goes on, though rclpy still has calls for the requests that were taken.
        again = clients[1].call_async(Retrain.Request(from_scratch=True))
        probe.wait_until(again.done, 10.0)
        assert (again.result().message, together.batches) == ('True', [4, 1])
