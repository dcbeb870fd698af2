"""Who brings the robot to the start of an episode: a simulation, the robot itself, or a person."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, Protocol

from rclpy.node import Node
from rclpy.task import Future
from std_srvs.srv import Trigger

from mbrl_common.messages import nanoseconds
from mbrl_mpc.service_watch import ServiceWatch
from mbrl_mpc.settings import MpcSettings
from mbrl_msgs.srv import Reset

Answer = Callable[[bool, str, int], None]
"""Takes success, a text, and the time before which no state counts [ns]."""


class Resets(Protocol):
    """One way of resetting."""

    def ask(self, episode: int, seed: int) -> None:
        """Ask for it; the answer comes later, or never. What is asked again is one question."""

    def look(self) -> None:
        """Call this several times a second until the episode has begun: whoever has come to the
        graph since is asked the same."""


def make_resets(node: Node, settings: MpcSettings, answer: Answer) -> Resets:
    """The way that ``robot.reset`` says."""
    if settings.robot.reset == 'service':
        patience = settings.control.recovery_timeout
        return _ServiceResets(node, settings.robot.reset_service, patience, answer)
    if settings.robot.reset == 'person':
        return _PersonResets(node, answer)
    return _SimulatorResets(node, answer)


class _Question:
    """A call whose answer counts until the next one, which takes its place."""

    def __init__(self, client: Any, node: Node) -> None:
        self._client = client
        self._watch = ServiceWatch(node, client.service_name)
        self._future: Future | None = None

    def ask(self, request: Any, answer: Callable[[Any], None]) -> bool:
        """Ask if there is somebody to ask; returns whether there was."""
        self.forget()
        if not self._client.service_is_ready():
            return False
        self._watch.note()
        future = self._future = self._client.call_async(request)

        def done(done: Future) -> None:
            response = done.result()
            if done is self._future and response is not None:
                self._future = None
                self._watch.heard()
                answer(response)

        future.add_done_callback(done)
        return True

    def forget(self) -> None:
        """Whatever was asked is not waited for any more."""
        if self._future is not None:
            self._client.remove_pending_request(self._future)
            self._future = None

    def somebody_came(self) -> bool:
        """Whether there is one to ask who has not been asked yet."""
        return self._watch.look(self._client.service_is_ready())


class _SimulatorResets:
    """``sim_bridge/reset``."""

    def __init__(self, node: Node, answer: Answer) -> None:
        self._question = _Question(node.create_client(Reset, 'sim_bridge/reset'), node)
        self._answer = answer
        self._wanted: tuple[int, int] | None = None  # episode and seed

    def ask(self, episode: int, seed: int) -> None:
        self._wanted = episode, seed
        self._question.ask(Reset.Request(seed=seed, episode=episode, force=True), self._take)

    def look(self) -> None:
        if self._question.somebody_came() and self._wanted is not None:
            self.ask(*self._wanted)

    def _take(self, response: Reset.Response) -> None:
        self._answer(response.success, response.message, nanoseconds(response.stamp))


class _ServiceResets:
    """A ``std_srvs/Trigger`` of the robot, which answers when the robot is there.

    It may take its time, so it is asked again only when it has been away, or after ``patience``.
    """

    def __init__(self, node: Node, service: str, patience: float, answer: Answer) -> None:
        self._node = node
        self._question = _Question(node.create_client(Trigger, service), node)
        self._patience = patience
        self._answer = answer
        self._asked_at = -math.inf
        self._wanted = False

    def ask(self, episode: int, seed: int) -> None:
        self._wanted = True
        if time.monotonic() - self._asked_at >= self._patience:
            self._ask()

    def look(self) -> None:
        if self._question.somebody_came() and self._wanted:
            self._ask()

    def _ask(self) -> None:
        asked = self._question.ask(Trigger.Request(), self._take)
        self._asked_at = time.monotonic() if asked else -math.inf

    def _take(self, response: Trigger.Response) -> None:
        self._asked_at = -math.inf
        now = self._node.get_clock().now().nanoseconds
        self._answer(response.success, response.message, now)


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

    def look(self) -> None:
        """A person does not come to the graph."""

    def _on_confirmed(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self._waiting
        response.message = 'the episode begins' if self._waiting else 'no reset is waited for'
        if self._waiting:
            self._waiting = False
            self._answer(True, '', self._node.get_clock().now().nanoseconds)
        return response
