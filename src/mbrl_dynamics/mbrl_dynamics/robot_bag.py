"""Transitions from a robot's own bag: joint states and commands, as any ROS 2 robot has them.

States come from ``sensor_msgs/JointState``, matched by name, from one topic or from several with a
part of the joints each. Commands come from one topic: ``std_msgs/Float64MultiArray`` (as
``forward_command_controller`` takes it, in the order of ``task.action``),
``trajectory_msgs/JointTrajectory`` (a point is in force from its time on; what a newer trajectory
says of the same time wins) or ``mbrl_msgs/Command``. ``resampling`` makes steps of them.

Times are those in the headers where they are set, and recording times elsewhere. Commands without a
stamp are moved onto the clock of the joint states if that is another one. A recording whose time
runs backwards is read as several. Velocities that nobody measured are differences of positions.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mbrl_common.task import TaskSettings
from mbrl_dynamics.bag import BagError
from mbrl_dynamics.recording import READERS, Recording, header_time
from mbrl_dynamics.resampling import Signal, Steps, differentiate, resample
from mbrl_dynamics.ros_bag import RosBag, Topic
from mbrl_dynamics.transitions import Transitions

if TYPE_CHECKING:  # it imports torch, which takes seconds
    from mbrl_dynamics.settings import DataSettings

log = logging.getLogger(__name__)

JOINT_STATE = 'sensor_msgs/msg/JointState'


def robot_transitions(bag: RosBag, task: TaskSettings, settings: DataSettings) -> Transitions:
    """The steps in a robot's bag; rewards are not known (NaN), and no step ends an episode.

    Args:
        bag: the robot's.
        task: names the joints, and sets the control period.
        settings: names the topics, and says how long a gap may be.

    Raises:
        BagError: if a topic, a joint or a field is missing, a message does not fit the task, or
            there is no step in the bag.
        OSError: if it cannot be read.
    """
    states = [
        find_topic(bag, name, (JOINT_STATE,), 'data.joint_state_topics')
        for name in settings.joint_state_topics
    ]
    command = find_topic(bag, settings.command_topic, READERS, 'data.command_topic')
    period = round(task.control_period * 1e9)
    max_gap = round(settings.max_gap * 1e9) or 2 * period

    parts = _record(bag, states, command, task, settings.trajectory_field, max_gap)
    _check_joints(bag, parts, states, task)
    derived = [_must_be_derived(bag, parts, entry) for entry in task.state]
    episodes: list[Steps] = []
    for part in parts:
        try:
            commands = part.commands()
        except ValueError as error:
            raise BagError(f'{bag.path}: {command.name}: {error}') from error
        episodes += resample(
            [
                _derive(part, entry, task, max_gap) if derive else part.signal(entry)
                for entry, derive in zip(task.state, derived)
            ],
            task.angle_indices,
            commands,
            period=period,
            max_gap=max_gap,
            command_timeout=round(settings.command_timeout * 1e9) or 2 * period,
        )
    if not episodes:
        raise BagError(
            f'{bag.path}: there is no control period ({task.control_period:g} s) in which all '
            f'joints were known and a command was in force; {_times(parts, states, command)}'
        )
    return _transitions(episodes, states[0].name.rpartition('/')[0] or '/')


def find_topic(bag: RosBag, name: str, kinds: Collection[str], parameter: str) -> Topic:
    """The topic that a parameter names: in full, or relative to a namespace of any name.

    Raises:
        BagError: if there is none, more than one, or it has another type or no messages.
    """
    full = name if name.startswith('/') else f'/{name}'
    found = bag.topics.get(full)
    if found is None and full != name:
        several = [topic for topic in bag.topics.values() if topic.name.endswith(full)]
        if len(several) > 1:
            raise BagError(
                f'{bag.path}: {", ".join(t.name for t in several)} are all {name!r}; give the one '
                f"that is meant in full, as parameter '{parameter}'"
            )
        found = several[0] if several else None
    wanted = ' or '.join(kinds)
    if found is None:
        raise BagError(
            f"{bag.path}: no topic {name!r} (parameter '{parameter}', {wanted}); "
            f'there is {bag.describe_topics()}'
        )
    if found.type not in kinds:
        raise BagError(
            f'{bag.path}: {found.name} is of type {found.type}; it must be {wanted} '
            f"(parameter '{parameter}')"
        )
    if not found.count:
        raise BagError(f"{bag.path}: {found.name} has no messages (parameter '{parameter}')")
    return found


def _record(
    bag: RosBag,
    states: Sequence[Topic],
    command: Topic,
    task: TaskSettings,
    trajectory_field: str,
    max_gap: int,
) -> list[Recording]:
    """The bag's messages; a new recording wherever time has run backwards."""
    parts = [Recording(task)]
    read_command = READERS[command.type]
    for each in bag.messages([topic.name for topic in (*states, command)]):
        try:
            if each.topic.name == command.name:
                stamp, points = read_command(each.message, task, trajectory_field)
                parts[-1].add_command(points, stamp, each.log_time)
                continue
            # Messages of several senders may come a little out of order.
            if (header_time(each.message) or each.log_time) < parts[-1].end - max_gap:
                parts.append(Recording(task))
            parts[-1].add_joint_state(each.topic.name, each.message, each.log_time)
        except ValueError as error:
            raise BagError(
                f'{bag.path}: {each.topic.name}, message of {each.log_time * 1e-9:.3f} s: {error}'
            ) from error
    return parts


def _check_joints(
    bag: RosBag, parts: Sequence[Recording], states: Sequence[Topic], task: TaskSettings
) -> None:
    if task.body_entries:
        raise BagError(
            f'{bag.path}: the task needs {", ".join(task.body_entries)} of a free body; of a '
            "robot's own bag only joints are read"
        )
    joints = set().union(*(part.joints_seen for part in parts))
    missing = sorted({entry.rpartition('.')[0] for entry in task.state} - joints)
    if missing:
        raise BagError(
            f'{bag.path}: no joint {", ".join(map(repr, missing))} on '
            f'{", ".join(topic.name for topic in states)}; there is '
            f'{", ".join(map(repr, sorted(joints))) or "none"}'
        )


def _must_be_derived(bag: RosBag, parts: Sequence[Recording], entry: str) -> bool:
    """Whether an entry of the state is a velocity that nobody measured.

    Raises:
        BagError: if it was not measured, and cannot be had otherwise.
    """
    if any(part.has(entry) for part in parts):
        return False
    joint, _, field = entry.rpartition('.')
    position = f'{joint}.position'
    if field != 'velocity' or not any(part.has(position) for part in parts):
        raise BagError(
            f"{bag.path}: joint {joint!r} has no {field} in any message; the task needs '{entry}'"
        )
    log.warning('%s: no velocity of %s; differentiated from its positions', bag.path, joint)
    return True


def _derive(part: Recording, entry: str, task: TaskSettings, max_gap: int) -> Signal:
    position = f'{entry.rpartition(".")[0]}.position'
    return differentiate(part.signal(position), position in task.angles, max_gap)


def _times(parts: Sequence[Recording], states: Sequence[Topic], command: Topic) -> str:
    """From when to when there is what, for people."""
    told = np.concatenate([part.commands().time for part in parts]) * 1e-9
    begin = min(part.begin for part in parts) * 1e-9
    end = max(part.end for part in parts) * 1e-9
    return (
        f'{", ".join(topic.name for topic in states)}: {begin:.3f} s to {end:.3f} s in '
        f'{sum(topic.count for topic in states)} messages; '
        f'{command.name}: {told.min():.3f} s to {told.max():.3f} s in {command.count}'
    )


def _transitions(episodes: Sequence[Steps], robot: str) -> Transitions:
    """The episodes, numbered from 0; the same steps always have the same sender."""
    stamp = np.concatenate([each.time[:-1] for each in episodes])
    state = np.concatenate([each.state[:-1] for each in episodes])
    action = np.concatenate([each.action for each in episodes])
    digest = hashlib.sha256(stamp.tobytes() + state.tobytes() + action.tobytes()).digest()
    lengths = [len(each.action) for each in episodes]
    return Transitions.from_arrays(
        state,
        action,
        np.concatenate([each.state[1:] for each in episodes]),
        senders=((robot, int.from_bytes(digest[:8], 'little')),),
        stamp=stamp,
        next_stamp=np.concatenate([each.time[1:] for each in episodes]),
        episode=np.repeat(np.arange(len(episodes), dtype=np.int64), lengths),
        step=np.concatenate([np.arange(length, dtype=np.int64) for length in lengths]),
    )
