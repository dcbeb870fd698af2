"""The ``sim_bridge`` node in real time: to the graph, a robot under ros2_control.

A thread of its own holds the rate, as ros2_control's loop does: it computes what is due, sends what
is due, and sleeps until the next. Commands and services come in the node's thread, and change the
simulation when the loop sleeps.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from mbrl_common.drawing import FRAME
from mbrl_common.hot_path import HotPath
from mbrl_common.messages import nanoseconds, to_field
from mbrl_common.qos import STANDARD
from mbrl_msgs.msg import Observation
from mbrl_msgs.srv import Reset
from mbrl_sim_bridge.commands import Command, CommandError, effort_command, trajectory_command
from mbrl_sim_bridge.diagnostics import Health
from mbrl_sim_bridge.real_time import Measurement, RealTimeSimulation
from mbrl_sim_bridge.simulation import Simulation, SimulationError

_SHORTEST_SLEEP = 1e-4  # [s]: even when it is late, the node's thread gets its turn
_LONGEST_SLEEP = 0.05  # [s]: within this it ends when it is told to
_CLOCK_LOOKS_NS = 100_000_000  # between looks for somebody who reads the clock [ns]
_SWITCH_INTERVAL = 5e-4  # [s]: for so long the node's thread may hold up the loop; Python's: 5 ms


class RealTimeRobot:
    """Topics, services and the loop of a simulation in real time."""

    def __init__(
        self,
        node: Node,
        hot_path: HotPath,
        simulation: Simulation,
        show: Callable[[Time], None],
    ) -> None:
        """Begin to move.

        Args:
            node: whose names, parameters and logger are used.
            hot_path: where commands arrive.
            simulation: in its initial state.
            show: called with the stamp of every state, to draw it.

        Raises:
            SettingsError: if ``sim.state_rate`` does not fit the physics.
        """
        self._node, self._hot, self._show = node, hot_path, show
        task, sim = simulation.settings.task, simulation.settings.sim
        self._joints = task.action
        self._joint_state = JointState(name=list(simulation.joint_names))
        self._joint_state.header.frame_id = FRAME
        self._observation = Observation(names=list(task.state), reward=math.nan)
        self._observation.header.frame_id = FRAME
        self._clock_message = ClockMessage()

        self._joint_state_publisher = hot_path.create_publisher(
            JointState, 'joint_states', STANDARD
        )
        self._observation_publisher = hot_path.create_publisher(
            Observation, 'observation', STANDARD
        )
        self._clock_publisher = hot_path.create_publisher(ClockMessage, '/clock', STANDARD)
        self._diagnostics_publisher = node.create_publisher(
            DiagnosticArray, '/diagnostics', STANDARD
        )
        self._lock = threading.Lock()  # of the simulation
        start_ns, now_ns = time.time_ns(), time.monotonic_ns()
        self._simulation = RealTimeSimulation(simulation, start_ns, now_ns)
        self._health = Health(node.get_fully_qualified_name(), sim, self._simulation, now_ns)
        self._clock_period_ns = round(1e9 / sim.clock_rate)
        self._next_clock_ns = now_ns
        self._divergences = 0

        if sim.command_type == 'effort':
            hot_path.create_subscription(
                Float64MultiArray, 'effort_controller/commands', self._on_efforts, STANDARD
            )
        else:
            hot_path.create_subscription(
                JointTrajectory,
                'joint_trajectory_controller/joint_trajectory',
                self._on_trajectory,
                STANDARD,
            )
        node.create_service(Reset, '~/reset', self._on_reset)
        node.create_timer(1.0, self._diagnose, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._priority = sim.thread_priority
        self._stopping = False
        sys.setswitchinterval(_SWITCH_INTERVAL)
        self._thread = threading.Thread(target=self._run, name='real time', daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the loop: the robot stands still."""
        self._stopping = True
        self._thread.join(5.0)

    def _run(self) -> None:
        try:
            if self._priority:
                self._take_priority()
            while not self._stopping:
                with self._lock:
                    self._tick()
                    due_ns = min(self._simulation.next_due_ns(), self._next_clock_ns)
                wait = (due_ns - time.monotonic_ns()) * 1e-9
                time.sleep(min(max(wait, _SHORTEST_SLEEP), _LONGEST_SLEEP))
        except BaseException as error:
            failure = error

            def fail() -> None:
                raise failure

            self._hot.call_soon(fail)  # a robot that is dead must not look alive

    def _take_priority(self) -> None:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(self._priority))  # this thread
        except OSError as error:
            self._node.get_logger().warning(
                f'sim.thread_priority {self._priority} is not permitted ({error.strerror}); it '
                'takes CAP_SYS_NICE, or a limit of that height (ulimit -r); the loop runs as others'
            )

    def _tick(self) -> None:
        """Compute and send what is due; joint states first, as a controller waits for them."""
        now_ns = time.monotonic_ns()
        measured = self._simulation.advance(now_ns)
        for measurement in self._simulation.take_states(now_ns):
            self._publish_joint_state(measurement)
        if measured and self._observation_publisher.get_subscription_count():
            for measurement in measured:
                self._publish_observation(measurement)
        if now_ns >= self._next_clock_ns:
            self._tell_the_time(now_ns)
        if measured:
            self._show(self._joint_state.header.stamp)

    def _tell_the_time(self, now_ns: int) -> None:
        if not self._clock_publisher.get_subscription_count():
            self._next_clock_ns = now_ns + _CLOCK_LOOKS_NS  # nobody to wake up for
            return
        _set(self._clock_message.clock, self._simulation.clock_ns(now_ns))
        self._clock_publisher.publish(self._clock_message)
        # What was missed is not made up for: a clock is read, not counted.
        missed = (now_ns - self._next_clock_ns) // self._clock_period_ns
        self._next_clock_ns += (missed + 1) * self._clock_period_ns

    def _publish_joint_state(self, measurement: Measurement) -> None:
        message = self._joint_state
        _set(message.header.stamp, measurement.time_ns)
        message.position = to_field(measurement.position)
        message.velocity = to_field(measurement.velocity)
        message.effort = to_field(measurement.effort)
        self._joint_state_publisher.publish(message)

    def _publish_observation(self, measurement: Measurement) -> None:
        message = self._observation
        _set(message.header.stamp, measurement.time_ns)
        message.episode = measurement.episode
        message.step = measurement.step
        message.state = to_field(measurement.state)
        self._observation_publisher.publish(message)

    def _on_efforts(self, message: Float64MultiArray) -> None:
        self._take(lambda: effort_command(message.data, self._joints))

    def _on_trajectory(self, message: JointTrajectory) -> None:
        self._take(
            lambda: trajectory_command(
                nanoseconds(message.header.stamp),
                message.joint_names,
                [nanoseconds(point.time_from_start) for point in message.points],
                [point.effort for point in message.points],
                self._joints,
            )
        )

    def _take(self, read: Callable[[], Command]) -> None:
        now_ns = time.monotonic_ns()
        try:
            command = read()
            with self._lock:
                self._simulation.command(command, now_ns)
        except CommandError as error:
            self._simulation.counts.commands_refused += 1
            self._node.get_logger().error(
                f'command refused ({self._simulation.counts.commands_refused} so far): {error}',
                throttle_duration_sec=2.0,
            )

    def _on_reset(self, request: Reset.Request, response: Reset.Response) -> Reset.Response:
        try:
            with self._lock:
                stamp_ns = self._simulation.reset(
                    request.seed, request.episode, time.monotonic_ns()
                )
        except SimulationError as error:
            response.error_code = Reset.Response.FAILED
            response.message = str(error)
            return response
        response.success = True
        response.message = f'episode {request.episode} begins, seed {request.seed}'
        _set(response.stamp, stamp_ns)
        return response

    def _diagnose(self) -> None:
        with self._lock:
            status = self._health.report(time.monotonic_ns())
            divergences, error = self._simulation.counts.divergences, self._simulation.error
        if divergences > self._divergences:
            self._divergences = divergences
            self._node.get_logger().error(f'{error} ({divergences} times so far); it was reset')
        message = DiagnosticArray(status=[status])
        _set(message.header.stamp, time.time_ns())
        self._diagnostics_publisher.publish(message)


def _set(stamp: Any, time_ns: int) -> None:
    stamp.sec, stamp.nanosec = divmod(time_ns, 1_000_000_000)
