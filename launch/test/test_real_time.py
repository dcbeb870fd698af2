"""The whole graph in real time, over DDS, with a robot that has delays: what fails, what then."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lifecycle_msgs.msg import Transition as Lifecycle
from lifecycle_msgs.srv import ChangeState
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from mbrl_bringup.testing import Graph, run_episodes, running
from mbrl_common.qos import LATCHED
from mbrl_common.testing import Probe
from mbrl_dynamics.bag import read_folder
from mbrl_dynamics.transition import Transition
from mbrl_msgs.action import RunEpisodes
from mbrl_msgs.msg import Command, ControllerStatus
from mbrl_msgs.srv import SetMode

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

PERIOD = 40_000_000
ROBOT: dict[str, Any] = {
    'sim.real_time': True,
    'sim.state_latency': 0.01,
    'sim.state_jitter': 0.002,
    'sim.position_noise': 0.001,
    'sim.state_drop': 0.01,
    'sim.command_drop': 0.01,
}
OVERRIDES: dict[str, dict[str, Any]] = {
    'sim_bridge': ROBOT,
    'mpc_controller': {'realtime.enabled': True, 'control.ack_timeout': 0.5},
    'dynamics': {'training.updates_after_episode': 300, 'training.every_steps': 0},
}


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[tuple[Graph, Probe]]:
    with running(0, tmp_path, OVERRIDES) as both:
        yield both


def planning(probe: Probe, commands: list[Command], episodes: int = 5) -> Any:
    """Begin planned episodes after a random one; returns the goal once it is under way."""
    goal = run_episodes(probe, episodes=episodes, exploration_episodes=1, seed=0)
    probe.wait_until(
        lambda: commands and commands[-1].source == Command.SOURCE_PLAN, 40.0, 'a planned command'
    )
    return goal


def last_sources(commands: list[Command], count: int) -> set[int]:
    """Where the last few commands came from."""
    return {command.source for command in list(commands)[-count:]}


def test_commands_keep_their_rate_and_bounds_and_transitions_their_period(
    graph: tuple[Graph, Probe], tmp_path: Path
) -> None:
    _, probe = graph
    commands = probe.collect('command', Command)
    result = run_episodes(probe, episodes=2, exploration_episodes=1, seed=0).result(90.0)
    assert result.error_code == RunEpisodes.Result.NONE, result.error_msg
    assert all(abs(command.action[0]) <= 3.0 for command in commands)
    # 2 x 8 s at 100 Hz, less a tenth for a machine that is busy
    acting = [c for c in commands if c.source != Command.SOURCE_SAFE]
    assert len(acting) > 1440
    probe.wait_until(lambda: len(read_folder(tmp_path / 'data')) > 300, 20.0, 'the transitions')
    for each in read_folder(tmp_path / 'data'):
        assert each.next_stamp - each.stamp == PERIOD


def test_a_killed_planner_leaves_the_plan_then_the_safe_command_and_takes_over_again(
    graph: tuple[Graph, Probe],
) -> None:
    nodes, probe = graph
    commands = probe.collect('command', Command)
    planning(probe, commands)
    nodes.crash('planner')
    probe.wait_until(
        lambda: last_sources(commands, 20) == {Command.SOURCE_SAFE}, 5.0, 'the safe command'
    )
    assert all(c.action[0] == 0.0 for c in list(commands)[-20:])
    status = probe.wait_for(
        'controller_status',
        ControllerStatus,
        lambda s: s.state == ControllerStatus.WAITING_FOR_PLANNER,
        qos=LATCHED,
    )
    assert status.mode == 'closed_loop'
    nodes.restart('planner')
    nodes.nodes['planner'].wait_for_output('in use')
    probe.wait_until(
        lambda: last_sources(commands, 20) == {Command.SOURCE_PLAN}, 5.0, 'planned commands'
    )


def test_a_killed_dynamics_node_loses_nothing_and_control_goes_on(
    graph: tuple[Graph, Probe], tmp_path: Path
) -> None:
    nodes, probe = graph
    commands = probe.collect('command', Command)
    goal = planning(probe, commands, episodes=2)
    nodes.crash('dynamics')
    before = len(commands)
    probe.wait_until(lambda: len(commands) > before + 100, 10.0, 'a hundred commands')
    assert last_sources(commands, 20) == {Command.SOURCE_PLAN}
    nodes.restart('dynamics')
    result = goal.result(60.0)
    assert result.error_code == RunEpisodes.Result.NONE, result.error_msg

    def planned() -> list[Transition]:
        return [t for t in read_folder(tmp_path / 'data') if t.episode == 1]

    # A node that took long to start gets them after the end of the episodes.
    probe.wait_until(lambda: len(planned()) >= 190, 30.0, 'the transitions of the episode')
    recorded = planned()
    numbers = sorted(t.sequence for t in recorded)
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_without_states_the_safe_command_is_sent_and_control_resumes_with_them(
    graph: tuple[Graph, Probe],
) -> None:
    nodes, probe = graph
    commands = probe.collect('command', Command)
    planning(probe, commands)
    nodes.crash('sim_bridge')
    probe.wait_until(
        lambda: last_sources(commands, 20) == {Command.SOURCE_SAFE}, 5.0, 'the safe command'
    )
    nodes.restart('sim_bridge')
    nodes.nodes['sim_bridge'].wait_for_output('simulating')
    probe.wait_until(
        lambda: last_sources(commands, 20) == {Command.SOURCE_PLAN}, 10.0, 'planned commands'
    )


def test_a_state_that_cannot_be_is_refused_and_never_acted_on(graph: tuple[Graph, Probe]) -> None:
    _, probe = graph
    commands = probe.collect('command', Command)
    planning(probe, commands)
    now = time.time_ns()
    bad = JointState(name=['slider', 'hinge'], position=[np.nan, 0.0], velocity=[0.0, 0.0])
    bad.header.stamp.sec, bad.header.stamp.nanosec = divmod(now, 1_000_000_000)
    for _ in range(20):
        probe.publish('joint_states', JointState, bad)
        time.sleep(0.02)
    status = probe.wait_for(
        'controller_status', ControllerStatus, lambda s: s.refused_states >= 20, qos=LATCHED
    )
    assert np.isfinite([c.action[0] for c in commands]).all()
    assert status.state == ControllerStatus.RUNNING


def test_another_commander_is_noticed_and_ends_the_episodes(graph: tuple[Graph, Probe]) -> None:
    _, probe = graph
    commands = probe.collect('command', Command)
    goal = planning(probe, commands)
    probe.publish('effort_controller/commands', Float64MultiArray, Float64MultiArray(data=[1.0]))
    result = goal.result(10.0)
    assert result.error_code == RunEpisodes.Result.OTHER_COMMANDER
    assert 'another controller commands this robot' in result.error_msg
    assert commands[-1].source == Command.SOURCE_SAFE
    refused = run_episodes(probe, episodes=1, exploration_episodes=1, seed=0).result(10.0)
    assert refused.error_code == RunEpisodes.Result.OTHER_COMMANDER


def test_deactivation_leaves_the_safe_command(graph: tuple[Graph, Probe]) -> None:
    _, probe = graph
    commands = probe.collect('command', Command)
    goal = planning(probe, commands)
    request = ChangeState.Request()
    request.transition.id = Lifecycle.TRANSITION_DEACTIVATE
    assert probe.call('mpc_controller/change_state', ChangeState, request).success
    assert goal.result(10.0).error_code == RunEpisodes.Result.DEACTIVATED
    time.sleep(0.5)
    count = len(commands)
    assert commands[-1].source == Command.SOURCE_SAFE and commands[-1].action[0] == 0.0
    time.sleep(0.5)
    assert len(commands) == count


def test_the_mode_may_be_changed_and_a_wrong_one_is_refused(graph: tuple[Graph, Probe]) -> None:
    _, probe = graph
    commands = probe.collect('command', Command)
    planning(probe, commands)
    refused = probe.call('mpc_controller/set_mode', SetMode, SetMode.Request(mode='fast'))
    assert refused.error_code == SetMode.Response.INVALID_MODE
    assert 'closed_loop, open_loop' in refused.message
    for mode, source in (
        ('hold', Command.SOURCE_SAFE),
        ('explore', Command.SOURCE_EXPLORATION),
        ('open_loop', Command.SOURCE_PLAN),
    ):
        answer = probe.call('mpc_controller/set_mode', SetMode, SetMode.Request(mode=mode))
        assert answer.success, answer.message
        probe.wait_until(lambda s=source: last_sources(commands, 10) == {s}, 5.0, mode)
