"""The floor under ``graph_overhead``: the same four hops between processes, with nothing to do.

A state goes out, is answered by a service call to a "planner" that computes for a while, and comes
back as a command; the same messages, QoS and executors as the graph's, and no work in between.
What the graph takes beyond this is its own.
"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import JointState

from mbrl_common.hot_path import HotPath
from mbrl_common.node import run_node, spin
from mbrl_common.qos import STANDARD
from mbrl_msgs.msg import Command
from mbrl_msgs.srv import PlanActions


class Controller(Node):
    """Asks for a plan at each state, and sends a command at each plan."""

    def __init__(self) -> None:
        super().__init__('controller')
        self.hot_path = hot = HotPath(self)
        self._command = hot.create_publisher(Command, 'command', STANDARD)
        self._planner = hot.create_client(PlanActions, 'plan')
        hot.create_subscription(JointState, 'joint_states', self._ask, STANDARD)

    def _ask(self, _: JointState) -> None:
        future = self._planner.call_async(PlanActions.Request())
        future.add_done_callback(lambda _: self._command.publish(Command()))
        self.hot_path.rest()


class Planner(Node):
    """Computes for a given time, and answers with an empty plan."""

    def __init__(self) -> None:
        super().__init__('planner')
        self.declare_parameter('seconds', 0.006)
        self._seconds = self.get_parameter('seconds').value
        self.hot_path = HotPath(self)
        self.hot_path.create_service(PlanActions, 'plan', self._plan)

    def _plan(self, _: PlanActions.Request, response: PlanActions.Response) -> Any:
        end = time.perf_counter() + self._seconds
        while time.perf_counter() < end:
            pass
        self.hot_path.rest()
        return response


def measure(steps: int, planning: float) -> list[float]:
    """Seconds from state to command, less ``planning`` [s], for each of ``steps``; own domain."""
    others = [
        subprocess.Popen([sys.executable, __file__, 'controller']),
        subprocess.Popen(
            [sys.executable, __file__, 'planner', '--ros-args', '-p', f'seconds:={planning}']
        ),
    ]
    context = rclpy.Context()
    rclpy.init(context=context)
    node = Node('bridge', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    hot = HotPath(node)
    states = hot.create_publisher(JointState, 'joint_states', STANDARD)
    message = JointState(name=['a', 'b'], position=[0.0, 0.0], velocity=[0.0, 0.0])
    taken: list[float] = []
    sent = 0.0

    def send(_: Any = None) -> None:
        nonlocal sent
        if sent:
            taken.append(time.perf_counter() - sent - planning)
        sent = time.perf_counter()
        states.publish(message)
        hot.rest()

    hot.create_subscription(Command, 'command', send, STANDARD)
    try:
        deadline = time.monotonic() + 30.0
        while states.get_subscription_count() == 0 and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(3.0)  # the service must be known to the controller as well
        send()
        spin(executor, hot, lambda: len(taken) < steps and time.monotonic() < deadline)
    finally:
        for process in others:
            process.kill()
            process.wait()
        hot.destroy()
        node.destroy_node()
        context.try_shutdown()
    return taken


if __name__ == '__main__':
    run_node({'controller': Controller, 'planner': Planner}[sys.argv[1]], sys.argv[2:])
