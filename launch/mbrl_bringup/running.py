"""A graph as supervised processes, up while it is needed: for ``mbrl up`` and ``mbrl bench``."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from mbrl_bringup.client import GraphClient, GraphError, graph_client
from mbrl_bringup.graph import GraphOptions, NodeDescription, describe_graph
from mbrl_bringup.supervision import Supervision, node_command
from mbrl_common.node import EXIT_WITH_PARENT

_START_TIMEOUT = 60.0  # s, until all services are there
_FORGET_TIMEOUT = 30.0  # s, until DDS gives up a participant that was killed


@dataclasses.dataclass(frozen=True)
class RunningGraph:
    """A graph that is up: who looks after its processes, and who talks to its nodes."""

    nodes: list[NodeDescription]
    supervision: Supervision
    client: GraphClient


@contextlib.contextmanager
def running_graph(
    options: GraphOptions, logs: Path, say: Callable[[str], None]
) -> Iterator[RunningGraph]:
    """Bring a graph up, and end all its processes when left.

    Args:
        options: which graph.
        logs: folder for the nodes' output.
        say: told what is being done.

    Raises:
        SupervisionError: the processes do not stay up.
        GraphError: one is up already in the same place, or the services do not come.
    """
    nodes = describe_graph(options)
    commands = {node.label: node_command(node, logs) for node in nodes}
    environment = {
        EXIT_WITH_PARENT: '1',
        'PYTHONUNBUFFERED': '1',
        'RCUTILS_COLORIZED_OUTPUT': '0',
    }
    with _alone(options.namespace):
        say(f'Starting {len(nodes)} nodes; their output goes to {shown(logs)}')
        with (
            Supervision(commands, logs, environment) as supervision,
            graph_client(options.namespace) as client,
        ):
            _wait_until_up(client, nodes, supervision)
            yield RunningGraph(nodes, supervision, client)


def shown(path: Path) -> Path:
    """Relative to here, where that is shorter."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _wait_until_up(
    graph: GraphClient, nodes: list[NodeDescription], supervision: Supervision
) -> None:
    services = [service for node in nodes for service in node.services]
    graph.wait_until(
        lambda: not graph.missing(services),
        _START_TIMEOUT,
        lambda: (
            f'after {_START_TIMEOUT:.0f} s these are still missing: '
            + ', '.join(graph.missing(services))
        ),
        lambda: supervision.check(starting=True),
    )
    # What a killed graph left behind in DDS goes by itself; what stays is a second graph.
    names = [node.path for node in nodes]
    graph.wait_until(
        lambda: not graph.doubled(names),
        _FORGET_TIMEOUT,
        lambda: (
            f'another graph is up in {graph.where} of domain {_domain()}: '
            'end it, or choose another --namespace or --domain-id'
        ),
        lambda: supervision.check(starting=True),
    )


@contextlib.contextmanager
def _alone(namespace: str) -> Iterator[None]:
    """Two graphs of the same names would answer each other's messages."""
    name = f'mbrl-{os.getuid()}-{_domain()}-{namespace.replace("/", "-")}.lock'
    with (Path(tempfile.gettempdir()) / name).open('w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise GraphError(
                f"a graph is up already in namespace '/{namespace}' of domain {_domain()}: "
                'end it, or choose another --namespace or --domain-id'
            ) from None
        yield


def _domain() -> str:
    return os.environ.get('ROS_DOMAIN_ID', '') or '0'
