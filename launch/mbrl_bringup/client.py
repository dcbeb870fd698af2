"""A graph seen from outside: what ``mbrl`` asks of the nodes, as any ROS client could."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import rclpy
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from mbrl_bringup.interruption import check_interrupted
from mbrl_common.qos import LATCHED
from mbrl_msgs.action import RunEpisodes, Train
from mbrl_msgs.msg import ControllerStatus, TrainingStatus
from mbrl_msgs.srv import Evaluate, Replan, Retrain, SetGoal, SetMode


class GraphError(RuntimeError):
    """The graph does not answer, or refused; the text says what and why."""


class GraphClient:
    """Calls to a graph. Everything happens in the calling thread, while a method waits."""

    def __init__(
        self, node: Node, executor: SingleThreadedExecutor, robot: int | None = None
    ) -> None:
        self._node = node
        place = '' if robot is None else f'robot{robot}/'
        self._controller = f'{place}mpc_controller'
        self._executor = executor
        self.controller_status: ControllerStatus | None = None
        self.training_status: TrainingStatus | None = None
        self._heard = {'controller': -math.inf, 'training': -math.inf}
        self.on_controller_status: Callable[[ControllerStatus], object] = lambda message: None
        """Called with each that comes; as the next one."""
        self.on_training_status: Callable[[TrainingStatus], object] = lambda message: None
        node.create_subscription(
            ControllerStatus, f'{place}controller_status', self._on_controller_status, LATCHED
        )
        node.create_subscription(
            TrainingStatus, 'training_status', self._on_training_status, LATCHED
        )

    def heard(self, who: str) -> float:
        """Seconds since the newest status of the 'controller', or of the 'training'."""
        return time.monotonic() - self._heard[who]

    def _on_controller_status(self, message: ControllerStatus) -> None:
        self._heard['controller'] = time.monotonic()
        self.controller_status = message
        self.on_controller_status(message)

    def _on_training_status(self, message: TrainingStatus) -> None:
        self._heard['training'] = time.monotonic()
        self.training_status = message
        self.on_training_status(message)

    @property
    def where(self) -> str:
        """The namespace, for messages to people."""
        return f"namespace '{self._node.get_namespace()}'"

    def spin(self, seconds: float = 0.1) -> None:
        """Take in what has arrived, or wait up to ``seconds`` for something."""
        check_interrupted()
        self._executor.spin_once(timeout_sec=seconds)

    def wait_until(
        self,
        condition: Callable[[], Any],
        timeout: float,
        complaint: Callable[[], str],
        watch: Callable[[], object] | None = None,
    ) -> Any:
        """Wait until ``condition()`` is truthy, and return that.

        Args:
            condition: looked at ten times a second, and after each arrival.
            timeout: in seconds.
            complaint: text of the error if it does not come.
            watch: called meanwhile, twice a second; may raise.

        Raises:
            GraphError: after ``timeout``.
        """
        deadline = time.monotonic() + timeout
        next_watch = time.monotonic()
        while True:
            value = condition()
            if value:
                return value
            now = time.monotonic()
            if watch is not None and now >= next_watch:
                watch()
                next_watch = now + 0.5
            if now > deadline:
                raise GraphError(complaint())
            self.spin()

    def watch_forever(self, watch: Callable[[], object]) -> NoReturn:
        """Call ``watch`` twice a second, until it raises or a signal comes."""
        self.wait_until(lambda: False, math.inf, lambda: '', watch)
        raise AssertionError('nothing was waited for')

    def missing(self, names: Sequence[str]) -> list[str]:
        """Those services and actions, relative to the namespace, that nobody offers yet."""
        # Not by the list of services: that has those, too, that someone would like to call.
        return [
            name
            for name in names
            if not self._node.count_services(name)
            and not self._node.count_services(f'{name}/_action/send_goal')
        ]

    def doubled(self, names: Sequence[str]) -> list[str]:
        """Those nodes, relative to the namespace, that the graph has more than once."""
        here = self._node.get_namespace().rstrip('/')
        nodes = self._node.get_node_names_and_namespaces()
        found = [f'{space.rstrip("/")}/{name}' for name, space in nodes]
        return [name for name in names if found.count(f'{here}/{name}') > 1]

    def call(self, kind: type, service: str, request: Any, timeout: float) -> Any:
        """Call a service and return its response.

        Raises:
            GraphError: if nobody offers it or answers.
        """
        client = self._node.create_client(kind, service)
        name = client.service_name
        try:
            self.wait_until(
                client.service_is_ready, timeout, lambda: f'nobody offers the service {name}'
            )
            future = client.call_async(request)
            self.wait_until(future.done, timeout, lambda: f'the service {name} does not answer')
            return future.result()
        finally:
            self._node.destroy_client(client)

    def retrain(self, from_scratch: bool, timeout: float) -> Retrain.Response:
        """Start a training; see the service."""
        request = Retrain.Request(from_scratch=from_scratch)
        return self.call(Retrain, 'dynamics/retrain', request, timeout)

    def replan(self, timeout: float) -> Replan.Response:
        """Drop the plan in execution; see the service."""
        return self.call(Replan, f'{self._controller}/replan', Replan.Request(), timeout)

    def set_goal(self, goal: Sequence[float], timeout: float) -> SetGoal.Response:
        """Set the objective's goal; see the service."""
        request = SetGoal.Request(goal=list(goal))
        return self.call(SetGoal, f'{self._controller}/set_goal', request, timeout)

    def set_mode(self, mode: str, every: int, bound: float, timeout: float) -> SetMode.Response:
        """Choose what decides the actions; see the service."""
        request = SetMode.Request(mode=mode, every=every, bound=bound)
        return self.call(SetMode, f'{self._controller}/set_mode', request, timeout)

    def evaluate(self, source: str, horizon: int, plots: bool, timeout: float) -> Evaluate.Response:
        """Measure the model in use; see the service."""
        request = Evaluate.Request(source=source, horizon=horizon, plots=plots)
        return self.call(Evaluate, 'dynamics/evaluate', request, timeout)

    def train(self, timeout: float, watch: Callable[[], object] | None = None) -> Train.Result:
        """Train on all data and wait for the end."""
        return self._act(Train, 'dynamics/train', Train.Goal(), None, timeout, watch)

    def run_episodes(
        self,
        goal: RunEpisodes.Goal,
        on_feedback: Callable[[RunEpisodes.Feedback], None],
        watch: Callable[[], object] | None = None,
    ) -> RunEpisodes.Result:
        """Run episodes and wait for the end, however long; ``watch`` may raise to give up."""
        return self._act(
            RunEpisodes, f'{self._controller}/run_episodes', goal, on_feedback, math.inf, watch
        )

    def _act(
        self,
        kind: type,
        action: str,
        goal: Any,
        on_feedback: Callable[[Any], None] | None,
        timeout: float,
        watch: Callable[[], object] | None,
    ) -> Any:
        def hand_on(message: Any) -> None:
            if on_feedback is not None:
                on_feedback(message.feedback)

        client = ActionClient(self._node, kind, action)
        try:
            self.wait_until(
                client.server_is_ready, 10.0, lambda: f'nobody offers the action {action}', watch
            )
            handle = self._send_goal(client, action, goal, hand_on, watch)
            future = handle.get_result_async()
            self.wait_until(future.done, timeout, lambda: f'the action {action} did not end', watch)
            return future.result().result
        finally:
            client.destroy()

    def _send_goal(
        self,
        client: ActionClient,
        action: str,
        goal: Any,
        on_feedback: Callable[[Any], None],
        watch: Callable[[], object] | None,
    ) -> Any:
        # A server that was killed seems to be ready for as long as DDS has not given it up; what
        # was sent before the next one is known never arrives.
        for attempts_left in (2, 1, 0):
            accepted = client.send_goal_async(goal, feedback_callback=on_feedback)
            try:
                self.wait_until(
                    accepted.done, 5.0, lambda: f'the action {action} does not answer', watch
                )
            except GraphError:
                if attempts_left == 0:
                    raise
                continue
            if not accepted.result().accepted:
                raise GraphError(f'the action {action} refused the goal')
            break
        return accepted.result()


@contextlib.contextmanager
def graph_client(namespace: str = '', robot: int | None = None) -> Iterator[GraphClient]:
    """Join the ROS graph for a while, as the node ``mbrl``.

    Args:
        namespace: of the graph.
        robot: whose controller is meant, where there are several.
    """
    with joined('mbrl', namespace) as (node, executor):
        yield GraphClient(node, executor, robot)


@contextlib.contextmanager
def joined(name: str, namespace: str) -> Iterator[tuple[Node, SingleThreadedExecutor]]:
    """A node of that name in a graph, its enclave of the same name, with what spins it."""
    context = rclpy.Context()
    namespace = namespace.strip('/')
    enclave = f'/{namespace}/{name}' if namespace else f'/{name}'
    # Signals stay with the command, which has processes to end before it ends itself.
    rclpy.init(
        args=['--ros-args', '--enclave', enclave],
        context=context,
        signal_handler_options=SignalHandlerOptions.NO,
    )
    node = Node(name, namespace=namespace, context=context, start_parameter_services=False)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        yield node, executor
    finally:
        executor.shutdown(timeout_sec=1.0)
        node.destroy_node()
        context.try_shutdown()
