"""The node ``mpc_controller``: a lifecycle node that turns messages into calls of a session."""

from __future__ import annotations

import math
import secrets
import time

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from mbrl_common.hot_path import HotPath
from mbrl_common.messages import nanoseconds, to_field
from mbrl_common.node import declare_settings, run_node
from mbrl_common.priority import take_priority
from mbrl_common.qos import LATCHED, RECORD, STANDARD
from mbrl_dynamics.transition import Transition
from mbrl_mpc import conversions
from mbrl_mpc.episodes_action import EpisodesAction
from mbrl_mpc.lockstep_states import LockstepStates
from mbrl_mpc.outbox import Outbox
from mbrl_mpc.pilot import Pilot
from mbrl_mpc.plan_display import PlanDisplay
from mbrl_mpc.ports import End, Phase, Source
from mbrl_mpc.realtime import RealtimeSession
from mbrl_mpc.requests import Requests
from mbrl_mpc.resets import make_resets
from mbrl_mpc.robot_io import RobotCommands, RobotStates
from mbrl_mpc.series import EpisodesGoal, Summary
from mbrl_mpc.session import Session
from mbrl_mpc.settings import MpcSettings
from mbrl_mpc.state_watch import Verdict
from mbrl_mpc.status import diagnostics, status_message
from mbrl_mpc.storage import Training
from mbrl_mpc.telemetry import Telemetry
from mbrl_msgs import msg
from mbrl_msgs.action import RunEpisodes
from mbrl_msgs.srv import PlanActions
from mbrl_planner.planner import PlanRequest, PlanResult

_COUNTED = ('late_plans', 'late_steps', 'steps_lost')
_LAST_COMMAND = 0.5  # s that the process waits at its end for the safe command to arrive


class MpcController(LifecycleNode):
    """Runs episodes by action; commands only while active. Also the session's ``Ports``."""

    def __init__(self) -> None:
        super().__init__('mpc_controller', automatically_declare_parameters_from_overrides=True)
        self.settings = declare_settings(self, MpcSettings, self._on_settings)
        self._telemetry = Telemetry()
        self._outbox = Outbox()
        self._number = secrets.randbits(63)
        self._pilot = Pilot(self.settings, self.get_fully_qualified_name(), self._number)
        self._session: Session | RealtimeSession | None = None
        self._training: Training | None = None
        self._active = False
        self._counts = dict.fromkeys(_COUNTED, 0)  # of the sessions before this one
        self._plan_message: msg.Plan | None = None

        self.hot_path = hot = HotPath(self)
        self._states: RobotStates | None = None
        if self.settings.realtime.enabled:
            hot.follow_clock()
            self._states = RobotStates(hot, self.settings, self, self._nanoseconds)
        else:
            LockstepStates(hot, self.settings, self._on_state, self.on_refused)
        self._planner = hot.create_client(PlanActions, 'planner/plan')
        self._command = hot.create_publisher(msg.Command, 'command', STANDARD)
        self._robot = RobotCommands(self, hot, self.settings)
        self._transition = hot.create_publisher(msg.Transition, 'transition', RECORD)
        hot.create_subscription(msg.TransitionAck, 'transition_ack', self._on_ack, RECORD)

        self.create_subscription(
            msg.TrainingStatus, 'training_status', self._on_training_status, LATCHED
        )
        self._resets = make_resets(self, self.settings, self._on_reset)
        Requests(self, self._pilot, lambda: self._session, self._on_refused_goal)
        PlanDisplay(self, self.settings, self._pilot, lambda: self._plan_message)
        self._plan = self.create_publisher(msg.Plan, 'plan', STANDARD)
        self._status = self.create_publisher(msg.ControllerStatus, 'controller_status', LATCHED)
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', STANDARD)
        self._action = EpisodesAction(
            self, self.settings.task.max_steps, self._refusal, self._begin
        )
        if self.settings.realtime.enabled:
            hot.every(1.0 / self.settings.realtime.command_rate, self._on_beat)
            if refusal := take_priority(self.settings.realtime.process_priority):
                self.warn(f'realtime.process_priority: {refusal}')
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # a simulated clock may stop, or go back
        self.create_timer(0.05, self._on_tick, clock=steady)
        self.create_timer(1.0, self._on_second, clock=steady)
        if self.settings.autostart:
            self.trigger_configure()
            self.trigger_activate()

    def _on_settings(self, settings: MpcSettings) -> None:
        """The objective's weights were changed; set them at the planner as well."""
        self.settings = settings
        self._pilot.set_objective(settings.objective)

    # Lifecycle -----------------------------------------------------------------------------------

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """From here on the node may command the robot."""
        self._active = True
        self.get_logger().info(f"active: task '{self.settings.task.name}'")
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Ends a running episode; the last command is the safe one."""
        self._stand_down('the controller was deactivated')
        return super().on_deactivate(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """As deactivation."""
        self._stand_down('the controller was shut down')
        return super().on_shutdown(state)

    def shut_down(self) -> None:
        """The process ends: leave the robot with the safe command."""
        if rclpy.ok():
            self._stand_down('the controller was shut down')
            # what has not arrived when a publisher is destroyed never will
            self._robot.wait_until_received(_LAST_COMMAND)
            self._command.wait_for_all_acked(Duration(seconds=_LAST_COMMAND))

    def _stand_down(self, why: str) -> None:
        if not self._active:
            return
        if self._session is not None:
            self._session.stop(End.DEACTIVATED, why)
        self._send(self._pilot.guard.safe_action)
        self._active = False

    # What arrives --------------------------------------------------------------------------------

    def _on_state(self, state: np.ndarray, stamp: int) -> None:
        self._telemetry.state_received()
        self._telemetry.time_is(stamp)  # in lockstep time passes from state to state
        if self._session is not None:
            self._session.on_state(state, stamp)

    def on_robot_state(self, state: np.ndarray, stamp: int, verdict: Verdict) -> None:
        """Real time: a state that can be believed."""
        self._telemetry.state_received()
        if isinstance(self._session, RealtimeSession):
            self._session.on_state(state, stamp, verdict.inside, verdict.continuous)

    def on_refused(self, text: str) -> None:
        """A message or a state was refused."""
        self._telemetry.state_refused(text)
        self.get_logger().error(f'refused: {text}', throttle_duration_sec=1.0)

    def _on_ack(self, message: msg.TransitionAck) -> None:
        if message.session != self._number or self._session is None:
            if message.session == self._number:
                self._outbox.acknowledge(message.next_sequence)
            return
        self._session.on_ack(
            message.next_sequence,
            message.training_due,
            nanoseconds(message.stamp),
            message.training_job,
        )

    def _on_training_status(self, message: msg.TrainingStatus) -> None:
        self._training = conversions.training_from_status(message)
        if self._session is not None:
            self._session.on_training(self._training)

    def _on_refused_goal(self, text: str) -> None:
        self._telemetry.text = text
        self.get_logger().error(f'refused: {text}')

    def _on_beat(self) -> None:
        """Real time: the moment of a command."""
        if isinstance(self._session, RealtimeSession):
            self._session.control()
            self.hot_path.rest()

    def _on_tick(self) -> None:
        self._read_clock()
        if self._session is not None:
            if self._action.cancelled:
                self._session.stop(End.CANCELLED, 'cancelled on request')
            else:
                self._session.tick()
                if self._session is not None and self._session.phase is Phase.RESET:
                    self._resets.look()
                self._hold_still()
            return
        for transition in self._outbox.overdue(time.monotonic(), self.settings.control.ack_timeout):
            self.transition(transition)

    def _hold_still(self) -> None:
        """A robot does not wait as a simulation does: without a plan for long, be safe."""
        session = self._session
        if not isinstance(session, Session) or session.phase is not Phase.PLAN:
            return
        if session.seconds_in_phase > self.settings.control.state_timeout:
            self._robot.send(self._pilot.guard.safe_action)

    # Episodes ------------------------------------------------------------------------------------

    def _refusal(self) -> tuple[int, str]:
        """Why no episodes may run now, as a code of the action and a text; 0: they may."""
        codes = RunEpisodes.Result
        if not self._active:
            return codes.NOT_ACTIVE, 'the controller is not active; activate it first'
        if self._session is not None:
            return codes.BUSY, 'episodes are running already; cancel them first'
        others = self._robot.others()
        return (codes.OTHER_COMMANDER, others) if others else (codes.NONE, '')

    def _begin(self, goal: EpisodesGoal) -> None:
        self._session = self._make_session(goal)
        self._session.start()

    def _make_session(self, goal: EpisodesGoal) -> Session | RealtimeSession:
        settings, clock = self.settings, time.monotonic
        if not settings.realtime.enabled:
            return Session(
                self._pilot, settings.control, goal, self._outbox, self, clock, self._training
            )
        return RealtimeSession(
            self._pilot,
            settings.control,
            settings.realtime,
            settings.robot,
            goal,
            self._outbox,
            self,
            clock,
            self._nanoseconds,
            self._training,
        )

    # Ports of the session ------------------------------------------------------------------------

    def reset(self, episode: int, seed: int) -> None:
        """Have the robot, or the simulation, brought to its start."""
        self._resets.ask(episode, seed)

    def _on_reset(self, success: bool, message: str, stamp: int) -> None:
        if self._states is not None:
            self._states.forget()
        if self._session is not None:
            self._session.on_reset(success, message, stamp)

    def plan(self, plan_id: int, request: PlanRequest, stamp: int) -> None:
        """Call the planner."""
        session = self._session
        message = conversions.plan_request_message(plan_id, request, conversions.to_time(stamp))

        def answer(response: PlanActions.Response) -> None:
            if self._session is not session or session is None:
                return
            plan = conversions.plan_from_response(response, self.settings.task, plan_id)
            if isinstance(plan, PlanResult):
                self._telemetry.plan_received(plan.planning_time)
                self._plan_message = response.plan
            text = response.error_msg or conversions.why_not_followed(
                response.plan, self.settings.task, plan_id
            )
            session.on_plan(plan_id, plan, text or 'arrays or numbers of the plan are wrong')

        self.hot_path.call(self._planner, message, answer)
        self.hot_path.rest()

    def command(self, action: np.ndarray, source: Source, plan_id: int, state_stamp: int) -> None:
        """Send a command, for a simulation and for a ros2_control robot."""
        self._send(action, source, plan_id, state_stamp)
        plan = self._plan_message
        if source is Source.PLAN and plan is not None and self._plan.get_subscription_count():
            self._plan.publish(plan)

    def transition(self, transition: Transition) -> None:
        """Send a transition to the dataset."""
        self._transition.publish(conversions.transition_message(transition))

    def progress(self, summary: Summary, ended: bool) -> None:
        """Feedback of the action: at each episode's end, and now and then."""
        if ended:
            self._publish_status()
        self._action.progress(summary, ended)

    def finish(self, end: End, text: str, target_reached: bool) -> None:
        """The session is over."""
        for name in _COUNTED:
            self._counts[name] += getattr(self._session, name, 0)
        self._session = None
        if end is not End.DONE:
            self._telemetry.text = text
            self.get_logger().warning(f'episodes ended: {text}')
        self._action.finish(end, text, target_reached)
        self._publish_status()

    def warn(self, text: str) -> None:
        """Tell a person."""
        self._telemetry.text = text
        self.get_logger().warning(text)

    # What goes out -------------------------------------------------------------------------------

    def _send(
        self,
        action: np.ndarray,
        source: Source = Source.SAFE,
        plan_id: int = 0,
        state_stamp: int = 0,
    ) -> None:
        values, realtime = to_field(action), self.settings.realtime
        message = msg.Command(action=values, source=int(source), plan_id=plan_id)
        message.state_stamp = message.header.stamp = conversions.to_time(state_stamp)
        if realtime.enabled:  # in lockstep a command takes effect at the state that it answers
            effect = self._nanoseconds() + round(realtime.actuation_delay * 1e9)
            message.header.stamp = conversions.to_time(effect)
        self._command.publish(message)
        following = None
        if source is Source.PLAN and isinstance(self._session, RealtimeSession):
            following = self._session.following
        self._robot.send(action, following)
        self._telemetry.command_sent()

    def _nanoseconds(self) -> int:
        now: int = self.get_clock().now().nanoseconds
        return now

    def _read_clock(self) -> None:
        if self.settings.realtime.enabled:
            self._telemetry.time_is(self._nanoseconds())

    def _on_second(self) -> None:
        self._look_around()
        self._publish_status()

    def _look_around(self) -> None:
        """Is the robot there, and ours alone? Not from within a session, which this may end."""
        others = self._robot.others()
        if others:
            self._telemetry.text = others
            self.get_logger().error(others, throttle_duration_sec=5.0)
            if self._session is not None:
                self._session.stop(End.OTHER_COMMANDER, others)
        if isinstance(self._session, RealtimeSession) and (slow := self._session.slowness):
            self._telemetry.text = slow
            self.get_logger().warning(slow, throttle_duration_sec=10.0)
        if self._states is not None and (problem := self._states.problem):
            self._telemetry.text = problem
            self.get_logger().warning(problem, throttle_duration_sec=5.0)

    def _publish_status(self) -> None:
        self._read_clock()
        status = status_message(
            self.get_clock().now().to_msg(),
            self._active,
            self._session,
            self._pilot,
            self._telemetry,
            self._outbox,
            math.nan if self._training is None else self._training.holdout_error,
        )
        for name, before in self._counts.items():
            setattr(status, name, getattr(status, name) + before)
        self._status.publish(status)
        if self._diagnostics.get_subscription_count():
            name, task = self.get_fully_qualified_name(), self.settings.task.name
            self._diagnostics.publish(diagnostics(status, name, task))


def main(args: list[str] | None = None) -> None:
    """Run the node."""
    run_node(MpcController, args)
