"""The policy for SROS 2 against the graph as it is: nothing missing, and nothing superfluous."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib.util
import operator
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rclpy.node import Node
from visualization_msgs.msg import MarkerArray

import mbrl_bringup
from mbrl_bringup.client import GraphError, graph_client
from mbrl_bringup.graph import GraphOptions, describe_graph
from mbrl_bringup.tasks import params_file_of
from mbrl_bringup.testing import PACKAGES
from mbrl_bringup.testing_sink import Heard
from mbrl_bringup.watch.subscriber import subscriber
from mbrl_common.qos import LATCHED
from mbrl_common.testing import NodeProcess, Probe, isolated_domain
from mbrl_msgs.action import RunEpisodes
from mbrl_msgs.msg import ControllerStatus, Plan, TrainingStatus, Transition

POLICY = Path(mbrl_bringup.__file__).parent.parent / 'security' / 'policy.xml'
PARAMS = params_file_of('cartpole_swingup')
NODES = describe_graph(GraphOptions(PARAMS))


def profiles(node: str) -> tuple[str, str]:
    """A node, and its companion."""
    return node, f'_{node}_hot_path'


PROFILES = [name for node in NODES for name in profiles(node.name)]


@dataclasses.dataclass
class Access:
    """Full names of topics and services, with those that actions are made of."""

    publish: set[str] = dataclasses.field(default_factory=set)
    subscribe: set[str] = dataclasses.field(default_factory=set)
    reply: set[str] = dataclasses.field(default_factory=set)
    request: set[str] = dataclasses.field(default_factory=set)

    def __or__(self, other: Access) -> Access:
        return self._each(operator.or_, other)

    def __and__(self, other: Access) -> Access:
        return self._each(operator.and_, other)

    def __sub__(self, other: Access) -> Access:
        return self._each(operator.sub, other)

    def _each(self, operation: Callable[[Any, Any], Any], other: Access) -> Access:
        mine, theirs = dataclasses.astuple(self), dataclasses.astuple(other)
        return Access(*(operation(a, b) for a, b in zip(mine, theirs)))


def allowed(node: str) -> Access:
    """What the policy allows a node of the graph, by the rules of SROS 2."""
    access = Access()
    (profile,) = ElementTree.parse(POLICY).iterfind(f".//profile[@node='{node}']")
    assert profile.get('ns') == '/'
    for group in profile:
        ((right, value),) = group.attrib.items()
        assert value == 'ALLOW'
        for entry in group:
            assert entry.text
            name = entry.text.replace('~', f'/{node}')
            name = name if name.startswith('/') else f'/{name}'
            if group.tag != 'actions':
                getattr(access, right).add(name)
                continue
            topics, services = {
                'execute': (access.publish, access.reply),
                'call': (access.subscribe, access.request),
            }[right]
            topics |= {f'{name}/_action/{topic}' for topic in ('feedback', 'status')}
            services |= {
                f'{name}/_action/{service}'
                for service in ('send_goal', 'cancel_goal', 'get_result')
            }
    if importlib.util.find_spec('tf2_msgs') is None:  # where ROS comes from wheels
        access.publish.discard('/tf')
    return access


def real(observer: Node, node: str, namespace: str = '/') -> Access:
    """What a node has in DDS, as if it were in no namespace."""

    def names(ask: Callable[[str, str], list[tuple[str, list[str]]]]) -> set[str]:
        return {f'/{name.removeprefix(namespace).lstrip("/")}' for name, _ in ask(node, namespace)}

    return Access(
        names(observer.get_publisher_names_and_types_by_node),
        names(observer.get_subscriber_names_and_types_by_node),
        names(observer.get_service_names_and_types_by_node),
        names(observer.get_client_names_and_types_by_node),
    )


@dataclasses.dataclass(frozen=True)
class Graph:
    """A graph, and what more is run in the namespace ``other``, so that all variants are seen."""

    options: GraphOptions
    others: dict[str, dict[str, Any]]
    """Executables to their parameters."""
    unused: dict[str, Access]
    """What the policy allows a node for the sake of the other graph."""

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        with contextlib.ExitStack() as processes:
            for node in describe_graph(self.options):
                processes.enter_context(
                    NodeProcess(
                        node.package,
                        node.executable,
                        params_file=PARAMS,
                        parameters=dict(node.parameters) or None,
                    )
                )
            for executable, parameters in self.others.items():
                processes.enter_context(
                    NodeProcess(
                        PACKAGES[executable],
                        executable,
                        namespace='other',
                        params_file=PARAMS,
                        parameters=parameters,
                    )
                )
            yield


EFFORT = '/effort_controller/commands'
TRAJECTORY = '/joint_trajectory_controller/joint_trajectory'
ROBOT = {  # with a body that two topics tell of, a trajectory controller, and a person beside it
    'task.state': ['slider.position', 'hinge.position', 'base.x', 'lid.z'],
    'objective.name': 'quadratic',
    'realtime.enabled': True,
    'robot.odometry_topics': ['odom'],
    'robot.pose_topics': ['lid=pose'],
    'robot.command_type': 'trajectory',
    'robot.reset': 'person',
    'use_sim_time': True,
}
GRAPHS = {
    'lockstep': Graph(
        GraphOptions(PARAMS),
        others={'mpc_controller': {'control.state_source': 'observation'}},
        unused={
            '_sim_bridge_hot_path': Access(subscribe={EFFORT, TRAJECTORY}),
            'mpc_controller': Access(subscribe={'/clock'}, reply={'/mpc_controller/confirm_reset'}),
            '_mpc_controller_hot_path': Access(
                publish={TRAJECTORY}, subscribe={'/clock', '/odom', '/pose'}
            ),
        },
    ),
    'real time': Graph(
        GraphOptions(PARAMS, real_time=True),
        others={
            'mpc_controller': ROBOT,
            'sim_bridge': {'sim.real_time': True, 'sim.command_type': 'trajectory'},
        },
        unused={
            '_sim_bridge_hot_path': Access(subscribe={'/command'}),
            '_mpc_controller_hot_path': Access(subscribe={'/observation'}),
        },
    ),
}


@pytest.fixture(scope='module', params=GRAPHS)
def running(request: pytest.FixtureRequest) -> Iterator[tuple[Graph, Node]]:
    """A graph, and a node in its domain."""
    graph = GRAPHS[request.param]
    awaited = {(name, '/') for name in PROFILES}
    awaited |= {(name, '/other') for other in graph.others for name in profiles(other)}
    with isolated_domain(), graph.running(), Probe() as probe:
        probe.wait_until(
            lambda: awaited <= {*probe.node.get_node_names_and_namespaces()}, 90.0, 'all nodes'
        )
        yield graph, probe.node


@pytest.mark.parametrize('node', PROFILES)
def test_each_node_may_do_what_it_does_and_nothing_else(
    node: str, running: tuple[Graph, Node]
) -> None:
    graph, observer = running
    expected = allowed(node) - graph.unused.get(node, Access())

    def seen() -> Access:
        found = real(observer, node)
        if any(node in profiles(other) for other in graph.others):
            found |= real(observer, node, '/other')
        return found

    for _ in range(300):  # discovery takes its time, and knows no end
        if seen() == expected:
            break
        time.sleep(0.1)
    assert seen() == expected


@pytest.mark.parametrize('node', PROFILES)
def test_what_one_graph_has_no_use_for_another_has(node: str) -> None:
    unused = [graph.unused.get(node, Access()) for graph in GRAPHS.values()]
    assert functools.reduce(operator.and_, unused) == Access()
    for each in unused:
        assert each - allowed(node) == Access()


class Enough(Exception):
    """An action's client was seen for long enough."""


def test_the_command_may_ask_what_it_asks_and_nothing_else() -> None:
    # Nobody answers here, so that each client can be seen while its request waits for a server.
    with isolated_domain(), Probe() as probe, graph_client() as graph:
        probe.wait_until(lambda: 'mbrl' in probe.node.get_node_names(), 10.0, 'the command')
        seen: list[Access] = []
        stop = threading.Event()

        def look() -> None:
            while not stop.wait(0.05):
                seen.append(real(probe.node, 'mbrl'))

        looking = threading.Thread(target=look)
        looking.start()
        looks_left = 0

        def wait_a_while() -> None:
            nonlocal looks_left
            looks_left -= 1
            if looks_left == 0:
                raise Enough

        try:
            for ask in (
                lambda: graph.retrain(False, 1.0),
                lambda: graph.replan(1.0),
                lambda: graph.set_goal([0.0], 1.0),
                lambda: graph.set_mode('hold', 1, 1.0, 1.0),
                lambda: graph.evaluate('', 1, False, 1.0),
            ):
                with pytest.raises(GraphError, match='nobody offers'):
                    ask()
            for act in (
                lambda: graph.train(5.0, wait_a_while),
                lambda: graph.run_episodes(RunEpisodes.Goal(), lambda _: None, wait_a_while),
            ):
                looks_left = 4
                with pytest.raises(Enough):
                    act()
        finally:
            stop.set()
            looking.join()
    assert functools.reduce(operator.or_, seen) == allowed('mbrl')


def test_who_watches_may_listen_and_nothing_else() -> None:
    shown = {'markers', 'plan_markers', 'candidates'}
    kinds = {'controller_status': ControllerStatus, 'training_status': TrainingStatus}
    kinds |= {'plan': Plan, 'transition': Transition, **dict.fromkeys(shown, MarkerArray)}
    with isolated_domain(), Probe() as probe, subscriber('', None, print) as watch:
        for topic, kind in kinds.items():
            probe.node.create_publisher(kind, topic, LATCHED)
        watch.listen(Heard())
        probe.wait_until(lambda: 'mbrl_watch' in probe.node.get_node_names(), 10.0, 'who watches')
        deadline = time.monotonic() + 20.0
        expected = allowed('mbrl_watch')
        while real(probe.node, 'mbrl_watch') != expected and time.monotonic() < deadline:
            watch.spin(0.2)
        assert real(probe.node, 'mbrl_watch') == expected


def test_every_process_has_an_enclave_of_its_own() -> None:
    enclaves = ElementTree.parse(POLICY).iterfind('.//enclave')
    found = {
        enclave.get('path'): [profile.get('node') for profile in enclave.iter('profile')]
        for enclave in enclaves
    }
    expected = {node.enclave: [node.name, f'_{node.name}_hot_path'] for node in NODES}
    others = ('mbrl', 'mbrl_watch', 'mbrl_record')
    assert found == {**expected, **{f'/{name}': [name] for name in others}}


def test_the_enclaves_have_no_comments_between_them() -> None:
    # `ros2 security generate_artifacts` takes every child for an enclave.
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    enclaves = ElementTree.parse(POLICY, parser).find('enclaves')
    assert enclaves is not None
    assert {child.tag for child in enclaves} == {'enclave'}


def test_only_the_controller_may_command_and_only_the_dynamics_node_may_send_models() -> None:
    def publishers(topic: str) -> list[str]:
        return [node for node in (*PROFILES, 'mbrl') if topic in allowed(node).publish]

    assert publishers('/command') == ['_mpc_controller_hot_path']
    assert publishers(EFFORT) == publishers(TRAJECTORY) == ['_mpc_controller_hot_path']
    assert publishers('/model') == ['_dynamics_hot_path']
