"""Robots' bags: recorded of true physics, read as what the physics did; and what is refused."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest
import torch
from mcap_ros2.writer import CompressionType

from mbrl_common.settings import build
from mbrl_common.task import TaskSettings
from mbrl_dynamics.bag import BagError
from mbrl_dynamics.ensemble import Architecture
from mbrl_dynamics.model import DynamicsModel
from mbrl_dynamics.relative_error import relative_error
from mbrl_dynamics.robot_bag import robot_transitions
from mbrl_dynamics.ros_bag import RosBag
from mbrl_dynamics.settings import DataSettings
from mbrl_dynamics.testing import RobotRecorder
from mbrl_dynamics.training import fit
from mbrl_dynamics.transitions import Transitions
from mbrl_sim_bridge.settings import SimBridgeSettings
from mbrl_sim_bridge.simulation import Simulation

MS = 1_000_000
PERIOD = 40 * MS
START = 1_700_000_000_000 * MS
TASK_FILE: dict[str, Any] = {
    'name': 'cartpole_swingup',
    'state': ['slider.position', 'hinge.position', 'slider.velocity', 'hinge.velocity'],
    'angles': ['hinge.position'],
    'action': ['slider'],
    'action_low': [-3.0],
    'action_high': [3.0],
    'control_period': 0.04,
    'max_steps': 200,
}
TASK = build(TaskSettings, TASK_FILE)


def read(path: Path, task: TaskSettings = TASK, **settings: Any) -> Transitions:
    return robot_transitions(RosBag(path), task, build(DataSettings, settings))


@dataclasses.dataclass
class Moment:
    """What a robot's sensors say at a time; the action that is sent at it, if any."""

    stamp: int
    position: dict[str, float]
    velocity: dict[str, float]
    action: np.ndarray | None


class Robot:
    """The cart-pole of the simulation, watched at the rate of its physics."""

    def __init__(self, timestep_ms: int = 2, seed: int = 0) -> None:
        settings = build(
            SimBridgeSettings,
            {'task': TASK_FILE, 'sim.environment': 'cartpole_pets', 'sim.seed': 3},
        )
        self._simulation = Simulation(settings, start_ns=START)
        self._simulation.model.opt.timestep = timestep_ms * 1e-3
        self._timestep = timestep_ms * MS
        self._generator = np.random.default_rng(seed)
        self._time = START
        self.state: list[np.ndarray] = []
        self.action: list[np.ndarray] = []
        self.next_state: list[np.ndarray] = []
        self.stamp: list[int] = []

    def run(self, steps: int) -> Iterator[Moment]:
        """Random actions, each held for a control period; keeps the transitions."""
        simulation = self._simulation
        names = simulation.joint_names
        for step in range(steps + 1):
            action = self._generator.uniform(-3, 3, 1) if step < steps else None
            before = simulation.state
            for tick in range(PERIOD // self._timestep if step < steps else 1):
                position, velocity, _ = (values.tolist() for values in simulation.joints())
                yield Moment(
                    self._time,
                    dict(zip(names, position)),
                    dict(zip(names, velocity)),
                    action if tick == 0 else None,
                )
                if action is not None:
                    simulation.data.ctrl[:] = action
                    mujoco.mj_step(simulation.model, simulation.data)
                    self._time += self._timestep
            if action is not None:
                self.stamp.append(self._time - PERIOD)
                self.state.append(before)
                self.action.append(action)
                self.next_state.append(simulation.state)

    def rest(self, nanoseconds: int) -> None:
        """Nothing is sent or recorded for a while."""
        self._time += nanoseconds

    def assert_equal(
        self, found: Transitions, at: slice = slice(None), atol: Sequence[float] = (1e-9,) * 4
    ) -> None:
        """The same transitions; ``atol`` for each entry of the state."""
        np.testing.assert_array_equal(found.stamp, self.stamp[at])
        np.testing.assert_array_equal(found.next_stamp, found.stamp + PERIOD)
        np.testing.assert_allclose(found.action, self.action[at], rtol=0, atol=1e-9)
        for name in ('state', 'next_state'):
            error = np.abs(getattr(found, name) - np.array(getattr(self, name)[at]))
            assert (error <= atol).all(), f'{name}: {error.max(axis=0)}'


def write_joints(
    recorder: RobotRecorder, moment: Moment, generator: np.random.Generator, **options: Any
) -> None:
    """In a random order, with a joint that is nobody's business."""
    joints = {
        name: (moment.position[name], moment.velocity[name], 0.0) for name in moment.position
    } | {'gripper': (0.5, 0.0, np.nan)}
    order = generator.permutation(list(joints)).tolist()
    recorder.joints(moment.stamp, {name: joints[name] for name in order}, **options)


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.mark.parametrize(
    'compression', [CompressionType.NONE, CompressionType.ZSTD, CompressionType.LZ4]
)
@pytest.mark.parametrize('timestep_ms', [2, 5])
def test_the_transitions_are_those_of_the_simulation(
    tmp_path: Path,
    generator: np.random.Generator,
    compression: CompressionType,
    timestep_ms: int,
) -> None:
    robot = Robot(timestep_ms)
    with RobotRecorder(tmp_path / 'robot.mcap', compression) as recorder:
        for moment in robot.run(60):
            recorder.write('/chatter', 'std_msgs/msg/String', moment.stamp, data='tick')
            write_joints(recorder, moment, generator, log_time=moment.stamp + 30_000)
            if moment.action is not None:
                recorder.array(moment.stamp, moment.action)
    found = read(tmp_path / 'robot.mcap')
    robot.assert_equal(found)
    assert np.isnan(found.reward).all()
    assert not found.terminated.any() and not found.truncated.any()
    assert set(found.episode) == {0}
    np.testing.assert_array_equal(found.step, np.arange(60))
    np.testing.assert_array_equal(found.sequence, np.arange(60))


def test_commands_by_each_kind_of_message_are_the_same_actions(
    tmp_path: Path, generator: np.random.Generator
) -> None:
    robot = Robot()
    with RobotRecorder(tmp_path / 'robot.mcap') as recorder:
        for moment in robot.run(20):
            write_joints(recorder, moment, generator)
            if moment.action is not None:
                late = moment.stamp + 13 * MS
                recorder.array(moment.stamp, moment.action)
                recorder.command(moment.stamp, moment.action, log_time=late)
                point = {'effort': [9.0, float(moment.action[0])], 'positions': [0.0, 0.0]}
                recorder.trajectory(late, ['gripper', 'slider'], [(0, point)], stamp=moment.stamp)
    path = tmp_path / 'robot.mcap'
    robot.assert_equal(read(path))
    robot.assert_equal(read(path, command_topic='/command'))
    robot.assert_equal(read(path, command_topic='joint_trajectory', trajectory_field='effort'))


def test_a_trajectorys_points_are_commands_until_a_newer_trajectory_says_otherwise(
    tmp_path: Path, generator: np.random.Generator
) -> None:
    """As a controller with a horizon of five steps sends it, at every second step."""
    robot = Robot()
    moments = list(robot.run(30))
    actions = [float(action[0]) for action in robot.action]
    with RobotRecorder(tmp_path / 'robot.mcap') as recorder:
        for moment in moments:
            write_joints(recorder, moment, generator)
            step, rest = divmod(moment.stamp - START, PERIOD)
            if rest == 0 and step % 2 == 0 and step < 30:
                plan = [*actions[step : step + 2], 77.0, 78.0, 79.0]
                points = [(k * PERIOD, {'effort': [value]}) for k, value in enumerate(plan)]
                recorder.trajectory(moment.stamp, ['slider'], points)
    found = read(
        tmp_path / 'robot.mcap', command_topic='joint_trajectory', trajectory_field='effort'
    )
    robot.assert_equal(found)


def test_joints_may_come_on_several_topics_at_their_own_times(
    tmp_path: Path, generator: np.random.Generator
) -> None:
    robot = Robot(timestep_ms=1)
    with RobotRecorder(tmp_path / 'robot.mcap') as recorder:
        for tick, moment in enumerate(robot.run(50)):
            if tick % 2 == 0:
                recorder.joints(
                    moment.stamp,
                    {'slider': (moment.position['slider'], moment.velocity['slider'])},
                    topic='/arm/rail/joint_states',
                )
            if tick % 5 == 3:
                recorder.joints(
                    moment.stamp,
                    {'hinge': (moment.position['hinge'], moment.velocity['hinge'])},
                    topic='/arm/pole/joint_states',
                )
            if moment.action is not None:
                recorder.array(moment.stamp, moment.action)
    found = read(
        tmp_path / 'robot.mcap', joint_state_topics=['rail/joint_states', 'pole/joint_states']
    )
    # The hinge is first seen at 3 ms, and last 2 ms before the end: the first step begins with the
    # second command, and the last is not whole. The hinge is interpolated between samples 5 ms
    # apart, over which its velocity changes by up to 0.2 rad/s.
    robot.assert_equal(found, slice(1, 49), atol=(1e-12, 5e-4, 1e-12, 0.2))
    assert found.senders[0][0] == '/arm/rail'


def test_a_model_trained_on_a_robots_bag_predicts(
    tmp_path: Path,
    generator: np.random.Generator,
    architecture: Architecture,
    make_job: Callable[..., Any],
) -> None:
    """Commands are up to 1 ms late, so states lie between samples; other steps are predicted, and
    nearly as well as by a model trained on the simulation's own transitions."""
    robot = Robot(timestep_ms=4)
    with RobotRecorder(tmp_path / 'robot.mcap') as recorder:
        for moment in robot.run(800):
            write_joints(recorder, moment, generator)
            if moment.action is not None:
                recorder.array(moment.stamp + int(generator.integers(0, MS)), moment.action)
    found = read(tmp_path / 'robot.mcap')
    assert len(found) >= 798

    def error(*data: Any) -> float:
        """On every fourth transition of the simulation's own; trained on the others."""
        state, action, next_state = (np.array(each) for each in data)
        others = np.arange(len(state)) % 4 != 0
        job = make_job(architecture, (state[others], action[others], next_state[others]), 1500)
        snapshot = fit(job).snapshot
        assert snapshot is not None
        model = DynamicsModel.from_bytes(snapshot.data)
        fresh = slice(0, None, 4)
        start, end = (np.array(each[fresh]) for each in (robot.state, robot.next_state))
        told = torch.tensor(np.array(robot.action[fresh]), dtype=torch.float32)
        predicted = model.predict_mean(
            torch.tensor(start, dtype=torch.float32).expand(architecture.members, -1, -1),
            told.expand(architecture.members, -1, -1),
        )
        return relative_error(predicted.mean(0).double().numpy() - start, end - start)

    from_bag = error(found.state, found.action, found.next_state)
    assert from_bag < 0.5
    assert from_bag < 1.2 * error(robot.state, robot.action, robot.next_state)


def test_velocities_that_nobody_measured_are_differentiated_and_it_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    robot = Robot(timestep_ms=2)
    with RobotRecorder(tmp_path / 'robot.mcap') as recorder:
        for moment in robot.run(50):
            hinge = (moment.position['hinge'] + np.pi) % (2 * np.pi) - np.pi
            recorder.joints(
                moment.stamp,
                {'hinge': (hinge, np.nan), 'slider': (moment.position['slider'], np.nan)},
            )
            if moment.action is not None:
                recorder.array(moment.stamp, moment.action)
    with caplog.at_level(logging.WARNING):
        found = read(tmp_path / 'robot.mcap')
    assert 'no velocity of hinge; differentiated from its positions' in caplog.text
    state = np.array(robot.state)
    # At a control step the acceleration jumps: the central difference is off by half its change
    # times the sampling time.
    assert np.abs(found.state[1:, 2:] - state[1:, 2:]).max() < 0.05 * np.abs(state[:, 2:]).max()
    np.testing.assert_allclose(np.sin(found.state[:, 1]), np.sin(state[:, 1]), atol=1e-9)
    assert np.abs(found.next_state[:, 1] - found.state[:, 1]).max() < np.pi


def test_a_gap_a_silence_and_a_time_that_runs_back_end_episodes(
    tmp_path: Path, generator: np.random.Generator
) -> None:
    robot = Robot(timestep_ms=4)
    log_time = START
    with RobotRecorder(tmp_path / 'robot.mcap') as recorder:
        for part, (pause, rewind) in enumerate([(0, 0), (300 * MS, 0), (0, 5_000 * MS)]):
            robot.rest(pause - rewind)
            for moment in robot.run(10):
                log_time += 4 * MS
                write_joints(recorder, moment, generator, log_time=log_time)
                if moment.action is not None:
                    recorder.command(moment.stamp, moment.action, log_time=log_time)
            if part == 2:
                for extra in range(1, 100):  # the joints are still reported, nobody commands
                    still = dataclasses.replace(moment, stamp=moment.stamp + extra * 4 * MS)
                    write_joints(recorder, still, generator, log_time=log_time + extra * 4 * MS)
    found = read(tmp_path / 'robot.mcap', command_topic='command')
    assert [int((found.episode == e).sum()) for e in range(3)] == [10, 10, 11]
    robot.assert_equal(found[:-1])
    np.testing.assert_array_equal(found.step[:10], found.step[20:30])


def test_a_longer_gap_is_bridged_when_the_settings_allow_it(
    tmp_path: Path, generator: np.random.Generator
) -> None:
    robot = Robot(timestep_ms=4)
    with RobotRecorder(tmp_path / 'robot.mcap') as recorder:
        for tick, moment in enumerate(robot.run(30)):
            if not 103 < tick < 150:
                write_joints(recorder, moment, generator)
            if moment.action is not None:
                recorder.array(moment.stamp, moment.action)
    path = tmp_path / 'robot.mcap'
    assert set(read(path).episode) == {0, 1}
    assert set(read(path, max_gap=0.5).episode) == {0}


def test_recording_times_count_where_there_are_no_stamps(
    tmp_path: Path, generator: np.random.Generator
) -> None:
    robot = Robot(timestep_ms=4)
    with RobotRecorder(tmp_path / 'robot.mcap') as recorder:
        for moment in robot.run(10):
            write_joints(recorder, moment, generator, unstamped=True)
            if moment.action is not None:
                recorder.command(0, moment.action, log_time=moment.stamp)
    robot.assert_equal(read(tmp_path / 'robot.mcap', command_topic='command'))


def test_commands_without_stamps_are_moved_onto_the_clock_of_the_joint_states(
    tmp_path: Path, generator: np.random.Generator
) -> None:
    """The robot's clock began with the robot; the recorder's the wall's, and 20 ppm fast."""
    robot = Robot(timestep_ms=4)
    with RobotRecorder(tmp_path / 'robot.mcap') as recorder:
        for moment in robot.run(100):
            recorded = moment.stamp + 10**15 + (moment.stamp - START) // 50_000
            write_joints(recorder, moment, generator, log_time=recorded)
            if moment.action is not None:
                recorder.array(recorded, moment.action)
    found = read(tmp_path / 'robot.mcap')
    assert np.abs(found.stamp - robot.stamp[: len(found)]).max() < 1000
    np.testing.assert_allclose(found.action, robot.action[: len(found)], atol=1e-3)


def test_commands_without_stamps_are_refused_when_the_clocks_cannot_be_matched(
    tmp_path: Path, generator: np.random.Generator
) -> None:
    """As of a simulation in lockstep: four times as fast as the wall's clock."""
    robot = Robot(timestep_ms=4)
    with RobotRecorder(tmp_path / 'robot.mcap') as recorder:
        for moment in robot.run(100):
            recorded = START + 10**9 + (moment.stamp - START) // 4
            write_joints(recorder, moment, generator, log_time=recorded)
            if moment.action is not None:
                recorder.array(recorded, moment.action)
                recorder.command(moment.stamp, moment.action, log_time=recorded)
        recorder.command(0, [0.0], log_time=recorded)  # as a controller that leaves
    path = tmp_path / 'robot.mcap'
    with pytest.raises(BagError, match=r'effort_controller/commands: .* runs 4 times as fast'):
        read(path)
    robot.assert_equal(read(path, command_topic='command'))


def write_short(path: Path, **joints: tuple[float, ...]) -> None:
    """Ten steps of a robot that stands still."""
    with RobotRecorder(path) as recorder:
        for tick in range(101):
            recorder.joints(START + tick * 4 * MS, dict(joints))
            if tick % 10 == 0:
                recorder.array(START + tick * 4 * MS, [1.0])


def test_effort_is_an_entry_like_any_other(tmp_path: Path) -> None:
    task = build(TaskSettings, TASK_FILE | {'state': ['slider.effort'], 'angles': []})
    write_short(tmp_path / 'a.mcap', hinge=(1.0, 2.0, 3.0), slider=(4.0, 5.0, 6.0))
    np.testing.assert_array_equal(read(tmp_path / 'a.mcap', task).state, np.full((10, 1), 6.0))


def test_a_free_body_is_refused_as_a_bag_is_read_for_joints_alone(tmp_path: Path) -> None:
    task = build(TaskSettings, TASK_FILE | {'state': ['slider.position', 'hinge.x'], 'angles': []})
    write_short(tmp_path / 'a.mcap', hinge=(1.0, 2.0), slider=(4.0, 5.0))
    with pytest.raises(BagError, match=r'needs hinge\.x of a free body'):
        read(tmp_path / 'a.mcap', task)


def test_the_same_bag_twice_has_the_same_sender_and_another_bag_another(tmp_path: Path) -> None:
    write_short(tmp_path / 'a.mcap', hinge=(1.0, 2.0), slider=(4.0, 5.0))
    write_short(tmp_path / 'b.mcap', hinge=(1.0, 2.0), slider=(4.0, 5.5))
    first = read(tmp_path / 'a.mcap').senders
    assert first == read(tmp_path / 'a.mcap').senders
    assert first != read(tmp_path / 'b.mcap').senders


@pytest.mark.parametrize(
    ('settings', 'complaint'),
    [
        (
            {'joint_state_topics': ['states']},
            r"a\.mcap: no topic 'states' \(parameter 'data.joint_state_topics', "
            r'sensor_msgs/msg/JointState\); there is /effort_controller/commands '
            r'\(std_msgs/msg/Float64MultiArray, 11\), /joint_states \(',
        ),
        ({'command_topic': '/commands'}, r"a\.mcap: no topic '/commands'"),
        (
            {'command_topic': 'joint_states'},
            r'a\.mcap: /joint_states is of type sensor_msgs/msg/JointState; it must be std_msgs',
        ),
        (
            {'joint_state_topics': ['commands']},
            r'a\.mcap: /effort_controller/commands is of type .*; it must be sensor_msgs',
        ),
    ],
)
def test_a_topic_that_is_not_there_or_of_another_type_is_named(
    tmp_path: Path, settings: dict[str, Any], complaint: str
) -> None:
    write_short(tmp_path / 'a.mcap', hinge=(1.0, 2.0), slider=(4.0, 5.0))
    with pytest.raises(BagError, match=complaint):
        read(tmp_path / 'a.mcap', **settings)


def test_a_name_that_fits_several_topics_must_be_given_in_full(tmp_path: Path) -> None:
    path = tmp_path / 'a.mcap'
    with RobotRecorder(path) as recorder:
        for tick in range(101):
            for robot in ('red', 'blue'):
                joints = {'hinge': (len(robot), 0.0), 'slider': (0.0, 0.0)}
                recorder.joints(START + tick * 4 * MS, joints, topic=f'/{robot}/joint_states')
            recorder.array(START + tick * 4 * MS, [1.0])
    with pytest.raises(BagError, match=r"/blue/joint_states, /red/joint_states are all 'joint_s"):
        read(path)
    assert read(path, joint_state_topics=['/red/joint_states']).state[0, 1] == 3.0


@pytest.mark.parametrize(
    ('joints', 'complaint'),
    [
        ({'slider': (4.0, 5.0)}, r"no joint 'hinge' on /joint_states; there is 'slider'"),
        ({'slider': (4.0,), 'hinge': ()}, r"joint 'slider' has no position in any message"),
    ],
)
def test_a_joint_or_field_that_is_not_there_is_named(
    tmp_path: Path, joints: dict[str, tuple[float, ...]], complaint: str
) -> None:
    write_short(tmp_path / 'a.mcap', **joints)
    with pytest.raises(BagError, match=complaint):
        read(tmp_path / 'a.mcap')


@pytest.mark.parametrize(
    ('write', 'settings', 'complaint'),
    [
        (
            lambda r: r.array(START + MS, [1.0, 2.0]),
            {},
            r'/effort_controller/commands, message of 1700000000.001 s: it has 2 entries; '
            r"'task.action' has 1: slider",
        ),
        (
            lambda r: r.trajectory(START + MS, ['a', 'b'], [(0, {'effort': [1.0, 2.0]})]),
            {'command_topic': 'joint_trajectory'},
            r'/joint_trajectory, .*: it lacks slider; it has a, b',
        ),
        (
            lambda r: r.trajectory(START + MS, ['slider'], [(0, {'velocities': [1.0]})]),
            {'command_topic': 'joint_trajectory', 'trajectory_field': 'effort'},
            r"0 entries of effort \('data.trajectory_field'\) for 1 joints; it has velocity",
        ),
        (
            lambda r: r.write(
                '/joint_states',
                'sensor_msgs/msg/JointState',
                START + MS,
                header={'stamp': {'sec': 0, 'nanosec': 0}, 'frame_id': ''},
                name=['hinge', 'slider'],
                position=[1.0],
                velocity=[],
                effort=[],
            ),
            {},
            r'/joint_states, .*: 2 names and 1 entries of position; there must be 2 or none',
        ),
        (
            lambda r: r.write(
                '/joint_states',
                'sensor_msgs/msg/JointState',
                START + MS,
                header={'stamp': {'sec': 0, 'nanosec': 0}, 'frame_id': ''},
                name=['hinge', 'hinge'],
                position=[1.0, 2.0],
                velocity=[],
                effort=[],
            ),
            {},
            r'/joint_states, .*: it names a joint twice: hinge, hinge',
        ),
    ],
)
def test_a_message_that_does_not_fit_is_refused_with_topic_and_time(
    tmp_path: Path,
    write: Callable[[RobotRecorder], None],
    settings: dict[str, Any],
    complaint: str,
) -> None:
    with RobotRecorder(tmp_path / 'a.mcap') as recorder:
        recorder.joints(START, {'hinge': (1.0, 2.0), 'slider': (4.0, 5.0)})
        recorder.array(START, [1.0])
        write(recorder)
    with pytest.raises(BagError, match=complaint):
        read(tmp_path / 'a.mcap', **settings)


def test_a_bag_without_a_whole_step_says_what_it_has_instead(tmp_path: Path) -> None:
    with RobotRecorder(tmp_path / 'a.mcap') as recorder:
        for tick in range(100):
            recorder.joints(START + tick * 4 * MS, {'hinge': (1.0, 2.0), 'slider': (4.0, 5.0)})
        recorder.array(START + 2_000 * MS, [1.0])
    with pytest.raises(
        BagError,
        match=r'no control period \(0.04 s\) .*/joint_states: 1700000000.000 s to 1700000000.396 s '
        r'in 100 messages; /effort_controller/commands: 1700000002.000 s to 1700000002.000 s in 1',
    ):
        read(tmp_path / 'a.mcap')
