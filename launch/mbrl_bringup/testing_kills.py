"""For tests: a graph in real time whose nodes are killed, one after the other.

``Killing`` runs episodes without end, with trainings, on a simulated robot with delays, noise and
losses; it kills nodes at random moments and starts them again. A ``Witness`` hears what the graph
says meanwhile.
"""

from __future__ import annotations

import contextlib
import dataclasses
import random
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mbrl_bringup.testing import Graph, run_episodes
from mbrl_bringup.testing_real_time import ROBOT
from mbrl_bringup.testing_witness import (
    COMMAND_TIMEOUT,
    RATE,
    STATE_TIMEOUT,
    TOLERANCE,
    Witness,
)
from mbrl_common.testing import Probe

BACK_WITHIN = 2.0  # s, from a node's return
GIVE_UP = 180.0  # s without control

OVERRIDES: dict[str, dict[str, Any]] = {
    'sim_bridge': {**ROBOT, 'sim.command_timeout': COMMAND_TIMEOUT},
    'mpc_controller': {
        'realtime.enabled': True,
        'robot.state_timeout': STATE_TIMEOUT,
        'control.ack_timeout': 0.5,
        'control.max_action_rate': RATE,
    },
    'dynamics': {
        'training.updates_after_episode': 300,
        'training.every_steps': 50,
        'training.updates_within_episode': 300,
    },
}
UP = {
    'sim_bridge': 'simulating',
    'dynamics': 'ready:',
    'planner': 'in use',
    'mpc_controller': 'active: task',
}
"""What each node says when it is up."""


@dataclasses.dataclass
class Kill:
    """One kill, and what came of it."""

    node: str
    at: float  # [s]
    up: float  # when the node was up again [s]
    back: float  # how long it was from there until control was back [s]
    violations: list[str]

    @property
    def down(self) -> float:
        """How long the node was away [s]."""
        return self.up - self.at


class Killing:
    """The graph, at work, and who kills its nodes."""

    def __init__(self, graph: Graph, probe: Probe, seed: int) -> None:
        self._graph = graph
        self._probe = probe
        self._seed = seed
        self._moments = random.Random(seed)
        self.witness = Witness()
        self.witness.listen(probe)
        self.lost_at_most = 0
        """Transitions under way when their controller was killed."""
        self._goal: Any = None

    def begin(self, exploration_steps: int = 0) -> None:
        """Random episodes until there is a model, then planned ones without end; returns when they
        are under way."""
        episode = 0
        while UP['planner'] not in self._graph.nodes['planner'].output():
            goal = run_episodes(
                self._probe,
                timeout=60.0,
                episodes=1,
                exploration_episodes=1,
                first_episode=episode,
                max_steps=exploration_steps,
                seed=self._seed,
            )
            result = goal.result(60.0)
            assert not result.error_code, result.error_msg
            episode += 1
            assert episode < 10, 'no model came of random episodes'
            with contextlib.suppress(TimeoutError):  # a busy machine loses many transitions
                self._graph.nodes['planner'].wait_for_output(UP['planner'], 10.0)
        self._go_on(episode)
        self._until(lambda: self.witness.back_after(0.0), 60.0)

    def kill(self, node: str) -> Kill:
        """SIGKILL a node at a random moment, start it again, and wait for control to be back.

        Raises:
            TimeoutError: if it does not come back at all.
        """
        time.sleep(self._moments.uniform(0.5, 2.5))
        witness, graph = self.witness, self._graph
        at = time.time()
        graph.crash(node)
        if node == 'mpc_controller':
            time.sleep(0.1)  # for what was on its way
            self.lost_at_most += witness.under_way
            old = self._controllers()
        violations = witness.new_violations()
        graph.restart(node)
        up = _said_at(graph.nodes[node].wait_for_output(UP[node], 120.0), UP[node])
        controlled = node == 'mpc_controller'
        if controlled:
            violations += witness.of_absence(node, at, up)
            violations += witness.new_violations()
            witness.forget_plans()
            self._until(lambda: self._controllers() - old, 30.0)
            self._go_on(witness.episode + 1)
        begun = self._until(lambda: witness.back_after(up), GIVE_UP)
        back = max(0.0, begun - witness.free_from(up, begun))
        if back > BACK_WITHIN:
            violations.append(f'control was back after {back:.1f} s')
        if node == 'sim_bridge':  # which the controller may know before the witness does
            heard = self._until(lambda: witness.first_state_after(at + TOLERANCE), 10.0)
            witness.unheard.append((up, heard))
        if not controlled:
            violations += witness.of_absence(node, at, up)
        violations += witness.new_violations(afresh=controlled)
        return Kill(node, at, up, back, violations)

    def end(self, folder: Path) -> list[str]:
        """Cancel the episodes, end the nodes, and look at what is on disk."""
        violations = self.witness.new_violations()
        self._goal.cancel()
        last = list(self.witness.sent)[-1]
        with contextlib.suppress(TimeoutError):
            self._until(lambda: self.witness.stored[last] >= self.witness.sent[last], 20.0)
        if missing := self.witness.sent[last] - self.witness.stored[last]:
            violations.append(f'{missing} transitions of the last controller were not stored')
        self._graph.stop()
        return violations + self.witness.of_storage(folder)

    def _go_on(self, episode: int) -> None:
        """Ask for episodes without end."""
        for attempt in range(10):
            with contextlib.suppress(TimeoutError):
                if attempt:
                    time.sleep(0.1)
                self._goal = run_episodes(
                    self._probe,
                    self.witness,  # type: ignore[arg-type]  # it appends
                    timeout=1.0,
                    episodes=100_000,
                    first_episode=episode,
                    seed=self._seed,
                )
                return
        raise TimeoutError('no goal was accepted')

    def _controllers(self) -> set[bytes]:
        """Identities of all controllers that are known."""
        found = self._probe.node.get_publishers_info_by_topic('controller_status')
        return {bytes(info.endpoint_gid) for info in found}

    def _until(self, condition: Callable[[], Any], timeout: float) -> Any:
        return self._probe.wait_until(condition, timeout, 'what was waited for after a kill')


def _said_at(output: str, text: str) -> float:
    """The stamp of the first line of a node's log that has the text [s]."""
    line = next(line for line in output.splitlines() if text in line)
    match = re.search(r'\[(\d+\.\d+)\]', line)
    assert match is not None, line
    return float(match[1])
