"""Whoever watches, and whatever becomes of them: the controller's commands keep their time.

Judged by the stamps that the controller gives its commands, so that it does not matter when they
arrive here. It acts at random: what is drawn is the way taken and the goal, as plans are in
``benchmarks/command_timing.py --watched``.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from visualization_msgs.msg import MarkerArray

from mbrl_common.messages import nanoseconds
from mbrl_common.qos import RECORD
from mbrl_common.testing import NodeProcess, Probe, isolated_domain
from mbrl_msgs.action import RunEpisodes
from mbrl_msgs.msg import Command

pytestmark = pytest.mark.slow

PARAMS = Path(__file__).parents[3] / 'launch' / 'config' / 'cartpole_swingup.yaml'
RATE = 100.0  # commands per second
SPAN = 4.0  # s, that is looked at
WATCHER = """
import rclpy
from nav_msgs.msg import Path
from rclpy.node import Node
from visualization_msgs.msg import MarkerArray
rclpy.init()
node = Node('watcher')
for topic, kind in (('plan_markers', MarkerArray), ('plan_path', Path)):
    node.create_subscription(kind, topic, lambda _: print('seen', flush=True), 10)
rclpy.spin(node)
"""


@contextlib.contextmanager
def watcher() -> Iterator[subprocess.Popen[str]]:
    """A process that has seen a drawing."""
    process = subprocess.Popen([sys.executable, '-c', WATCHER], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == 'seen\n'
        os.set_blocking(process.stdout.fileno(), False)
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope='module')
def flying() -> Iterator[tuple[Probe, list[Command], NodeProcess]]:
    """A controller that acts at random in real time, and its commands."""
    long = {'task.max_steps': 10_000, 'control.ack_timeout': 60.0}
    real = {'realtime.enabled': True, 'realtime.command_rate': RATE}
    with (
        isolated_domain(),
        Probe() as probe,
        NodeProcess(
            'mbrl_mpc', 'mpc_controller', params_file=PARAMS, parameters=long | real
        ) as node,
        NodeProcess(
            'mbrl_sim_bridge', 'sim_bridge', params_file=PARAMS, parameters={'sim.real_time': True}
        ),
    ):
        commands = probe.collect('command', Command, RECORD)
        node.wait_for_output('active')
        goal = RunEpisodes.Goal(episodes=1, exploration_episodes=1, target_return=float('nan'))
        sent = probe.send_goal('mpc_controller/run_episodes', RunEpisodes, goal, timeout=60.0)
        assert sent.accepted
        probe.wait_until(lambda: len(commands) > RATE, 60.0, 'commands')
        yield probe, commands, node


def lateness(probe: Probe, commands: list[Command]) -> np.ndarray:
    """How much longer than a period each is after the one before [s], of all in a while."""
    since = nanoseconds(commands[-1].header.stamp)
    end = since + round(SPAN * 1e9)
    probe.wait_until(
        lambda: nanoseconds(commands[-1].header.stamp) > end, 5 * SPAN, 'commands that go on'
    )
    stamps = [stamp for each in list(commands) if (stamp := nanoseconds(each.header.stamp)) > since]
    return np.array([(b - a) * 1e-9 - 1 / RATE for a, b in itertools.pairwise(stamps)])


def stopped(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGSTOP)


def killed(process: subprocess.Popen[str]) -> None:
    process.kill()


def left_alone(_: subprocess.Popen[str]) -> None: ...


@pytest.mark.parametrize('fate', [left_alone, stopped, killed])
def test_commands_keep_their_time_whatever_becomes_of_who_watches(
    fate: Callable[[subprocess.Popen[str]], None],
    flying: tuple[Probe, list[Command], NodeProcess],
) -> None:
    probe, commands, node = flying
    before = lateness(probe, commands)
    with watcher() as process:
        fate(process)
        watched = lateness(probe, commands)
        assert node.process.poll() is None and 'nothing is drawn' not in node.output()
        if fate is stopped:  # and another who watches sees what there is
            drawn = probe.collect('plan_markers', MarkerArray)
            probe.wait_until(lambda: len(drawn) > 10, 20.0, 'drawings for another')
            process.send_signal(signal.SIGCONT)
    assert len(watched) > 0.9 * len(before)
    # A machine that is busy is so before as well; a drawing that the loop had to wait for would be
    # there ten times a second.
    assert np.quantile(watched, 0.95) < np.quantile(before, 0.95) + 0.003


def test_who_watches_nothing_else_gets_drawings_at_the_rate_that_was_asked_for(
    flying: tuple[Probe, list[Command], NodeProcess],
) -> None:
    probe, _, _ = flying
    drawn = probe.collect('plan_markers', MarkerArray)
    probe.wait_until(lambda: drawn, 10.0, 'a drawing')
    first, begin = len(drawn), time.monotonic()
    time.sleep(SPAN)
    rate = (len(drawn) - first) / (time.monotonic() - begin)
    assert 3.0 < rate < 10.5, 'ten a second were asked for'
