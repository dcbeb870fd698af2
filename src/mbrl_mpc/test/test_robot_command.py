"""What goes to the robot is what its controller documents, and other commanders are found."""

import dataclasses

import numpy as np
import pytest
from rclpy.topic_endpoint_info import TopicEndpointInfo

from mbrl_common.task import TaskSettings
from mbrl_mpc.robot_command import (
    foreign_commanders,
    foreign_text,
    joint_positions,
    trajectory_points,
)

OWN = '/robot1/mpc_controller'


@pytest.fixture
def arm(task) -> TaskSettings:
    return dataclasses.replace(
        task, action=('b', 'a'), action_low=(-1.0, -1.0), action_high=(1.0, 1.0), control_period=0.4
    )


def test_one_action_is_one_point_at_once(arm):
    (point,) = trajectory_points(np.array([[0.1, 0.2]]), arm, 'position')
    assert (point.sec, point.nanosec) == (0, 0)
    (late,) = trajectory_points(np.array([[0.1, 0.2]]), arm, 'position', delay=arm.control_period)
    assert (late.sec, late.nanosec) == (0, 400_000_000)


@pytest.mark.parametrize(
    ('actions', 'command_as', 'complaint'),
    [
        (np.zeros((0, 2)), 'effort', r'shape \(0, 2\); it must be \(points, 2\)'),
        (np.zeros(2), 'effort', r'shape \(2,\)'),
        (np.zeros((1, 3)), 'effort', r'shape \(1, 3\)'),
        (np.array([[0.0, np.nan]]), 'effort', 'must be finite'),
        (np.zeros((1, 2)), 'torque', "'torque'; it must be one of position, velocity, effort"),
    ],
)
def test_what_is_no_command_is_refused(arm, actions, command_as, complaint):
    with pytest.raises(ValueError, match=complaint):
        trajectory_points(actions, arm, command_as)


def test_where_the_actuated_joints_are_is_read_from_the_state_where_it_is_in_it(task, arm):
    np.testing.assert_array_equal(joint_positions(task, np.array([1.0, 2.0, 3.0, 4.0])), [1.0])
    both = dataclasses.replace(arm, state=('a.position', 'a.effort', 'b.position'), angles=())
    np.testing.assert_array_equal(joint_positions(both, np.array([1.0, 2.0, 3.0])), [3.0, 1.0])
    assert joint_positions(arm, np.zeros(4)) is None


def publisher(name: str) -> TopicEndpointInfo:
    namespace, _, node = name.rpartition('/')
    return TopicEndpointInfo(node_name=node, node_namespace=namespace or '/')


def test_nobody_else_commands_where_only_this_node_publishes():
    assert foreign_commanders([publisher(OWN)], OWN) == []
    assert foreign_commanders([], OWN) == []
    assert foreign_commanders([publisher(OWN)] * 2, OWN, own_count=2) == []
    assert foreign_text([], 'effort_controller/commands', OWN) == ''


def test_other_publishers_are_named_once_and_with_their_namespaces():
    others = [publisher(n) for n in (OWN, '/teleop', '/robot2/mpc_controller', '/teleop')]
    names = foreign_commanders(others, OWN)
    assert names == ['/robot2/mpc_controller', '/teleop']
    text = foreign_text(names, 'effort_controller/commands', OWN)
    assert text.startswith(
        'another controller commands this robot: /robot2/mpc_controller, /teleop'
    )
    assert foreign_commanders(others, OWN, allowed=('/teleop',)) == ['/robot2/mpc_controller']
    assert foreign_commanders([publisher('/mpc_controller')], OWN) == ['/mpc_controller']


def test_a_second_node_of_the_same_name_is_another_controller():
    names = foreign_commanders([publisher(OWN)] * 2, OWN)
    assert names == [OWN]
    assert f'a second {OWN}' in foreign_text(names, 'command', OWN)


def test_a_node_not_discovered_yet_is_this_one_or_an_unknown_other():
    unknown = TopicEndpointInfo(
        node_name='_NODE_NAME_UNKNOWN_', node_namespace='_NODE_NAMESPACE_UNKNOWN_'
    )
    assert foreign_commanders([unknown], OWN) == []
    assert foreign_commanders([unknown, publisher(OWN)], OWN) == ['an unknown node']
    assert foreign_commanders([unknown, unknown], OWN) == ['an unknown node']
