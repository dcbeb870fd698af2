"""Episodes in lockstep: who is waited for, what is asked again, and when it is given up.

A session drives a pilot through a number of episodes. It is told what arrives (states, plans,
acknowledgements, the trainer's status, the passing of time) and says through its ports what is to
be sent. It never blocks and knows nothing of ROS. Three rules make a run repeatable step for step:

- the simulation moves only when the command answers its state;
- a plan is used only once the last transition is known to be on disk;
- if that transition made a training due, the plan is dropped, the training waited for, and the
  plan made anew with the new model.

What goes missing is asked for again: an unanswered request, an unacknowledged transition, a state
that does not come. A node that is away stops the simulation, not the session.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from mbrl_dynamics.transition import Transition
from mbrl_mpc.outbox import Outbox
from mbrl_mpc.pilot import Pilot
from mbrl_mpc.ports import End, Phase, PlanFailure, Ports, Source
from mbrl_mpc.series import EpisodesGoal, Series
from mbrl_mpc.settings import ControlSettings
from mbrl_mpc.storage import Storage, Training
from mbrl_planner.planner import PlanResult


class Session:
    """A number of episodes, from the first reset to the last acknowledgement."""

    def __init__(
        self,
        pilot: Pilot,
        settings: ControlSettings,
        goal: EpisodesGoal,
        outbox: Outbox,
        ports: Ports,
        clock: Callable[[], float],
        training: Training | None = None,
    ) -> None:
        """
        Args:
            pilot: decides what to do at each state.
            settings: timeouts and limits.
            goal: how many episodes of which kind.
            outbox: transitions not yet acknowledged, kept from session to session.
            ports: the ways out.
            clock: monotonic time [s].
            training: the trainer's status, if it is known already.
        """
        self.pilot = pilot
        self.phase = Phase.OVER
        self.waiting_for_model = False
        self.waiting_for_planner = False
        self.late_plans = 0  # requests not answered in time
        self.goal = goal
        self._settings = settings
        self._ports = ports
        self._clock = clock
        self._storage = Storage(outbox, ports.transition, ports.warn, clock, training)
        self._series = Series(pilot, goal, self._storage, clock)
        self._period = round(pilot.task.control_period * 1e9)
        self._since = clock()  # when the phase began
        self._asked = -math.inf  # when something was last asked for in it
        self._stamp = 0  # of the state observed last
        self._reset_stamp: int | None = None  # the reset's answer: stamp of the first state
        self._early: tuple[np.ndarray, int] | None = None  # a state that came before that answer
        self._plan_id = 0
        self._plan: PlanResult | PlanFailure | None = None  # arrived, not yet known to be usable
        self._patience = settings.plan_timeout  # until the planner is asked again [s]
        self._sent: tuple[np.ndarray, Source, int] | None = None
        self._retry_at = math.inf

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
        """The simulation's answer to a reset; ``stamp`` is that of the first state [ns]."""
        if self.phase is not Phase.RESET:
            return
        if not success:
            self.stop(End.RESET_FAILED, message)
            return
        self._reset_stamp = stamp
        if self._early is not None and self._early[1] == stamp:
            self._take_state(*self._early)

    def on_state(self, state: np.ndarray, stamp: int) -> None:
        """A valid state arrived."""
        if self.phase is Phase.RESET:
            self._early = (state, stamp)
            if stamp == self._reset_stamp:
                self._take_state(state, stamp)
        elif self.phase is Phase.STATE:
            if stamp == self._stamp:
                self._send_again()
            elif abs(stamp - self._stamp - self._period) * 2 < self._period:
                self._take_state(state, stamp)
            else:
                self._lost_track(stamp)
        elif self.phase is Phase.PLAN and stamp != self._stamp:
            self._lost_track(stamp)

    def on_plan(self, plan_id: int, plan: PlanResult | PlanFailure, text: str = '') -> None:
        """The planner's answer."""
        if self.phase is not Phase.PLAN or plan_id != self._plan_id:
            return
        self.waiting_for_planner = False
        if plan in (PlanFailure.NO_MODEL, PlanFailure.MODEL_OUTDATED):
            self.waiting_for_model = True
            self._retry_at = self._clock() + 0.01
        elif plan is PlanFailure.INVALID_REQUEST and self.pilot.warm:
            # A planner that was started again with another horizon cannot take the old plan.
            self._ports.warn(f'planning afresh, without warm start: {text}')
            self.pilot.drop_plan()
            self._ask_for_plan()
        elif plan is PlanFailure.INVALID_REQUEST:
            self.stop(End.INTERNAL_ERROR, f'the planner refused the request: {text}')
        else:
            if plan is PlanFailure.PLANNING_FAILED:
                self._ports.warn(f'no plan, sending the safe command: {text}')
            self._plan = plan
            self._try_to_act()

    def on_ack(
        self, next_sequence: int, training_due: bool, stamp: int, training_job: int = 0
    ) -> None:
        """Transitions below ``next_sequence`` are on disk; see ``Storage.on_ack``."""
        if self._storage.on_ack(next_sequence, training_due, stamp, training_job):
            self.waiting_for_model = True
            self._plan = None
            if self.phase is Phase.PLAN:
                self._plan_id += 1  # whatever is in flight was planned with the old model
                self._since = self._clock()
        self._go_on()

    def on_training(self, training: Training) -> None:
        """The trainer's status."""
        if self._storage.on_training(training):
            self.waiting_for_model = False
            if self.phase is Phase.PLAN:
                self._ask_for_plan()
        self._go_on()

    def replan(self) -> int:
        """Drop the plan; returns the number of the one that will be made."""
        self.pilot.drop_plan()
        if self.phase is Phase.PLAN and not self._storage.gated:
            self._ask_for_plan()
            return self._plan_id
        return self._plan_id + 1

    def tick(self) -> None:
        """Call this several times a second: timeouts."""
        now = self._clock()
        settings = self._settings
        waited = now - self._since
        self._storage.resend(settings.ack_timeout)
        if self.phase is Phase.RESET:
            if waited > settings.recovery_timeout:
                self.stop(
                    End.RESET_FAILED,
                    'the simulation did not answer the reset, or its first state did not come '
                    f'within {settings.recovery_timeout:g} s; is sim_bridge running?',
                )
            elif now - self._asked > settings.state_timeout:
                self._ask_for_reset()
        elif self.phase is Phase.STATE:
            if waited > settings.recovery_timeout:
                self.stop(
                    End.STATE_TIMEOUT,
                    f'no state for {waited:.1f} s after the command; is sim_bridge running?',
                )
            elif now - self._asked > settings.state_timeout:
                self._send_again()
        elif self.phase is Phase.PLAN:
            self._tick_plan(now, waited)
        elif self.phase is Phase.ENDING:
            self._storage.give_up_late(waited, settings.ack_timeout, settings.model_timeout)
            self.waiting_for_model = self._storage.gated
            self._go_on()

    @property
    def waiting_for_state(self) -> bool:
        """Whether a state should have come by now."""
        late = self.seconds_in_phase > self._settings.state_timeout
        return late and self.phase in (Phase.STATE, Phase.RESET)

    @property
    def seconds_in_phase(self) -> float:
        """How long the session has waited for what it waits for."""
        return self._clock() - self._since

    # Episodes ------------------------------------------------------------------------------------

    def _begin_episode(self) -> None:
        self._series.begin()
        self._reset_stamp = None
        self._early = None
        self._enter(Phase.RESET)
        self._ask_for_reset()

    def _ask_for_reset(self) -> None:
        self._asked = self._clock()
        self._ports.reset(self.pilot.record.episode, self.pilot.reset_seed)

    def _take_state(self, state: np.ndarray, stamp: int) -> None:
        self.pilot.observe(state, stamp)
        self._stamp = stamp
        if self.pilot.done:
            self._store(self.pilot.take_transition())
            self._end_episode()
            return
        if self.pilot.needs_plan:
            self._enter(Phase.PLAN)
            self._plan = None
            if not self._storage.gated:
                self._ask_for_plan()
        else:
            self._send_action()
        self._store(self.pilot.take_transition())  # now that the others are at work
        self._ports.progress(self._series.summary(), False)

    def _end_episode(self) -> None:
        self._send_safe()
        self._enter(Phase.ENDING)
        self._go_on()

    def _close_episode(self) -> None:
        self._ports.progress(self._series.summary(), True)
        if self._series.end():
            self._begin_episode()
        else:
            self._enter(Phase.OVER)
            self._ports.finish(End.DONE, '', self._series.target_reached)

    def _lost_track(self, stamp: int) -> None:
        self._ports.warn(
            f'episode {self.pilot.record.episode} was cut off after {self.pilot.record.steps} '
            f'steps: a state of {stamp * 1e-9:.3f} s came where one of '
            f'{(self._stamp + self._period) * 1e-9:.3f} s was due; was sim_bridge started again?'
        )
        self.pilot.cut_off()
        self._enter(Phase.ENDING)
        self._go_on()

    # Plans ---------------------------------------------------------------------------------------

    def _ask_for_plan(self) -> None:
        self._plan_id += 1
        self._plan = None
        self._patience = self._settings.plan_timeout
        self._ask_again()

    def _ask_again(self) -> None:
        """The same question under the same number, so that a late answer counts."""
        self._asked = self._clock()
        self._retry_at = math.inf
        request = self.pilot.plan_request(self._storage.min_version)
        self._ports.plan(self._plan_id, request, self._stamp)

    def _try_to_act(self) -> None:
        if self._plan is None or self._storage.gated or not self._storage.stored:
            return
        self.waiting_for_model = self.waiting_for_planner = False
        if isinstance(self._plan, PlanResult):
            self.pilot.take_plan(self._plan)
            self._send_action()
        else:
            self._send(self.pilot.act_safely(), Source.SAFE)

    def _tick_plan(self, now: float, waited: float) -> None:
        settings = self._settings
        if self._storage.gated:
            if waited > settings.model_timeout:
                self._storage.give_up_training()
                self.waiting_for_model = False
                self._ask_for_plan()
            return
        if self._plan is not None:
            if now - self._since > settings.ack_timeout:
                self._storage.give_up_storing()
                self._try_to_act()
            return
        if now >= self._retry_at:
            if waited > settings.model_timeout:
                self.stop(
                    End.NO_MODEL,
                    f'the planner had no model of version {self._storage.min_version} or newer '
                    f'within {settings.model_timeout:g} s; is dynamics running, and has it '
                    'trained?',
                )
            else:
                self._ask_again()
        elif self._retry_at < math.inf:
            pass  # it answered that it has no model, and will be asked soon
        elif waited > settings.recovery_timeout:
            self.stop(
                End.NO_PLANNER,
                f'the planner did not answer within {waited:.1f} s; is it running?',
            )
        elif now - self._asked > self._patience:
            if not self.waiting_for_planner:
                self._ports.warn('the planner does not answer; asking again until it does')
            self.waiting_for_planner = True
            self.late_plans += 1
            self._patience *= 2  # a planner that is only slow must not drown in questions
            self._ask_again()

    # Commands and transitions --------------------------------------------------------------------

    def _send_action(self) -> None:
        source = Source.SAFE if self.pilot.holds else Source.PLAN
        source = Source.EXPLORATION if self.pilot.explores else source
        self._send(self.pilot.act(), source)

    def _send(self, action: np.ndarray, source: Source) -> None:
        self._sent = (action, source, self._plan_id if source is Source.PLAN else 0)
        self._enter(Phase.STATE)
        self._send_again()

    def _send_again(self) -> None:
        if self._sent is not None:
            self._asked = self._clock()
            self._ports.command(*self._sent, self._stamp)

    def _send_safe(self) -> None:
        self._sent = None
        # For the robot, and no answer to a state: a simulation is not to step by it.
        self._ports.command(self.pilot.guard.safe_action, Source.SAFE, 0, 0)

    def _store(self, transition: Transition | None) -> None:
        if transition is not None:
            self._storage.put(transition)

    def _go_on(self) -> None:
        if self.phase is Phase.PLAN:
            self._try_to_act()
        elif self.phase is Phase.ENDING and self._storage.stored and not self._storage.gated:
            self._close_episode()

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self._since = self._clock()
