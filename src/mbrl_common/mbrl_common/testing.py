"""For tests of nodes: real processes, over real DDS, in a ROS domain of their own.

``isolated_domain`` picks a free domain, ``NodeProcess`` runs an installed executable, ``Probe`` is
the test's own node, which may publish, listen and call from plain test code.
"""

from __future__ import annotations

import contextlib
import copy
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import rclpy
import yaml
from ament_index_python.packages import get_package_prefix
from domain_coordinator import domain_id
from rclpy.action import ActionClient
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

from mbrl_common import testing_warm
from mbrl_common.node import EXIT_WITH_PARENT
from mbrl_common.qos import RECORD, STANDARD

# s: who is seen may not have seen us, and what it sends us meanwhile is lost: a server's answer, or
# what a node publishes because of our first message.
_UNTIL_SEEN = 0.3
_START = 60.0  # s until a process has imported what it needs, from a cold disk, beside others


@contextlib.contextmanager
def isolated_domain() -> Iterator[int]:
    """A ROS domain that no other test on this machine uses; sets ``ROS_DOMAIN_ID`` meanwhile."""
    before = os.environ.get('ROS_DOMAIN_ID')
    with contextlib.ExitStack() as reserved:
        # domain_id() takes an OSError of its body, which TimeoutError is, for a port in use: it
        # must not see the body's errors.
        reservation = domain_id()
        domain = reservation.__enter__()
        reserved.callback(reservation.__exit__, None, None, None)
        os.environ['ROS_DOMAIN_ID'] = str(domain)
        try:
            yield domain
        finally:
            if before is None:
                del os.environ['ROS_DOMAIN_ID']
            else:
                os.environ['ROS_DOMAIN_ID'] = before


class NodeProcess:
    """An installed ROS executable in its own process; ends with the test, whatever happens."""

    def __init__(
        self,
        package: str,
        executable: str,
        *,
        name: str | None = None,
        namespace: str = '',
        parameters: Mapping[str, Any] | None = None,
        params_file: Path | None = None,
        remaps: Sequence[tuple[str, str]] = (),
        env: Mapping[str, str] | None = None,
        log: Path | None = None,
        copied: bool | None = None,
    ) -> None:
        """Start it, or where that does the same and is much faster, a copy that is ready to begin.

        Args:
            package: ROS package.
            executable: its name in the package.
            name: name of the node, in place of its own.
            namespace: of the node.
            parameters: by dotted or nested name.
            params_file: ROS parameter file, over which ``parameters`` win.
            remaps: names of topics and services, each from and to.
            env: more environment.
            log: file for what it prints, in place of one that goes with it.
            copied: whether a copy will do, see ``testing_warm``; by default it does in tests, and
                not in measurements, which are of what is installed.
        """
        self._folder = tempfile.TemporaryDirectory(prefix='mbrl_test_')
        folder = Path(self._folder.name)
        prefix = Path(get_package_prefix(package))
        command = [str(prefix / 'lib' / package / executable), '--ros-args']
        if name is not None:
            command += ['-r', f'__node:={name}']
        if namespace:
            command += ['-r', f'__ns:=/{namespace.strip("/")}']
        if params_file is not None:
            command += ['--params-file', str(params_file)]
        if parameters is not None:
            overrides = folder / 'parameters.yaml'
            # Under the node's name: a section of that name in a file wins over '/**' and over -p.
            section = {'ros__parameters': dict(parameters)}
            overrides.write_text(yaml.safe_dump({f'/**/{name or executable}': section}))
            command += ['--params-file', str(overrides)]
        for source, target in remaps:
            command += ['-r', f'{source}:={target}']
        self._log = log if log is not None else folder / 'output.txt'
        self._interrupted = False
        environment = {
            **os.environ,
            'RCUTILS_COLORIZED_OUTPUT': '0',
            'PYTHONUNBUFFERED': '1',
            EXIT_WITH_PARENT: str(os.getpid()),
            **(env or {}),
        }
        if copied is None:
            copied = 'PYTEST_CURRENT_TEST' in os.environ
        with self._log.open('wb') as output:
            self.process = (
                testing_warm.start(package, command, environment, self._log) if copied else None
            ) or subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )

    def __enter__(self) -> NodeProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._folder.cleanup()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def output(self) -> str:
        """Everything it has printed so far."""
        return self._log.read_text(errors='replace')

    def wait_for_output(self, text: str, timeout: float = _START) -> str:
        """Wait until it has printed ``text``; returns all output."""
        deadline = time.monotonic() + timeout
        while text not in self.output():
            if time.monotonic() > deadline:
                raise TimeoutError(f'{text!r} did not appear in:\n{self.output()}')
            time.sleep(0.05)
        return self.output()

    def wait(self, timeout: float = 15.0) -> int:
        """Wait for its end; returns the exit code."""
        return self.process.wait(timeout)

    def interrupt(self) -> None:
        """SIGINT, once; :meth:`stop` waits for what comes of it."""
        if not self._interrupted:
            self._interrupted = True
            self.process.send_signal(signal.SIGINT)

    def stop(self, timeout: float = 5.0) -> int:
        """SIGINT, and SIGKILL after ``timeout``; returns the exit code."""
        if self.process.poll() is None:
            self.interrupt()
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
        self._kill_group()
        return self.process.wait()

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        self.process.kill()
        self.process.wait()

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)


class GoalResult:
    """A goal that was sent by :meth:`Probe.send_goal`."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._future = handle.get_result_async() if handle.accepted else None

    @property
    def accepted(self) -> bool:
        """Whether the server took the goal."""
        return bool(self._handle.accepted)

    @property
    def done(self) -> bool:
        """Whether the result is there."""
        return self._future is None or bool(self._future.done())

    def result(self, timeout: float = 30.0) -> Any:
        """The action's result message."""
        return _await(self._future, timeout, 'the result').result

    def cancel(self, timeout: float = 10.0) -> Any:
        """Ask to cancel; returns the server's answer."""
        return _await(self._handle.cancel_goal_async(), timeout, 'the answer to cancel')


class Probe:
    """A node for tests, with a context and a spinning thread of its own."""

    def __init__(self, name: str = 'probe', namespace: str = '') -> None:
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self.node = Node(name, namespace=namespace, context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._publishers: dict[str, Any] = {}
        self._clients: dict[str, Any] = {}
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown(timeout_sec=2.0)
        self._thread.join(5.0)
        self.node.destroy_node()
        self._context.try_shutdown()

    def _spin(self) -> None:
        with contextlib.suppress(ExternalShutdownException):
            while self._context.ok() and not self._executor._is_shutdown:
                self._executor.spin_once(timeout_sec=0.1)

    def collect(self, topic: str, kind: type, qos: QoSProfile = STANDARD) -> list[Any]:
        """A list that fills with the topic's messages as they arrive.

        A thousand that are volatile are kept until this probe finds the time to take them: a test
        that compares every message must not miss one on a busy machine.
        """
        messages: list[Any] = []
        if qos.durability == DurabilityPolicy.VOLATILE:
            qos = copy.copy(qos)
            qos.depth = max(qos.depth, RECORD.depth)
        self.node.create_subscription(kind, topic, messages.append, qos)
        self._executor.wake()
        return messages

    def wait_for(
        self,
        topic: str,
        kind: type,
        predicate: Callable[[Any], bool] | None = None,
        timeout: float = 10.0,
        qos: QoSProfile = STANDARD,
    ) -> Any:
        """The topic's next message, or the next for which ``predicate`` holds."""
        messages = self.collect(topic, kind, qos)
        return self.wait_until(
            lambda: next((m for m in list(messages) if predicate is None or predicate(m)), None),
            timeout,
            f'a message on {topic}',
        )

    def wait_until(
        self, condition: Callable[[], Any], timeout: float = 10.0, what: str = 'the condition'
    ) -> Any:
        """Wait until ``condition()`` is truthy, and return that."""
        deadline = time.monotonic() + timeout
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > deadline:
                raise TimeoutError(f'{what} did not come within {timeout:g} s')
            time.sleep(0.01)

    def publish(
        self,
        topic: str,
        kind: type,
        message: Any,
        qos: QoSProfile = STANDARD,
        subscribers: int = 1,
        timeout: float = 10.0,
    ) -> None:
        """Publish once there are ``subscribers`` who listen."""
        new = topic not in self._publishers
        if new:
            self._publishers[topic] = self.node.create_publisher(kind, topic, qos)
        publisher = self._publishers[topic]
        self.wait_until(
            lambda: publisher.get_subscription_count() >= subscribers,
            timeout,
            f'a subscriber of {topic}',
        )
        if new:
            time.sleep(_UNTIL_SEEN)
        publisher.publish(message)

    def call(self, service: str, kind: type, request: Any, timeout: float = 10.0) -> Any:
        """Call a service, waiting for it to appear first; returns the response."""
        new = service not in self._clients
        if new:
            self._clients[service] = self.node.create_client(kind, service)
            self._executor.wake()
        client = self._clients[service]
        if not client.wait_for_service(timeout):
            raise TimeoutError(f'service {service} did not appear within {timeout:g} s')
        if new:
            time.sleep(_UNTIL_SEEN)
        return _await(client.call_async(request), timeout, f'the answer of {service}')

    def send_goal(
        self,
        action: str,
        kind: type,
        goal: Any,
        feedback: list[Any] | None = None,
        timeout: float = 10.0,
    ) -> GoalResult:
        """Send a goal to an action; ``feedback`` fills with feedback as it arrives."""
        new = action not in self._clients
        if new:
            self._clients[action] = ActionClient(self.node, kind, action)
            self._executor.wake()
        client = self._clients[action]
        if not client.wait_for_server(timeout):
            raise TimeoutError(f'action {action} did not appear within {timeout:g} s')
        if new:
            time.sleep(_UNTIL_SEEN)
        callback = None if feedback is None else lambda m: feedback.append(m.feedback)
        future = client.send_goal_async(goal, feedback_callback=callback)
        return GoalResult(_await(future, timeout, f'the acceptance by {action}'))


def _await(future: Any, timeout: float, what: str) -> Any:
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    if not done.wait(timeout):
        raise TimeoutError(f'{what} did not come within {timeout:g} s')
    return future.result()
