"""Who can see a graph: this machine, and others only if that was asked for."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import mbrl_bringup
from mbrl_bringup.discovery import VARIABLE, discovery_range
from mbrl_bringup.tasks import params_file_of
from mbrl_common.testing import NodeProcess, Probe, isolated_domain

GROUP = '239.255.0.1'  # where DDS participants announce themselves, by the RTPS specification
NODES = ('sim_bridge', 'dynamics', 'planner', 'mpc_controller')
LOOPBACK = Path(mbrl_bringup.__file__).parent.parent / 'security' / 'this_machine.xml'


def test_a_graph_keeps_to_this_machine_unless_asked() -> None:
    assert discovery_range(False, {}) == 'LOCALHOST'
    assert discovery_range(False, {VARIABLE: ''}) == 'LOCALHOST'
    assert discovery_range(False, {VARIABLE: 'OFF'}) == 'OFF'
    assert discovery_range(True, {}) == 'SUBNET'
    assert discovery_range(True, {VARIABLE: 'LOCALHOST'}) == 'SUBNET'


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
            assert listener.recv(5) == b'heard'
        except OSError:
            pytest.skip('there is no network with multicast here')
        yield listener


@pytest.mark.parametrize('reach', ['LOCALHOST', 'SUBNET'])
def test_nothing_is_announced_to_the_network_unless_asked(
    reach: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, 'LOCALHOST')
    params_file = params_file_of('cartpole_swingup')
    with (
        isolated_domain() as domain,
        announcements(domain) as listener,
        NodeProcess(
            'mbrl_sim_bridge', 'sim_bridge', params_file=params_file, env={VARIABLE: reach}
        ),
        Probe() as probe,
    ):
        probe.wait_until(lambda: 'sim_bridge' in probe.node.get_node_names(), 30.0, 'the node')
        listener.setblocking(False)
        heard = b''
        with contextlib.suppress(BlockingIOError):
            heard = listener.recv(1 << 16)
    assert (heard[:4] == b'RTPS') == (reach == 'SUBNET')


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


def test_with_the_profile_for_fast_dds_sockets_are_on_the_loopback_address_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rmw = pytest.importorskip('rclpy').get_rmw_implementation_identifier()
    if rmw != 'rmw_fastrtps_cpp':
        pytest.skip(f'the profile is for Fast DDS, not for {rmw}')
    monkeypatch.setenv(VARIABLE, 'SYSTEM_DEFAULT')
    monkeypatch.setenv('FASTRTPS_DEFAULT_PROFILES_FILE', str(LOOPBACK))
    monkeypatch.setenv('FASTDDS_DEFAULT_PROFILES_FILE', str(LOOPBACK))
    params_file = params_file_of('cartpole_swingup')
    with (
        isolated_domain(),
        NodeProcess('mbrl_sim_bridge', 'sim_bridge', params_file=params_file) as bridge,
        NodeProcess('mbrl_mpc', 'mpc_controller', params_file=params_file),
    ):
        code = (
            'from mbrl_common.qos import LATCHED; from mbrl_common.testing import Probe; '
            'from mbrl_msgs.msg import ControllerStatus; p = Probe(); '
            "p.wait_for('controller_status', ControllerStatus, timeout=30.0, qos=LATCHED); "
            'p.close()'
        )
        # A process of its own: the profile is read once per process.
        subprocess.run(['python', '-c', code], check=True, timeout=90)
        assert bound_addresses(bridge.pid) == {'127.0.0.1'}


@pytest.mark.parametrize(('option', 'reach'), [((), 'LOCALHOST'), (('--network',), 'SUBNET')])
def test_the_whole_graph_keeps_to_what_was_asked(
    option: tuple[str, ...], reach: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
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
            found = {}
            for entry in Path('/proc').iterdir():
                with contextlib.suppress(OSError):
                    environment = (entry / 'environ').read_bytes().decode().split('\0')
                    words = (entry / 'cmdline').read_bytes().decode().split('\0')
                    names = [w.removeprefix('__node:=') for w in words if w.startswith('__node:=')]
                    if f'MBRL_TEST={tmp_path}' in environment and names:
                        found[names[0]] = (
                            f'{VARIABLE}={reach}' in environment,
                            words[words.index('--enclave') + 1],
                        )
            assert found == {name: (True, f'/r1/{name}') for name in NODES}
            monkeypatch.setenv(VARIABLE, 'LOCALHOST')
            with Probe() as probe:
                enclaves = {name: (name, '/r1', f'/r1/{name}') for name in (*NODES, 'mbrl')}
                probe.wait_until(
                    lambda: (
                        {*enclaves.values()}
                        <= {*probe.node.get_node_names_and_namespaces_with_enclaves()}
                    ),
                    20.0,
                    f'nodes in their enclaves, {enclaves}',
                )
        finally:
            command.send_signal(signal.SIGINT)
            command.communicate(timeout=30)
