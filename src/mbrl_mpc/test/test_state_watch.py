"""Every kind of wrong state is found, and nothing else is."""

import numpy as np
import pytest

from mbrl_common.task import TaskSettings
from mbrl_mpc.robot_settings import RobotSettings
from mbrl_mpc.state_watch import Kind, StateWatch

MS = 1_000_000
BEGIN = 10**12


class Robot:
    """Sends states to a watch, 20 ms apart unless said otherwise."""

    def __init__(self, task: TaskSettings, **settings) -> None:
        self.steady = 0
        self.watch = StateWatch(task, RobotSettings(**settings), lambda: self.steady)
        self.now = BEGIN

    def send(self, *state: float, after: float = 20, age: float = 2, noise: float = 0.0):
        self.now += round(after * MS)
        self.steady += round(abs(after) * MS)
        values = np.zeros(4)
        values[: len(state)] = state
        return self.watch.check(values + noise, self.now - round(age * MS), self.now)

    def counts(self):
        return {kind: count for kind, count in self.watch.counts.items() if count}


def kinds(verdict):
    return [finding.kind for finding in verdict.findings]


def test_a_robot_that_moves_as_it_may_is_believed_and_nothing_is_found(task):
    robot = Robot(task, max_state_rate=(2.0, 20.0, 100.0, 100.0), max_frozen=0.1,
                  state_low=(-3.0, -4.0, -9.0, -9.0), state_high=(3.0, 4.0, 9.0, 9.0))  # fmt: skip
    for number in range(300):
        verdict = robot.send(np.sin(0.02 * number), 0.2 * number, age=number % 7)
        assert (verdict.accepted, verdict.inside) == (True, True)
        assert verdict.continuous == (number > 0)
        assert verdict.findings == ()
    assert robot.counts() == {} and robot.watch.stale() is None


def test_the_same_stamp_again_is_dropped_without_a_word_and_counted(task):
    robot = Robot(task)
    robot.send(1.0)
    verdict = robot.send(1.0, after=5, age=7)
    assert (verdict.accepted, kinds(verdict)) == (False, [Kind.REPEATED])
    assert verdict.findings[0].text == ''
    assert robot.counts() == {Kind.REPEATED: 1}
    assert robot.send(1.0).continuous


@pytest.mark.parametrize(
    ('how', 'kind', 'text'),
    [
        ({'after': 5, 'age': 20}, Kind.BACKWARDS, '0.013 s older than the last one'),
        ({'age': -60}, Kind.FUTURE, '0.060 s from now; are the clocks'),
        ({'age': 101}, Kind.OLD, '0.101 s old on arrival (limit 0.1 s)'),
        ({'age': (BEGIN + 40 * MS) / MS}, Kind.OLD, 'stamp 0; does its sender fill in'),
    ],
)
def test_a_state_of_a_wrong_time_is_refused_and_the_next_is_not(task, how, kind, text):
    robot = Robot(task)
    robot.send(1.0)
    verdict = robot.send(1.0, **how)
    assert (verdict.accepted, verdict.inside, kinds(verdict)) == (False, False, [kind])
    assert text in verdict.findings[0].text
    assert robot.counts() == {kind: 1}
    assert robot.send(1.0).accepted


def test_a_stamp_a_little_ahead_is_the_clocks_and_believed(task):
    assert Robot(task).send(1.0, age=-49).accepted


def test_a_sender_whose_stamps_stay_behind_is_believed_after_some_states(task):
    robot = Robot(task, jump_patience=3)
    robot.send(1.0, age=-40)
    found = [robot.send(1.0, after=5, age=50) for _ in range(5)]
    assert [v.accepted for v in found] == [False, False, True, True, True]
    assert [v.continuous for v in found] == [False, False, False, True, True]
    assert kinds(found[2]) == [Kind.BACKWARDS]


def test_one_bad_sample_is_refused_and_those_after_it_are_not(task):
    robot = Robot(task, max_state_rate=(2.0, np.inf, np.inf, np.inf))
    assert robot.send(0.0).accepted
    verdict = robot.send(0.2)  # 4 control periods' worth
    assert kinds(verdict) == [Kind.JUMP] and not verdict.accepted
    assert "'slider.position' jumped by 0.2" in verdict.findings[0].text
    assert robot.send(0.01).continuous
    assert robot.counts() == {Kind.JUMP: 1}


def test_a_robot_that_really_is_elsewhere_is_believed_after_some_states_that_agree(task):
    robot = Robot(task, max_state_rate=(2.0, 9.0, 9.0, 9.0), jump_patience=4)
    robot.send(0.0)
    found = [robot.send(1.5 + 0.01 * k, 0.001 * k) for k in range(6)]
    assert [v.accepted for v in found] == [False, False, False, True, True, True]
    assert not found[3].continuous and found[4].continuous
    assert kinds(found[3]) == [Kind.JUMP] and '4 in a row agree' in found[3].findings[0].text


def test_states_that_leap_about_are_never_believed_nor_is_one_told_again_and_again(task):
    robot = Robot(task, max_state_rate=(0.1,) * 4, jump_patience=3)
    robot.send(0.0)
    assert not any(robot.send(3.0 * (-1) ** k).accepted for k in range(40))
    robot.send(8.0)
    assert not any(robot.send(8.0, after=0.0).accepted for _ in range(10))
    assert robot.counts()[Kind.REPEATED] == 10


@pytest.mark.parametrize('entry', [0, 1])  # the second is an angle
def test_a_change_too_large_for_a_number_is_a_jump(task, entry):
    robot = Robot(task, max_state_rate=(2.0,) * 4)
    place = np.eye(4)[entry]
    robot.send(*(-1e308 * place))
    assert kinds(robot.send(*(1e308 * place))) == [Kind.JUMP]


def test_an_angle_may_wrap_and_another_entry_may_not(task):
    robot = Robot(task, max_state_rate=(1.0,) * 4)
    robot.send(0.0, 3.14)
    assert robot.send(0.0, -3.14).accepted
    robot = Robot(task, max_state_rate=(1.0,) * 4)
    robot.send(3.14)
    assert not robot.send(-3.14).accepted


def test_after_a_longer_silence_the_robot_may_be_further_away(task):
    robot = Robot(task, max_state_rate=(2.0,) * 4)
    robot.send(0.0)
    assert robot.send(0.9, after=500).accepted


def test_noise_on_states_that_follow_fast_is_no_motion(task):
    robot = Robot(task, max_state_rate=(2.0,) * 4)
    for number in range(20):
        assert robot.send(0.01 * (-1) ** number, after=0.1).accepted  # 200 a second


def test_outside_of_the_region_a_state_is_true_and_unsafe(task):
    robot = Robot(task, state_low=(-1.0, -0.5, -9.0, -9.0), state_high=(1.0, 0.5, 9.0, 9.0))
    assert robot.send(1.0, 0.5).inside
    verdict = robot.send(1.1)
    assert (verdict.accepted, verdict.inside, verdict.continuous) == (True, False, True)
    assert verdict.findings[0].text == "'slider.position' is 1.1, above its limit 1"
    assert "'slider.position' is -1.2, below" in robot.send(-1.2).findings[0].text
    assert robot.send(0.0, 6.3).inside  # an angle, a turn further
    assert not robot.send(0.0, 5.0).inside
    assert robot.counts() == {Kind.OUTSIDE: 3}


def test_a_region_may_have_one_side_alone(task):
    robot = Robot(task, state_low=(-1.0, -4.0, -9.0, -9.0))
    assert robot.send(50.0).inside and not robot.send(-1.5).inside


def test_a_sensor_that_says_the_same_to_the_last_bit_for_long_is_refused(task):
    robot = Robot(task, max_frozen=0.1)
    found = [robot.send(1.0, 2.0).accepted for _ in range(9)]
    assert found == [True] * 6 + [False] * 3
    assert robot.send(1.0, 2.0, noise=1e-12).accepted
    assert robot.counts() == {Kind.FROZEN: 3}
    still = Robot(task)
    assert all(still.send(1.0).accepted for _ in range(100))


def test_a_stop_of_states_is_noticed_by_a_clock_of_its_own_and_counted_once(task):
    robot = Robot(task, state_timeout=0.3)
    robot.send(1.0)
    robot.steady += 300 * MS
    assert robot.watch.stale() is None
    robot.steady += 10 * MS
    finding = robot.watch.stale()
    assert (finding.kind, finding.text) == (Kind.STALE, 'no state to go by for 0.31 s')
    assert robot.watch.stale() is not None
    assert robot.counts() == {Kind.STALE: 1}
    robot.send(1.0)
    assert robot.watch.stale() is None
    robot.steady += 400 * MS
    robot.send(1.0, after=0.0, age=-(10**5))  # refused: no state to go by
    assert robot.watch.stale() is not None
    assert robot.counts()[Kind.STALE] == 2


def test_a_clock_that_is_set_back_is_noticed_and_the_robot_taken_as_it_is(task):
    robot = Robot(task, max_state_rate=(0.1,) * 4)
    robot.send(0.0)
    verdict = robot.send(5.0, after=-3000)
    assert kinds(verdict) == [Kind.CLOCK] and 'set back by 3.000 s' in verdict.findings[0].text
    assert (verdict.accepted, verdict.continuous) == (True, False)
    assert robot.send(5.0).continuous


def test_after_forgetting_a_robot_moved_by_hand_is_no_jump(task):
    robot = Robot(task, max_state_rate=(0.1,) * 4)
    robot.send(0.0)
    robot.watch.forget()
    verdict = robot.send(2.0)
    assert (verdict.accepted, verdict.continuous, verdict.findings) == (True, False, ())
