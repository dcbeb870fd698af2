"""What is done with bags after they were recorded: sum up, merge, split, repair.

Plain functions that print nothing; ``mbrl data`` is their command line. None changes a file that is
there, but ``repair``, whose task it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from mbrl_dynamics.bag import DAMAGED, BagError, EpisodeBag, bags, read_arrays, repair
from mbrl_dynamics.bag_collection import OnBag, collect, episodes_of
from mbrl_dynamics.bag_source import has_transitions, recorded_transitions
from mbrl_dynamics.ros_bag import RosBag, find_bags
from mbrl_dynamics.transitions import Transitions


class TargetError(BagError):
    """Bags cannot be written where they were to go."""


@dataclasses.dataclass(frozen=True)
class BagSummary:
    """What is in a bag.

    Attributes:
        path: the bag.
        finished: it has an end; false: it is being recorded, or was cut off.
        episodes: numbers of its episodes, in the order of recording.
        transitions: how many.
        duration: from the first state of each episode to its last, summed [s].
        episode_return: sum of its rewards; NaN if one is not known.
        state_dim, action_dim: widths.
        terminated, truncated: how many episodes ended so; the others were cut off.
        topics: topics of a bag that has no transitions, for people; otherwise empty.
    """

    path: Path
    finished: bool
    episodes: tuple[int, ...] = ()
    transitions: int = 0
    duration: float = 0.0
    episode_return: float = 0.0
    state_dim: int = 0
    action_dim: int = 0
    terminated: int = 0
    truncated: int = 0
    topics: str = ''


@dataclasses.dataclass(frozen=True)
class Written:
    """What merging, splitting or importing has written.

    Attributes:
        paths: the new bags.
        transitions: how many are in them.
        duplicates: how many were there more than once, and are left out.
    """

    paths: tuple[Path, ...]
    transitions: int
    duplicates: int = 0


@dataclasses.dataclass(frozen=True)
class Repaired:
    """What repairing a bag came to.

    Attributes:
        path: the bag.
        saved: transitions that are in it now.
        damaged: where the old file is kept, because bytes in it make no sense; None: nothing but
            the record that was being written was lost.
    """

    path: Path
    saved: int
    damaged: Path | None


def summarise(path: Path) -> BagSummary:
    """What is in a bag.

    Raises:
        BagError: if it cannot be read.
        OSError: likewise.
    """
    bag = RosBag(path)
    if not has_transitions(bag):
        return BagSummary(path, bag.finished, topics='' if bag.empty else bag.describe_topics())
    found = recorded_transitions(bag)
    episodes = list(episodes_of(found))
    last = np.array([each[-1] for each in episodes])
    first = np.array([each[0] for each in episodes])
    return BagSummary(
        path,
        bag.finished,
        tuple(found.episode[first].tolist()),
        len(found),
        float((found.next_stamp[last] - found.stamp[first]).sum()) * 1e-9,
        float(found.reward.sum()),
        found.state.shape[1],
        found.action.shape[1],
        int(found.terminated[last].sum()),
        int((found.truncated & ~found.terminated)[last].sum()),
    )


def merge(paths: Iterable[Path], folder: Path, on_bag: OnBag = lambda path: None) -> Written:
    """Put the episodes of many bags into one folder: a bag each, numbered from 0.

    Args:
        paths: bags and folders of bags of the suite; see :func:`collect`.
        folder: a new one, or one without bags.
        on_bag: called before each bag is read, and after one was written.

    Raises:
        TargetError: if there are bags in the folder.
        BagError, OSError: as :func:`collect`, or if something cannot be written.
    """
    check_target(folder)
    transitions, duplicates = collect(paths, on_bag=on_bag)
    number = np.empty(len(transitions), dtype=np.int64)
    for episode, indices in enumerate(episodes_of(transitions)):
        number[indices] = episode
    return write(dataclasses.replace(transitions, episode=number), folder, duplicates, on_bag)


def split(paths: Iterable[Path], folder: Path, on_bag: OnBag = lambda path: None) -> Written:
    """Put each episode into a bag of its own, under the number it has; otherwise as :func:`merge`.

    Episodes of different senders that have one number go side by side, as ``episode_00003.mcap``
    and ``episode_00003_1.mcap``.
    """
    check_target(folder)
    transitions, duplicates = collect(paths, on_bag=on_bag)
    return write(transitions, folder, duplicates, on_bag)


def write(
    transitions: Transitions,
    folder: Path,
    duplicates: int = 0,
    on_bag: OnBag = lambda path: None,
) -> Written:
    """Write a bag per episode, under the number that it has.

    Args:
        transitions: at least one.
        folder: a new one, or one without bags.
        duplicates: for the report.
        on_bag: called after each bag.

    Raises:
        TargetError: if there are bags in the folder.
        OSError: if something cannot be written.
    """
    check_target(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for indices in episodes_of(transitions):
        bag = EpisodeBag(folder, int(transitions.episode[indices[0]]))
        for transition in transitions[indices]:
            bag.write(transition)
        bag.finish()
        on_bag(bag.path)
        paths.append(bag.path)
    return Written(tuple(paths), len(transitions), duplicates)


def check_target(folder: Path) -> None:
    """Check that bags can be written into a folder without mixing with others.

    Raises:
        TargetError: if not.
    """
    if folder.exists() and not folder.is_dir():
        raise TargetError(f'{folder}: is a file; bags are written into a folder')
    if folder.is_dir() and bags(folder):
        raise TargetError(f'{folder}: holds bags already; choose a new folder')


def repair_bags(paths: Iterable[Path]) -> Iterator[Repaired]:
    """Finish the suite's bags that a crash cut off; yields those that were.

    Raises:
        BagError: if one is no bag.
        OSError: if one cannot be read or written; it is then as it was.
    """
    for path in paths:
        for found in find_bags(path):
            for file in RosBag(found).files:
                bag = RosBag(file)
                # Rewriting a robot's bag would lose what else is in it.
                if bag.finished or not (bag.empty or has_transitions(bag)):
                    continue
                aside = file.with_name(file.name + DAMAGED)
                before = aside.stat().st_mtime_ns if aside.exists() else None
                repair(file)
                new = aside.exists() and aside.stat().st_mtime_ns != before
                yield Repaired(file, len(read_arrays(file)), aside if new else None)
