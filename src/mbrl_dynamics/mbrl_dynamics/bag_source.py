"""Transitions from whatever bag: the suite's, which has them, or a robot's, which is resampled."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mbrl_common.task import TaskSettings
from mbrl_dynamics.bag import BagError, read_arrays
from mbrl_dynamics.bag_columns import widths
from mbrl_dynamics.bag_schema import SCHEMA_NAME, from_message
from mbrl_dynamics.robot_bag import robot_transitions
from mbrl_dynamics.ros_bag import RosBag
from mbrl_dynamics.transitions import Transitions

if TYPE_CHECKING:  # it imports torch, which takes seconds
    from mbrl_dynamics.settings import DataSettings


def transitions_of(path: Path, task: TaskSettings, settings: DataSettings) -> Transitions:
    """The transitions in a bag.

    Args:
        path: an MCAP file or a folder of ``ros2 bag record``. If it has messages of type
            ``mbrl_msgs/Transition``, it is those; otherwise it must be a robot's, or empty.
        task: the widths that state and action must have; what to look for in a robot's bag.
        settings: topics and limits, for a robot's bag.

    Raises:
        BagError: if it cannot be read, does not fit the task, or has nothing of either kind.
        OSError: if it cannot be read.
    """
    bag = RosBag(path)
    if not has_transitions(bag) and not bag.empty:
        return robot_transitions(bag, task, settings)
    found = recorded_transitions(bag)
    if not len(found):
        return Transitions.empty(task.state_dim, task.action_dim)
    if widths(found) != (task.state_dim, task.action_dim, task.state_dim):
        raise BagError(
            f'{path}: states and actions have {found.state.shape[1]} and {found.action.shape[1]} '
            f'entries; the task {task.name!r} has {task.state_dim} and {task.action_dim}'
        )
    return found


def has_transitions(bag: RosBag) -> bool:
    """Whether a bag is one of the suite's: it has messages of type ``mbrl_msgs/Transition``."""
    return bool(bag.topics_of([SCHEMA_NAME]))


def recorded_transitions(bag: RosBag) -> Transitions:
    """The transitions that a bag holds, in the order in which they were recorded.

    Raises:
        BagError: if there are other messages but none, they differ in width, or the bag cannot be
            read.
        OSError: if it cannot be read.
    """
    if bag.empty:
        return Transitions.empty(0, 0)
    if not has_transitions(bag):
        raise BagError(f'{bag.path}: no transitions; there is {bag.describe_topics()}')
    if all(path.suffix == '.mcap' for path in bag.files):
        parts = [part for part in map(read_arrays, bag.files) if len(part)]
    else:  # compressed as a whole
        topics = [topic.name for topic in bag.topics_of([SCHEMA_NAME])]
        single = (from_message(each.message) for each in bag.messages(topics))
        parts = [Transitions.from_list([each]) for each in single]
    found = sorted({widths(part) for part in parts})
    if len(found) > 1:
        raise BagError(
            f'{bag.path}: its transitions must all have the same widths of state, action and next '
            f'state; they have {found}'
        )
    return Transitions.concatenate(parts)
