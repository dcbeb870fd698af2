"""Several robots in one graph: each in its place, one planner and one dataset for all."""

from __future__ import annotations

import collections
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mbrl_bringup.tasks import params_file_of
from mbrl_common.qos import LATCHED, RECORD
from mbrl_common.testing import Probe, isolated_domain
from mbrl_dynamics.bag import read_arrays
from mbrl_msgs.action import RunEpisodes
from mbrl_msgs.msg import Command, ModelSnapshot, TransitionAck

STEPS = 40
ROBOTS = ('robot0', 'robot1', 'robot2')


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Path]:
    """The run folder of a graph of three robots that learns next to nothing, and fast."""
    document = yaml.safe_load(params_file_of('cartpole_swingup').read_text())
    document['/**']['ros__parameters']['task']['max_steps'] = STEPS
    training = document['/**/dynamics']['ros__parameters']['training']
    training |= {'updates_after_episode': 50, 'updates_within_episode': 20, 'min_transitions': 10}
    params_file = tmp_path / 'short.yaml'
    params_file.write_text(yaml.safe_dump(document))
    with isolated_domain():
        options = ['--params-file', str(params_file), '--run-folder', 'run', '--namespace', 'lab']
        command = subprocess.Popen(
            ['mbrl', 'up', 'x', *options, '--robots', '3'],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            output = ''
            assert command.stdout is not None
            for line in command.stdout:
                output += line
                if 'The graph is up' in line:
                    break
            assert command.poll() is None, output
            yield tmp_path / 'run'
        finally:
            command.send_signal(signal.SIGINT)
            command.communicate(timeout=40)


def run_all(probe: Probe, first_episode: int, exploration: int) -> list[Any]:
    """An episode of each robot, all at the same time."""
    goals = [
        probe.send_goal(
            f'{robot}/mpc_controller/run_episodes',
            RunEpisodes,
            RunEpisodes.Goal(
                episodes=1,
                exploration_episodes=exploration,
                seed=3,
                first_episode=first_episode + number,
                target_return=float('nan'),
            ),
            timeout=30.0,
        )
        for number, robot in enumerate(ROBOTS)
    ]
    return [goal.result(120.0) for goal in goals]


@pytest.mark.timeout(240)
def test_robots_learn_and_plan_together(run: Path) -> None:
    with Probe(namespace='lab') as probe:
        acks = probe.collect('transition_ack', TransitionAck, RECORD)
        models = probe.collect('model', ModelSnapshot, LATCHED)
        commands = {robot: probe.collect(f'{robot}/command', Command) for robot in ROBOTS}
        for first_episode, exploration in ((0, 1), (len(ROBOTS), 0)):
            for result in run_all(probe, first_episode, exploration):
                assert result.error_code == RunEpisodes.Result.NONE, result.error_msg
                assert result.episodes[0].steps == STEPS
        probe.wait_until(
            lambda: acks and acks[-1].dataset_size == 2 * STEPS * len(ROBOTS), 20.0, 'the last ack'
        )
        assert models
        senders = collections.Counter(ack.robot for ack in acks)
        assert {*senders} == {f'/lab/{robot}/mpc_controller' for robot in ROBOTS}
        for robot in ROBOTS:
            assert any(each.source == Command.SOURCE_PLAN for each in commands[robot])
        status = subprocess.run(
            ['mbrl', 'status', '--namespace', 'lab', '--robot', '2', '--timeout', '20'],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert re.search(r'state +ready', status.stdout), status.stderr
        assert re.search(rf'episode +{2 * len(ROBOTS) - 1}, step {STEPS}', status.stdout)
        assert re.search(rf'dataset +{2 * STEPS * len(ROBOTS)} steps of 6 ', status.stdout)
    bags = sorted((run / 'data').glob('*.mcap'))
    assert len(bags) == 2 * len(ROBOTS)  # one per episode, though they were recorded at once
    for number, bag in enumerate(bags):
        arrays = read_arrays(bag)
        assert arrays.episode.tolist() == [number] * STEPS
        assert arrays.step.tolist() == [*range(STEPS)]
        ((robot, _),) = arrays.senders
        assert robot == f'/lab/{ROBOTS[number % len(ROBOTS)]}/mpc_controller'


def test_learning_by_trials_is_for_one_robot(tmp_path: Path) -> None:
    command = ['mbrl', 'up', 'cartpole_swingup', '--learn', '--robots', '2']
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 2
    assert 'send each robot its run_episodes' in refused.stderr
    assert not [*tmp_path.iterdir()]
