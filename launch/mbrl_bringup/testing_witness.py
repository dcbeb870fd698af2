"""For tests: hears a graph in real time, and says whether robot and data were safe all the time.

Each message counts at the time at which it was sent. What is looked for: commands out of bounds or
too fast; commands from states that are missing, or from a plan that is over; anything but the safe
command while a node is away that control cannot do without; a robot that moves without controller;
transitions that were acknowledged, and are not on disk.
"""

from __future__ import annotations

import bisect
import collections
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

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
FLOWING = 10  # planned commands in a row: control is back


class Sent(NamedTuple):
    """A command."""

    time: float  # when it was sent [s]
    number: int  # of the message, of its sender
    action: float
    source: int = Command.SOURCE_PLAN
    plan_id: int = 0


class Witness:
    """Hears what the graph says; every method may be called while it does."""

    def __init__(self) -> None:
        self.commands: list[Sent] = []
        self.efforts: list[Sent] = []  # commands, as the robot's controller gets them
        self.states: list[tuple[float, float, float]] = []  # sent at, stamp, effort
        self._state_number = 0
        self.unheard: list[tuple[float, float]] = []
        """From when until when there were states that were not heard yet [s]."""
        self.episode = 0  # newest
        self.episodes_ended: list[tuple[float, Any]] = []  # when, and the summary
        self._trained: list[float] = []  # when trainings ended
        self._training = False
        self.sent: dict[int, int] = collections.defaultdict(int)  # next sequence, per session
        self.stored: dict[int, int] = collections.defaultdict(int)
        self._begun: dict[int, float] = {}  # when the first command of each plan was sent
        self._checked = [0, 0]
        self._before: list[Sent | None] = [None, None]

    def listen(self, probe: Probe) -> None:
        """Hear all that is said in the graph of a probe."""
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
        self.state_sent(*_when(info), stamp, effort)

    def state_sent(self, when: float, number: int, stamp: float, effort: float) -> None:
        """A state was heard; gaps in the numbers are states that a busy machine kept from us."""
        if self.states and number > self._state_number + 1:
            self.unheard.append((self.states[-1][0], when))
        self._state_number = number
        self.states.append((when, stamp, effort))

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

    def first_state_after(self, moment: float) -> float | None:
        """When the first state after ``moment`` was sent [s]; None: none was."""
        return next((sent for sent, *_ in list(self.states) if sent > moment), None)

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
            unheard = any(begin <= sent.time <= end for begin, end in self.unheard)
            if age > STATE_TIMEOUT + TOLERANCE and not unheard:
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
