"""The launch files under the real launch system, where there is one."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mbrl_bringup.discovery import RANGE, reach, takes_profile
from mbrl_bringup.graph import GraphOptions, describe_control, describe_graph
from mbrl_bringup.tasks import params_file_of
from mbrl_common.testing import Probe, isolated_domain
from mbrl_msgs.srv import Replan

if shutil.which('ros2') is None or importlib.util.find_spec('launch_ros') is None:
    pytest.skip('there is no ros2 launch here: ROS comes from wheels', allow_module_level=True)

ARGUMENTS = ('params_file', 'namespace', 'seed', 'run_folder', 'autostart', 'use_respawn')
ARGUMENTS += ('log_level', 'network', 'robots')
RVIZ = ('headless', 'use_rviz', 'rviz_config_file')
EXECUTABLES = [node.executable for node in describe_graph(GraphOptions(Path('x')))]


@pytest.fixture(autouse=True)
def domain() -> Iterator[None]:
    with isolated_domain():
        yield


def launch(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ['ros2', 'launch', 'mbrl_bringup', *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def end(process: subprocess.Popen[str]) -> str:
    """Ctrl-C, as a user would; returns the output."""
    try:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
        return output
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ('file', 'more'),
    [
        ('bringup.launch.py', RVIZ),
        ('cartpole_swingup.launch.py', RVIZ),
        ('cartpole_balance.launch.py', RVIZ),
    ],
)
def test_every_argument_is_described(file: str, more: tuple[str, ...]) -> None:
    output, _ = launch(file, '--show-args').communicate(timeout=60)
    lines = [line.strip() for line in output.splitlines()]
    for argument in (*ARGUMENTS, *more):
        assert f"'{argument}':" in lines, output
        assert lines[lines.index(f"'{argument}':") + 1], argument


def test_the_whole_graph_comes_up_in_a_namespace_and_ends_cleanly(tmp_path: Path) -> None:
    process = launch(
        'cartpole_swingup.launch.py',
        'namespace:=r1',
        'seed:=3',
        'headless:=true',
        f'run_folder:={tmp_path}/run',
    )
    try:
        with Probe(namespace='r1') as probe:
            answer = probe.call('mpc_controller/replan', Replan, Replan.Request(), 60.0)
            assert answer.message
            probe.wait_until(
                lambda: all(
                    (name, '/r1') in probe.node.get_node_names_and_namespaces()
                    for name in EXECUTABLES
                ),
                30.0,
                'the nodes',
            )
            time.sleep(2.0)  # past the last import, where Python may swallow a SIGINT
    finally:
        output = end(process)
    assert output.count('process has finished cleanly') == len(EXECUTABLES), output
    assert process.returncode == 0, output


@pytest.mark.parametrize('network', ['false', 'true'])
def test_several_robots_come_up_and_are_seen_as_far_as_was_asked(
    network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(RANGE, raising=False)
    process = launch(
        'cartpole_swingup.launch.py', 'robots:=2', f'network:={network}', 'run_folder:=none'
    )
    nodes = describe_graph(GraphOptions(Path('x'), robots=2))
    try:
        assert process.stdout is not None
        pids: list[str] = []
        for line in process.stdout:
            pids += re.findall(r'process started with pid \[(\d+)\]', line)
            if len(pids) == len(nodes):
                break
        for pid in pids:
            environment = Path(f'/proc/{pid}/environ').read_text().split('\0')
            for name, text in reach(network == 'true', {}, takes_profile()).items():
                assert f'{name}={text}' in environment
        monkeypatch.setenv(RANGE, 'LOCALHOST')
        with Probe() as probe:
            expected = {(node.name, f'/{node.namespace}', f'{node.enclave}') for node in nodes}
            probe.wait_until(
                lambda: expected <= {*probe.node.get_node_names_and_namespaces_with_enclaves()},
                60.0,
                f'{expected}',
            )
    finally:
        end(process)


def test_a_robot_of_ones_own_gets_everything_but_the_simulation() -> None:
    process = launch(
        'bringup.launch.py',
        f'params_file:={params_file_of("cartpole_swingup")}',
        'run_folder:=none',
        'autostart:=false',
    )
    try:
        time.sleep(8.0)
    finally:
        output = end(process)
    for node in describe_control(GraphOptions(Path('x'))):
        assert f'[{node.executable}-' in output
    assert '[sim_bridge-' not in output


@pytest.mark.parametrize(
    ('argument', 'complaint'),
    [
        ('seed:=many', "seed is 'many'; it must be an integer"),
        ('robots:=0', "robots is '0'; it must be an integer of at least 1"),
        ('params_file:=/nowhere.yaml', "there is no file '/nowhere.yaml'"),
        ('log_level:=loud', 'log_level'),
        ('use_rviz:=perhaps', 'use_rviz'),
    ],
)
def test_a_wrong_argument_is_refused_with_what_would_be_right(
    argument: str, complaint: str
) -> None:
    process = launch('cartpole_swingup.launch.py', argument)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert complaint in output
