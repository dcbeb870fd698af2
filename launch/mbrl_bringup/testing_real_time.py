"""For tests: the graph in real time with a robot that has delays, and what commands must be.

What is asked of commands is judged by themselves, one after the other, not by when they arrive
here: so it holds on a machine that is busy.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from std_msgs.msg import Float64MultiArray

from mbrl_bringup.testing import PACKAGES, Graph, Remaps, run_episodes, running
from mbrl_common.messages import nanoseconds
from mbrl_common.qos import LATCHED, RECORD
from mbrl_common.testing import GoalResult, Probe
from mbrl_msgs.action import RunEpisodes
from mbrl_msgs.msg import Command, ControllerStatus, Transition
from mbrl_msgs.srv import Retrain


class Closable(Protocol):
    """Leaves the graph when it is told to."""

    def close(self) -> None:
        """Leave it."""


Wire = TypeVar('Wire', bound=Closable)

PERIOD = 40_000_000  # control period [ns]
RATE = 100  # commands per second
LOW, HIGH = -3.0, 3.0  # of the action
MAX_RATE = 60.0  # of an action [1/s]: 2.4 in a control period; where a test sets the limit
ROBOT: dict[str, Any] = {
    'sim.real_time': True,
    'sim.state_latency': 0.01,
    'sim.state_jitter': 0.002,
    'sim.position_noise': 0.001,
    'sim.state_drop': 0.01,
    'sim.command_drop': 0.01,
}
OVERRIDES: dict[str, dict[str, Any]] = {
    'sim_bridge': ROBOT,
    'mpc_controller': {'realtime.enabled': True, 'control.ack_timeout': 0.5},
    'dynamics': {'training.updates_after_episode': 300, 'training.every_steps': 0},
}
# An episode does not end by itself while something is tried on it.
LONG = {'task.max_steps': 10_000}
# Nothing needs to be learned well: little data, and little work for a machine that is busy.
SMALL: dict[str, dict[str, Any]] = {
    'dynamics': {
        'training.min_transitions': 20,
        'training.updates_after_episode': 100,
        'model.members': 2,
        'model.hidden': [32, 32],
        'evaluation.after_training': False,
        'evaluation.plots': False,
    },
    'planner': {'optimizer.candidates': 16, 'optimizer.iterations': 1, 'optimizer.elites': 4},
    'mpc_controller': {'robot.max_age': 0.5},
}


def overridden(**nodes: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """``OVERRIDES`` with long episodes and a small model, and more parameters by node."""
    layers = (OVERRIDES, dict.fromkeys(PACKAGES, LONG), SMALL, nodes)
    return {
        name: {key: value for layer in layers for key, value in layer.get(name, {}).items()}
        for name in PACKAGES
    }


def planning(probe: Probe, commands: list[Command], episodes: int = 5) -> GoalResult:
    """Begin planned episodes after a random one; returns the goal once it is under way."""
    goal: GoalResult = run_episodes(probe, episodes=episodes, exploration_episodes=1, seed=0)
    probe.wait_until(
        lambda: commands and commands[-1].source == Command.SOURCE_PLAN, 40.0, 'a planned command'
    )
    return goal


def last_sources(commands: Sequence[Command], count: int) -> set[int]:
    """Where the last few commands came from."""
    return {command.source for command in list(commands)[-count:]}


# What must be true ---------------------------------------------------------------------------


def assert_within_bounds(commands: Sequence[Command]) -> None:
    """Every action is a finite number within the bounds of the task."""
    actions = np.array([command.action for command in commands])
    assert len(actions) and actions.shape[1:] == (1,)
    assert np.isfinite(actions).all()
    assert actions.min() >= LOW and actions.max() <= HIGH, (actions.min(), actions.max())


def assert_within_rate(commands: Sequence[Command], rate: float) -> None:
    """No action is further from the one before than ``rate`` [1/s] lets it in a control period;
    the safe command alone may be: it is for when nothing else is."""
    largest = rate * PERIOD * 1e-9 * (1 + 1e-9)
    for before, after in itertools.pairwise(commands):
        if after.source != Command.SOURCE_SAFE:
            change = abs(after.action[0] - before.action[0])
            assert change <= largest, f'{change} after {before}'


def assert_safe(commands: Sequence[Command]) -> None:
    """All of them are the safe command."""
    assert commands
    for command in commands:
        assert command.source == Command.SOURCE_SAFE and command.action[0] == 0.0, command


def assert_plans_end(commands: Sequence[Command], horizon: int) -> None:
    """No plan is followed beyond its horizon [control periods]."""
    counts: dict[int, int] = {}
    for command in commands:
        if command.source == Command.SOURCE_PLAN:
            counts[command.plan_id] = counts.get(command.plan_id, 0) + 1
    longest = round(horizon * PERIOD * 1e-9 * RATE) + 2
    assert counts and max(counts.values()) <= longest, counts


def answers_to(commands: Sequence[Command], stamp: int) -> list[Command]:
    """Commands, other than the safe one, that go by a state of ``stamp`` [ns] or a later one."""
    return [
        command
        for command in list(commands)
        if command.source != Command.SOURCE_SAFE and nanoseconds(command.state_stamp) >= stamp
    ]


# A graph that several tests share ------------------------------------------------------------


class Flight:
    """A graph in real time and all that its controller has sent; for several tests, one after the
    other, whose failures leave nothing behind."""

    def __init__(self, graph: Graph, probe: Probe, folder: Path) -> None:
        self.graph, self.probe, self.folder = graph, probe, folder
        # Deep queues: what is judged is every command, however busy the machine is.
        self.commands: list[Command] = probe.collect('command', Command, RECORD)
        self.efforts: list[Float64MultiArray] = probe.collect(
            'effort_controller/commands', Float64MultiArray, RECORD
        )
        self.statuses: list[ControllerStatus] = probe.collect(
            'controller_status', ControllerStatus, LATCHED
        )
        self.transitions: list[Transition] = probe.collect('transition', Transition, RECORD)
        self._goal: GoalResult | None = None
        self._episode = 0
        self._trained = False

    def run(self, episodes: int = 1, **goal: Any) -> GoalResult:
        """Send a goal with numbers of episodes that were not there yet."""
        first, self._episode = self._episode, self._episode + episodes
        sent: GoalResult = run_episodes(
            self.probe, episodes=episodes, first_episode=first, **({'seed': first} | goal)
        )
        return sent

    def train(self) -> None:
        """Have a first model, from a short random episode."""
        if self._trained:
            return
        for _ in range(5):  # a machine that is busy records little
            result = self.run(exploration_episodes=1, max_steps=100).result(90.0)
            assert result.error_code == RunEpisodes.Result.NONE, result.error_msg
            # The end of an episode makes a training due, if it was recorded; this one surely comes.
            answer = self.probe.call('dynamics/retrain', Retrain, Retrain.Request())
            if answer.success:
                break
        assert answer.success, answer.message
        self.graph.nodes['planner'].wait_for_output('in use', 40.0)
        self._trained = True

    def fly(self, episodes: int = 20) -> GoalResult:
        """Planned episodes, of which the first is under way."""
        self.train()
        self.land()
        self._goal = self.run(episodes)
        self.wait_for_source(Command.SOURCE_PLAN, 5, 90.0)
        return self._goal

    def land(self) -> None:
        """End what :meth:`fly` began, if it goes on."""
        goal, self._goal = self._goal, None
        alive = self.graph.nodes['mpc_controller'].process.poll() is None
        if goal is not None and alive:
            goal.cancel()
            goal.result(20.0)

    @property
    def flying(self) -> bool:
        """What :meth:`fly` began goes on."""
        return self._goal is not None and not self._goal.done

    def wait_for_source(self, source: int, count: int = 20, timeout: float = 20.0) -> None:
        """Wait until the last ``count`` commands, all of them new, are of one source."""
        begin = len(self.commands)
        names = {0: 'planned', 1: 'exploring', 2: 'safe'}
        self.probe.wait_until(
            lambda: (
                len(self.commands) >= begin + count
                and last_sources(self.commands, count) == {source}
            ),
            timeout,
            f'{count} {names[source]} commands in a row',
        )

    def wait_for_planned(self, count: int, timeout: float = 40.0) -> None:
        """Wait for so many planned commands from now on, in a row or not."""
        begin = len(self.commands)
        self.probe.wait_until(
            lambda: (
                sum(c.source == Command.SOURCE_PLAN for c in list(self.commands)[begin:]) >= count
            ),
            timeout,
            f'{count} planned commands',
        )

    def wait_for_status(self, predicate: Any, what: str, timeout: float = 15.0) -> ControllerStatus:
        """The first status from now on for which it holds."""
        begin = len(self.statuses)
        status: ControllerStatus = self.probe.wait_until(
            lambda: next((s for s in self.statuses[begin:] if predicate(s)), None), timeout, what
        )
        return status


@contextlib.contextmanager
def in_flight(
    folder: Path, overrides: Mapping[str, Mapping[str, Any]], remaps: Remaps | None = None
) -> Iterator[Flight]:
    """A graph for several tests."""
    with running(0, folder, overrides, remaps) as (graph, probe):
        for name, begun in (
            ('sim_bridge', 'simulating'),
            ('dynamics', 'ready'),
            ('planner', 'ready'),
            ('mpc_controller', 'active: task'),
        ):
            graph.nodes[name].wait_for_output(begun, 120.0)
        yield Flight(graph, probe, folder)


@contextlib.contextmanager
def in_flight_through(
    between: Callable[[], Wire],
    folder: Path,
    overrides: Mapping[str, Mapping[str, Any]],
    remaps: Remaps,
) -> Iterator[tuple[Flight, Wire]]:
    """The same, with something that may lie between two of its nodes."""
    with in_flight(folder, overrides, remaps) as flight, contextlib.closing(between()) as wire:
        yield flight, wire
