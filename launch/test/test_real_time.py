"""The whole graph in real time, over DDS, with a robot that has delays: nodes that die, other
controllers, requests, and who may command.

What the robot's states, the clock, the plans and the disk do wrong is in the files beside this one.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition as Lifecycle
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import GetParameters, SetParameters
from std_msgs.msg import Float64MultiArray

from mbrl_bringup.testing_real_time import (
    MAX_RATE,
    PERIOD,
    Flight,
    assert_safe,
    assert_within_bounds,
    assert_within_rate,
    in_flight,
    last_sources,
    overridden,
)
from mbrl_common.qos import LATCHED, STANDARD
from mbrl_dynamics.bag import read_folder
from mbrl_mpc.exploration_kinds import KINDS
from mbrl_msgs.action import RunEpisodes
from mbrl_msgs.msg import Command, ControllerStatus, Goal
from mbrl_msgs.srv import SetGoal, SetMode

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope='module')
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flight]:
    overrides = overridden(mpc_controller={'control.max_action_rate': MAX_RATE})
    with in_flight(tmp_path_factory.mktemp('run'), overrides) as flight:
        yield flight


@pytest.fixture
def flight(shared: Flight) -> Iterator[Flight]:
    yield shared
    print(shared.graph.output()[-20_000:])
    shared.land()


def set_mode(flight: Flight, mode: str) -> Any:
    return flight.probe.call('mpc_controller/set_mode', SetMode, SetMode.Request(mode=mode))


def change_state(flight: Flight, transition: int) -> bool:
    request = ChangeState.Request()
    request.transition.id = transition
    return bool(flight.probe.call('mpc_controller/change_state', ChangeState, request).success)


def test_commands_keep_their_rate_and_bounds_and_transitions_their_period(flight: Flight) -> None:
    begin = len(flight.commands)
    result = flight.run(2, exploration_episodes=1, max_steps=200, seed=0).result(90.0)
    assert result.error_code == RunEpisodes.Result.NONE, result.error_msg
    commands = flight.commands[begin:]
    assert_within_bounds(commands)
    # 2 x 8 s at 100 Hz, less a tenth for a machine that is busy
    acting = [c for c in commands if c.source != Command.SOURCE_SAFE]
    assert len(acting) > 1440
    folder = flight.folder / 'data'
    flight.probe.wait_until(lambda: len(read_folder(folder)) > 300, 20.0, 'the transitions')
    for each in read_folder(folder):
        assert each.next_stamp - each.stamp == PERIOD


def test_the_mode_may_be_changed_and_a_wrong_one_is_refused(flight: Flight) -> None:
    flight.fly()
    refused = set_mode(flight, 'fast')
    assert refused.error_code == SetMode.Response.INVALID_MODE
    assert 'closed_loop, open_loop' in refused.message
    for mode, source in (
        ('hold', Command.SOURCE_SAFE),
        ('explore', Command.SOURCE_EXPLORATION),
        ('open_loop', Command.SOURCE_PLAN),
        ('closed_loop', Command.SOURCE_PLAN),
    ):
        answer = set_mode(flight, mode)
        assert answer.success, answer.message
        flight.wait_for_source(source, 10)


def test_each_kind_of_exploration_can_be_chosen_while_the_robot_moves(flight: Flight) -> None:
    flight.fly()
    usual = {}
    for kind in KINDS:
        mode = f'explore_{kind}'
        answer = set_mode(flight, mode)
        assert answer.success and mode in answer.message

        def drawn(begin: int = len(flight.commands)) -> list[float]:
            # what was decided before the answer may still be in force: a control period and more
            chosen = list(flight.commands)[begin + 10 :]
            return [c.action[0] for c in chosen if c.source == Command.SOURCE_EXPLORATION]

        flight.probe.wait_until(
            lambda d=drawn: len(d()) >= 100, 15.0, f'a hundred commands of {kind}'
        )
        changes = np.abs(np.diff(drawn()))
        usual[kind] = float(np.median(changes[changes > 0]))
    # between -3 and 3: a walk's steps are below 0.6, where others jump by 1.8. Their median, as a
    # busy machine may leave a step out, and an episode may have ended.
    assert usual['walk'] <= 0.6 < min(usual['white'], usual['held'])
    flight.wait_for_status(lambda s: s.mode == 'explore_walk', 'the mode')
    assert set_mode(flight, 'closed_loop').success


def test_goals_and_parameters_that_cannot_be_are_refused_in_flight(flight: Flight) -> None:
    goal = flight.fly()
    name = 'control.max_action_rate'
    for node, parameter, value, complaint in (
        ('mpc_controller', name, 1e9, f'read-only parameter: {name}'),
        ('mpc_controller', 'control.no_such', 1.0, 'undeclared parameter'),
        ('planner', 'planner.no_such', 1.0, 'undeclared parameter'),
    ):
        new = ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=value)
        request = SetParameters.Request(parameters=[Parameter(name=parameter, value=new)])
        answer = flight.probe.call(f'{node}/set_parameters', SetParameters, request).results[0]
        assert not answer.successful and complaint in answer.reason
    weights = ParameterValue(
        type=ParameterType.PARAMETER_STRING_ARRAY, string_array_value=['no_such_term=1.0']
    )
    request = SetParameters.Request(parameters=[Parameter(name='objective.weights', value=weights)])
    answer = flight.probe.call('planner/set_parameters', SetParameters, request).results[0]
    assert not answer.successful and 'no_such_term' in answer.reason
    values = flight.probe.call(
        'mpc_controller/get_parameters', GetParameters, GetParameters.Request(names=[name])
    ).values
    assert values[0].double_value == MAX_RATE

    refused = flight.probe.call(
        'mpc_controller/set_goal', SetGoal, SetGoal.Request(goal=[1.0, 2.0, 3.0])
    )
    assert refused.error_code == SetGoal.Response.INVALID_GOAL
    flight.probe.publish('goal', Goal, Goal(goal=[float('nan')]), LATCHED)
    status = flight.wait_for_status(lambda s: 'goal' in s.text, 'what is said of the goal')
    assert list(status.goal) == [0.0]
    flight.wait_for_source(Command.SOURCE_PLAN)
    assert not goal.done


def test_a_second_run_is_refused_and_the_first_goes_on(flight: Flight) -> None:
    goal = flight.fly()
    refused = flight.run(1).result(10.0)
    assert refused.error_code == RunEpisodes.Result.BUSY
    flight.wait_for_source(Command.SOURCE_PLAN)
    assert not goal.done


def test_cancelling_leaves_the_safe_command(flight: Flight) -> None:
    goal = flight.fly()
    goal.cancel()
    assert goal.result(10.0).error_code == RunEpisodes.Result.CANCELLED
    assert_nothing_follows_the_safe_command(flight)


def assert_nothing_follows_the_safe_command(flight: Flight) -> None:
    """On both topics: that of the suite, and that of the robot's own controller."""
    time.sleep(0.5)
    counts = len(flight.commands), len(flight.efforts)
    assert_safe(flight.commands[-1:])
    assert list(flight.efforts[-1].data) == [0.0]
    time.sleep(0.5)
    assert (len(flight.commands), len(flight.efforts)) == counts


def test_deactivation_leaves_the_safe_command(flight: Flight) -> None:
    goal = flight.fly()
    assert change_state(flight, Lifecycle.TRANSITION_DEACTIVATE)
    assert goal.result(10.0).error_code == RunEpisodes.Result.DEACTIVATED
    assert_nothing_follows_the_safe_command(flight)
    count = len(flight.commands)
    refused = flight.run(1, exploration_episodes=1).result(10.0)
    assert refused.error_code == RunEpisodes.Result.NOT_ACTIVE
    assert len(flight.commands) == count
    assert change_state(flight, Lifecycle.TRANSITION_ACTIVATE)
    flight.fly()


def test_another_commander_is_noticed_and_ends_the_episodes(flight: Flight) -> None:
    goal = flight.fly()
    other = flight.probe.node.create_publisher(
        Float64MultiArray, 'effort_controller/commands', STANDARD
    )
    try:
        result = goal.result(20.0)
        assert result.error_code == RunEpisodes.Result.OTHER_COMMANDER
        assert 'another controller commands this robot' in result.error_msg
        assert_nothing_follows_the_safe_command(flight)
        count = len(flight.commands)
        refused = flight.run(1, exploration_episodes=1).result(10.0)
        assert refused.error_code == RunEpisodes.Result.OTHER_COMMANDER
        assert len(flight.commands) == count
    finally:
        flight.probe.node.destroy_publisher(other)

    def accepted() -> bool:
        goal = flight.run(1, exploration_episodes=1, max_steps=5)
        return bool(goal.result(20.0).error_code == RunEpisodes.Result.NONE)

    flight.probe.wait_until(accepted, 20.0, 'a run once the other is gone')


def test_a_killed_planner_leaves_the_plan_then_the_safe_command_and_takes_over_again(
    flight: Flight,
) -> None:
    goal = flight.fly()
    flight.graph.crash('planner')
    flight.wait_for_source(Command.SOURCE_SAFE, 100)  # for longer than the last plan
    assert_safe(flight.commands[-20:])
    status = flight.wait_for_status(
        lambda s: s.state == ControllerStatus.WAITING_FOR_PLANNER, 'waiting for the planner'
    )
    assert status.mode == 'closed_loop'
    flight.graph.restart('planner')
    flight.graph.nodes['planner'].wait_for_output('in use', 40.0)
    flight.wait_for_source(Command.SOURCE_PLAN)
    assert not goal.done


def test_a_killed_dynamics_node_loses_nothing_and_control_goes_on(flight: Flight) -> None:
    flight.train()
    begin = len(flight.commands)
    goal = flight.run(1, max_steps=200)
    probe = flight.probe
    probe.wait_until(
        lambda: last_sources(flight.commands[begin:], 5) == {Command.SOURCE_PLAN}, 40.0, 'a plan'
    )
    flight.graph.crash('dynamics')
    before = len(flight.commands)
    probe.wait_until(lambda: len(flight.commands) > before + 100, 10.0, 'a hundred commands')
    assert last_sources(flight.commands, 20) == {Command.SOURCE_PLAN}
    flight.graph.restart('dynamics')
    result = goal.result(60.0)
    assert result.error_code == RunEpisodes.Result.NONE, result.error_msg
    # the episode waits for what is not stored, but not for ever: it may come after its end
    flight.wait_for_status(lambda s: s.unacknowledged == 0, 'all to be stored', 40.0)
    episode = result.episodes[0].episode
    sent = sorted({t.sequence for t in flight.transitions if t.episode == episode})
    # fewer than its steps: a busy machine leaves control periods without a transition
    assert len(sent) >= 100 and sent == list(range(sent[0], sent[0] + len(sent)))
    recorded = [t.sequence for t in read_folder(flight.folder / 'data') if t.episode == episode]
    assert sorted(recorded) == sent


def test_without_states_the_safe_command_is_sent_and_control_resumes_with_them(
    flight: Flight,
) -> None:
    diagnostics = flight.probe.collect('/diagnostics', DiagnosticArray)
    goal = flight.fly()
    flight.graph.crash('sim_bridge')
    flight.wait_for_source(Command.SOURCE_SAFE)
    assert_safe(flight.commands[-20:])
    flight.probe.wait_until(
        lambda: any(
            status.name == '/mpc_controller'
            and status.level == DiagnosticStatus.WARN
            and status.message == 'waiting for a state'
            for message in list(diagnostics)
            for status in message.status
        ),
        10.0,
        'a warning among the diagnostics',
    )
    flight.graph.restart('sim_bridge')
    flight.graph.nodes['sim_bridge'].wait_for_output('simulating', 40.0)
    flight.wait_for_source(Command.SOURCE_PLAN)
    assert not goal.done


def test_every_command_of_all_that_was_within_bounds_and_the_limit_of_their_rate(
    flight: Flight,
) -> None:
    flight.fly()
    assert_within_bounds(flight.commands)
    assert_within_rate(flight.commands, MAX_RATE)


def test_a_controller_that_is_told_to_end_sends_the_safe_command_last(flight: Flight) -> None:
    flight.fly()
    controller = flight.graph.nodes['mpc_controller']
    controller.process.send_signal(signal.SIGTERM)
    assert controller.wait(20.0) == 0, controller.output()
    assert_nothing_follows_the_safe_command(flight)


@pytest.mark.parametrize(
    ('node', 'parameter', 'complaint'),
    [
        ('mpc_controller', {'robot.state_low': [0.0]}, "'robot.state_low' has 1 entries"),
        ('sim_bridge', {'sim.real_tme': True}, 'sim.real_tme'),
    ],
)
def test_a_graph_with_a_wrong_parameter_does_not_begin(
    node: str, parameter: dict[str, Any], complaint: str, shared: Flight
) -> None:
    flight = shared
    before = flight.graph.nodes.pop(node)
    before.stop()
    flight.graph.restart_with(node, parameter)
    process = flight.graph.nodes[node]
    assert process.wait(40.0) == 2
    assert complaint in process.output()
