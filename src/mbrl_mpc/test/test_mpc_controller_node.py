"""The controller in its own process, over real DDS: what it refuses, and what it sends last."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition as LifecycleTransition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, Header

from mbrl_common.messages import nanoseconds
from mbrl_common.qos import LATCHED, STANDARD
from mbrl_common.testing import NodeProcess, Probe, isolated_domain
from mbrl_msgs.action import RunEpisodes
from mbrl_msgs.msg import Command, ControllerStatus, Observation, Plan
from mbrl_msgs.srv import PlanActions, Replan, SetGoal

TASK = {
    'task.name': 'cartpole',
    'task.state': [
        'slider.position',
        'hinge.position',
        'slider.velocity',
        'hinge.velocity',
    ],
    'task.angles': ['hinge.position'],
    'task.action': ['slider'],
    'task.action_low': [-3.0],
    'task.action_high': [3.0],
    'task.control_period': 0.04,
    'task.max_steps': 100_000,
    'objective.name': 'cartpole_swingup',
}
SIMULATION = {key: value for key, value in TASK.items() if not key.startswith('objective')} | {
    'sim.environment': 'cartpole_pets'
}


@pytest.fixture
def probe() -> Iterator[Probe]:
    with isolated_domain(), Probe() as node:
        yield node


def controller(**parameters: Any) -> NodeProcess:
    return NodeProcess('mbrl_mpc', 'mpc_controller', parameters=TASK | parameters)


def statuses(probe: Probe) -> list[ControllerStatus]:
    return probe.collect('controller_status', ControllerStatus, LATCHED)


def send_goal(probe: Probe, feedback: list[Any] | None = None, **goal: Any) -> Any:
    message = RunEpisodes.Goal(**({'target_return': math.nan} | goal))
    return probe.send_goal('mpc_controller/run_episodes', RunEpisodes, message, feedback)


def joints(names: list[str], position: list[float], velocity: list[float]) -> JointState:
    return JointState(name=names, position=position, velocity=velocity)


def test_a_doubtful_state_is_refused_with_a_reason_and_the_node_goes_on(probe: Probe) -> None:
    cases = {
        'stamp is -1 s': JointState(
            header=Header(stamp=Time(sec=-1)),
            name=['slider', 'hinge'],
            position=[0.0] * 2,
            velocity=[0.0] * 2,
        ),
        "'hinge.position' is nan": joints(['slider', 'hinge'], [0.0, math.nan], [0.0, 0.0]),
        'velocity must have 2 entries': joints(['slider', 'hinge'], [0.0, 0.0], [0.0]),
        'lacks hinge; it has slider, elbow': joints(['slider', 'elbow'], [0.0] * 2, [0.0] * 2),
    }
    with controller() as node:
        seen = statuses(probe)
        for count, (complaint, message) in enumerate(cases.items(), 1):
            probe.publish('joint_states', JointState, message)
            refused = probe.wait_until(
                lambda n=count: next((s for s in seen if s.refused_states == n), None)
            )
            assert complaint in refused.text
        assert 'refused: joint_states' in node.output()
        probe.publish('joint_states', JointState, joints(['hinge', 'slider'], [0.0] * 2, [0.0] * 2))
        fine = probe.wait_until(lambda: next((s for s in seen if math.isfinite(s.state_age)), None))
        assert fine.refused_states == 4


REAL_TIME = {'realtime.enabled': True}
SIM_TIME = {'use_sim_time': True}


def pass_time(probe: Probe, speed: float, until: Callable[[], Any]) -> Any:
    """Let the clock, and the states, go on at that speed until something holds."""
    begin = time.monotonic()
    clock = probe.node.create_publisher(Clock, '/clock', STANDARD)
    states = probe.node.create_publisher(JointState, 'joint_states', STANDARD)
    state = joints(['slider', 'hinge'], [0.0] * 2, [0.0] * 2)
    while not (found := until()):
        passed = time.monotonic() - begin
        assert passed < 90.0
        whole, rest = divmod(1_000_000_000_000 + round(passed * speed * 1e9), 1_000_000_000)
        state.header.stamp = Time(sec=whole, nanosec=rest)
        clock.publish(Clock(clock=state.header.stamp))
        states.publish(state)
        time.sleep(0.02)
    return found


@pytest.mark.parametrize(
    ('parameters', 'speed', 'factor', 'tolerance'),
    [
        ({}, 3.0, 3.0, 0.15),  # lockstep: as fast as the states say
        (REAL_TIME | SIM_TIME, 0.5, 0.5, 0.15),
        (REAL_TIME, 0.5, 1.0, 0.01),  # the node is on the wall clock, whatever others say
    ],
    ids=['lockstep', 'simulated clock', 'wall clock'],
)
def test_how_fast_ros_time_passes_is_told(
    probe: Probe, parameters: dict[str, Any], speed: float, factor: float, tolerance: float
) -> None:
    with controller(**parameters):
        seen = statuses(probe)
        reports = probe.collect('/diagnostics', DiagnosticArray)

        def told() -> list[float]:
            found = [s.real_time_factor for s in list(seen) if not math.isnan(s.real_time_factor)]
            return found if len(found) >= 3 else []

        found = pass_time(probe, speed, told)
        assert np.median(found) == pytest.approx(factor, rel=tolerance)
        values = {value.key: value.value for value in reports[-1].status[0].values}
        assert float(values['real time factor']) == pytest.approx(factor, rel=0.3)


def test_the_time_of_a_simulation_that_does_not_step_stands_still(probe: Probe) -> None:
    with controller():
        seen = statuses(probe)
        first = probe.wait_until(lambda: seen and seen[-1], 60.0, 'a status')
        assert math.isnan(first.real_time_factor)  # nothing has told the time yet
        pass_time(probe, 1.0, lambda: seen[-1].real_time_factor > 0)
        probe.wait_until(lambda: seen[-1].real_time_factor == 0.0, 15.0, 'the time to stand still')


def threads_of(node: NodeProcess) -> list[int]:
    return [int(entry.name) for entry in Path(f'/proc/{node.pid}/task').iterdir()]


def test_the_process_goes_before_others_or_says_why_not(probe: Probe) -> None:
    wanted = REAL_TIME | {'realtime.process_priority': 3}
    with controller(**wanted) as node:
        seen = statuses(probe)
        probe.wait_until(lambda: seen, 60.0, 'a status')
        threads = threads_of(node)
        policies = {os.sched_getscheduler(thread) for thread in threads}
        if 'realtime.process_priority: priority 3' in node.output():
            assert 'not permitted' in node.output() and 'CAP_SYS_NICE' in seen[0].text
            assert policies == {os.SCHED_OTHER}
        else:
            assert len(threads) > 1  # the middleware's among them
            assert policies == {os.SCHED_FIFO}
            assert {os.sched_getparam(thread).sched_priority for thread in threads} == {3}


def test_in_lockstep_there_is_no_priority(probe: Probe) -> None:
    with controller(**{'realtime.process_priority': 3}) as node:
        seen = statuses(probe)
        probe.wait_until(lambda: seen, 60.0, 'a status')
        threads = threads_of(node)
        assert {os.sched_getscheduler(thread) for thread in threads} == {os.SCHED_OTHER}
        assert 'process_priority' not in node.output()


def test_an_observation_of_the_wrong_length_is_refused(probe: Probe) -> None:
    with controller(**{'control.state_source': 'observation'}):
        seen = statuses(probe)
        probe.publish('observation', Observation, Observation(state=[0.0, 0.0, 0.0]))
        refused = probe.wait_until(lambda: next((s for s in seen if s.refused_states), None))
        assert 'observation has 3 entries; the task has 4' in refused.text


def test_goals_out_of_range_are_refused_with_a_code(probe: Probe) -> None:
    codes = RunEpisodes.Result
    with controller():
        for goal, complaint in (
            ({'episodes': 0}, 'episodes is 0; it must be at least 1'),
            ({'episodes': 1, 'exploration_episodes': 2}, 'at most episodes, 1'),
            ({'episodes': 1, 'max_steps': 100_001}, "at most the task's, 100000"),
            ({'episodes': 2, 'first_episode': 2**32 - 1}, f'at most {2**32 - 2}'),
        ):
            result = send_goal(probe, **goal).result(10.0)
            assert result.error_code == codes.INVALID_GOAL
            assert complaint in result.error_msg
        answer = probe.call(
            'mpc_controller/set_goal', SetGoal, SetGoal.Request(goal=[1.0, 2.0, 3.0])
        )
        assert not answer.success and answer.error_code == SetGoal.Response.INVALID_GOAL
        assert '3' in answer.message
        answer = probe.call('mpc_controller/set_goal', SetGoal, SetGoal.Request(goal=[0.5]))
        assert answer.success
        answer = probe.call('mpc_controller/set_goal', SetGoal, SetGoal.Request())
        assert answer.success and '[0.0]' in answer.message  # none is the default
        answer = probe.call('mpc_controller/replan', Replan, Replan.Request())
        assert not answer.success and 'no planned episode' in answer.message


def test_weights_of_the_objective_can_be_changed_and_bad_ones_are_refused(probe: Probe) -> None:
    def change(weights: list[str]) -> Any:
        value = ParameterValue(
            type=ParameterType.PARAMETER_STRING_ARRAY, string_array_value=weights
        )
        request = SetParameters.Request(
            parameters=[Parameter(name='objective.weights', value=value)]
        )
        return probe.call('mpc_controller/set_parameters', SetParameters, request).results[0]

    with (
        controller(),
        NodeProcess('mbrl_sim_bridge', 'sim_bridge', parameters=SIMULATION),
    ):
        returns = []
        for weights in (['control=0.0'], ['control=1000.0']):
            assert change(weights).successful
            result = send_goal(probe, episodes=1, exploration_episodes=1, max_steps=5).result(20.0)
            returns.append(result.episodes[0].episode_return)
        assert returns[1] < returns[0] - 100
        refused = change(['contrl=1.0'])
        assert not refused.successful and 'control' in refused.reason


def test_without_a_simulation_the_episodes_are_given_up_with_a_reason(probe: Probe) -> None:
    with controller(**{'control.recovery_timeout': 1.0, 'control.state_timeout': 0.2}):
        result = send_goal(probe, episodes=1, exploration_episodes=1).result(20.0)
        assert result.error_code == RunEpisodes.Result.RESET_FAILED
        assert 'is sim_bridge running?' in result.error_msg


BAD_PLANS = {
    'an unknown error': {'error_code': 99},
    'no horizon': {'plan': Plan(state_dim=4, action_dim=1)},
    'another action': {'plan': Plan(horizon=1, state_dim=4, action_dim=2)},
    'arrays that do not fit': {'plan': Plan(horizon=5, state_dim=4, action_dim=1)},
    'NaN': {
        'plan': Plan(
            horizon=1,
            state_dim=4,
            action_dim=1,
            actions=[math.nan],
            state_mean=[0.0] * 8,
            state_std=[0.0] * 8,
            warm_start_mean=[0.0],
        )
    },
}


def test_an_answer_that_is_no_plan_becomes_the_safe_command(probe: Probe) -> None:
    answers = iter(BAD_PLANS.values())

    def plan(_: PlanActions.Request, __: PlanActions.Response) -> PlanActions.Response:
        return PlanActions.Response(**next(answers))

    probe.node.create_service(PlanActions, 'planner/plan', plan)
    with (
        controller(**{'control.ack_timeout': 0.1}),
        NodeProcess('mbrl_sim_bridge', 'sim_bridge', parameters=SIMULATION),
    ):
        commands = probe.collect('command', Command)
        result = send_goal(probe, episodes=1, max_steps=len(BAD_PLANS)).result(30.0)
        assert result.error_code == RunEpisodes.Result.NONE, result.error_msg
        assert result.episodes[0].steps == len(BAD_PLANS)
        assert {command.source for command in commands} == {Command.SOURCE_SAFE}


def test_episodes_can_be_cancelled_and_the_last_command_is_the_safe_one(probe: Probe) -> None:
    with (
        controller(),
        NodeProcess('mbrl_sim_bridge', 'sim_bridge', parameters=SIMULATION),
    ):
        commands = probe.collect('command', Command)
        efforts = probe.collect('effort_controller/commands', Float64MultiArray)
        feedback: list[Any] = []
        first = send_goal(
            probe, feedback, episodes=100, exploration_episodes=100, max_steps=100_000
        )
        probe.wait_until(lambda: feedback, 20.0, 'feedback')
        busy = send_goal(probe, episodes=1).result(10.0)
        assert busy.error_code == RunEpisodes.Result.BUSY
        first.cancel()
        result = first.result(10.0)
        assert result.error_code == RunEpisodes.Result.CANCELLED
        probe.wait_until(lambda: commands and commands[-1].source == Command.SOURCE_SAFE)
        probe.wait_until(lambda: efforts and list(efforts[-1].data) == [0.0])
        again = send_goal(probe, episodes=1, exploration_episodes=1, max_steps=5).result(20.0)
        assert again.error_code == RunEpisodes.Result.NONE
        assert [episode.steps for episode in again.episodes] == [5]


def test_only_an_active_controller_commands(probe: Probe) -> None:
    def change(transition: int) -> bool:
        request = ChangeState.Request(transition=LifecycleTransition(id=transition))
        return probe.call('mpc_controller/change_state', ChangeState, request).success

    with (
        controller(autostart=False),
        NodeProcess('mbrl_sim_bridge', 'sim_bridge', parameters=SIMULATION),
    ):
        commands = probe.collect('command', Command)
        state = probe.call('mpc_controller/get_state', GetState, GetState.Request())
        assert state.current_state.label == 'unconfigured'
        result = send_goal(probe, episodes=1, exploration_episodes=1).result(10.0)
        assert result.error_code == RunEpisodes.Result.NOT_ACTIVE and not commands

        assert change(LifecycleTransition.TRANSITION_CONFIGURE)
        assert change(LifecycleTransition.TRANSITION_ACTIVATE)
        running = send_goal(probe, episodes=1, exploration_episodes=1, max_steps=100_000)
        probe.wait_until(lambda: len(commands) > 10, 20.0, 'commands')
        assert change(LifecycleTransition.TRANSITION_DEACTIVATE)
        result = running.result(10.0)
        assert result.error_code == RunEpisodes.Result.DEACTIVATED
        probe.wait_until(lambda: commands[-1].source == Command.SOURCE_SAFE)
        count = len(commands)
        assert send_goal(probe, episodes=1).result(10.0).error_code
        assert len(commands) == count


def test_ending_the_process_leaves_the_safe_command(probe: Probe) -> None:
    with NodeProcess('mbrl_sim_bridge', 'sim_bridge', parameters=SIMULATION):
        commands = probe.collect('command', Command)
        with controller() as node:
            send_goal(probe, episodes=1, exploration_episodes=1, max_steps=100_000)
            probe.wait_until(lambda: len(commands) > 10, 20.0, 'commands')
            assert node.stop() == 0
        probe.wait_until(lambda: commands[-1].source == Command.SOURCE_SAFE)


ROBOT = """
import rclpy
from rclpy.node import Node
from std_msgs.msg import Float64MultiArray
rclpy.init()
node = Node('robot')
node.create_subscription(
    Float64MultiArray, 'effort_controller/commands', lambda _: print('heard', flush=True), 10
)
rclpy.spin(node)
"""
ENDING = """
import sys
import time
import rclpy
from mbrl_mpc.mpc_controller_node import MpcController
rclpy.init(args=sys.argv)
node = MpcController()
while not node.count_subscribers('effort_controller/commands'):
    time.sleep(0.05)
time.sleep(0.5)
print('ready', flush=True)
input()
began = time.monotonic()
node.shut_down()
print(time.monotonic() - began, flush=True)
"""


@contextlib.contextmanager
def script(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process of Python that is talked to by lines."""
    process = subprocess.Popen(
        [sys.executable, '-c', code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_at_its_end_it_waits_for_a_robot_that_has_not_received_the_last_command(
    tmp_path: Path,
) -> None:
    params = tmp_path / 'params.yaml'
    values = TASK | {'realtime.enabled': True}
    params.write_text(yaml.safe_dump({'/**': {'ros__parameters': values}}))
    given = ['--ros-args', '--params-file', str(params)]
    with isolated_domain(), script(ROBOT) as robot, script(ENDING, *given) as ending:
        assert ending.stdout is not None and ending.stdin is not None
        assert robot.stdout is not None
        assert 'ready' in iter(lambda: ending.stdout.readline().strip(), '')
        robot.send_signal(signal.SIGSTOP)  # it is there, and acknowledges nothing
        print(file=ending.stdin, flush=True)
        assert float(ending.stdout.readline()) > 0.4, 'its publisher is destroyed next'
        robot.send_signal(signal.SIGCONT)
        assert robot.stdout.readline() == 'heard\n'


@pytest.mark.parametrize(
    ('parameters', 'complaints'),
    [
        ({'control.replan_evry': 2}, ["unknown parameter 'control.replan_evry'", 'replan_every']),
        ({'control.replan_every': 0}, ["'control.replan_every' is 0", 'from 1 to 1000']),
        ({'control.safe_action': [9.0]}, ['outside the bounds']),
        ({'objective.name': 'cartpoll'}, ['cartpoll', 'cartpole_swingup']),
    ],
)
def test_bad_parameters_stop_the_node_with_all_that_is_wrong(
    probe: Probe, parameters: dict[str, Any], complaints: list[str]
) -> None:
    with controller(**parameters) as node:
        assert node.wait() == 2
        for complaint in complaints:
            assert complaint in node.output()


def test_a_missing_parameter_is_named(probe: Probe) -> None:
    without = {key: value for key, value in TASK.items() if key != 'task.control_period'}
    with NodeProcess('mbrl_mpc', 'mpc_controller', parameters=without) as node:
        assert node.wait() == 2
        assert "missing parameter 'task.control_period'" in node.output()


@pytest.mark.parametrize('realtime', [False, True])
def test_a_simulation_that_comes_while_a_reset_is_waited_for_is_asked_at_once(
    probe: Probe, realtime: bool
) -> None:
    patient = {'realtime.enabled': realtime, 'control.state_timeout': 60.0}
    simulation = SIMULATION | {'sim.real_time': realtime}
    with controller(**patient) as node:
        node.wait_for_output('active', 60.0)
        goal = send_goal(probe, episodes=2, exploration_episodes=2, max_steps=5)
        with NodeProcess('mbrl_sim_bridge', 'sim_bridge', parameters=simulation) as bridge:
            bridge.wait_for_output('simulating', 60.0)
            result = goal.result(20.0)
            assert result.error_code == RunEpisodes.Result.NONE, result.error_msg
            assert [episode.steps for episode in result.episodes] == [5, 5]


def test_the_successor_of_a_simulation_that_died_with_a_reset_is_asked_at_once(
    probe: Probe,
) -> None:
    with controller(**{'control.state_timeout': 60.0}) as node:
        node.wait_for_output('active', 60.0)
        with NodeProcess('mbrl_sim_bridge', 'sim_bridge', parameters=SIMULATION) as first:
            first.wait_for_output('simulating', 60.0)
            done = send_goal(probe, episodes=1, exploration_episodes=1, max_steps=5)
            assert done.result(20.0).error_code == RunEpisodes.Result.NONE
            first.process.send_signal(signal.SIGSTOP)  # it is there, and does not answer
            goal = send_goal(probe, episodes=1, exploration_episodes=1, max_steps=5)
            first.kill()
        with NodeProcess('mbrl_sim_bridge', 'sim_bridge', parameters=SIMULATION) as second:
            second.wait_for_output('simulating', 60.0)
            result = goal.result(20.0)
            assert result.error_code == RunEpisodes.Result.NONE, node.output()


def test_in_real_time_a_command_is_stamped_with_when_it_takes_effect(probe: Probe) -> None:
    delay = 0.2
    settings = {'realtime.enabled': True, 'realtime.actuation_delay': delay}
    with (
        controller(**settings) as node,
        NodeProcess(
            'mbrl_sim_bridge', 'sim_bridge', parameters=SIMULATION | {'sim.real_time': True}
        ) as bridge,
    ):
        node.wait_for_output('active', 60.0)
        bridge.wait_for_output('simulating', 60.0)
        commands = probe.collect('command', Command)
        began = time.time_ns()
        goal = send_goal(probe, episodes=1, exploration_episodes=1, max_steps=20)
        assert goal.result(30.0).error_code == RunEpisodes.Result.NONE
        probe.wait_until(lambda: commands[-1].source == Command.SOURCE_SAFE)
        acting = [each for each in commands if each.source == Command.SOURCE_EXPLORATION]
        assert len(acting) > 10
        effects = [nanoseconds(each.header.stamp) for each in commands]
        assert effects == sorted(effects)
        assert began + delay * 1e9 <= effects[0] and effects[-1] <= time.time_ns() + delay * 1e9
        for each in acting:  # the state is older than the command
            age = nanoseconds(each.header.stamp) - nanoseconds(each.state_stamp)
            assert age > delay * 1e9


def test_in_real_time_messages_of_other_joints_are_counted_and_harm_nothing(probe: Probe) -> None:
    def now(message: JointState) -> JointState:
        message.header.stamp = probe.node.get_clock().now().to_msg()
        return message

    with controller(**{'realtime.enabled': True, 'robot.max_age': 5.0}) as node:
        node.wait_for_output('active', 60.0)
        seen = statuses(probe)
        for count in (1, 2):
            probe.publish('joint_states', JointState, now(joints(['finger'], [0.0], [0.0])))
            probe.wait_until(lambda n=count: next((s for s in seen if s.refused_states == n), None))
            assert 'none of slider, hinge; it has finger' in node.output()
        state = joints(['hinge', 'slider'], [0.0] * 2, [0.0] * 2)
        probe.publish('joint_states', JointState, now(state))
        fine = probe.wait_until(lambda: next((s for s in seen if math.isfinite(s.state_age)), None))
        assert fine.refused_states == 2
        # the same message once more is neither an error nor a sign of life
        probe.publish('joint_states', JointState, state)
        since = len(seen)
        probe.wait_until(lambda: len(seen) > since + 2, 20.0)
        assert seen[-1].refused_states == 2 and seen[-1].state_age > 1.0
