from __future__ import annotations

import math

import numpy as np
import pytest

from mbrl_sim_bridge.commands import (
    MAX_POINTS,
    CommandError,
    Schedule,
    effort_command,
    trajectory_command,
)

JOINTS = ('x', 'y')
TIMEOUT = 100


def at(schedule: Schedule, time_ns: int) -> list[float] | None:
    action = schedule.in_force(time_ns)
    return None if action is None else action.tolist()


@pytest.mark.parametrize(
    ('efforts', 'complaint'),
    [
        ([], 'has 0 efforts; it must have 2, for x, y in this order'),
        ([1.0], 'has 1 efforts'),
        ([1.0, 2.0, 3.0], 'has 3 efforts'),
        ([1.0, math.nan], r'\[1.0, nan\]; every effort must be finite'),
        ([-math.inf, 0.0], 'finite'),
    ],
)
def test_bad_efforts_are_refused(efforts, complaint):
    with pytest.raises(CommandError, match=complaint):
        effort_command(efforts, JOINTS)


@pytest.mark.parametrize(
    ('change', 'complaint'),
    [
        ({'names': ['x', 'z']}, 'must name each of x, y once'),
        ({'names': ['x']}, 'must name each of x, y once'),
        ({'names': ['x', 'x']}, 'must name each of x, y once'),
        ({'times_ns': [], 'efforts': []}, 'has 0 points'),
        ({'efforts': [[1.0, 2.0], []]}, 'point 1 of the trajectory has 0 efforts.*not followed'),
        ({'efforts': [[1.0], [2.0]]}, 'point 0 of the trajectory has 1 efforts'),
        ({'efforts': [[1.0, 2.0], [0.0, math.inf]]}, r'point 1 .*\[0.0, inf\]; every effort'),
        ({'times_ns': [5, 5]}, 'must increase'),
        ({'times_ns': [-1, 5]}, 'must not be negative'),
        ({'start_ns': -1}, 'must not be negative'),
        (
            {'times_ns': range(MAX_POINTS + 1), 'efforts': [[0.0, 0.0]] * (MAX_POINTS + 1)},
            'must have 1 to 10000',
        ),
    ],
)
def test_bad_trajectory_is_refused(change, complaint):
    good = {
        'start_ns': 0,
        'names': ['y', 'x'],
        'times_ns': [0, 10],
        'efforts': [[1.0, 2.0], [3.0, 4.0]],
        'joints': JOINTS,
    }
    trajectory_command(**good)
    with pytest.raises(CommandError, match=complaint):
        trajectory_command(**{**good, **change})


def test_efforts_hold_from_their_arrival_until_the_next_or_the_timeout():
    schedule = Schedule(TIMEOUT)
    assert at(schedule, 0) is None
    schedule.add(effort_command([1.0, 2.0], JOINTS), 10)
    assert at(schedule, 9) is None
    assert at(schedule, 10) == [1.0, 2.0]
    schedule.add(effort_command([3.0, 4.0], JOINTS), 50)
    assert schedule.next_change_ns(10) == 50
    assert at(schedule, 49) == [1.0, 2.0]
    assert at(schedule, 50) == at(schedule, 149) == [3.0, 4.0]
    assert schedule.next_change_ns(50) == 150
    assert not schedule.expired
    assert at(schedule, 150) is at(schedule, 1000) is None
    assert schedule.expired and schedule.timeouts == 1
    schedule.add(effort_command([5.0, 6.0], JOINTS), 1001)
    assert at(schedule, 1001) == [5.0, 6.0]
    assert not schedule.expired and schedule.timeouts == 1


def test_without_a_timeout_the_last_command_holds_for_ever():
    schedule = Schedule(0)
    schedule.add(effort_command([1.0, 2.0], JOINTS), 0)
    assert at(schedule, 10**18) == [1.0, 2.0]


def test_trajectory_is_in_the_tasks_order_and_its_points_hold_until_the_next():
    schedule = Schedule(TIMEOUT)
    schedule.add(trajectory_command(0, ['y', 'x'], [0, 500], [[2, 1], [4, 3]], JOINTS), 1000)
    assert at(schedule, 1000) == at(schedule, 1499) == [1.0, 2.0]  # longer than the timeout
    assert at(schedule, 1500) == at(schedule, 1599) == [3.0, 4.0]
    assert at(schedule, 1600) is None


def test_trajectory_with_a_start_begins_then_and_the_one_before_goes_on_until_then():
    schedule = Schedule(TIMEOUT)
    schedule.add(
        trajectory_command(1000, JOINTS, [0, 50, 90], [[1, 1], [2, 2], [3, 3]], JOINTS), 900
    )
    assert at(schedule, 999) is None
    schedule.add(trajectory_command(1070, JOINTS, [0, 40], [[7, 7], [8, 8]], JOINTS), 1010)
    seen = [at(schedule, time_ns) for time_ns in (1010, 1050, 1069, 1070, 1095, 1110)]
    assert seen == [[1, 1], [2, 2], [2, 2], [7, 7], [7, 7], [8, 8]]


def test_point_whose_time_has_come_before_the_arrival_is_in_force_at_once():
    schedule = Schedule(TIMEOUT)
    schedule.add(effort_command([9, 9], JOINTS), 1015)
    assert at(schedule, 1015) == [9, 9]
    command = trajectory_command(1000, JOINTS, [0, 10, 40], [[1, 1], [2, 2], [3, 3]], JOINTS)
    schedule.add(command, 1020)
    assert at(schedule, 1020) == at(schedule, 1039) == [2, 2]
    assert at(schedule, 1040) == [3, 3]


def test_trajectory_far_ahead_does_not_keep_the_last_action_alive():
    schedule = Schedule(TIMEOUT)
    schedule.add(effort_command([1, 1], JOINTS), 0)
    schedule.add(trajectory_command(10**15, JOINTS, [0], [[2, 2]], JOINTS), 10)
    assert at(schedule, 50) == [1, 1]
    assert at(schedule, 100) is None
    assert schedule.expired


def test_endless_trajectories_ahead_do_not_fill_the_memory():
    schedule = Schedule(TIMEOUT)
    points = np.zeros((MAX_POINTS, 2)).tolist()
    for number in range(1, 5):
        start_ns = number * 10**9
        schedule.add(trajectory_command(start_ns, JOINTS, range(MAX_POINTS), points, JOINTS), 0)
    assert len(schedule._holds) == 2 * MAX_POINTS


def test_commands_can_be_forgotten():
    schedule = Schedule(TIMEOUT)
    schedule.add(effort_command([1.0, 2.0], JOINTS), 0)
    schedule.clear()
    assert at(schedule, 1) is None
    assert not schedule.expired and schedule.timeouts == 0
