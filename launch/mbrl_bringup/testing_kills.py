"""For tests: a graph in real time whose nodes are killed, one after the other, and what must hold.

``Killing`` runs episodes without end, with trainings, on a simulated robot with delays, noise and
losses; it kills nodes at random moments and starts them again. ``Witness`` hears all commands,
states and transitions meanwhile, with the time at which each was sent, and says what was wrong.
"""

from __future__ import annotations

import bisect
import collections
import contextlib
import dataclasses
import random
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from mbrl_bringup.testing import Graph, run_episodes
from mbrl_common.qos import LATCHED, RECORD
from mbrl_common.testing import Probe
from mbrl_dynamics.bag import read_folder
from mbrl_dynamics.ros_bag import RosBag
from mbrl_msgs.msg import Command, TrainingStatus, Transition, TransitionAck

BOUND = 3.0  # of the action, by the task
PERIOD = 0.04  # s, by the task
RATE = 75.0  # 1/s: from rest to a bound within a period, and from one to the other in two
HORIZON = 20 * PERIOD  # s, of a plan
STATE_TIMEOUT = 0.5  # s, robot.state_timeout
COMMAND_TIMEOUT = 0.1  # s, sim.command_timeout
TOLERANCE = 0.25  # s: on a busy machine, from something's happening to its being heard of
BACK_WITHIN = 2.0  # s, from a node's return
FLOWING = 10  # planned commands in a row: control is back
GIVE_UP = 180.0  # s without control

OVERRIDES: dict[str, dict[str, Any]] = {
    'sim_bridge': {
        'sim.real_time': True,
        'sim.state_latency': 0.01,
        'sim.state_jitter': 0.002,
        'sim.position_noise': 0.001,
        'sim.state_drop': 0.01,
        'sim.command_drop': 0.01,
        'sim.command_timeout': COMMAND_TIMEOUT,
    },
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


class Sent(NamedTuple):
    """A command."""

    time: float  # when it was sent [s]
    number: int  # of the message, of its sender
    action: float
    source: int = Command.SOURCE_PLAN
    plan_id: int = 0


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


class Witness:
    """Hears what the graph says; every method may be called while it does."""

    def __init__(self, probe: Probe) -> None:
        self.commands: list[Sent] = []
        self.efforts: list[Sent] = []  # commands, as the robot's controller gets them
        self.states: list[tuple[float, float, float]] = []  # sent at, stamp, effort
        self.episode = 0  # newest
        self.episodes_ended: list[tuple[float, Any]] = []  # when, and the summary
        self._trained: list[float] = []  # when trainings ended
        self._training = False
        self.sent: dict[int, int] = collections.defaultdict(int)  # next sequence, per session
        self.stored: dict[int, int] = collections.defaultdict(int)
        self._begun: dict[int, float] = {}  # when the first command of each plan was sent
        self._checked = [0, 0]
        self._before: list[Sent | None] = [None, None]
        for kind, topic, callback, qos in (
            (Command, 'command', self._on_command, RECORD),
            (Float64MultiArray, 'effort_controller/commands', self._on_effort, RECORD),
            (JointState, 'joint_states', self._on_state, RECORD),
            (Transition, 'transition', self._on_transition, RECORD),
            (TransitionAck, 'transition_ack', self._on_ack, RECORD),
            (TrainingStatus, 'training_status', self._on_training, LATCHED),
        ):
            probe.node.create_subscription(kind, topic, callback, qos)

    def _on_command(self, message: Command, info: Any) -> None:
        (action,) = message.action
        self.commands.append(Sent(*_when(info), action, message.source, message.plan_id))

    def _on_effort(self, message: Float64MultiArray, info: Any) -> None:
        (action,) = message.data
        self.efforts.append(Sent(*_when(info), action))

    def _on_state(self, message: JointState, info: Any) -> None:
        stamp = message.header.stamp.sec + message.header.stamp.nanosec * 1e-9
        effort = message.effort[list(message.name).index('slider')]
        self.states.append((_when(info)[0], stamp, effort))

    def _on_transition(self, message: Transition) -> None:
        self.sent[message.session] = max(self.sent[message.session], message.sequence + 1)

    def _on_ack(self, message: TransitionAck) -> None:
        self.stored[message.session] = max(self.stored[message.session], message.next_sequence)

    def _on_training(self, message: TrainingStatus, info: Any) -> None:
        training = message.state == TrainingStatus.TRAINING
        if self._training and not training:
            self._trained.append(_when(info)[0])
        self._training = training

    def append(self, feedback: Any) -> None:
        """Take the feedback of the episodes, as a list would."""
        self.episode = max(self.episode, feedback.current.episode)
        if feedback.episode_ended:
            self.episodes_ended.append((time.time(), feedback.current))

    @property
    def under_way(self) -> int:
        """Transitions that were sent, and are not known to be on disk."""
        return sum(count - self.stored[session] for session, count in self.sent.items())

    def back_after(self, moment: float) -> float | None:
        """When planned commands were flowing again after ``moment`` [s]; None: not yet."""
        planned: list[float] = []
        for command in _since(self.commands, moment):
            planned = [*planned, command.time] if command.source == Command.SOURCE_PLAN else []
            if len(planned) == FLOWING:
                return planned[0]
        return None

    def first_state_after(self, moment: float) -> float:
        """When the first state after ``moment`` was sent [s]."""
        return next(sent for sent, *_ in list(self.states) if sent > moment)

    def free_from(self, moment: float, until: float) -> float:
        """From when on nothing kept control from coming back: ``moment``, or, if an episode ended
        after it, the end of the training that this had to wait for [s]."""
        for ended, _ in list(self.episodes_ended):
            if moment < ended <= until:
                moment = max([moment, *(t for t in list(self._trained) if t <= ended)])
        return moment

    def new_violations(self, afresh: bool = False) -> list[str]:
        """What is wrong with the commands since the last call; ``afresh``: the robot is at rest,
        as their sender is another one."""
        found: list[str] = []
        for place, (name, all_sent) in enumerate(
            (('command', self.commands), ('effort', self.efforts))
        ):
            end = len(all_sent)
            before = None if afresh else self._before[place]
            for sent in all_sent[self._checked[place] : end]:
                found += [f'{name}: {text}' for text in limit_violations(before, sent)]
                before = sent
            if place == 0:
                found += self._unfounded(self.commands[self._checked[0] : end])
            self._checked[place], self._before[place] = end, before
        return found

    def _unfounded(self, commands: Iterable[Sent]) -> list[str]:
        """Commands that nobody should have given in that situation."""
        found = []
        times = [state[0] for state in list(self.states)]
        for sent in commands:
            if sent.source == Command.SOURCE_SAFE:
                continue
            place = bisect.bisect(times, sent.time)
            age = sent.time - times[place - 1] if place else np.inf
            if age > STATE_TIMEOUT + TOLERANCE:
                found.append(f'command: the newest state was {age:.2f} s old')
            if sent.source == Command.SOURCE_PLAN:
                followed = sent.time - self._begun.setdefault(sent.plan_id, sent.time)
                if followed > HORIZON + PERIOD / 2:
                    found.append(f'command: plan {sent.plan_id} was followed for {followed:.2f} s')
        return found

    def forget_plans(self) -> None:
        """A new controller counts its plans from the beginning."""
        self._begun.clear()

    def of_absence(self, node: str, begin: float, end: float) -> list[str]:
        """What was wrong while a node was away, from when it must have been noticed."""
        notice = {'planner': HORIZON, 'sim_bridge': STATE_TIMEOUT, 'mpc_controller': 0.0}
        if node not in notice:
            return []
        found = []
        commands = [c for c in _since(self.commands, begin) if c.time < end]
        late = [c for c in commands if c.time > begin + notice[node] + TOLERANCE]
        wrong = [c for c in late if c.source != Command.SOURCE_SAFE or c.action != 0.0]
        if wrong:
            found.append(f'{len(wrong)} commands that are not the safe one without {node}')
        if node == 'mpc_controller':
            found += self._unsafe_robot(begin, end)
        elif end - begin > notice[node] + 2 * TOLERANCE and (
            not commands or commands[-1].source != Command.SOURCE_SAFE
        ):
            found.append(f'the safe command was never sent without {node}')
        return found

    def _unsafe_robot(self, begin: float, end: float) -> list[str]:
        """A robot that hears nothing must not go on with the last command."""
        quiet = begin + COMMAND_TIMEOUT + TOLERANCE
        efforts = [effort for _, stamp, effort in list(self.states) if quiet < stamp < end]
        if not efforts:
            return ['the robot was not seen while it had no controller']
        moving = sum(effort != 0.0 for effort in efforts)
        return [f'{moving} states of a robot that moves without controller'] if moving else []

    def of_storage(self, folder: Path) -> list[str]:
        """What is wrong with the dataset, once the graph has ended."""
        found = [
            f'{path.name}: is not whole'
            for path in (folder / 'data').iterdir()
            if not RosBag(path).finished
        ]
        numbers: dict[int, list[int]] = collections.defaultdict(list)
        for transition in read_folder(folder / 'data'):
            numbers[transition.session].append(transition.sequence)
        for session, stored in self.stored.items():
            ours = sorted(numbers[session])
            if len(set(ours)) != len(ours):
                found.append(f'session {session}: transitions are stored twice')
            if missing := set(range(stored)) - {*ours}:
                found.append(f'session {session}: {len(missing)} acknowledged ones are missing')
            if ours != list(range(len(ours))):
                found.append(f'session {session}: there are gaps')
        return found


class Killing:
    """The graph, at work, and who kills its nodes."""

    def __init__(self, graph: Graph, probe: Probe, seed: int) -> None:
        self._graph = graph
        self._probe = probe
        self._seed = seed
        self._moments = random.Random(seed)
        self.witness = Witness(probe)
        self.lost_at_most = 0
        """Transitions under way when their controller was killed."""
        self._goal: Any = None

    def begin(self, exploration_steps: int = 0) -> None:
        """A random episode, then planned ones without end; returns when they are under way."""
        goal = run_episodes(
            self._probe,
            episodes=1,
            exploration_episodes=1,
            max_steps=exploration_steps,
            seed=self._seed,
        )
        result = goal.result(60.0)
        assert not result.error_code, result.error_msg
        self._graph.nodes['planner'].wait_for_output(UP['planner'], 60.0)
        self._go_on(1)
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
        up = _said_at(graph.nodes[node].wait_for_output(UP[node], 60.0), UP[node])
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
        if not controlled:
            seen = witness.first_state_after(at + TOLERANCE) if node == 'sim_bridge' else up
            violations += witness.of_absence(node, at, seen)
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


def _when(info: Any) -> tuple[float, int]:
    """When a message was sent [s], and its number."""
    return info['source_timestamp'] * 1e-9, info['publication_sequence_number']


def _since(commands: list[Sent], moment: float) -> list[Sent]:
    """Those that were sent after a moment [s]."""
    known = commands[:]
    place = len(known)
    while place and known[place - 1].time > moment:
        place -= 1
    return known[place:]


def limit_violations(before: Sent | None, sent: Sent) -> list[str]:
    """What is wrong with a command by itself, and after the one before it; None: at rest."""
    if not abs(sent.action) <= BOUND:
        return [f'{sent.action} is out of bounds']
    last, periods = (0.0, 1) if before is None else (before.action, sent.number - before.number)
    if abs(sent.action - last) > RATE * PERIOD * max(1, periods) + 1e-9:
        return [f'{sent.action:.2f} after {last:.2f} is too fast']
    return []


def _said_at(output: str, text: str) -> float:
    """The stamp of the first line of a node's log that has the text [s]."""
    line = next(line for line in output.splitlines() if text in line)
    match = re.search(r'\[(\d+\.\d+)\]', line)
    assert match is not None, line
    return float(match[1])
