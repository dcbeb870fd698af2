"""The ``sim_bridge`` node: a simulation with the topics of a robot, in lockstep or in real time.

Real time is in ``real_time_node``. In lockstep it steps when, and only when, a command answers its
current state. An episode is open from a reset until ``task.max_steps`` commands were answered; it
*runs* from the first of them. Outside of an open episode commands are ignored, so that a safe
command to a resting simulation moves nothing.
"""

from __future__ import annotations

import time

import mujoco
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import JointState

from mbrl_common.drawing import FRAME
from mbrl_common.hot_path import HotPath
from mbrl_common.messages import from_field, to_field
from mbrl_common.node import declare_settings, run_node
from mbrl_common.qos import STANDARD
from mbrl_common.watched import WatchedTimer
from mbrl_msgs.msg import Command, Observation
from mbrl_msgs.srv import Reset
from mbrl_sim_bridge.diagnostics import LockstepHealth
from mbrl_sim_bridge.marker_publisher import MarkerPublisher
from mbrl_sim_bridge.real_time_node import RealTimeRobot
from mbrl_sim_bridge.settings import SimBridgeSettings
from mbrl_sim_bridge.simulation import ActionError, Simulation, SimulationError

_REAL_TIME_ONLY = (
    *('position_noise', 'velocity_noise', 'effort_noise'),
    *('state_latency', 'state_jitter', 'state_drop'),
    *('command_latency', 'command_jitter', 'command_drop'),
)


class SimBridge(Node):
    """Publishes states, steps by commands, resets by service; or is a ``RealTimeRobot``."""

    def __init__(self) -> None:
        super().__init__('sim_bridge', automatically_declare_parameters_from_overrides=True)
        self.settings = declare_settings(self, SimBridgeSettings, self._on_settings)
        # From the wall clock, so that stamps never go back, not even over a restart.
        self.simulation = Simulation(self.settings, start_ns=time.time_ns())
        self.hot_path = HotPath(self)
        self._marker_publisher = MarkerPublisher(self, self.simulation)
        mujoco.set_mju_user_warning(self._on_mujoco_warning)
        self._robot: RealTimeRobot | None = None
        if self.settings.sim.real_time:
            self._robot = RealTimeRobot(self, self.hot_path, self.simulation, self._show)
        else:
            self._begin_lockstep()
        self.get_logger().info(
            f"simulating {self.settings.sim.environment!r} for task '{self.settings.task.name}': "
            f'state {list(self.settings.task.state)}, action {list(self.settings.task.action)}'
        )

    def shut_down(self) -> None:
        """Called before the node is destroyed."""
        if self._robot is not None:
            self._robot.stop()
        mujoco.set_mju_user_warning(None)

    def _on_settings(self, settings: SimBridgeSettings) -> None:
        self.settings = settings

    def _show(self, stamp: Time) -> None:
        self._marker_publisher.publish(stamp, self.settings.sim.marker_rate)

    def _begin_lockstep(self) -> None:
        unused = [name for name in _REAL_TIME_ONLY if getattr(self.settings.sim, name) > 0.0]
        if unused:
            self.get_logger().warning(
                f'nothing comes of {", ".join("sim." + name for name in unused)} in lockstep; '
                'set sim.real_time'
            )
        self._episode_open = False
        self._health = LockstepHealth(
            self.get_fully_qualified_name(), self.settings.sim.environment
        )

        # Made once and filled for every state: the time from command to state counts.
        self._joint_state = JointState(name=list(self.simulation.joint_names))
        self._joint_state.header.frame_id = FRAME
        self._observation = Observation(names=list(self.settings.task.state))
        self._observation.header.frame_id = FRAME
        self._clock_message = ClockMessage()

        hot = self.hot_path
        self._joint_state_publisher = hot.create_publisher(JointState, 'joint_states', STANDARD)
        self._observation_publisher = hot.create_publisher(Observation, 'observation', STANDARD)
        self._clock_publisher = hot.create_publisher(ClockMessage, '/clock', STANDARD)
        hot.create_subscription(Command, 'command', self._on_command, STANDARD)
        self.create_service(Reset, '~/reset', self._on_reset)
        diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', STANDARD)
        WatchedTimer(self, [diagnostics], 1.0, lambda: diagnostics.publish(self._diagnosis()))
        self._repeat_timer = self.create_timer(
            self.settings.sim.state_repeat_period,
            self._repeat_state,
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )
        self._publish_state(episode=0, step=0, truncated=False)

    def _on_command(self, command: Command) -> None:
        stamp, answered = self._joint_state.header.stamp, command.state_stamp
        due = answered.sec == stamp.sec and answered.nanosec == stamp.nanosec
        if command.source == Command.SOURCE_SAFE and not (due and self._episode_open):
            return  # a controller leaves its robot safe when it ends; here nothing moves anyway
        if not due:
            self._ignore(f'it answers the state of {_text(answered)}; this is {_text(stamp)}')
            return
        if not self._episode_open:
            self._ignore(f'no episode is open; call {self.get_fully_qualified_name()}/reset')
            return
        try:
            self.simulation.step(from_field(command.action))
        except ActionError as error:
            self._health.refused += 1
            self.get_logger().error(
                f'command for the state of {_text(stamp)} refused ({self._health.refused} so far): '
                f'{error}; the simulation waits for another'
            )
            return
        except SimulationError as error:
            self.get_logger().error(f'episode {self._observation.episode} ended: {error}')
            self._begin_again()
            return
        step = self._observation.step + 1
        truncated = step >= self.settings.task.max_steps
        self._episode_open = not truncated
        self._publish_state(self._observation.episode, step, truncated)

    def _on_reset(self, request: Reset.Request, response: Reset.Response) -> Reset.Response:
        if self._episode_open and self._observation.step > 0 and not request.force:
            response.error_code = Reset.Response.EPISODE_RUNNING
            response.message = (
                f'episode {self._observation.episode} runs, at step {self._observation.step} of '
                f'{self.settings.task.max_steps}; let it end, or set force'
            )
            return response
        try:
            self.simulation.reset(request.seed)
        except SimulationError as error:
            self._episode_open = False
            response.error_code = Reset.Response.FAILED
            response.message = str(error)
            return response
        self._episode_open = True
        self._publish_state(request.episode, step=0, truncated=False)
        response.success = True
        response.message = f'episode {request.episode} begins, seed {request.seed}'
        response.stamp = self._joint_state.header.stamp
        return response

    def _begin_again(self) -> None:
        """After diverged physics: a sound state, one period after that of the broken step. A
        controller sees from that gap that its episode is over."""
        self._episode_open = False
        self.simulation.reset(self.settings.sim.seed)
        self._publish_state(self._observation.episode, step=0, truncated=True)

    def _publish_state(self, episode: int, step: int, truncated: bool) -> None:
        """The joint state first: the controller plans from it while the rest is sent."""
        sec, nanosec = divmod(self.simulation.time_ns, 1_000_000_000)
        position, velocity, effort = self.simulation.joints()
        joint_state = self._joint_state
        joint_state.header.stamp.sec = sec
        joint_state.header.stamp.nanosec = nanosec
        joint_state.position = to_field(position)
        joint_state.velocity = to_field(velocity)
        joint_state.effort = to_field(effort)
        self._joint_state_publisher.publish(joint_state)

        observation = self._observation
        observation.header.stamp = joint_state.header.stamp
        observation.episode = episode
        observation.step = step
        observation.state = to_field(self.simulation.state)
        observation.reward = self.simulation.score
        observation.truncated = truncated
        if self._observation_publisher.get_subscription_count():
            self._observation_publisher.publish(observation)

        self._clock_message.clock = joint_state.header.stamp
        if self._clock_publisher.get_subscription_count():
            self._clock_publisher.publish(self._clock_message)
        self._show(self._joint_state.header.stamp)
        self._repeat_timer.reset()
        self.hot_path.rest()

    def _repeat_state(self) -> None:
        """No command has come for a while: help whoever missed the state, or joined since."""
        self._joint_state_publisher.publish(self._joint_state)
        self._clock_publisher.publish(self._clock_message)
        self._show(self._joint_state.header.stamp)

    def _diagnosis(self) -> DiagnosticArray:
        episode, step = self._observation.episode, self._observation.step
        message = DiagnosticArray(status=[self._health.report(episode, step, self._episode_open)])
        message.header.stamp = self.get_clock().now().to_msg()
        return message

    def _ignore(self, why: str) -> None:
        self._health.ignored += 1
        self.get_logger().warning(
            f'command ignored ({self._health.ignored} so far): {why}', throttle_duration_sec=2.0
        )

    def _on_mujoco_warning(self, text: str) -> None:
        self.get_logger().error(f'MuJoCo: {text}')


def _text(stamp: Time) -> str:
    return f'{stamp.sec}.{stamp.nanosec:09d}'


def main(args: list[str] | None = None) -> None:
    """Entry point of the executable ``sim_bridge``."""
    run_node(SimBridge, args)
