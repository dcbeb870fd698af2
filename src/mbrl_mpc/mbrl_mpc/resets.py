"""Who brings the robot to the start of an episode: a simulation, the robot itself, or a person."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Protocol

from rclpy.node import Node
from rclpy.task import Future
from std_srvs.srv import Trigger

from mbrl_common.messages import nanoseconds
from mbrl_mpc.settings import MpcSettings
from mbrl_msgs.srv import Reset

Answer = Callable[[bool, str, int], None]
"""Takes success, a text, and the time before which no state counts [ns]."""


class Resets(Protocol):
    """One way of resetting."""

    def ask(self, episode: int, seed: int) -> None:
        """Ask for it; the answer comes later, or never. What is asked again is one question."""


def make_resets(node: Node, settings: MpcSettings, answer: Answer) -> Resets:
    """The way that ``robot.reset`` says."""
    if settings.robot.reset == 'service':
        patience = settings.control.recovery_timeout
        return _ServiceResets(node, settings.robot.reset_service, patience, answer)
    if settings.robot.reset == 'person':
        return _PersonResets(node, answer)
    return _SimulatorResets(node, answer)


class _SimulatorResets:
    """``sim_bridge/reset``."""

    def __init__(self, node: Node, answer: Answer) -> None:
        self._client = node.create_client(Reset, 'sim_bridge/reset')
        self._answer = answer
        self._asked = 0

    def ask(self, episode: int, seed: int) -> None:
        self._asked += 1  # whatever was asked before is not waited for any more
        number = self._asked
        if not self._client.service_is_ready():
            return

        def done(future: Future) -> None:
            response = future.result()
            if number == self._asked and response is not None:
                self._answer(response.success, response.message, nanoseconds(response.stamp))

        request = Reset.Request(seed=seed, episode=episode, force=True)
        self._client.call_async(request).add_done_callback(done)


class _ServiceResets:
    """A ``std_srvs/Trigger`` of the robot, which answers when the robot is there.

    It may take its time, so it is asked again only when it has been away, or after ``patience``.
    """

    def __init__(self, node: Node, service: str, patience: float, answer: Answer) -> None:
        self._node = node
        self._client = node.create_client(Trigger, service)
        self._patience = patience
        self._answer = answer
        self._asked = 0
        self._asked_at = -math.inf

    def ask(self, episode: int, seed: int) -> None:
        if not self._client.service_is_ready():
            self._asked_at = -math.inf
            return
        if time.monotonic() - self._asked_at < self._patience:
            return
        self._asked_at = time.monotonic()
        self._asked += 1
        number = self._asked

        def done(future: Future) -> None:
            response = future.result()
            if number == self._asked and response is not None:
                self._asked_at = -math.inf
                now = self._node.get_clock().now().nanoseconds
                self._answer(response.success, response.message, now)

        self._client.call_async(Trigger.Request()).add_done_callback(done)


class _PersonResets:
    """A person, who puts the robot there and calls ``~/confirm_reset``."""

    def __init__(self, node: Node, answer: Answer) -> None:
        self._node = node
        self._answer = answer
        self._waiting = False
        node.create_service(Trigger, '~/confirm_reset', self._on_confirmed)

    def ask(self, episode: int, seed: int) -> None:
        self._waiting = True
        name = self._node.get_fully_qualified_name()
        self._node.get_logger().warning(
            f'episode {episode}: put the robot where it is to start, stand back, and call '
            f'{name}/confirm_reset'
        )

    def _on_confirmed(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self._waiting
        response.message = 'the episode begins' if self._waiting else 'no reset is waited for'
        if self._waiting:
            self._waiting = False
            self._answer(True, '', self._node.get_clock().now().nanoseconds)
        return response
