"""The robot's side of ``command_timing``: sends states, takes commands, and notes when.

It reads both ends off one clock, with a priority before whatever it measures, where that is
allowed.
"""

from __future__ import annotations

import contextlib
import gc
import math
import os
import random
import time
from collections.abc import Iterator

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import JointState

from mbrl_common.hot_path import HotPath
from mbrl_common.messages import nanoseconds, to_field
from mbrl_common.node import spin
from mbrl_common.qos import STANDARD
from mbrl_msgs.action import RunEpisodes
from mbrl_msgs.msg import Command
from mbrl_msgs.srv import PlanActions, Reset

PRIORITY = 80  # of the measurement
GAPS = (0.008, 0.012)  # s between two states; uneven, so that no beat falls in step with them
HORIZON = 25  # of its plans
PATIENCE = 1.0  # s, after which a state in lockstep is sent again


@contextlib.contextmanager
def urgent() -> Iterator[bool]:
    """This thread, and those it starts, go before others in here; whether that was allowed."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except PermissionError:
        yield False
        return
    try:
        yield True
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


class Robot:
    """A cart-pole that stands still, whatever it is told."""

    def __init__(self, period: float, lockstep: bool) -> None:
        """
        Args:
            period: of control [s].
            lockstep: the next state follows the answer to the last; else they come on the clock.
        """
        self.answers: list[float] = []
        """From a state's leaving to the arrival of the first command that has seen it [s]."""
        self.arrivals: list[float] = []
        """When commands came [s]."""
        self.unanswered = 0
        self._period, self._lockstep = round(period * 1e9), lockstep
        self._random = random.Random(0)
        self._stamp = time.time_ns()
        self._sent: dict[int, float] = {}
        self._due = 0.0
        rclpy.init()
        self._node = Node('robot', start_parameter_services=False, enable_rosout=False)
        self._hot = hot = HotPath(self._node)
        self._states = hot.create_publisher(JointState, 'joint_states', STANDARD)
        hot.create_subscription(Command, 'command', self._on_command, STANDARD)
        hot.create_service(Reset, 'sim_bridge/reset', self._on_reset)
        hot.create_service(PlanActions, 'planner/plan', self._on_plan)

    def begin(self, planned: bool, timeout: float = 60.0) -> None:
        """Have the controller act at random, or by plans, which are those of :meth:`_on_plan`."""
        executor = SingleThreadedExecutor()
        executor.add_node(self._node)
        client = ActionClient(self._node, RunEpisodes, 'mpc_controller/run_episodes')
        deadline = time.monotonic() + timeout
        goal = RunEpisodes.Goal(
            episodes=1, exploration_episodes=0 if planned else 1, target_return=math.nan
        )
        spin(
            executor,
            self._hot,
            lambda: not client.server_is_ready() and time.monotonic() < deadline,
        )
        accepted = client.send_goal_async(goal)
        spin(executor, self._hot, lambda: not accepted.done() and time.monotonic() < deadline)
        if not accepted.done() or not accepted.result().accepted:
            raise SystemExit('the controller does not take episodes')
        executor.remove_node(self._node)

    def run(self, seconds: float) -> None:
        """Send states and take commands for a while [s]."""
        end = time.perf_counter() + seconds
        gc.disable()
        while (now := time.perf_counter()) < end:
            if now >= self._due:
                self._send()
            self._hot.spin_once(max(0.0, min(self._due, end) - time.perf_counter()))
        gc.enable()

    def until_commanded(self, commands: int, timeout: float) -> None:
        """Run until so many commands have come."""
        deadline = time.monotonic() + timeout
        while len(self.arrivals) < commands:
            if time.monotonic() > deadline:
                raise SystemExit(f'there were {len(self.arrivals)} commands in {timeout:g} s')
            self.run(0.1)

    def forget(self) -> None:
        """Begin to note anew."""
        self.answers.clear()
        self.arrivals.clear()
        self.unanswered = 0

    def _send(self) -> None:
        if not self._lockstep:
            self._stamp = time.time_ns()
            self._due = time.perf_counter() + self._random.uniform(*GAPS)
        else:
            if self._sent:  # again
                self.unanswered += 1
            self._due = time.perf_counter() + PATIENCE
        message = JointState(
            name=['slider', 'hinge'], position=[0.0, 0.0], velocity=[0.0, 0.0], effort=[0.0, 0.0]
        )
        message.header.stamp = Time(
            sec=self._stamp // 1_000_000_000, nanosec=self._stamp % 1_000_000_000
        )
        self._sent[self._stamp] = time.perf_counter()
        self._states.publish(message)

    def _on_command(self, command: Command) -> None:
        now = time.perf_counter()
        self.arrivals.append(now)
        stamp = nanoseconds(command.state_stamp)
        sent = self._sent.pop(stamp, None)
        if sent is None:
            return
        self.answers.append(now - sent)
        # what was sent before this is answered by nothing any more: a newer one was seen first
        older = [each for each in self._sent if each < stamp]
        self.unanswered += len(older)
        for each in older:
            del self._sent[each]
        if self._lockstep:
            self._stamp += self._period
            self._due = now + self._random.uniform(*GAPS)

    def _on_reset(self, _: Reset.Request, response: Reset.Response) -> Reset.Response:
        self._sent.clear()
        if not self._lockstep:
            self._stamp = time.time_ns()
        self._due = 0.0
        response.success = True
        response.stamp = Time(sec=self._stamp // 1_000_000_000, nanosec=self._stamp % 1_000_000_000)
        return response

    def _on_plan(
        self, request: PlanActions.Request, response: PlanActions.Response
    ) -> PlanActions.Response:
        """At once: stand still, while model and truth part further and further."""
        plan = response.plan
        plan.header.stamp, plan.id = request.stamp, request.plan_id
        plan.horizon, plan.action_dim, plan.state_dim = HORIZON, 1, 4
        plan.step, plan.history = self._period * 1e-9, 1
        steps = np.arange(HORIZON + 1)[:, None]
        plan.actions = plan.warm_start_mean = to_field(np.zeros(HORIZON))
        plan.state_mean = to_field(np.array(request.state) + 0.05 * steps)
        plan.state_std = to_field(0.01 * steps * np.ones(4))
        return response

    def close(self) -> None:
        """Leave the graph."""
        self._hot.destroy()
        self._node.destroy_node()
        rclpy.try_shutdown()
