"""The grid of control periods: where its boundaries are, and what was in force between them."""

import numpy as np
import pytest

from mbrl_mpc.periods import Period, Periods
from mbrl_mpc.ports import Source

MS = 1_000_000
BEGIN = 1_700_000_000 * 1_000_000_000 + 7


@pytest.fixture
def periods():
    made = Periods(40 * MS, 10 * MS)
    made.begin = BEGIN
    return made


def of(action):
    return Period(np.array([action]), Source.PLAN, 3, np.array([1.0]))


def test_every_time_lies_in_one_period_and_a_beat_counts_for_the_nearest(periods):
    assert periods.boundary(2) == BEGIN + 80 * MS
    assert periods.at(BEGIN - 1) == -1
    assert periods.at(BEGIN) == periods.at(BEGIN + 40 * MS - 1) == 0
    assert periods.at(BEGIN + 40 * MS) == 1
    assert periods.of_beat(BEGIN + 35 * MS) == 1  # half a beat early
    assert periods.of_beat(BEGIN + 35 * MS - 1) == 0
    assert periods.of_beat(BEGIN - 5 * MS - 1) == -1


def test_the_next_boundary_is_never_before_the_time_nor_before_the_grid(periods):
    assert periods.from_time(BEGIN - 500 * MS) == 0
    assert periods.from_time(BEGIN) == 0
    assert periods.from_time(BEGIN + 1) == 1
    assert periods.from_time(BEGIN + 80 * MS) == 2


def test_a_period_is_whole_if_its_first_command_came_within_a_beat(periods):
    assert periods.enter(0, BEGIN - 5 * MS, of(0.1)) == (0, False)
    assert periods.commanded(0).whole
    assert periods.enter(1, BEGIN + 51 * MS, of(0.2)) == (0, True)
    assert not periods.commanded(1).whole


def test_in_missed_periods_the_last_action_was_in_force_and_nothing_is_expected_of_it(periods):
    periods.enter(0, BEGIN, of(0.1))
    assert periods.enter(3, BEGIN + 120 * MS, of(0.2)) == (2, False)
    for index in (1, 2):
        missed = periods.commanded(index)
        assert (missed.action[0], missed.source, missed.plan_id) == (0.1, Source.PLAN, 3)
        assert missed.change is None and missed.whole
    assert periods.commanded(3).action[0] == 0.2
    assert periods.current == 3


def test_the_first_periods_may_be_missed_and_then_nothing_is_known_of_them(periods):
    assert periods.enter(2, BEGIN + 80 * MS, of(0.2)) == (2, False)
    assert periods.commanded(0) is None and periods.commanded(1) is None


def test_what_is_replaced_within_a_period_was_not_in_force_all_the_time(periods):
    periods.enter(0, BEGIN, of(0.1))
    periods.replace(Period(np.array([0.0]), Source.SAFE))
    assert periods.commanded(0).source is Source.SAFE and not periods.commanded(0).whole


def test_a_period_is_taken_once_by_the_state_at_its_end(periods):
    periods.enter(0, BEGIN, of(0.1))
    assert periods.take(0) is None and periods.observed == 0
    assert periods.take(1).action[0] == 0.1
    assert periods.take(1) is None and periods.observed == 1


def test_a_new_episode_has_no_grid_yet(periods):
    periods.enter(0, BEGIN, of(0.1))
    periods.take(0)
    periods.clear()
    assert periods.begin is None
    assert (periods.current, periods.observed) == (-1, -1)
    assert periods.commanded(0) is None
