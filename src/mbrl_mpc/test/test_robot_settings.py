"""The robot's settings are refused where they contradict each other or the task."""

import dataclasses

import pytest

from mbrl_common.settings import SettingsError, build, to_flat
from mbrl_mpc.robot_settings import RobotSettings
from mbrl_mpc.settings import MpcSettings


def test_the_defaults_are_those_of_a_simulation_and_fit_any_task_of_joints(settings):
    assert settings.robot == RobotSettings()
    assert settings.robot.problems(settings.task, 'joint_states') == []


def test_limits_of_age_are_by_name_and_otherwise_the_common_one():
    robot = RobotSettings(max_age=0.2, max_ages=('a=1.5', 'robot1/base=0.1'))
    limits = [robot.age_limit(name) for name in ('a', 'robot1/base', 'c')]
    assert limits == [1.5, 0.1, 0.2]


@pytest.mark.parametrize(
    ('changes', 'complaint'),
    [
        ({'max_ages': ('a',)}, "'robot.max_ages' has 'a'; an entry must be 'name=seconds'"),
        ({'max_ages': ('a=soon',)}, 'must be a number above 0 and at most 60'),
        ({'max_ages': ('a=0',)}, 'must be a number above 0'),
        ({'max_ages': ('a=1', 'a=2')}, "'robot.max_ages' has 'a' twice"),
        ({'pose_topics': ('=pose',)}, "an entry must be 'body=topic'"),
        ({'pose_topics': ('base=joint_states',)}, 'must name different topics'),
        ({'odometry_topics': ('',)}, 'must name different topics'),
        ({'reset': 'service'}, "'service' needs its name"),
        ({'reset_service': 'home'}, 'nothing else takes one'),
        ({'safe_command': 'hold'}, 'the robot would go on moving'),
        ({'allowed_commanders': ('teleop',)}, "must be a full name, such as '/teleop'"),
    ],
)
def test_contradictions_are_refused(changes, complaint):
    with pytest.raises(SettingsError) as caught:
        RobotSettings(**changes)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ('parameters', 'complaint'),
    [
        ({'robot.max_state_rate': [1.0]}, "has 1 entries; 'task.state' has 4"),
        ({'robot.state_low': [0.0] * 3}, "'robot.state_low' has 3 entries"),
        (
            {'robot.state_low': [0.0] * 4, 'robot.state_high': [1.0, 1.0, 1.0, 0.0]},
            "for 'hinge.velocity' they are 0 and 0",
        ),
        ({'robot.max_ages': ['elbow=1.0']}, "has 'elbow'; 'task.state' has hinge, slider"),
        ({'robot.max_ages': ['hinge=1.0', 'slider=1.0']}, 'no state would ever be new'),
        ({'robot.pose_topics': ['base=pose']}, "has base; the bodies of 'task.state' are none"),
        ({'robot.command_as': 'position'}, 'the safe command would lead every joint to 0'),
    ],
)
def test_what_contradicts_the_task_is_refused_with_the_whole_of_the_parameters(
    settings, parameters, complaint
):
    with pytest.raises(SettingsError) as caught:
        build(MpcSettings, to_flat(settings) | parameters)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    'parameters', [{'robot.safe_command': 'hold'}, {'control.safe_action': [0.5]}]
)
def test_positions_are_commanded_where_there_is_a_safe_one(settings, parameters):
    build(MpcSettings, to_flat(settings) | {'robot.command_as': 'position'} | parameters)


def test_positions_that_are_not_in_the_state_cannot_be_held_from_the_start(settings):
    parameters = {
        'objective.name': 'quadratic',
        'objective.weights': [],
        'task.state': ['slider.velocity'],
        'task.angles': [],
        'trace.points': [],
        'robot.command_as': 'position',
        'robot.safe_command': 'hold',
    }
    with pytest.raises(SettingsError, match=r"have the joints' positions in 'task\.state'"):
        build(MpcSettings, to_flat(settings) | parameters)
    build(MpcSettings, to_flat(settings) | parameters | {'control.safe_action': [0.5]})


def test_a_body_needs_a_topic_that_can_say_what_the_state_has_of_it(task):
    body = dataclasses.replace(task, state=('base.x', 'base.vx', 'slider.position'), angles=())

    def said(**changes):
        return '\n'.join(RobotSettings(**changes).problems(body, 'joint_states'))

    assert "the body base, which no topic brings; name one in 'robot.odometry_topics'" in said()
    assert said(odometry_topics=('odom',)) == ''
    assert 'has base.vx, which a PoseStamped does not say' in said(pose_topics=('base=pose',))
    assert said(pose_topics=('base=pose',), velocity_from='position') == ''
    assert "is empty, and 'task.state' has joints" in said(
        odometry_topics=('odom',), joint_state_topics=()
    )
    assert RobotSettings().problems(body, 'observation') == []
