"""The node in real time, in its own process, over real DDS."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
import yaml
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint
from visualization_msgs.msg import MarkerArray

from mbrl_common.messages import from_field, nanoseconds
from mbrl_common.qos import STANDARD
from mbrl_common.settings import build
from mbrl_common.testing import NodeProcess, Probe, isolated_domain
from mbrl_msgs.msg import Observation
from mbrl_msgs.srv import Reset
from mbrl_sim_bridge.settings import SimBridgeSettings
from mbrl_sim_bridge.sim_bridge_node import SimBridge
from mbrl_sim_bridge.simulation import Simulation, SimulationError

PERIOD = 10_000_000  # [ns]
REAL_TIME = {'real_time': True, 'state_rate': 100.0, 'timestep': 0.01}
MAZE: dict[str, Any] = {
    'name': 'maze',
    'state': ['x.position', 'y.position', 'x.velocity', 'y.velocity'],
    'action': ['x', 'y'],
    'action_low': [-3.0, -3.0],
    'action_high': [3.0, 3.0],
    'control_period': 0.1,
    'max_steps': 100,
}


class Robot:
    """The bridge as its controller sees it."""

    def __init__(self, process: NodeProcess, probe: Probe, prefix: str) -> None:
        self.process, self.probe, self.prefix = process, probe, prefix
        self.states: list[Any] = []
        self.arrivals: list[int] = []  # of the states, by the wall clock [ns]
        topic = prefix + 'joint_states'
        probe.node.create_subscription(JointState, topic, self._on_state, STANDARD)
        self.wait(lambda: self.states, 'the first joint state')

    def _on_state(self, state: Any) -> None:
        self.arrivals.append(time.time_ns())
        self.states.append(state)

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        return self.probe.wait_until(condition, 20.0, what)

    def wait_for_state(self, condition: Callable[[Any], Any], since: int = 0) -> Any:
        """The first state with a stamp of at least ``since`` [ns] for which it holds."""
        return self.wait(
            lambda: next(
                (s for s in list(self.states) if stamp_of(s) >= since and condition(s)), None
            ),
            'the state',
        )

    def send(self, efforts: list[float]) -> None:
        topic = self.prefix + 'effort_controller/commands'
        self.probe.publish(topic, Float64MultiArray, Float64MultiArray(data=efforts))

    def send_until(self, efforts: list[float], condition: Callable[[], Any]) -> Any:
        """Command over and over, as a controller does."""

        def command_and_look() -> Any:
            self.send(efforts)
            return condition()

        return self.wait(command_and_look, 'what the command is to do')

    def reset(self, seed: int = 0, episode: int = 0) -> int:
        request = Reset.Request(seed=seed, episode=episode)
        response = self.probe.call(self.prefix + 'sim_bridge/reset', Reset, request)
        assert response.success, response.message
        return nanoseconds(response.stamp)

    def status(self, condition: Callable[[dict[str, str], Any], Any]) -> Any:
        """The next diagnostic status of this robot for which the condition holds."""

        def matches(array: Any) -> bool:
            status = array.status[0]
            own = status.name == f'/{self.prefix}sim_bridge: real time'
            return bool(own and condition(values_of(status), status))

        return self.probe.wait_for('/diagnostics', DiagnosticArray, matches, 20.0).status[0]


def values_of(status: Any) -> dict[str, str]:
    return {entry.key: entry.value for entry in status.values}


def stamp_of(message: Any) -> int:
    return nanoseconds(message.header.stamp)


@pytest.fixture(scope='module')
def domain() -> Iterator[int]:
    with isolated_domain() as number:
        yield number


@pytest.fixture(scope='module')
def start(domain: int, task_parameters: Callable[..., dict[str, Any]]) -> Any:
    """Starts a robot in a namespace, with other values in ``sim``."""

    def start(namespace: str, task_file: Path | None = None, **sim: Any) -> NodeProcess:
        parameters = task_parameters()
        parameters['sim'] |= REAL_TIME | sim
        if task_file is not None:
            del parameters['task']
        return NodeProcess(
            'mbrl_sim_bridge',
            'sim_bridge',
            parameters=parameters,
            params_file=task_file,
            namespace=namespace,
        )

    return start


@pytest.fixture(scope='module')
def robot(start: Any) -> Iterator[Robot]:
    with start('robot') as process, Probe() as probe:
        yield Robot(process, probe, 'robot/')


@pytest.fixture
def simulation(task_parameters: Callable[..., dict[str, Any]]) -> Simulation:
    parameters = task_parameters()
    parameters['sim'] |= REAL_TIME
    return Simulation(build(SimBridgeSettings, parameters))


def test_states_come_at_their_rate_with_stamps_of_the_wall_clock(robot: Robot) -> None:
    begin = stamp_of(robot.states[-1])
    robot.wait_for_state(lambda _: True, since=begin + 100 * PERIOD)
    stamps = np.array([stamp_of(state) for state in list(robot.states)])
    steps = np.diff(stamps)
    assert (steps > 0).all()
    assert (steps % PERIOD == 0).all()
    arrivals = np.array(robot.arrivals[: len(stamps)])
    age = (arrivals - stamps) * 1e-9
    assert age.min() > -0.05  # the wall clock may be corrected a little meanwhile
    assert np.median(age) < 1.0


def test_robot_obeys_the_topic_of_an_effort_controller_and_is_clamped(robot: Robot) -> None:
    since = robot.reset()
    for action, effort in ((1.5, 150.0), (-0.25, -25.0), (50.0, 300.0)):
        state = robot.send_until(
            [action],
            lambda e=effort, t=since: next(
                (s for s in list(robot.states) if stamp_of(s) >= t and s.effort[0] == e), None
            ),
        )
        assert list(state.name) == ['slider', 'hinge']
        since = stamp_of(state)
    assert robot.status(lambda values, _: int(values['commands_clamped']) > 0)


def test_without_commands_the_action_is_zero_and_diagnostics_say_so(robot: Robot) -> None:
    state = robot.send_until(
        [2.0], lambda: next((s for s in robot.states[-1:] if s.effort[0] == 200.0), None)
    )
    after = robot.wait_for_state(lambda s: s.effort[0] == 0.0, since=stamp_of(state))
    assert stamp_of(after) > stamp_of(state)
    status = robot.status(lambda values, status: 'no command for 0.1 s' in status.message)
    assert int(values_of(status)['command_timeouts']) > 0


def test_stamped_command_of_lockstep_is_not_obeyed(robot: Robot) -> None:
    node = robot.probe.node
    robot.wait(lambda: node.count_subscribers('/robot/effort_controller/commands'), 'its topic')
    assert node.count_subscribers('/robot/command') == 0


@pytest.mark.parametrize(
    ('efforts', 'complaint'),
    [
        ([1.0, 2.0], 'has 2 efforts; it must have 1, for slider'),
        ([math.nan], 'the command is [nan]; every effort must be finite'),
    ],
)
def test_bad_command_is_refused_with_a_reason_and_counted(
    robot: Robot, efforts: list[float], complaint: str
) -> None:
    before = int(values_of(robot.status(lambda *_: True))['commands_refused'])
    robot.send_until(efforts, lambda: complaint in robot.process.output())
    status = robot.status(lambda values, _: int(values['commands_refused']) > before)
    assert status.level in (DiagnosticStatus.WARN, DiagnosticStatus.OK)


def test_reset_answers_with_the_stamp_of_the_new_episodes_first_state(
    robot: Robot, simulation: Simulation
) -> None:
    observations = robot.probe.collect('robot/observation', Observation)
    for seed, episode in ((5, 7), (6, 8)):
        stamp = robot.reset(seed, episode)
        state = robot.wait_for_state(lambda _: True, since=stamp)
        assert stamp_of(state) == stamp
        expected = simulation.reset(seed).tolist()
        assert [*state.position, *state.velocity] == expected
        first = robot.wait(
            lambda s=stamp: next((o for o in list(observations) if stamp_of(o) == s), None),
            'the observation',
        )
        assert from_field(first.state).tolist() == expected
        assert (first.episode, first.step, first.truncated) == (episode, 0, False)
        # Nobody commands it: it swings freely, from the state it was put into.
        after = robot.wait_for_state(lambda _: True, since=stamp + 1)
        free = simulation.advance(np.zeros(1), (stamp_of(after) - stamp) // PERIOD)
        assert [*after.position, *after.velocity] == free.tolist()
    assert (np.diff([stamp_of(state) for state in list(robot.states)]) > 0).all()


def test_markers_follow_the_robot(robot: Robot) -> None:
    first, second = (
        robot.probe.wait_for('robot/markers', MarkerArray).markers[0] for _ in range(2)
    )
    assert stamp_of(second) > stamp_of(first)


def test_latency_and_losses_are_seen_by_the_controller(start: Any) -> None:
    with (
        start('far', state_latency=0.3, state_jitter=0.05, state_drop=0.3, state_rate=50.0) as far,
        Probe() as probe,
    ):
        robot = Robot(far, probe, 'far/')
        robot.wait(lambda: len(robot.states) > 60, 'the states')
        stamps = np.array([stamp_of(state) for state in list(robot.states)])
        age = np.array(robot.arrivals[: len(stamps)]) - stamps
        assert age.min() * 1e-9 > 0.3 - 0.05
        assert (np.diff(stamps) > 0).all()
        assert (np.diff(stamps) > 2 * PERIOD).any()
        assert robot.status(lambda values, _: int(values['states_lost']) > 0)


def test_trajectory_controllers_topic_is_obeyed_by_joint_name_and_time(
    start: Any, tmp_path: Path
) -> None:
    # As JSON, which quotes: a bare y is true to ROS.
    task_file = tmp_path / 'maze.yaml'
    task_file.write_text(json.dumps({'/**': {'ros__parameters': {'task': MAZE}}}))
    topic = 'maze/joint_trajectory_controller/joint_trajectory'
    with (
        start('maze', task_file, environment='point_maze', command_type='trajectory') as process,
        Probe() as probe,
    ):
        robot = Robot(process, probe, 'maze/')
        trajectory = JointTrajectory(joint_names=['y', 'x'])
        trajectory.points = [JointTrajectoryPoint(effort=[-2.0, 1.0])]
        probe.publish(topic, JointTrajectory, trajectory)
        state = robot.wait_for_state(lambda s: s.effort[0] != 0.0)
        assert dict(zip(state.name, state.effort)) == {'x': 1.0, 'y': -2.0}

        start_ns = stamp_of(robot.states[-1]) + 500_000_000
        trajectory.header.stamp.sec, trajectory.header.stamp.nanosec = divmod(start_ns, 10**9)
        trajectory.points.append(JointTrajectoryPoint(effort=[0.5, 0.0]))
        trajectory.points[1].time_from_start.nanosec = 200_000_000
        probe.publish(topic, JointTrajectory, trajectory)
        for begin_ns, effort in ((start_ns, [1.0, -2.0]), (start_ns + 200_000_000, [0.0, 0.5])):
            # A state shows the effort of the physics step before it.
            state = robot.wait_for_state(lambda s, e=effort: list(s.effort) == e, begin_ns + 1)
            assert begin_ns < stamp_of(state) <= begin_ns + 200_000_000

        probe.publish(topic, JointTrajectory, JointTrajectory(joint_names=['x', 'z']))
        process.wait_for_output("for the joints ['x', 'z']; it must name each of x, y once")


def test_speed_and_the_rate_of_the_clock(start: Any) -> None:
    ticks: list[int] = []
    with start('fast', speed=2.0, clock_rate=20.0) as process, Probe() as probe:
        robot = Robot(process, probe, 'fast/')
        # Other robots of this domain tell their time as well: this one's is far ahead by then.
        robot.wait(lambda: len(robot.states) > 900, 'the states')
        # The first may have waited for their reader and come in one burst.
        stamps = [stamp_of(state) for state in list(robot.states)][200:900]
        arrivals = robot.arrivals[200:900]
        assert 1.4 < (stamps[-1] - stamps[0]) / (arrivals[-1] - arrivals[0]) < 2.6
        status = robot.status(lambda values, _: float(values['real_time_factor']) > 1.9)
        assert values_of(status)['speed'] == '2'
    with isolated_domain(), start('alone', speed=2.0, clock_rate=20.0), Probe() as probe:
        probe.node.create_subscription(
            Clock, '/clock', lambda tick: ticks.append(nanoseconds(tick.clock)), STANDARD
        )
        probe.wait_until(lambda: len(ticks) > 21, 20.0, 'the clock')
        # 20 Hz at twice the speed; those that come late are not made up for.
        assert (ticks[20] - ticks[0]) * 1e-9 > 20 * 0.1 - 0.1
        assert (np.diff(ticks) > 0).all()


def test_rate_that_does_not_fit_the_physics_ends_it_with_code_2(start: Any) -> None:
    with start('bad', state_rate=250.0, timestep=0.02) as process:
        assert process.wait() == 2
        assert "'sim.state_rate' is 250; its period must be a multiple" in process.output()
        assert 'Traceback' not in process.output()


def test_loop_gets_its_priority_or_it_says_why_not(start: Any) -> None:
    ask = 'import os; os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(7))'
    permitted = subprocess.run([sys.executable, '-c', ask], capture_output=True).returncode == 0
    with start('eager', thread_priority=7) as process, Probe() as probe:
        Robot(process, probe, 'eager/')
        tasks = [int(path.name) for path in Path(f'/proc/{process.pid}/task').iterdir()]
        eager = [task for task in tasks if os.sched_getscheduler(task) == os.SCHED_FIFO]
        assert len(eager) == int(permitted)
        if permitted:
            assert os.sched_getparam(eager[0]).sched_priority == 7
        assert ('sim.thread_priority 7 is not permitted' in process.output()) != permitted


def test_it_ends_cleanly(start: Any) -> None:
    with start('ended') as process:
        process.wait_for_output('simulating')
        assert process.stop() == 0
        assert 'Traceback' not in process.output()


def test_in_lockstep_it_says_what_nothing_comes_of(start: Any) -> None:
    with start('lockstep', real_time=False, state_drop=0.5, position_noise=0.1) as process:
        process.wait_for_output('nothing comes of sim.position_noise, sim.state_drop in lockstep')


def test_loop_that_fails_ends_the_node(
    task_parameters: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # MuJoCo writes a log file where it is
    parameters = task_parameters()
    parameters['sim'] |= REAL_TIME
    path = tmp_path / 'parameters.yaml'
    path.write_text(yaml.safe_dump({'/**': {'ros__parameters': parameters}}))

    def draw(model: Any, data: Any, generator: Any) -> None:
        data.qpos[0] = np.nan

    with isolated_domain():
        rclpy.init(args=['--ros-args', '--params-file', str(path)])
        node = SimBridge()
        try:
            monkeypatch.setattr(node.simulation.environment, 'draw_initial_state', draw)
            node.simulation.data.qvel[0] = np.nan
            with pytest.raises(SimulationError, match='diverged in this reset'):
                for _ in range(200):
                    node.hot_path.spin_once(0.1)
        finally:
            node.shut_down()
            node.hot_path.destroy()
            node.destroy_node()
            rclpy.try_shutdown()
