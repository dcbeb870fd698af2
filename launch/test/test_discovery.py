"""Who can see a graph: this machine, and others only if that was asked for."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import statistics
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mbrl_bringup.discovery import LOOPBACK, PROFILES, RANGE, reach, takes_profile
from mbrl_bringup.tasks import params_file_of
from mbrl_common.testing import NodeProcess, Probe, isolated_domain

GROUP = '239.255.0.1'  # where DDS participants announce themselves, by the RTPS specification
NODES = ('sim_bridge', 'dynamics', 'planner', 'mpc_controller')


def test_a_graph_keeps_to_this_machine_unless_asked() -> None:
    profile = dict.fromkeys(PROFILES, str(LOOPBACK))
    for environment in ({}, {RANGE: ''}):
        assert reach(False, environment, False) == {RANGE: 'LOCALHOST'}
        assert reach(False, environment, True) == {RANGE: 'SYSTEM_DEFAULT', **profile}


def test_what_was_asked_for_wins_over_what_is_set_and_that_over_the_default() -> None:
    for profile in (False, True):
        assert reach(True, {}, profile) == {RANGE: 'SUBNET'}
        assert reach(True, {RANGE: 'LOCALHOST'}, profile) == {RANGE: 'SUBNET'}
        assert reach(False, {RANGE: 'OFF'}, profile) == {}
        assert reach(False, {'ROS_STATIC_PEERS': '10.0.0.2'}, profile) == {RANGE: 'LOCALHOST'}
        assert reach(False, {PROFILES[0]: 'mine.xml'}, profile) == {RANGE: 'LOCALHOST'}


def test_the_profile_is_taken_where_fast_dds_2_runs() -> None:
    with isolated_domain(), Probe():
        loaded = Path('/proc/self/maps').read_text()
    assert takes_profile() == ('libfastrtps.so.2' in loaded)


def test_nothing_is_taken_for_fast_dds_2_that_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'share' / 'fastdds').mkdir(parents=True)
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    assert not takes_profile()


@pytest.mark.skipif(not takes_profile(), reason='the profile is for Fast DDS 2')
def test_a_node_announces_itself_often_and_is_soon_forgotten_when_it_was_killed() -> None:
    params_file = params_file_of('cartpole_swingup')
    with (
        isolated_domain() as domain,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener,
        Probe() as probe,
    ):
        # Where the 31st participant of the domain would listen, by the RTPS specification
        listener.bind(('127.0.0.1', 7400 + 250 * domain + 10 + 2 * 30))
        environment = reach(False, {}, True)
        with NodeProcess(
            'mbrl_sim_bridge', 'sim_bridge', params_file=params_file, env=environment
        ) as node:

            def known() -> bool:
                return 'sim_bridge' in probe.node.get_node_names()

            probe.wait_until(known, 30.0, 'the node')
            time.sleep(1.0)  # the first ones are a burst, as is what those who meet tell each other
            listener.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while listener.recv(1 << 16):
                    pass
            listener.settimeout(20.0)
            heard: list[float] = []
            while len(heard) < 8:
                assert listener.recv(1 << 16)[:4] == b'RTPS'
                heard.append(time.monotonic())
            pauses = [after - before for before, after in itertools.pairwise(heard)]
            assert 0.2 < statistics.median(pauses) < 1.5
            node.kill()
            # 20 s by default
            probe.wait_until(lambda: not known(), 12.0, 'the end of the node that was killed')


@contextlib.contextmanager
def announcements(domain: int) -> Iterator[socket.socket]:
    """What anyone in the network hears of the participants of a domain."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_UDP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((GROUP, 7400 + 250 * domain))
        member = struct.pack('4s4s', socket.inet_aton(GROUP), socket.inet_aton('0.0.0.0'))
        try:
            listener.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
            listener.settimeout(2.0)
            listener.sendto(b'heard', (GROUP, 7400 + 250 * domain))
            assert b'heard' in (listener.recv(1 << 16) for _ in range(100))
            listener.settimeout(0.2)
        except OSError:
            pytest.skip('there is no network with multicast here')
        yield listener


@pytest.mark.parametrize('reach', ['LOCALHOST', 'SUBNET'])
def test_nothing_is_announced_to_the_network_unless_asked(
    reach: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RANGE, 'LOCALHOST')
    params_file = params_file_of('cartpole_swingup')
    with (
        isolated_domain() as domain,
        announcements(domain) as listener,
        NodeProcess('mbrl_sim_bridge', 'sim_bridge', params_file=params_file, env={RANGE: reach}),
        Probe() as probe,
    ):
        (publisher,) = probe.wait_until(
            lambda: probe.node.get_publishers_info_by_topic('/joint_states'), 30.0, 'the node'
        )
        # Others in the network may use the same domain: only what this node says counts.
        header = b'RTPS', bytes(publisher.endpoint_gid[:12])
        deadline = time.monotonic() + (10.0 if reach == 'SUBNET' else 1.0)
        heard = False
        while not heard and time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                packet = listener.recv(1 << 16)
                heard = (packet[:4], packet[8:20]) == header
    assert heard == (reach == 'SUBNET')


_FAMILIES = {1: socket.AF_INET, 4: socket.AF_INET6}


def bound_addresses(pid: int) -> set[str]:
    """Addresses on which a process receives UDP."""
    sockets = set()
    for entry in Path(f'/proc/{pid}/fd').iterdir():
        with contextlib.suppress(OSError):
            sockets.add(str(entry.readlink()).removeprefix('socket:[').removesuffix(']'))
    found = set()
    for table, words in (('udp', 1), ('udp6', 4)):
        for line in Path(f'/proc/{pid}/net/{table}').read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in sockets:
                address = bytes.fromhex(fields[1].partition(':')[0])
                # Words of 32 bits, in this machine's order of bytes
                network = b''.join(address[4 * word : 4 * word + 4][::-1] for word in range(words))
                found.add(str(socket.inet_ntop(_FAMILIES[words], network)))
    return found


@pytest.mark.parametrize('option', [(), ('--network',)])
def test_the_whole_graph_keeps_to_what_was_asked(
    option: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (RANGE, *PROFILES):
        monkeypatch.delenv(name, raising=False)
    with isolated_domain():
        command = subprocess.Popen(
            ['mbrl', 'up', 'cartpole_swingup', '--namespace', 'r1', *option],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, 'MBRL_TEST': str(tmp_path)},
        )
        try:
            assert command.stdout is not None
            for line in command.stdout:
                if 'The graph is up' in line:
                    break
            nodes = processes_of(tmp_path)
            assert {*nodes} == {*NODES}
            for pid, environment in nodes.values():
                for name, text in reach(bool(option), {}, takes_profile()).items():
                    assert f'{name}={text}' in environment
                if takes_profile():
                    addresses = bound_addresses(pid)
                    assert (addresses == {'127.0.0.1'}) == (not option), addresses
            # Another node of this machine finds them either way, in the enclaves of the policy.
            monkeypatch.setenv(RANGE, 'LOCALHOST')
            with Probe() as probe:
                expected = {(name, '/r1', f'/r1/{name}') for name in (*NODES, 'mbrl')}
                probe.wait_until(
                    lambda: expected <= {*probe.node.get_node_names_and_namespaces_with_enclaves()},
                    20.0,
                    f'{expected}',
                )
        finally:
            command.send_signal(signal.SIGINT)
            command.communicate(timeout=30)


def processes_of(folder: Path) -> dict[str, tuple[int, list[str]]]:
    """Of the nodes that a test's command started, by name: process id, and environment."""
    found = {}
    for entry in Path('/proc').iterdir():
        with contextlib.suppress(OSError):
            environment = (entry / 'environ').read_bytes().decode().split('\0')
            words = (entry / 'cmdline').read_bytes().decode().split('\0')
            names = [w.removeprefix('__node:=') for w in words if w.startswith('__node:=')]
            if f'MBRL_TEST={folder}' in environment and names:
                found[names[0]] = (int(entry.name), environment)
    return found
