"""When which plan is in force, when the next one is asked for, and what the question says."""

import dataclasses

import numpy as np
import pytest

from mbrl_mpc.modes import Mode
from mbrl_mpc.periods import Period, Periods
from mbrl_mpc.pilot import Pilot
from mbrl_mpc.plan_schedule import PlanSchedule
from mbrl_mpc.ports import Source
from mbrl_planner.planner import PlanResult, WarmStart

MS = 1_000_000
LENGTH = 40 * MS
BEGIN = 10**12
HORIZON = 5


class Rig:
    """A schedule on a grid that has begun, and a planner that notes what it is asked."""

    def __init__(self, settings, mode=None):
        self.seconds = 0.0
        self.asked = []
        realtime = dataclasses.replace(settings.realtime, first_plan_time=0.02, plan_margin=0.0)
        self.pilot = Pilot(settings)
        self.pilot.mode = mode or Mode()
        self.pilot.begin(0, 3, explore=False, max_steps=20)
        self.periods = Periods(LENGTH, 10 * MS)
        self.periods.begin = BEGIN
        self.schedule = PlanSchedule(
            self.pilot,
            realtime,
            self.periods,
            3,
            lambda plan_id, request, target: self.asked.append((plan_id, request, target)),
            lambda: self.seconds,
        )

    def plan(self, boundary, level):
        """Ask for a plan and have it answered 10 ms later."""
        self.ask(boundary)
        self.seconds += 0.01
        question = self.schedule.answered(self.schedule.plan_id, True)
        actions = level + np.arange(HORIZON)[:, None] * 0.01
        states = np.arange(HORIZON + 1)[:, None] * np.full((1, 4), 0.5)
        warm = WarmStart(actions, np.zeros((0, HORIZON, 1)))
        result = PlanResult(actions, states, 0 * states, 0.0, warm, 1, 100, 0.01)
        self.schedule.take(self.schedule.track(result, question))

    def ask(self, boundary, stamp=None):
        target = self.periods.boundary(boundary)
        self.schedule.ask(target, (np.ones(4), target if stamp is None else stamp))
        return self.asked[-1][1]


@pytest.fixture
def rig(settings):
    return Rig(settings)


def test_a_plan_is_in_force_from_its_boundary_to_its_end(rig):
    rig.plan(2, 0.1)
    rig.schedule.follow(rig.periods.boundary(1))
    assert rig.schedule.period_at(rig.periods.boundary(1)) is None
    for boundary in range(2, 2 + HORIZON):
        time = rig.periods.boundary(boundary)
        rig.schedule.follow(time)
        period = rig.schedule.period_at(time)
        np.testing.assert_allclose(period.action, [0.1 + (boundary - 2) * 0.01])
        np.testing.assert_allclose(period.change, [0.5] * 4)
        assert (period.source, period.plan_id) == (Source.PLAN, 1)
    assert rig.schedule.period_at(rig.periods.boundary(2 + HORIZON)) is None


def test_the_newest_plan_that_has_begun_is_followed_also_from_its_middle(rig):
    rig.plan(0, 0.1)
    rig.plan(1, 0.2)
    rig.schedule.follow(rig.periods.boundary(0))
    assert rig.schedule.period_at(rig.periods.boundary(0)).plan_id == 1
    assert rig.schedule.stale_at(rig.periods.boundary(1))
    time = rig.periods.boundary(3)
    rig.schedule.follow(time)
    np.testing.assert_allclose(rig.schedule.period_at(time).action, [0.22])


def test_what_the_guard_changed_is_expected_to_lead_nowhere(rig):
    rig.plan(0, 100.0)
    rig.schedule.follow(BEGIN)
    period = rig.schedule.period_at(BEGIN)
    assert period.action[0] == rig.pilot.guard.high[0] and period.change is None


def test_what_follows_is_within_the_bounds(rig):
    rig.plan(0, rig.pilot.guard.high[0] - 0.02)
    rig.schedule.follow(BEGIN)
    assert rig.schedule.following is None  # nothing is commanded yet
    rig.periods.enter(0, BEGIN, rig.schedule.period_at(BEGIN))
    following = rig.schedule.following
    assert following.shape == (HORIZON - 1, 1)
    assert following.max() == rig.pilot.guard.high[0]


def test_a_boundary_is_asked_for_as_late_as_may_be_and_only_once(rig):
    rig.plan(0, 0.1)
    assert rig.schedule.next_boundary(BEGIN + 1) is None  # 40 ms ahead
    assert rig.schedule.next_boundary(BEGIN + 29 * MS) is None
    assert rig.schedule.next_boundary(BEGIN + 30 * MS) == rig.periods.boundary(1)
    assert rig.schedule.next_boundary(BEGIN + 41 * MS) is None  # too late for it
    rig.plan(1, 0.2)
    assert rig.schedule.next_boundary(BEGIN + 35 * MS) is None


def test_nothing_is_asked_for_beyond_the_end_of_the_episode(rig):
    rig.plan(18, 0.1)
    assert rig.schedule.next_boundary(rig.periods.boundary(19)) is not None
    assert rig.schedule.next_boundary(rig.periods.boundary(20)) is None


def test_a_mode_that_follows_a_plan_asks_at_its_end_or_when_a_fresh_one_is_wanted(settings):
    rig = Rig(settings, Mode('open_loop'))
    rig.plan(0, 0.1)
    assert rig.schedule.next_boundary(rig.periods.boundary(1)) is None
    assert rig.schedule.next_boundary(rig.periods.boundary(5)) is not None
    rig.schedule.plan_afresh()
    assert rig.schedule.next_boundary(rig.periods.boundary(1)) is not None


def test_a_question_tells_what_will_have_been_executed_until_then(rig):
    rig.plan(1, 0.1)
    rig.periods.enter(0, BEGIN, Period(np.array([0.7]), Source.SAFE))
    request = rig.ask(3, stamp=BEGIN + 30 * MS)
    np.testing.assert_allclose(request.lead_actions[:, 0], [0.7, 0.1, 0.11])
    np.testing.assert_allclose(request.lead_durations, [0.25, 1.0, 1.0])


def test_before_the_grid_the_safe_command_is_executed(rig):
    rig.periods.clear()
    rig.schedule.ask(BEGIN, (np.ones(4), BEGIN - 50 * MS))
    request = rig.asked[-1][1]
    np.testing.assert_allclose(request.lead_actions[:, 0], [0.0, 0.0])
    np.testing.assert_allclose(request.lead_durations, [1.0, 0.25])


def test_a_warm_start_is_shifted_and_left_out_when_a_fresh_plan_is_wanted(rig):
    assert rig.ask(0).warm_start is None
    rig.schedule.begin()
    rig.plan(0, 0.1)
    np.testing.assert_allclose(rig.ask(2).warm_start.mean[0], [0.12])
    rig.schedule.plan_afresh()
    assert rig.ask(3).warm_start is None


def test_only_the_answer_to_the_last_question_counts(rig):
    rig.ask(0)
    assert not rig.schedule.ready
    rig.schedule.plan_afresh()
    rig.ask(1)
    assert rig.schedule.answered(1, True) is None and not rig.schedule.ready
    assert rig.schedule.answered(2, True).target == rig.periods.boundary(1)
    assert rig.schedule.ready


def test_answers_that_are_plans_say_in_what_time_the_next_one_comes(rig):
    assert rig.schedule.expected == 20 * MS
    rig.ask(0)
    rig.seconds = 0.3
    rig.schedule.answered(1, False)
    assert rig.schedule.expected == 20 * MS
    rig.plan(1, 0.1)
    assert rig.schedule.expected == 10 * MS
    rig.ask(2)
    rig.seconds += 0.3
    rig.schedule.answered(3, True)
    assert 'plans take' in rig.schedule.slowness
    rig.pilot.mode = Mode('every', every=10)
    assert rig.schedule.slowness == ''


def test_after_a_refusal_the_planner_is_left_alone_for_a_while(rig):
    rig.schedule.retry_in(0.5)
    assert not rig.schedule.ready
    rig.seconds = 0.5
    assert rig.schedule.ready


def test_a_planner_that_was_slow_once_is_not_asked_too_much_for_ever(rig):
    rig.ask(1)
    rig.seconds += 3.0
    rig.schedule.answered(rig.schedule.plan_id, True)
    assert rig.schedule.expected == 3000 * MS
    assert rig.schedule.forget_times()  # as when it refuses to look so far ahead
    assert rig.schedule.expected == 20 * MS
    assert not rig.schedule.forget_times()
