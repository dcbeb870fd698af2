"""Transitions from whatever bag: the suite's, which has them, or a robot's, which is resampled."""

from __future__ import annotations

from pathlib import Path

from mbrl_common.task import TaskSettings
from mbrl_dynamics.bag import BagError
from mbrl_dynamics.bag_schema import SCHEMA_NAME, from_message
from mbrl_dynamics.robot_bag import robot_transitions
from mbrl_dynamics.ros_bag import RosBag
from mbrl_dynamics.settings import DataSettings
from mbrl_dynamics.transition import Transition
from mbrl_dynamics.transitions import Transitions


def transitions_of(path: Path, task: TaskSettings, settings: DataSettings) -> Transitions:
    """The transitions in a bag.

    Args:
        path: an MCAP file or a folder of ``ros2 bag record``. If it has messages of type
            ``mbrl_msgs/Transition``, it is those; otherwise it must be a robot's.
        task: the widths that state and action must have; what to look for in a robot's bag.
        settings: topics and limits, for a robot's bag.

    Raises:
        BagError: if it cannot be read, does not fit the task, or has nothing of either kind.
        OSError: if it cannot be read.
    """
    bag = RosBag(path)
    if not bag.topics_of([SCHEMA_NAME]):
        return robot_transitions(bag, task, settings)
    found = recorded_transitions(bag)
    widths = found.state.shape[1], found.action.shape[1]
    if widths != (task.state_dim, task.action_dim):
        raise BagError(
            f'{path}: states and actions have {widths[0]} and {widths[1]} entries; the task '
            f'{task.name!r} has {task.state_dim} and {task.action_dim}'
        )
    return found


def recorded_transitions(bag: RosBag) -> Transitions:
    """The transitions that a bag holds, in the order in which they were recorded.

    Raises:
        BagError: if there are none, they differ in width, or the bag cannot be read.
        OSError: if it cannot be read.
    """
    topics = [topic.name for topic in bag.topics_of([SCHEMA_NAME])]
    found: list[Transition] = [from_message(each.message) for each in bag.messages(topics)]
    if not found:
        raise BagError(f'{bag.path}: no transitions; there is {bag.describe_topics()}')
    for each in found:
        for name, first in (
            ('state', found[0].state),
            ('next_state', found[0].state),
            ('action', found[0].action),
        ):
            if len(getattr(each, name)) != len(first):
                raise BagError(
                    f'{bag.path}: transition {each.sequence} (episode {each.episode}, step '
                    f'{each.step}) has {len(getattr(each, name))} entries of {name}; the first has '
                    f'{len(first)}'
                )
    return Transitions.from_list(found)
