"""Plans in real time: which is in force, when the next one is asked for, and from which state on.

A plan takes effect at a boundary of the grid of control periods. It is asked for as late as it may
be to arrive in time, from the newest state, together with the actions that will have been executed
until then: the planner carries the state ahead. A plan that comes late is followed from the next
boundary on, where it stands by then.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from mbrl_common.seeding import derive_seed
from mbrl_mpc.periods import Period, Periods
from mbrl_mpc.pilot import Pilot
from mbrl_mpc.plan_track import PlanTrack
from mbrl_mpc.ports import Source
from mbrl_mpc.round_trips import RoundTrips
from mbrl_mpc.settings import RealtimeSettings
from mbrl_planner.planner import PlanRequest, PlanResult

_REMEMBERED = 50  # questions whose answers still tell how long the planner takes


@dataclasses.dataclass(frozen=True)
class Question:
    """What the planner was asked for."""

    plan_id: int
    target: int  # when the plan is to take effect [ns]
    asked: float  # [s]
    warm: bool


class PlanSchedule:
    """An episode's plans, those in force and those to come, and the question about the next."""

    def __init__(
        self,
        pilot: Pilot,
        settings: RealtimeSettings,
        periods: Periods,
        seed: int,
        ask: Callable[[int, PlanRequest, int], None],
        clock: Callable[[], float],
    ) -> None:
        """
        Args:
            pilot: knows the episode, the mode and the goal.
            settings: rates and delays.
            periods: the grid, and what was commanded.
            seed: of the run.
            ask: sends a question, with its number and when the plan takes effect [ns].
            clock: monotonic time [s].
        """
        self._pilot = pilot
        self._periods = periods
        self._seed = seed
        self._send = ask
        self._clock = clock
        self._timeout = self._patience = settings.plan_timeout  # [s]
        self._asked: dict[int, float] = {}  # when, of what is not answered yet [s]
        self._round_trips = RoundTrips(settings.plan_margin, settings.first_plan_time)
        self._track: PlanTrack | None = None
        self._upcoming: list[PlanTrack] = []  # not in force yet, the soonest first
        self._retry_at = self._answered_at = -math.inf
        self._afresh = False  # the next plan starts cold, and as soon as it can
        self.question: Question | None = None
        """What is waited for."""
        self.heard_at = -math.inf
        """When the planner gave a plan last, in time or not [s]."""
        self.plan_id = 0
        """Of the plan asked for last."""

    def begin(self) -> None:
        """An episode begins: nothing is in force."""
        self._track = self.question = None
        self._upcoming.clear()

    # Plans in force ------------------------------------------------------------------------------

    @property
    def last(self) -> PlanTrack | None:
        """The newest plan, in force or not yet."""
        return self._upcoming[-1] if self._upcoming else self._track

    def take(self, track: PlanTrack) -> None:
        """A plan came, which is followed from its start on."""
        self._pilot.take_plan(track.plan, self._periods.at(track.start))
        self._upcoming.append(track)

    def follow(self, time: int) -> None:
        """At this boundary [ns] the newest plan that has begun by then comes into force."""
        while self._upcoming and self._upcoming[0].start <= time:
            self._track = self._upcoming.pop(0)

    def period_at(self, time: int) -> Period | None:
        """What the plan in force has from a boundary [ns] on, as the guard lets it pass; None: it
        has nothing."""
        track = self._track
        action = None if track is None else track.action_at(time)
        if track is None or action is None:
            return None
        checked = self._pilot.guard.check(action)
        expected = track.change_at(time)
        # What was expected of another action says nothing about the model.
        same = expected is not None and np.array_equal(checked, action)
        return Period(
            checked, Source.PLAN, track.plan_id, expected[0] if same and expected else None
        )

    def stale_at(self, time: int) -> bool:
        """Whether a newer plan should be in force at a boundary [ns]."""
        if self._pilot.mode.name != 'closed_loop' or self._track is None:
            return False
        return self._track.start < time

    @property
    def following(self) -> np.ndarray | None:
        """What the plan in force has after the action in force, [n, A], within the bounds; None:
        that is from no plan."""
        periods, track = self._periods, self._track
        period = periods.commanded(periods.current)
        if period is None or period.source is not Source.PLAN or track is None:
            return None
        place = (periods.boundary(periods.current) - track.start) // periods.length
        guard = self._pilot.guard
        actions: np.ndarray = np.clip(track.plan.actions[place + 1 :], guard.low, guard.high)
        return actions

    @property
    def slowness(self) -> str:
        """For people: that plans take longer than a control period, and what helps; or empty."""
        expected, period = self._round_trips.expected, self._periods.length * 1e-9
        if self._pilot.mode.name != 'closed_loop' or expected <= period:
            return ''
        return (
            f'plans take {expected * 1e3:.0f} ms, and a control period is {period * 1e3:.0f} ms: '
            'fewer optimizer.candidates or optimizer.iterations, a shorter planner.horizon, more '
            'planner.threads, or the mode every with more steps'
        )

    # Questions -----------------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether the planner may be asked now."""
        return self.question is None and self._clock() >= self._retry_at

    @property
    def expected(self) -> int:
        """In what time an answer will be here [ns]."""
        return round(self._round_trips.expected * 1e9)

    def retry_in(self, seconds: float) -> None:
        """Ask no sooner than that [s]."""
        self._retry_at = self._clock() + seconds

    @property
    def overdue(self) -> bool:
        """Whether the answer should be here by now."""
        if self.question is None:
            return False
        patience = max(self._patience, 2 * self._round_trips.expected)
        return self._clock() - self.question.asked > patience

    def give_up(self) -> None:
        """Wait no longer for the answer; asked again, it is waited for twice as long, as a planner
        that is only slow must not drown in questions. What it takes is known once it answers."""
        self.question = None
        self._patience = 2 * self._timeout

    def forget_times(self) -> bool:
        """A question was refused, perhaps since it looked further ahead than the planner does: a
        planner that was slow once must not be asked too much for ever. Returns whether there was
        anything to forget."""
        return self._round_trips.forget()

    def plan_afresh(self) -> None:
        """The next plan starts cold, and as soon as it can; what is in flight is not."""
        self._afresh = True
        self.question = None

    def answered(self, plan_id: int, with_plan: bool) -> Question | None:
        """The planner answered, with a plan or without it; returns the question, or None if nobody
        waits for the answer any more."""
        asked = self._asked.pop(plan_id, None)
        if asked is None:
            return None
        # an answer to a question given up kept this one waiting
        before, self._answered_at = self._answered_at, self._clock()
        if with_plan:
            self.heard_at = self._answered_at
            self._round_trips.add(self.heard_at - max(asked, before))
        question = self.question
        if question is None or plan_id != question.plan_id:
            return None
        self.question = None
        self._patience = self._timeout
        return question

    def next_boundary(self, soonest: int) -> int | None:
        """The boundary [ns] for which a plan should be asked for now; None: none yet.

        Args:
            soonest: when a plan asked for now can take effect [ns].
        """
        periods, pilot, last = self._periods, self._pilot, self.last
        index = periods.from_time(soonest)
        if last is not None:
            index = max(index, periods.at(last.start) + 1)
        if index >= pilot.max_steps:
            return None
        time = periods.boundary(index)
        if last is not None and not self._afresh:
            steps = (time - last.start) // periods.length
            # an error of a step of the plan before says nothing of this one
            own = pilot.stamp - periods.length >= last.start
            error = pilot.step_error if own else math.nan
            if not pilot.mode.due(steps, len(last.plan.actions), error):
                return None
        # later, from a newer state, if that is early enough
        return time if time - soonest <= periods.tick else None

    def ask(self, target: int, newest: tuple[np.ndarray, int], min_version: int = 0) -> None:
        """Ask for a plan that takes effect at ``target`` [ns].

        Args:
            target: a boundary, or the beginning of the grid.
            newest: state [S] and its stamp [ns].
            min_version: of the model.
        """
        pilot, periods, last = self._pilot, self._periods, self.last
        warm = last is not None and not self._afresh and pilot.warm
        self._afresh = False
        past_states, past_actions = pilot.past
        # a model that looks back sees states at the boundaries alone
        state, stamp = (pilot.state, pilot.stamp) if len(past_states) else newest
        actions, durations = self._lead(stamp, target)
        step = 0 if periods.begin is None else periods.at(target)
        self.plan_id += 1
        self.question = Question(self.plan_id, target, self._clock(), warm)
        self._asked[self.plan_id] = self.question.asked
        self._asked.pop(self.plan_id - _REMEMBERED, None)
        request = PlanRequest(
            state=state,
            goal=pilot.goal_at(step),
            seed=derive_seed(self._seed, 'plan', pilot.record.episode, step),
            min_model_version=min_version,
            warm_start=last.warm_start_at(target) if warm and last is not None else None,
            past_states=past_states,
            past_actions=past_actions,
            lead_actions=actions,
            lead_durations=durations,
        )
        self._send(self.plan_id, request, target)

    def track(self, plan: PlanResult, question: Question) -> PlanTrack:
        """A plan laid out in time, as it was asked for."""
        return PlanTrack(plan, question.plan_id, question.target, self._periods.length)

    def _lead(self, begin: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """What will have been executed from ``begin`` to ``end`` [ns]: actions [n, A], and how long
        each was in force [n], in periods."""
        actions, durations = [], []
        periods = self._periods
        while begin < end:
            if periods.begin is None or begin < periods.begin:
                until = begin + periods.length if periods.begin is None else periods.begin
                action = self._pilot.guard.safe_action
            else:
                index = periods.at(begin)
                until = periods.boundary(index + 1)
                action = self._foreseen(index)
            until = min(until, end, begin + periods.length)
            actions.append(action)
            durations.append((until - begin) / periods.length)
            begin = until
        return np.array(actions).reshape(-1, self._pilot.task.action_dim), np.array(durations)

    def _foreseen(self, index: int) -> np.ndarray:
        """The action of a period, commanded or not yet."""
        period = self._periods.commanded(index)
        if period is not None:
            return period.action
        time = self._periods.boundary(index)
        guard = self._pilot.guard
        for track in (*reversed(self._upcoming), self._track):
            if track is None or track.start > time:
                continue
            action = track.action_at(time)
            if action is not None:
                return np.clip(action, guard.low, guard.high)
        return guard.safe_action
