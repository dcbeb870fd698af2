"""What a recorder next to the running graph writes is the dataset that the graph itself writes."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from mbrl_bringup.tasks import params_file_of
from mbrl_common.qos import RECORD
from mbrl_common.taskfile import node_settings
from mbrl_common.testing import NodeProcess, Probe, isolated_domain
from mbrl_dynamics.bag import BagError, read_arrays
from mbrl_dynamics.bag_source import transitions_of
from mbrl_dynamics.settings import DynamicsSettings
from mbrl_dynamics.testing import RobotRecorder
from mbrl_msgs.action import RunEpisodes
from mbrl_msgs.msg import Command

STEPS = 60
KINDS = {
    'sensor_msgs/msg/JointState': JointState,
    'mbrl_msgs/msg/Command': Command,
    'std_msgs/msg/Float64MultiArray': Float64MultiArray,
}
TOPICS = dict(zip(('/joint_states', '/command', '/effort_controller/commands'), KINDS))


def settings(command_topic: str) -> DynamicsSettings:
    return node_settings(
        params_file_of('cartpole_swingup'),
        'dynamics',
        DynamicsSettings,
        {'data.command_topic': command_topic},
    )


def run_episode(probe: Probe, number: int, steps: int) -> None:
    """A random one."""
    goal = RunEpisodes.Goal(
        episodes=1,
        exploration_episodes=1,
        first_episode=number,
        max_steps=steps,
        target_return=math.nan,
    )
    sent = probe.send_goal('mpc_controller/run_episodes', RunEpisodes, goal, timeout=30.0)
    result = sent.result(60.0)
    assert result.error_code == RunEpisodes.Result.NONE, result.error_msg
    assert result.episodes[0].steps == steps


@pytest.fixture(scope='module')
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``graph.mcap``, the messages as they came over DDS, and the graph's own run."""
    folder = tmp_path_factory.mktemp('recorded')
    params_file = params_file_of('cartpole_swingup')
    messages: list[tuple[str, int, bytes]] = []

    def keep(topic: str) -> Callable[[bytes], None]:
        return lambda data: messages.append((topic, time.time_ns(), data))

    with isolated_domain(), Probe() as probe, contextlib.ExitStack() as nodes:
        for topic, kind in TOPICS.items():
            probe.node.create_subscription(KINDS[kind], topic, keep(topic), RECORD, raw=True)
        for package, name, parameters in (
            ('mbrl_sim_bridge', 'sim_bridge', None),
            ('mbrl_dynamics', 'dynamics', {'data.folder': str(folder / 'run')}),
            ('mbrl_mpc', 'mpc_controller', None),
        ):
            nodes.enter_context(
                NodeProcess(package, name, params_file=params_file, parameters=parameters)
            )
        episode = 0
        while {topic for topic, _, _ in messages} < TOPICS.keys():  # until all have found us
            run_episode(probe, episode, 2)
            episode += 1
        messages.clear()
        run_episode(probe, episode, STEPS)
        probe.wait_until(
            lambda: [m[0] for m in messages].count('/command') >= STEPS, 30.0, 'the last command'
        )
    (folder / 'run' / 'data' / f'episode_{episode:05d}.mcap').rename(folder / 'own.mcap')
    with RobotRecorder(folder / 'graph.mcap') as recorder:
        for topic, log_time, data in messages:
            recorder.write_bytes(topic, TOPICS[topic], log_time, data)
    return folder


def test_joint_states_and_stamped_commands_are_the_graphs_transitions(recorded: Path) -> None:
    known = settings('command')
    found = transitions_of(recorded / 'graph.mcap', known.task, known.data)
    own = read_arrays(recorded / 'own.mcap')
    assert len(found) == len(own) == STEPS
    for name in ('stamp', 'next_stamp', 'state', 'action', 'next_state', 'step'):
        np.testing.assert_array_equal(getattr(found, name), getattr(own, name), err_msg=name)


def test_plain_commands_of_a_lockstep_run_cannot_be_dated_and_are_refused(recorded: Path) -> None:
    known = settings('effort_controller/commands')
    with pytest.raises(BagError, match='are of another clock than the joint states'):
        transitions_of(recorded / 'graph.mcap', known.task, known.data)
