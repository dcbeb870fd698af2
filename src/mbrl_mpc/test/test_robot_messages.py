"""Real messages say the same to the cores as their fields do; trajectories are read back."""

import dataclasses

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion, Twist, Vector3
from nav_msgs.msg import Odometry
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from mbrl_dynamics import recording
from mbrl_mpc.robot_command import trajectory_points
from mbrl_mpc.robot_messages import fill_trajectory, take_joint_state, take_odometry, take_pose
from mbrl_mpc.robot_settings import RobotSettings
from mbrl_mpc.state import StateError
from mbrl_mpc.state_sources import StateSources

POSE = Pose(position=Point(x=1.0, y=2.0, z=3.0), orientation=Quaternion(x=0.1, y=0.3, z=0.3, w=0.9))
FIELDS = ('x', 'y', 'z', 'qw', 'qx', 'qy', 'qz')
RATES = ('vx', 'vy', 'vz', 'wx', 'wy', 'wz')


def at(message, nanosec=5, sec=7, frame='odom'):
    message.header.stamp = Time(sec=sec, nanosec=nanosec)
    message.header.frame_id = frame
    return message


def of(task, *fields):
    return dataclasses.replace(task, state=tuple(f'base.{each}' for each in fields), angles=())


def test_a_joint_state_says_all_that_its_fields_say(task):
    both = dataclasses.replace(
        task, state=('b.effort', 'a.position', 'b.velocity'), angles=()
    )  # fmt: skip
    message = at(
        JointState(name=['a', 'b'], position=[1.0, 2.0], velocity=[3.0, 4.0], effort=[5.0, 6.0])
    )
    made = take_joint_state(StateSources(both, RobotSettings()), message)
    np.testing.assert_array_equal(made.state, [6.0, 1.0, 4.0])
    assert made.stamp == 7_000_000_005


def test_an_odometry_says_all_thirteen_numbers_of_its_child_frame(task):
    message = at(Odometry(child_frame_id='base'))
    message.pose.pose = POSE
    message.twist.twist = Twist(
        linear=Vector3(x=4.0, y=5.0, z=6.0), angular=Vector3(x=7.0, y=8.0, z=9.0)
    )
    made = take_odometry(StateSources(of(task, *FIELDS, *RATES), RobotSettings()), message)
    np.testing.assert_allclose(
        made.state, [1, 2, 3, 0.9, 0.1, 0.3, 0.3, 4, 5, 6, 7, 8, 9], rtol=1e-12
    )
    assert made.stamp == 7_000_000_005
    message.child_frame_id = 'other'
    assert take_odometry(StateSources(of(task, 'x'), RobotSettings()), message) is None


def test_a_pose_says_where_the_named_body_is(task):
    sources = StateSources(of(task, *FIELDS), RobotSettings())
    made = take_pose(sources, 'base', at(PoseStamped(pose=POSE), frame='map'))
    np.testing.assert_allclose(made.state, [1, 2, 3, 0.9, 0.1, 0.3, 0.3], rtol=1e-12)
    assert made.stamp == 7_000_000_005
    with pytest.raises(StateError, match="in the frame 'odom'; it must be 'map'"):
        take_pose(sources, 'base', at(PoseStamped(pose=POSE), sec=8))


def test_a_message_that_was_never_filled_in_is_refused(task):
    sources = StateSources(of(task, *FIELDS), RobotSettings())
    empty = Odometry(child_frame_id='base')
    empty.pose.pose.orientation.w = 0.0
    with pytest.raises(StateError, match='Does the sender fill it in'):
        take_odometry(sources, empty)
    with pytest.raises(StateError, match='stamp is -1 s'):
        take_pose(sources, 'base', at(PoseStamped(pose=POSE), sec=-1))


@pytest.mark.parametrize('command_as', ['position', 'velocity', 'effort'])
def test_a_trajectory_message_is_read_back_as_the_same_actions_at_their_times(task, command_as):
    arm = dataclasses.replace(
        task, action=('b', 'a'), action_low=(-1.0, -1.0), action_high=(1.0, 1.0), control_period=0.4
    )
    actions = np.array([[0.1, 0.2], [0.3, -0.4], [0.5, 0.6]])
    points = trajectory_points(actions, arm, command_as, delay=0.3)
    sent = fill_trajectory(JointTrajectory(), JointTrajectoryPoint, arm, points)
    read = recording.trajectory_points(sent, arm, command_as)
    assert [offset for offset, _ in read] == [300_000_000, 700_000_000, 1_100_000_000]
    np.testing.assert_array_equal([values for _, values in read], actions)
    filled = {'position': 'positions', 'velocity': 'velocities', 'effort': 'effort'}[command_as]
    for field in ('positions', 'velocities', 'effort'):
        assert len(getattr(sent.points[0], field)) == (2 if field == filled else 0)
    assert (sent.header.stamp.sec, sent.header.stamp.nanosec) == (0, 0)
