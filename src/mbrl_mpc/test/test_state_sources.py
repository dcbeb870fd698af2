"""One state from several senders: when it is made, with which stamp, and what is refused."""

import dataclasses

import numpy as np
import pytest

from mbrl_common.task import TaskSettings
from mbrl_mpc.robot_settings import RobotSettings
from mbrl_mpc.state import StateError
from mbrl_mpc.state_sources import StateSources

MS = 1_000_000
BASE = ('base.x', 'base.y', 'base.qw', 'base.qz', 'base.vx', 'base.wz')


def make(task: TaskSettings, state: tuple[str, ...] = (), **robot) -> StateSources:
    if state:
        angles = tuple(name for name in task.angles if name in state)
        task = dataclasses.replace(task, state=state, angles=angles)
    return StateSources(task, RobotSettings(**robot))


def joint(sources: StateSources, name: str, position: float, velocity: float, stamp: int):
    return sources.on_joints([name], [position], [velocity], [], stamp)


def odometry(sources: StateSources, stamp: int, x=0.0, yaw=0.0, body='base', frame='odom', vx=0.0):
    half = yaw / 2
    return sources.on_odometry(
        body, frame, (x, 0.0, 0.0), (0.0, 0.0, np.sin(half), np.cos(half)), (vx, 0.0, 0.0),
        (0.0, 0.0, 0.0), stamp,
    )  # fmt: skip


def test_one_message_with_all_joints_is_a_state_of_its_stamp(task):
    sources = make(task)
    made = sources.on_joints(['gripper', 'hinge', 'slider'], [9, 1, 2], [9, 3, 4], [], 70 * MS)
    np.testing.assert_array_equal(made.state, [2.0, 1.0, 4.0, 3.0])
    assert (made.stamp, made.newest) == (70 * MS, 70 * MS)
    assert sources.incomplete() == ''


def test_joints_that_come_one_by_one_make_a_state_each_round_as_old_as_its_oldest(task):
    sources = make(task)
    assert joint(sources, 'slider', 1.0, 2.0, 100 * MS) is None
    assert 'no values yet of hinge' in sources.incomplete()
    made = joint(sources, 'hinge', 3.0, 4.0, 104 * MS)
    np.testing.assert_array_equal(made.state, [1.0, 3.0, 2.0, 4.0])
    assert (made.stamp, made.newest) == (100 * MS, 104 * MS)
    assert joint(sources, 'hinge', 3.1, 4.0, 124 * MS) is None  # the slider is the same yet
    made = joint(sources, 'slider', 1.5, 2.0, 120 * MS)
    np.testing.assert_array_equal(made.state, [1.5, 3.1, 2.0, 4.0])
    assert (made.stamp, made.newest) == (120 * MS, 124 * MS)


def test_a_fast_sender_waits_for_a_slow_one_and_every_stamp_is_later_than_the_last(task):
    sources = make(task)
    stamps, hinge = [], []
    for tick in range(200):
        joint(sources, 'hinge', float(tick), 0.0, tick * MS)
        if tick % 10 == 3:
            made = joint(sources, 'slider', 0.0, 0.0, tick * MS)
            stamps.append(made.stamp)
            hinge.append(made.state[1])
    assert len(stamps) == 20 and (np.diff(stamps) == 10 * MS).all()
    assert hinge == [float(tick) for tick in range(3, 200, 10)]


def test_a_value_older_than_the_limit_leaves_the_state_incomplete_and_is_named(task):
    sources = make(task, max_age=0.05)
    joint(sources, 'slider', 1.0, 2.0, 100 * MS)
    assert joint(sources, 'hinge', 3.0, 4.0, 151 * MS) is None
    assert sources.incomplete() == 'slider is 0.051 s older than hinge (limit 0.05 s)'
    assert joint(sources, 'slider', 1.0, 2.0, 152 * MS) is not None
    assert sources.incomplete() == ''


def test_what_is_declared_slow_is_held_and_not_waited_for_up_to_its_own_limit(task):
    sources = make(task, max_age=0.05, max_ages=('hinge=0.5',))
    joint(sources, 'hinge', 3.0, 4.0, 100 * MS)
    stamps = []
    for stamp in range(100, 701, 20):
        made = joint(sources, 'slider', 1.0, 2.0, stamp * MS)
        if made is not None:
            stamps.append(made.stamp // MS)
            np.testing.assert_array_equal(made.state, [1.0, 3.0, 2.0, 4.0])
    assert stamps == list(range(100, 601, 20))
    assert 'hinge is 0.600 s older than slider (limit 0.5 s)' in sources.incomplete()
    assert joint(sources, 'hinge', 5.0, 4.0, 690 * MS).stamp == 700 * MS
    assert joint(sources, 'hinge', 6.0, 4.0, 710 * MS) is None
    assert joint(sources, 'slider', 1.0, 2.0, 720 * MS).state[1] == 6.0


def test_a_repeated_message_is_no_news_and_an_older_one_is_refused(task):
    sources = make(task)
    joint(sources, 'slider', 1.0, 2.0, 100 * MS)
    joint(sources, 'hinge', 1.0, 2.0, 100 * MS)
    assert joint(sources, 'slider', 9.0, 9.0, 100 * MS) is None
    with pytest.raises(StateError, match=r'slider: the message is 0\.010 s older than the last'):
        joint(sources, 'slider', 9.0, 9.0, 90 * MS)
    joint(sources, 'hinge', 3.0, 4.0, 110 * MS)
    made = joint(sources, 'slider', 5.0, 6.0, 110 * MS)
    np.testing.assert_array_equal(made.state, [5.0, 3.0, 6.0, 4.0])


def test_a_clock_that_was_set_back_far_begins_everything_anew(task):
    sources = make(task, state_timeout=0.5)
    joint(sources, 'slider', 1.0, 2.0, 9000 * MS)
    joint(sources, 'hinge', 1.0, 2.0, 9000 * MS)
    assert joint(sources, 'slider', 3.0, 4.0, 20 * MS) is None
    assert 'hinge' in sources.incomplete()
    made = joint(sources, 'hinge', 5.0, 6.0, 20 * MS)
    assert made.stamp == 20 * MS
    np.testing.assert_array_equal(made.state, [3.0, 5.0, 4.0, 6.0])


@pytest.mark.parametrize(
    ('names', 'position', 'velocity', 'complaint'),
    [
        (['slider', 'slider'], [0.0, 0.0], [0.0, 0.0], 'twice'),
        (['slider', 'hinge'], [0.0], [0.0, 0.0], 'position must have 2 entries or none'),
        (['slider', 'hinge'], [0.0, 0.0], [], "no velocity; the task needs 'slider.velocity'"),
        (['slider', 'hinge'], [0.0, np.nan], [0.0, 0.0], "'hinge.position' is nan"),
    ],
)
def test_nothing_is_kept_of_a_doubtful_message(task, names, position, velocity, complaint):
    sources = make(task)
    with pytest.raises(StateError, match=complaint):
        sources.on_joints(names, position, velocity, [], 100 * MS)
    assert sources.incomplete().startswith('no values yet of hinge, slider')


def test_velocities_are_derived_from_positions_and_what_the_message_says_of_them_is_ignored(task):
    sources = make(task, velocity_from='position', velocity_filter=0.03)
    for number in range(100):
        stamp = number * 7 * MS
        time = stamp * 1e-9
        angle = (4.0 * time + np.pi) % (2 * np.pi) - np.pi
        made = sources.on_joints(
            ['slider', 'hinge'], [0.5 * time, angle], [np.nan, np.nan], [], stamp
        )
        assert (made is None) == (number == 0)
    np.testing.assert_allclose(made.state, [0.5 * time, angle, 0.5, 4.0], rtol=1e-6)


def test_derived_velocities_begin_anew_after_a_gap(task):
    sources = make(task, velocity_from='position', max_age=0.05)
    for stamp, complete in ((0, False), (10, True), (500, False), (510, True)):
        made = sources.on_joints(['slider', 'hinge'], [stamp * 0.0, 0.0], [], [], stamp * MS)
        assert (made is not None) == complete


def test_velocities_can_be_derived_of_joints_whose_position_is_not_in_the_state(task):
    sources = make(task, ('slider.velocity',), velocity_from='position', velocity_filter=0.0)
    with pytest.raises(StateError, match=r"'slider\.position' \(for its velocity\)"):
        sources.on_joints(['slider'], [], [1.0], [], 0)
    sources.on_joints(['slider'], [1.0], [], [], 0)
    assert sources.on_joints(['slider'], [1.2], [], [], 100 * MS).state == pytest.approx([2.0])


def test_a_free_body_is_read_from_odometry_beside_the_joints(task):
    sources = make(task, ('slider.position', *BASE, 'slider.velocity'))
    assert joint(sources, 'slider', 1.0, 2.0, 100 * MS) is None
    made = sources.on_odometry(
        'base', 'odom', (3.0, 4.0, 5.0), (0.0, 0.0, 0.6, 0.8), (6.0, 7.0, 8.0), (9.0, 10.0, 11.0),
        102 * MS,
    )  # fmt: skip
    np.testing.assert_allclose(made.state, [1.0, 3.0, 4.0, 0.8, 0.6, 6.0, 11.0, 2.0])
    assert made.stamp == 100 * MS


def test_other_bodies_are_ignored_and_named_while_one_is_missing(task):
    sources = make(task, BASE)
    assert odometry(sources, 100 * MS, body='base_footprint') is None
    assert sources.incomplete() == 'no values yet of base; others came: base_footprint'


def test_an_attitude_that_turns_on_and_on_does_not_flip_its_sign(task):
    sources = make(task, BASE)
    states = [odometry(sources, k * MS, yaw=0.1 * k).state for k in range(200)]
    assert np.abs(np.diff(states, axis=0)).max() < 0.06


def test_a_body_in_another_frame_or_without_an_attitude_is_refused(task):
    sources = make(task, BASE)
    odometry(sources, 100 * MS)
    with pytest.raises(StateError, match="in the frame 'map'; it must be 'odom'"):
        odometry(sources, 110 * MS, frame='map')
    with pytest.raises(StateError, match='must be a unit quaternion'):
        sources.on_odometry('base', 'odom', (0,) * 3, (0,) * 4, (0,) * 3, (0,) * 3, 120 * MS)
    with pytest.raises(StateError, match=r"'base\.vx' is nan"):
        odometry(sources, 120 * MS, vx=np.nan)
    assert odometry(sources, 120 * MS).stamp == 120 * MS
    with pytest.raises(StateError, match="it must be 'world'"):
        odometry(make(task, BASE, frame='world'), 100 * MS)


def test_a_pose_has_velocities_only_where_they_are_derived(task):
    half = np.sin(0.05), np.cos(0.05)
    sources = make(task, BASE)
    with pytest.raises(StateError, match=r"'base\.vx' is nan"):
        sources.on_pose('base', 'map', (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0), 0)
    sources = make(task, BASE, velocity_from='position', velocity_filter=0.0)
    assert sources.on_pose('base', 'map', (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0), 0) is None
    made = sources.on_pose('base', 'map', (0.1, 0.0, 0.0), (0.0, 0.0, *half), 50 * MS)
    # Halfway it has turned by 0.05 to the left: along x of the map is ahead and to the right.
    expected = [0.1, 0.0, half[1], half[0], 2.0 * np.cos(0.05), 2.0]
    np.testing.assert_allclose(made.state, expected)


def test_a_joint_state_says_nothing_of_a_body_of_that_name(task):
    sources = make(task, BASE)
    assert sources.on_joints(['base'], [1.0], [1.0], [], 0) is None
    joints = make(task)
    assert odometry(joints, 0, body='slider') is None
    assert 'slider' in joints.incomplete()


def test_a_joint_state_of_other_joints_alone_is_refused_and_does_nothing_else(task):
    sources = make(task)
    assert joint(sources, 'slider', 1.0, 2.0, 100 * MS) is None
    for names in (['finger', 'thumb'], ['finger'], []):
        with pytest.raises(StateError) as error:
            sources.on_joints(names, [9.0] * len(names), [9.0] * len(names), [], 900 * MS)
        assert 'none of slider, hinge' in str(error.value)
        assert (', '.join(names) or 'no joints') in str(error.value)
    made = joint(sources, 'hinge', 3.0, 4.0, 104 * MS)
    np.testing.assert_array_equal(made.state, [1.0, 3.0, 2.0, 4.0])
    assert made.stamp == 100 * MS
    # one of the wanted joints is enough, whatever is beside it
    assert sources.on_joints(['slider', 'finger'], [1, 9], [2, 9], [], 120 * MS) is None
