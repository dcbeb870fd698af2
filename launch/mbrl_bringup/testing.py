"""For tests: the whole graph of the cart-pole in processes, over DDS."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mbrl_bringup.discovery import reach, takes_profile
from mbrl_bringup.tasks import params_file_of
from mbrl_common.testing import NodeProcess, Probe, isolated_domain
from mbrl_msgs.action import RunEpisodes

TASK = 'cartpole_swingup'
PACKAGES = {
    'sim_bridge': 'mbrl_sim_bridge',
    'dynamics': 'mbrl_dynamics',
    'planner': 'mbrl_planner',
    'mpc_controller': 'mbrl_mpc',
}
Remaps = Mapping[str, Sequence[tuple[str, str]]]
"""Name of a node to its remappings, each from and to."""


class Graph:
    """The four nodes in four processes, with what ``mbrl up`` puts into their environment."""

    def __init__(
        self,
        seed: int,
        folder: Path,
        overrides: Mapping[str, Mapping[str, Any]],
        remaps: Remaps | None = None,
    ) -> None:
        self._remaps = remaps or {}
        self._parameters: dict[str, dict[str, Any]] = {
            name: dict(overrides.get(name, {})) for name in PACKAGES
        }
        self._environment = reach(False, os.environ, takes_profile())
        self._parameters['dynamics'] |= {'seed': seed, 'data.folder': str(folder)}
        self.nodes = {name: self._start(name) for name in PACKAGES}

    def _start(self, name: str) -> NodeProcess:
        parameters = self._parameters[name] or None
        return NodeProcess(
            PACKAGES[name],
            name,
            params_file=params_file_of(TASK),
            parameters=parameters,
            env=self._environment,
            remaps=self._remaps.get(name, ()),
        )

    def crash(self, name: str) -> None:
        """SIGKILL a node."""
        self.nodes[name].kill()

    def restart(self, name: str) -> None:
        """Start a node again that has ended."""
        self.nodes[name] = self._start(name)

    def restart_with(self, name: str, parameters: Mapping[str, Any]) -> None:
        """The same, with more parameters, or others."""
        self._parameters[name] |= parameters
        self.restart(name)

    def crash_and_restart(self, name: str) -> None:
        """SIGKILL a node, and start it again."""
        self.crash(name)
        self.restart(name)

    def output(self) -> str:
        """What the nodes printed, for failures."""
        return '\n'.join(f'--- {name}\n{node.output()}' for name, node in self.nodes.items())

    def stop(self) -> None:
        """End all nodes, at the same time."""
        for node in self.nodes.values():
            node.interrupt()
        for node in self.nodes.values():
            node.stop()


@contextlib.contextmanager
def _reach_as_shipped() -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(reach(False, before, takes_profile()))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def running(
    seed: int,
    folder: Path,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    remaps: Remaps | None = None,
) -> Iterator[tuple[Graph, Probe]]:
    """The graph, and a probe in its domain, both with what ``mbrl`` puts into the environment."""
    with isolated_domain(), _reach_as_shipped(), Probe() as probe:
        graph = Graph(seed, folder, overrides or {}, remaps)
        try:
            yield graph, probe
        except BaseException:
            print(graph.output())
            raise
        finally:
            graph.stop()


def run_episodes(
    probe: Probe, feedback: list[Any] | None = None, timeout: float = 20.0, **goal: Any
) -> Any:
    """Send the goal; ``target_return`` is never reached unless given."""
    message = RunEpisodes.Goal(**({'target_return': math.nan} | goal))
    return probe.send_goal('mpc_controller/run_episodes', RunEpisodes, message, feedback, timeout)


def run_episodes_after_crash(probe: Probe, **goal: Any) -> Any:
    """As :func:`run_episodes`. DDS takes a while to see that a server was killed, and a new one
    is there; what is asked meanwhile is lost."""
    for _ in range(5):
        time.sleep(2.0)
        with contextlib.suppress(TimeoutError):
            return run_episodes(probe, timeout=5.0, **goal)
    raise TimeoutError('no goal was accepted after the controller had been started again')


def fill(disk: Path) -> Path:
    """Take all room that is left; it is free again when the file that is returned is deleted."""
    ballast = disk / 'ballast'
    with contextlib.suppress(OSError), ballast.open('wb', buffering=0) as file:
        while file.write(b'x' * 1000):
            pass
    return ballast
