"""Episodes in real time: the robot does not wait, so everything happens at its time or not at all.

An episode lies on a grid of control periods, which begins with a command. At each boundary of the
grid the action changes; in between it is sent again and again. What happens, and when:

- a plan takes effect at a boundary. It is asked for as late as it may be to arrive in time, from
  the newest state, together with the actions that will have been executed until then: the planner
  carries the state ahead;
- a plan that comes late is followed from the next boundary on, where it stands by then; until it
  comes the last one goes on, and past its end the safe command is sent;
- states come when they come. The state at each boundary lies between two of them; once it is known,
  the transition that led to it is: the action in force, from boundary to boundary. Where states
  are missing, or the action was not in force all the time, there is none;
- while states are missing, or the robot is where it must not be, the safe command is sent at once.

Like ``session``, it is told what arrives and says through its ports what is to be sent; it never
blocks and knows nothing of ROS. A training is waited for between two episodes alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from mbrl_mpc.boundaries import Boundaries
from mbrl_mpc.outbox import Outbox
from mbrl_mpc.periods import Period, Periods
from mbrl_mpc.pilot import Pilot
from mbrl_mpc.plan_schedule import PlanSchedule
from mbrl_mpc.plan_track import PlanTrack
from mbrl_mpc.ports import End, Phase, PlanFailure, Ports, Source
from mbrl_mpc.robot_command import joint_positions
from mbrl_mpc.robot_settings import RobotSettings
from mbrl_mpc.series import EpisodesGoal, Series
from mbrl_mpc.settings import ControlSettings, RealtimeSettings
from mbrl_mpc.state_buffer import StateBuffer
from mbrl_mpc.storage import Storage, Training
from mbrl_planner.planner import PlanResult

_NO_MODEL_RETRY = 0.05  # s
_TRAINER_SILENCE = 5.0  # s; a trainer tells how it is once a second


class RealtimeSession:
    """A number of episodes, from the first reset to the last acknowledgement."""

    def __init__(
        self,
        pilot: Pilot,
        control: ControlSettings,
        realtime: RealtimeSettings,
        robot: RobotSettings,
        goal: EpisodesGoal,
        outbox: Outbox,
        ports: Ports,
        clock: Callable[[], float],
        now: Callable[[], int],
        training: Training | None = None,
    ) -> None:
        """
        Args:
            pilot: scores, records, and knows the task.
            control: timeouts and limits.
            realtime: rates and delays.
            robot: its limits, and who resets it.
            goal: how many episodes of which kind.
            outbox: transitions not yet acknowledged, kept from session to session.
            ports: the ways out.
            clock: monotonic time [s], for timeouts.
            now: time on the clock that stamps the states [ns].
            training: the trainer's status, if it is known already.
        """
        self.pilot = pilot
        self.goal = goal
        self.phase = Phase.OVER
        self.waiting_for_model = False
        self.waiting_for_planner = False
        self.waiting_for_state = False
        self.late_plans = 0
        self.late_steps = 0
        """Control periods whose action went out late, or from a plan that should be newer."""
        self._control = control
        self._settings = realtime
        self._robot = robot
        self._ports = ports
        self._clock = clock
        self._now = now
        self._storage = Storage(outbox, ports.transition, ports.warn, clock, training)
        self._series = Series(pilot, goal, self._storage, clock)
        self._periods = Periods(
            round(pilot.task.control_period * 1e9), round(1e9 / realtime.command_rate)
        )
        self._plans = PlanSchedule(pilot, realtime, self._periods, goal.seed, ports.plan, clock)
        self._delay = round(realtime.actuation_delay * 1e9)
        self._buffer = StateBuffer(pilot.task.angle_indices)
        self._boundaries = Boundaries(pilot, self._periods, self._buffer, self._storage)
        self._since = self._trainer_at = clock()
        self._asked_reset = -math.inf
        self._reset_stamp: int | None = None
        self._state_at = -math.inf  # when the newest state came [s]
        self._inside = True  # of the region where the robot may be
        self._beat = 0  # when the last command went out, or rather took effect [ns]

    # What happens from outside -------------------------------------------------------------------

    def start(self) -> None:
        """Begin the first episode."""
        self._begin_episode()

    def stop(self, end: End, text: str) -> None:
        """Give up: the safe command is sent, and what was not acknowledged stays in the outbox."""
        if self.phase is Phase.OVER:
            return
        if self.phase is not Phase.RESET:
            self.pilot.cut_off()
        self._send_safe()
        self._enter(Phase.OVER)
        self._ports.finish(end, text, self._series.target_reached)

    def on_reset(self, success: bool, message: str, stamp: int) -> None:
        """The answer to a reset; ``stamp``: no state before it counts [ns]."""
        if self.phase is not Phase.RESET:
            return
        if not success:
            self.stop(End.RESET_FAILED, message)
            return
        self._reset_stamp = stamp

    def on_state(
        self, state: np.ndarray, stamp: int, inside: bool = True, continuous: bool = True
    ) -> None:
        """A valid state arrived.

        Args:
            state: [S].
            stamp: when it was measured [ns]; that of the last one, or an older one, is no news.
            inside: whether it is where the robot may be.
            continuous: whether the robot moved there from the state before.
        """
        if self.phase in (Phase.RESET, Phase.OVER):
            begun = self._reset_stamp is not None and stamp >= self._reset_stamp
            if self.phase is Phase.RESET and begun:
                self._first_state(state, stamp, inside)
            return
        behind = self._buffer.newest[1] - stamp if len(self._buffer) else -1
        if continuous and behind >= 0:
            return  # told once more, it is no sign of life
        if not continuous:
            self._buffer.clear()
        if behind > self._periods.length:
            self._on_clock_set_back(behind * 1e-9)
            return
        self._state_at = self._clock()
        self._inside = inside
        self._buffer.put(state, stamp)
        if self.phase is Phase.STATE:
            self._take_boundaries()
        self._ask_if_due()

    def on_plan(self, plan_id: int, plan: PlanResult | PlanFailure, text: str = '') -> None:
        """The planner's answer."""
        question = self._plans.answered(plan_id, isinstance(plan, PlanResult))
        if question is None or self.phase not in (Phase.PLAN, Phase.STATE):
            return
        hopeful = plan is PlanFailure.INVALID_REQUEST and self._plans.forget_times()
        if isinstance(plan, PlanResult):
            self.waiting_for_model = self.waiting_for_planner = False
            self._take_plan(self._plans.track(plan, question))
        elif plan in (PlanFailure.NO_MODEL, PlanFailure.MODEL_OUTDATED):
            self.waiting_for_model = True
            self._plans.retry_in(_NO_MODEL_RETRY)
        elif plan is PlanFailure.INVALID_REQUEST and question.warm:
            # A planner that was started again with another horizon cannot take the old plan.
            self._ports.warn(f'planning afresh, without warm start: {text}')
            self._plans.plan_afresh()
        elif plan is PlanFailure.INVALID_REQUEST and self.phase is Phase.PLAN and not hopeful:
            self.stop(End.INTERNAL_ERROR, f'the planner refused the request: {text}')
        else:
            self._ports.warn(f'no plan: {text}')
            self._plans.retry_in(self._periods.length * 1e-9)

    def on_ack(
        self, next_sequence: int, training_due: bool, stamp: int, training_job: int = 0
    ) -> None:
        """Transitions below ``next_sequence`` are on disk; see ``Storage.on_ack``."""
        self._storage.on_ack(next_sequence, training_due, stamp, training_job)
        self._go_on()

    def on_training(self, training: Training) -> None:
        """The trainer's status."""
        self._trainer_at = self._clock()
        self._storage.on_training(training)
        self._go_on()

    def replan(self) -> int:
        """Plan afresh, as soon as can be; returns the number of that plan."""
        self._plans.plan_afresh()
        self._ask_if_due()
        return self._plans.plan_id + (self._plans.question is None)

    def control(self) -> None:
        """Send the command of this moment; call this ``realtime.command_rate`` times a second."""
        if self.phase is Phase.OVER:
            return
        effect = self._now() + self._delay
        if effect < self._beat - self._periods.length:
            self._on_clock_set_back((self._beat - effect) * 1e-9)
        self._beat = effect
        if self.phase is Phase.RESET:
            return  # somebody else moves the robot; it has had the safe command
        if self.phase is Phase.STATE and self._periods.begin is None:
            self._periods.begin = effect
        if self.phase is Phase.STATE and self._periods.of_beat(effect) >= 0:
            self._command(effect)
        else:
            self._send_safe()
        self._ask_if_due()

    def tick(self) -> None:
        """Call this several times a second: timeouts."""
        now, control = self._clock(), self._control
        waited = now - self._since
        self._storage.resend(control.ack_timeout)
        if self._plans.overdue:
            if not self.waiting_for_planner:
                self._ports.warn('the planner does not answer; asking again until it does')
            self.waiting_for_planner = True
            self.late_plans += 1
            self._plans.give_up()
        if self.phase is Phase.RESET:
            attended = self._robot.reset == 'person'  # who may take as long as it takes
            if waited > control.recovery_timeout and not attended:
                self.stop(
                    End.RESET_FAILED,
                    'the robot was not reset, or its first state did not come, within '
                    f'{control.recovery_timeout:g} s; is sim_bridge, or the robot, running?',
                )
            elif (
                self._reset_stamp is None
                and not attended
                and now - self._asked_reset > control.state_timeout
            ):
                self._ask_for_reset()
        elif self.phase is Phase.PLAN:
            self._tick_first_plan(waited)
        elif self.phase is Phase.STATE:
            if now - self._state_at > control.recovery_timeout:
                self.stop(
                    End.STATE_TIMEOUT,
                    f'no state for {now - self._state_at:.1f} s; is the robot running?',
                )
        elif self.phase is Phase.ENDING:
            self._storage.give_up_late(waited, control.ack_timeout, control.model_timeout)
            silent = now - max(self._trainer_at, self._since)
            if self._storage.gated and silent > _TRAINER_SILENCE:
                self._storage.give_up_training(f'nothing was heard of dynamics for {silent:.0f} s')
            self._go_on()

    @property
    def steps_lost(self) -> int:
        """Control periods without a transition: a state was missing, or the action changed."""
        return self._boundaries.steps_lost

    @property
    def following(self) -> np.ndarray | None:
        """What the plan in force has next, see ``PlanSchedule``."""
        return self._plans.following

    @property
    def slowness(self) -> str:
        """For people: that plans take too long, and what helps; or empty."""
        return self._plans.slowness if self._is_planned else ''

    @property
    def seconds_in_phase(self) -> float:
        """How long the session has waited for what it waits for."""
        return self._clock() - self._since

    # Episodes ------------------------------------------------------------------------------------

    def _begin_episode(self) -> None:
        self._series.begin()
        self._buffer.clear()
        self._periods.clear()
        self._plans.begin()
        self._reset_stamp = None
        self._enter(Phase.RESET)
        self._ask_for_reset()

    def _ask_for_reset(self) -> None:
        self._asked_reset = self._clock()
        self._ports.reset(self.pilot.record.episode, self.pilot.reset_seed)

    def _first_state(self, state: np.ndarray, stamp: int, inside: bool) -> None:
        self._buffer.clear()
        self._buffer.put(state, stamp)
        self._state_at = self._clock()
        self._inside = inside
        guard, positions = self.pilot.guard, joint_positions(self.pilot.task, state)
        if self._robot.command_as != 'position' or positions is None:
            positions = guard.safe_action
        guard.begin_at(positions)
        if not self._is_planned:
            self._enter(Phase.STATE)
        else:  # the grid begins where the first plan does
            self._enter(Phase.PLAN)
            self._ask_if_due()

    def _tick_first_plan(self, waited: float) -> None:
        control = self._control
        if self.waiting_for_model and waited > control.model_timeout:
            self.stop(
                End.NO_MODEL,
                f'the planner had no model of version {self._storage.min_version} or newer within '
                f'{control.model_timeout:g} s; is dynamics running, and has it trained?',
            )
            return
        silent = min(waited, self._clock() - self._plans.heard_at)
        if not self.waiting_for_model and silent > control.recovery_timeout:
            self.stop(
                End.NO_PLANNER, f'the planner gave no plan for {silent:.1f} s; is it running?'
            )

    def _on_clock_set_back(self, seconds: float) -> None:
        self._buffer.clear()
        self._plans.question = None
        if self._reset_stamp is not None:  # the robot was reset before now
            self._reset_stamp = min(self._reset_stamp, self._now())
        if self.phase is Phase.STATE:
            self._ports.warn(
                f'episode {self.pilot.record.episode} was cut off after {self.pilot.record.steps} '
                f'steps: the clock was set back by {seconds:.3f} s'
            )
            self.pilot.cut_off()
            self._end_episode()

    def _end_episode(self) -> None:
        self._send_safe()
        self._enter(Phase.ENDING)
        self._go_on()

    def _go_on(self) -> None:
        if self.phase is Phase.ENDING and self._storage.stored and not self._storage.gated:
            self._close_episode()

    def _close_episode(self) -> None:
        self._ports.progress(self._series.summary(), True)
        if self._series.end():
            self._begin_episode()
        else:
            self._enter(Phase.OVER)
            self._ports.finish(End.DONE, '', self._series.target_reached)

    # Commands ------------------------------------------------------------------------------------

    @property
    def _is_planned(self) -> bool:
        """Whether actions come from plans now."""
        return self.pilot.mode.plans and not self.pilot.record.explore

    def _command(self, effect: int) -> None:
        """Send what is in force at ``effect`` [ns]."""
        periods = self._periods
        index = periods.of_beat(effect)
        if index > periods.current:
            missed, late = periods.enter(index, effect, self._decide(index))
            stale = self._is_planned and self._plans.stale_at(periods.boundary(index))
            self.late_steps += missed + (late or stale)
        period = periods.commanded(periods.current)
        if self._must_be_safe() or period is None:
            self._periods.replace(Period(self.pilot.guard.safe_action, Source.SAFE))
            self._send_safe()
        else:
            self._ports.command(
                period.action, period.source, period.plan_id, self._buffer.newest[1]
            )

    def _decide(self, index: int) -> Period:
        """The action of a period."""
        pilot, guard = self.pilot, self.pilot.guard
        time = self._periods.boundary(index)
        self._plans.follow(time)
        if pilot.done or index >= pilot.max_steps or pilot.holds:
            return Period(guard.check(guard.safe_action), Source.SAFE)
        if pilot.explores:
            return Period(guard.check(pilot.explore_at(index)), Source.EXPLORATION)
        planned = self._plans.period_at(time)
        if planned is not None:
            return planned
        self.waiting_for_planner = not self.waiting_for_model
        return Period(guard.check(guard.safe_action), Source.SAFE)

    def _must_be_safe(self) -> bool:
        age = self._clock() - self._state_at
        self.waiting_for_state = age > self._robot.state_timeout
        return self.waiting_for_state or not self._inside

    def _send_safe(self) -> None:
        """At once; what comes after it is as far from there as the rate allows."""
        guard = self.pilot.guard
        guard.begin_at(guard.safe_action)
        self._ports.command(guard.safe_action, Source.SAFE, 0, 0)

    # Transitions ---------------------------------------------------------------------------------

    def _take_boundaries(self) -> None:
        """All boundaries whose state is known by now."""
        while self.phase is Phase.STATE and self._boundaries.take_next():
            if self._periods.observed == 0:
                continue  # the first state of the episode
            if self.pilot.done:
                self._end_episode()
            else:
                self._ports.progress(self._series.summary(), False)

    # Plans ---------------------------------------------------------------------------------------

    def _ask_if_due(self) -> None:
        if not self._plans.ready or not len(self._buffer):
            return
        if self._clock() - self._state_at > self._robot.state_timeout:
            return  # too old to plan from
        soonest = self._now() + self._delay + self._plans.expected
        if self.phase is Phase.PLAN:
            tick = self._periods.tick
            beats = -((self._beat - soonest) // tick)
            target = self._beat + (beats + 1) * tick
            self._plans.ask(target, self._buffer.newest, self._storage.min_version)
        elif self.phase is Phase.STATE and self._periods.begin is not None and self._is_planned:
            boundary = self._plans.next_boundary(soonest)
            if boundary is not None:
                self._plans.ask(boundary, self._buffer.newest)

    def _take_plan(self, track: PlanTrack) -> None:
        late = self._now() + self._delay > track.start
        if late:
            self.late_plans += 1
        if self.phase is Phase.PLAN:
            if late:
                return  # asked again, with the time that it takes now known
            self._periods.begin = track.start
            self._enter(Phase.STATE)
        self._plans.take(track)

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self._since = self._clock()
