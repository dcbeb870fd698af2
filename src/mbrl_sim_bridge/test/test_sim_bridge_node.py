"""The node in its own process, over real DDS."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from visualization_msgs.msg import MarkerArray

from mbrl_common.messages import from_field, nanoseconds, to_field
from mbrl_common.testing import NodeProcess, Probe, isolated_domain
from mbrl_msgs.msg import Command, Observation
from mbrl_msgs.srv import Reset
from mbrl_sim_bridge.simulation import Simulation

MAX_STEPS = 6


class Robot:
    """The bridge as its controller sees it."""

    def __init__(self, process: NodeProcess, probe: Probe, prefix: str = '') -> None:
        self.process = process
        self.probe = probe
        self.prefix = prefix
        self.states: list[Any] = probe.collect(prefix + 'joint_states', JointState)
        self.observations: list[Any] = probe.collect(prefix + 'observation', Observation)
        probe.wait_until(lambda: self.states, what='the first joint state')

    def reset(self, seed: int = 0, episode: int = 0, force: bool = False) -> Any:
        request = Reset.Request(seed=seed, episode=episode, force=force)
        return self.probe.call(self.prefix + 'sim_bridge/reset', Reset, request)

    def begin(self, seed: int = 0, episode: int = 0) -> Any:
        """A forced reset; returns the observation of the initial state."""
        response = self.reset(seed, episode, force=True)
        assert response.success, response.message
        return self.observation_at(response.stamp)

    def observation_at(self, stamp: Any) -> Any:
        return self.probe.wait_until(
            lambda: next((o for o in list(self.observations) if o.header.stamp == stamp), None),
            what='the observation',
        )

    def command(self, stamp: Any, action: Any) -> None:
        message = Command(state_stamp=stamp, action=to_field(action))
        self.probe.publish(self.prefix + 'command', Command, message)

    def step(self, observation: Any, action: float) -> Any:
        """Answer a state; returns the next observation."""
        count = len(self.observations)
        self.command(observation.header.stamp, [action])
        self.probe.wait_until(lambda: len(self.observations) > count, what='the next state')
        return self.observations[count]

    def stays(self, wall_time: float = 0.3) -> bool:
        """No new observation comes for a while."""
        count = len(self.observations)
        time.sleep(wall_time)
        return len(self.observations) == count


def bridge(parameters: dict[str, Any], **more: Any) -> NodeProcess:
    return NodeProcess('mbrl_sim_bridge', 'sim_bridge', parameters=parameters, **more)


@pytest.fixture(scope='module')
def domain() -> Iterator[int]:
    with isolated_domain() as number:
        yield number


@pytest.fixture(scope='module')
def robot(domain, task_parameters) -> Iterator[Robot]:
    with bridge(task_parameters(max_steps=MAX_STEPS)) as process, Probe() as probe:
        yield Robot(process, probe)


def test_states_are_those_of_the_simulation_bit_for_bit(robot, settings):
    simulation = Simulation(settings)
    observation = robot.begin(seed=11, episode=4)
    assert from_field(observation.state).tolist() == simulation.reset(11).tolist()
    assert (observation.episode, observation.step) == (4, 0)
    stamp = nanoseconds(observation.header.stamp)
    for step, action in enumerate([0.3, -2.9, 3.0, 1e9, -0.123456789], start=1):
        observation = robot.step(observation, action)
        expected = simulation.step(np.array([action]))
        assert from_field(observation.state).tolist() == expected.tolist()
        assert (observation.episode, observation.step) == (4, step)
        assert nanoseconds(observation.header.stamp) == stamp + step * 40_000_000
        joint_state = robot.states[-1]
        assert joint_state.header.stamp == observation.header.stamp
        assert list(joint_state.name) == ['slider', 'hinge']
        assert [*joint_state.position, *joint_state.velocity] == expected.tolist()


def test_observation_leaves_reward_to_the_objective(robot):
    observation = robot.step(robot.begin(), 1.0)
    assert math.isnan(observation.reward)
    assert not observation.terminated
    assert list(observation.names) == [
        'slider.position',
        'hinge.position',
        'slider.velocity',
        'hinge.velocity',
    ]


def test_same_seed_gives_the_same_initial_state(robot):
    first, other, again = (robot.begin(seed=seed).state for seed in (5, 6, 5))
    assert first == again != other


def test_episode_ends_at_the_time_limit_and_then_nothing_moves(robot):
    observation = robot.begin()
    for step in range(1, MAX_STEPS + 1):
        observation = robot.step(observation, 0.5)
        assert observation.truncated == (step == MAX_STEPS)
    robot.command(observation.header.stamp, [0.5])
    assert robot.stays()
    robot.process.wait_for_output('no episode is open; call /sim_bridge/reset')
    assert robot.reset().success


def test_command_for_another_state_is_ignored(robot):
    initial = robot.begin()
    current = robot.step(initial, 1.0)
    robot.command(initial.header.stamp, [1.0])  # again: a duplicate
    future = Command(action=to_field([1.0]))
    future.state_stamp.sec = current.header.stamp.sec + 5
    robot.probe.publish('command', Command, future)
    robot.probe.publish('command', Command, Command(action=to_field([1.0])))  # no stamp at all
    assert robot.stays()
    assert robot.step(current, 1.0).step == 2


@pytest.mark.parametrize(
    ('action', 'complaint'),
    [
        ([1.0, 2.0], 'shape [2]; it must be [1], an entry for each of slider'),
        ([], 'shape [0]; it must be [1]'),
        ([math.nan], 'the action is [nan]; every entry must be a finite number'),
        ([-math.inf], 'the action is [-inf]; every entry must be a finite number'),
    ],
)
def test_bad_action_is_refused_and_the_simulation_waits_for_another(robot, action, complaint):
    observation = robot.begin()
    robot.command(observation.header.stamp, action)
    output = robot.process.wait_for_output(complaint)
    assert 'refused' in output
    assert robot.stays(0.1)
    assert robot.step(observation, 1.0).step == 1


def test_reset_is_refused_while_an_episode_runs_unless_forced(robot):
    robot.begin(episode=2)
    assert robot.reset().success  # nothing was answered yet
    current = robot.step(robot.begin(episode=2), 1.0)
    refusal = robot.reset()
    assert not refusal.success
    assert refusal.error_code == Reset.Response.EPISODE_RUNNING
    assert 'episode 2 runs, at step 1 of 6' in refusal.message
    after = robot.step(current, 1.0)
    assert after.step == 2
    forced = robot.reset(force=True)
    assert forced.success and forced.error_code == Reset.Response.NONE
    assert nanoseconds(forced.stamp) > nanoseconds(after.header.stamp)


def test_last_state_is_repeated_with_its_stamp_while_no_command_comes(robot):
    observation = robot.step(robot.begin(), 1.0)
    count = len(robot.states)
    began = time.monotonic()
    robot.probe.wait_until(lambda: len(robot.states) >= count + 3, timeout=5)
    assert 1.0 <= time.monotonic() - began + 0.5 <= 3.0
    assert all(s.header.stamp == observation.header.stamp for s in robot.states[count:])
    assert list(robot.states[-1].position) == list(observation.state[:2])
    assert robot.stays(0.0)
    assert robot.step(observation, 1.0).step == 2


def test_clock_follows_the_state(robot):
    ticks = robot.probe.collect('/clock', Clock)
    observation = robot.begin()
    robot.probe.wait_until(
        lambda: any(tick.clock == observation.header.stamp for tick in list(ticks))
    )


def test_markers_show_the_cart_to_those_who_subscribe(robot):
    observation = robot.begin(seed=3)
    array = robot.probe.wait_for(
        'markers',
        MarkerArray,
        lambda m: m.markers[0].header.stamp == observation.header.stamp,
    )
    assert {marker.header.frame_id for marker in array.markers} == {'world'}
    assert len({marker.id for marker in array.markers}) == len(array.markers) == 9
    positions = [marker.pose.position.x for marker in array.markers]
    assert min(abs(x - observation.state[0]) for x in positions) < 1e-9


def test_commands_that_answer_nothing_are_told_of(robot):
    reports = robot.probe.collect('/diagnostics', DiagnosticArray)
    observation = robot.begin(seed=3)
    robot.step(observation, 1.0)
    robot.command(observation.header.stamp, [1.0])  # answered already

    def warned() -> Any:
        for status in [status for report in list(reports) for status in report.status]:
            values = {entry.key: entry.value for entry in status.values}
            if status.level == DiagnosticStatus.WARN and values['step'] == '1':
                return status, values
        return None

    status, values = robot.probe.wait_until(warned, 10.0, 'a warning')
    assert status.name == '/sim_bridge: lockstep' and status.message == 'an episode is open'
    assert int(values['commands_ignored']) >= 1


def test_namespace_and_node_name_can_be_changed(domain, parameters):
    with (
        bridge(parameters, namespace='left', name='sim') as process,
        Probe() as probe,
    ):
        states = probe.collect('left/joint_states', JointState)
        response = probe.call('left/sim/reset', Reset, Reset.Request(seed=1))
        assert response.success
        probe.wait_until(lambda: any(s.header.stamp == response.stamp for s in list(states)))
        probe.publish(
            'left/command', Command, Command(state_stamp=response.stamp, action=to_field([1.0]))
        )
        probe.wait_until(
            lambda: any(nanoseconds(s.header.stamp) > nanoseconds(response.stamp) for s in states)
        )
        assert process.stop() == 0


def test_stamps_go_forward_over_a_sigkill(domain, parameters):
    with Probe(namespace='restarted') as probe:
        states = probe.collect('joint_states', JointState)
        for lives in (1, 2):
            with bridge(parameters, namespace='restarted') as process:
                # Every life begins with a stamp of its own, and repeats it.
                probe.wait_until(lambda n=lives: len({_stamp(s) for s in list(states)}) == n)
                process.kill()
    stamps = [_stamp(state) for state in states]
    assert 0 < stamps[0] < stamps[-1]
    assert stamps == sorted(stamps)


def _stamp(message: Any) -> int:
    return nanoseconds(message.header.stamp)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_it_cleanly(domain, parameters, number):
    with bridge(parameters, namespace='ended') as process:
        process.wait_for_output('simulating')
        process.process.send_signal(number)
        assert process.wait(5.0) == 0
        assert 'Traceback' not in process.output()


@pytest.mark.parametrize(
    ('group', 'change', 'complaint'),
    [
        ('sim', {'enviroment': 'x'}, "unknown parameter 'sim.enviroment'; did you mean"),
        ('sim', {'environment': None}, "missing parameter 'sim.environment': a text"),
        ('sim', {'environment': 'pong'}, "it must be one of 'baoding_pddm', 'cartpole_pets'"),
        ('sim', {'marker_rate': 1e6}, "'sim.marker_rate' is 1000000.0; it must be a number from"),
        ('task', {'max_steps': 'many'}, "'task.max_steps' is 'many'; it must be an integer"),
        ('task', {'action': ['motor']}, "'task.action' has 'motor'; the actuated joints"),
        ('task', {'control_period': 0.05}, 'multiple of the physics timestep'),
    ],
)
def test_bad_parameters_end_it_with_code_2_and_a_reason(
    domain, parameters, group, change, complaint
):
    values = {**parameters[group], **change}
    values = {name: value for name, value in values.items() if value is not None}
    parameters = {**parameters, group: values} if values else {'task': parameters['task']}
    with bridge(parameters, namespace='bad') as process:
        assert process.wait() == 2
        assert complaint in process.output()
        assert 'Traceback' not in process.output()
