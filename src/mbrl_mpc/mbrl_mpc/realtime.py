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

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from mbrl_common.seeding import derive_seed
from mbrl_mpc.outbox import Outbox
from mbrl_mpc.pilot import Pilot
from mbrl_mpc.plan_track import PlanTrack
from mbrl_mpc.robot_command import joint_positions
from mbrl_mpc.robot_settings import RobotSettings
from mbrl_mpc.round_trips import RoundTrips
from mbrl_mpc.series import EpisodesGoal, Series
from mbrl_mpc.session import End, Phase, PlanFailure, Ports, Source
from mbrl_mpc.settings import ControlSettings, RealtimeSettings
from mbrl_mpc.state_buffer import StateBuffer
from mbrl_mpc.storage import Storage, Training
from mbrl_planner.planner import PlanRequest, PlanResult

_NO_MODEL_RETRY = 0.05  # s


@dataclasses.dataclass(frozen=True)
class _Period:
    """What is in force from one boundary to the next; ``change`` [S] is expected of it."""

    action: np.ndarray
    source: Source
    plan_id: int = 0
    change: np.ndarray | None = None
    whole: bool = True  # in force all the time


@dataclasses.dataclass(frozen=True)
class _Question:
    plan_id: int
    target: int  # when the plan is to take effect [ns]
    asked: float  # [s]
    warm: bool


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
        self.steps_lost = 0
        """Control periods without a transition: a state was missing, or the action changed."""
        self._control = control
        self._settings = realtime
        self._robot = robot
        self._ports = ports
        self._clock = clock
        self._now = now
        self._storage = Storage(outbox, ports.transition, ports.warn, clock, training)
        self._series = Series(pilot, goal, self._storage, clock)
        self._period = round(pilot.task.control_period * 1e9)
        self._tick = round(1e9 / realtime.command_rate)
        self._delay = round(realtime.actuation_delay * 1e9)
        self._round_trips = RoundTrips(realtime.plan_margin, realtime.first_plan_time)
        self._buffer = StateBuffer(pilot.task.angle_indices)
        self._since = clock()
        self._asked_reset = -math.inf
        self._reset_stamp: int | None = None
        self._state_at = -math.inf  # when the newest state came [s]
        self._inside = True  # of the region where the robot may be
        self._beat = 0  # when the last command went out, or rather took effect [ns]
        self._begin: int | None = None  # of the grid [ns]
        self._current = -1  # period that is being commanded
        self._periods: dict[int, _Period] = {}  # commanded, and not in a transition yet
        self._observed = -1  # boundary whose state is known
        self._track: PlanTrack | None = None
        self._upcoming: list[PlanTrack] = []  # not in force yet, the soonest first
        self._question: _Question | None = None
        self._plan_id = 0
        self._retry_at = -math.inf
        self._afresh = False  # the next plan starts cold, and as soon as it can

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
        """A valid state arrived, newer than the last.

        Args:
            state: [S].
            stamp: when it was measured [ns].
            inside: whether it is where the robot may be.
            continuous: whether the robot moved there from the state before.
        """
        if self.phase in (Phase.RESET, Phase.OVER):
            begun = self._reset_stamp is not None and stamp >= self._reset_stamp
            if self.phase is Phase.RESET and begun:
                self._first_state(state, stamp, inside)
            return
        self._state_at = self._clock()
        self._inside = inside
        if not continuous:
            self._buffer.clear()
        if len(self._buffer) and stamp <= self._buffer.newest[1]:
            return
        self._buffer.put(state, stamp)
        if self.phase is Phase.STATE:
            self._take_boundaries()
        self._ask_if_due()

    def on_plan(self, plan_id: int, plan: PlanResult | PlanFailure, text: str = '') -> None:
        """The planner's answer."""
        question = self._question
        if question is None or plan_id != question.plan_id:
            return
        self._question = None
        if self.phase not in (Phase.PLAN, Phase.STATE):
            return
        if isinstance(plan, PlanResult):
            self._round_trips.add(self._clock() - question.asked)
            self.waiting_for_model = self.waiting_for_planner = False
            self._take_plan(PlanTrack(plan, plan_id, question.target, self._period))
        elif plan in (PlanFailure.NO_MODEL, PlanFailure.MODEL_OUTDATED):
            self.waiting_for_model = True
            self._retry_at = self._clock() + _NO_MODEL_RETRY
        elif plan is PlanFailure.INVALID_REQUEST and question.warm:
            # A planner that was started again with another horizon cannot take the old plan.
            self._ports.warn(f'planning afresh, without warm start: {text}')
            self._afresh = True
        elif plan is PlanFailure.INVALID_REQUEST and self.phase is Phase.PLAN:
            self.stop(End.INTERNAL_ERROR, f'the planner refused the request: {text}')
        else:
            self._ports.warn(f'no plan: {text}')
            self._retry_at = self._clock() + self._period * 1e-9

    def on_ack(
        self, next_sequence: int, training_due: bool, stamp: int, training_job: int = 0
    ) -> None:
        """Transitions below ``next_sequence`` are on disk; see ``Storage.on_ack``."""
        self._storage.on_ack(next_sequence, training_due, stamp, training_job)
        self._go_on()

    def on_training(self, training: Training) -> None:
        """The trainer's status."""
        self._storage.on_training(training)
        self._go_on()

    def replan(self) -> int:
        """Plan afresh, as soon as can be; returns the number of that plan."""
        self._afresh = True
        self._question = None  # whatever is in flight is warm
        self._ask_if_due()
        return self._plan_id if self._question is not None else self._plan_id + 1

    def control(self) -> None:
        """Send the command of this moment; call this ``realtime.command_rate`` times a second."""
        if self.phase is Phase.OVER:
            return
        effect = self._now() + self._delay
        if effect < self._beat - self._period:
            self._on_clock_set_back((self._beat - effect) * 1e-9)
        self._beat = effect
        if self.phase is Phase.RESET:
            return  # somebody else moves the robot; it has had the safe command
        if self.phase is Phase.STATE and self._begin is None:
            self._begin = effect
        if self.phase is not Phase.STATE or self._begin is None:
            self._send_safe()
        else:
            # of the nearest boundary: a beat may come a little early
            current = (effect + self._tick // 2 - self._begin) // self._period
            if current < 0:
                self._send_safe()
                self._ask_if_due()
                return
            if current > self._current:
                self._enter_period(current, effect)
            if self._must_be_safe():
                self._make_safe(self._current)
                self._send_safe()
            else:
                period = self._periods[self._current]
                self._ports.command(
                    period.action, period.source, period.plan_id, self._buffer.newest[1]
                )
        self._ask_if_due()

    def tick(self) -> None:
        """Call this several times a second: timeouts."""
        now, control = self._clock(), self._control
        waited = now - self._since
        self._storage.resend(control.ack_timeout)
        question = self._question
        if question is not None and now - question.asked > self._settings.plan_timeout:
            if not self.waiting_for_planner:
                self._ports.warn('the planner does not answer; asking again until it does')
            self.waiting_for_planner = True
            self.late_plans += 1
            self._question = None
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
            self._go_on()

    @property
    def following(self) -> np.ndarray | None:
        """What the plan in force has after the action in force, [n, A], within the bounds; None:
        that is from no plan."""
        period, track = self._periods.get(self._current), self._track
        if period is None or period.source is not Source.PLAN or track is None:
            return None
        place = (self._boundary(self._current) - track.start) // self._period
        guard = self.pilot.guard
        actions: np.ndarray = np.clip(track.plan.actions[place + 1 :], guard.low, guard.high)
        return actions

    @property
    def slowness(self) -> str:
        """For people: that plans take longer than a control period, and what helps; or empty."""
        expected, period = self._round_trips.expected, self._period * 1e-9
        if not self._plans or self.pilot.mode.name != 'closed_loop' or expected <= period:
            return ''
        return (
            f'plans take {expected * 1e3:.0f} ms, and a control period is {period * 1e3:.0f} ms: '
            'fewer optimizer.candidates or optimizer.iterations, a shorter planner.horizon, more '
            'planner.threads, or the mode every with more steps'
        )

    @property
    def seconds_in_phase(self) -> float:
        """How long the session has waited for what it waits for."""
        return self._clock() - self._since

    # Episodes ------------------------------------------------------------------------------------

    def _begin_episode(self) -> None:
        self._series.begin()
        self._buffer.clear()
        self._periods.clear()
        self._begin = None
        self._current = self._observed = -1
        self._track = self._question = None
        self._upcoming.clear()
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
        positions = joint_positions(self.pilot.task, state)
        if self._robot.command_as == 'position' and positions is not None:
            self.pilot.guard.begin_at(positions)
        if not self._plans:
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
        elif not self.waiting_for_model and waited > control.recovery_timeout:
            self.stop(
                End.NO_PLANNER, f'there was no plan in time within {waited:.1f} s; is it running?'
            )

    def _on_clock_set_back(self, seconds: float) -> None:
        self._buffer.clear()
        self._question = None
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
    def _plans(self) -> bool:
        """Whether actions come from plans now."""
        return self.pilot.mode.plans and not self.pilot.record.explore

    def _boundary(self, index: int) -> int:
        assert self._begin is not None
        return self._begin + index * self._period

    def _enter_period(self, index: int, effect: int) -> None:
        """The first command of a period is due; missed ones had the last action in force."""
        before = self._periods.get(self._current)
        for missed in range(self._current + 1, index):
            self.late_steps += 1
            if before is not None:
                self._periods[missed] = dataclasses.replace(before, change=None)
        self._current = index
        period = self._decide(index)
        late = effect - self._boundary(index) > self._tick
        self.late_steps += late or self._stale_plan(index)
        self._periods[index] = dataclasses.replace(period, whole=not late)

    def _decide(self, index: int) -> _Period:
        """The action of a period."""
        pilot, guard = self.pilot, self.pilot.guard
        time = self._boundary(index)
        while self._upcoming and self._upcoming[0].start <= time:
            self._track = self._upcoming.pop(0)
        if pilot.done or index >= pilot.max_steps or pilot.holds:
            return _Period(guard.check(guard.safe_action), Source.SAFE)
        if pilot.explores:
            return _Period(guard.check(pilot.explore_at(index)), Source.EXPLORATION)
        track = self._track
        action = None if track is None else track.action_at(time)
        if track is None or action is None:
            self.waiting_for_planner = not self.waiting_for_model
            return _Period(guard.check(guard.safe_action), Source.SAFE)
        checked = guard.check(action)
        expected = track.change_at(time)
        # What was expected of another action says nothing about the model.
        same = expected is not None and np.array_equal(checked, action)
        return _Period(
            checked, Source.PLAN, track.plan_id, expected[0] if same and expected else None
        )

    def _stale_plan(self, index: int) -> bool:
        """Whether a newer plan should be in force at a boundary."""
        if not self._plans or self.pilot.mode.name != 'closed_loop' or self._track is None:
            return False
        return self._track.start < self._boundary(index)

    def _must_be_safe(self) -> bool:
        age = self._clock() - self._state_at
        self.waiting_for_state = age > self._robot.state_timeout
        return self.waiting_for_state or not self._inside

    def _make_safe(self, index: int) -> None:
        """To the end of a period; what comes after it is as far from there as the rate allows."""
        guard = self.pilot.guard
        self._periods[index] = _Period(guard.safe_action, Source.SAFE, whole=False)
        guard.begin_at(guard.safe_action)

    def _send_safe(self) -> None:
        self._ports.command(self.pilot.guard.safe_action, Source.SAFE, 0, 0)

    # Transitions ---------------------------------------------------------------------------------

    def _take_boundaries(self) -> None:
        """All boundaries whose state is known by now."""
        while self.phase is Phase.STATE and self._begin is not None:
            index = self._observed + 1
            # stamps may be a little ahead: a period is not over before the next is commanded
            if not self._buffer.covers(self._boundary(index)) or index > self._current:
                return
            self._take_boundary(index)

    def _take_boundary(self, index: int) -> None:
        pilot, time = self.pilot, self._boundary(index)
        state = self._buffer.at(time, self._period // 2)
        period = self._periods.pop(index - 1, None)
        known = pilot.stamp == time - self._period
        self._observed = index
        if index == 0:
            if state is not None:
                pilot.observe(state, time)
            return
        if state is None or period is None or not period.whole or not known:
            self.steps_lost += 1
            pilot.skip(state, time)
        else:
            predicted = None if period.change is None else pilot.state + period.change
            pilot.executed(period.action, predicted)
            pilot.observe(state, time)
            transition = pilot.take_transition()
            assert transition is not None
            self._storage.put(transition)
        if pilot.done:
            self._end_episode()
        else:
            self._ports.progress(self._series.summary(), False)

    # Plans ---------------------------------------------------------------------------------------

    def _ask_if_due(self) -> None:
        now = self._clock()
        if self._question is not None or now < self._retry_at or not len(self._buffer):
            return
        if now - self._state_at > self._robot.state_timeout:
            return  # too old to plan from
        soonest = self._now() + self._delay + round(self._round_trips.expected * 1e9)
        if self.phase is Phase.PLAN:
            beats = -((self._beat - soonest) // self._tick)
            self._ask(self._beat + (beats + 1) * self._tick)
        elif self.phase is Phase.STATE and self._begin is not None and self._plans:
            target = self._next_boundary(soonest)
            if target is not None:
                self._ask(target)

    def _next_boundary(self, soonest: int) -> int | None:
        """The boundary for which a plan should be asked for now; None: none yet."""
        assert self._begin is not None
        index = max(0, -((self._begin - soonest) // self._period))
        last = self._last_track
        if last is not None:
            index = max(index, (last.start - self._begin) // self._period + 1)
        if index >= self.pilot.max_steps:
            return None
        time = self._boundary(index)
        if last is not None and not self._afresh:
            steps = (time - last.start) // self._period
            # an error of a step of the plan before says nothing of this one
            own = self.pilot.stamp - self._period >= last.start
            error = self.pilot.step_error if own else math.nan
            if not self.pilot.mode.due(steps, len(last.plan.actions), error):
                return None
        # later, from a newer state, if that is early enough
        return time if time - soonest <= self._tick else None

    def _ask(self, target: int) -> None:
        pilot = self.pilot
        last = self._last_track
        warm = last is not None and not self._afresh and pilot.warm
        self._afresh = False
        past_states, past_actions = pilot.past
        # a model that looks back sees states at the boundaries alone
        state, stamp = (pilot.state, pilot.stamp) if len(past_states) else self._buffer.newest
        actions, durations = self._lead(stamp, target)
        step = 0 if self._begin is None else (target - self._begin) // self._period
        self._plan_id += 1
        self._question = _Question(self._plan_id, target, self._clock(), warm)
        request = PlanRequest(
            state=state,
            goal=pilot.goal_at(step),
            seed=derive_seed(self.goal.seed, 'plan', pilot.record.episode, step),
            min_model_version=self._storage.min_version if self.phase is Phase.PLAN else 0,
            warm_start=last.warm_start_at(target) if warm and last is not None else None,
            past_states=past_states,
            past_actions=past_actions,
            lead_actions=actions,
            lead_durations=durations,
        )
        self._ports.plan(self._plan_id, request, target)

    def _lead(self, begin: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """What will have been executed from ``begin`` to ``end`` [ns]: actions [n, A], and how long
        each was in force [n], in periods."""
        actions, durations = [], []
        while begin < end:
            if self._begin is None or begin < self._begin:
                until = begin + self._period if self._begin is None else self._begin
                action = self.pilot.guard.safe_action
            else:
                index = (begin - self._begin) // self._period
                until = self._boundary(index + 1)
                action = self._foreseen(index)
            until = min(until, end, begin + self._period)
            actions.append(action)
            durations.append((until - begin) / self._period)
            begin = until
        return np.array(actions).reshape(-1, self.pilot.task.action_dim), np.array(durations)

    def _foreseen(self, index: int) -> np.ndarray:
        """The action of a period, commanded or not yet."""
        period = self._periods.get(index)
        if period is not None:
            return period.action
        time = self._boundary(index)
        for track in (*reversed(self._upcoming), self._track):
            if track is None or track.start > time:
                continue
            action = track.action_at(time)
            if action is not None:
                return np.clip(action, self.pilot.guard.low, self.pilot.guard.high)
        return self.pilot.guard.safe_action

    @property
    def _last_track(self) -> PlanTrack | None:
        """The newest plan, in force or not yet."""
        return self._upcoming[-1] if self._upcoming else self._track

    def _take_plan(self, track: PlanTrack) -> None:
        late = self._now() + self._delay > track.start
        if late:
            self.late_plans += 1
        if self.phase is Phase.PLAN:
            if late:
                return  # asked again, with the time that it takes now known
            self._begin = track.start
            self._enter(Phase.STATE)
        assert self._begin is not None
        self.pilot.take_plan(track.plan, (track.start - self._begin) // self._period)
        self._upcoming.append(track)

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self._since = self._clock()
