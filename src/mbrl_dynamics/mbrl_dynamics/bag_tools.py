"""What is done with bags after they were recorded: list, merge, split, repair, import.

Plain functions that print nothing; ``mbrl data`` is their command line. None changes a file that is
there, but ``repair``, whose task it is.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from mbrl_dynamics.bag import DAMAGED, BagError, EpisodeBag, bags, read_arrays, repair
from mbrl_dynamics.bag_columns import widths
from mbrl_dynamics.bag_source import has_transitions, recorded_transitions
from mbrl_dynamics.ros_bag import RosBag, find_bags
from mbrl_dynamics.transitions import Transitions


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


def episodes_of(transitions: Transitions) -> Iterator[np.ndarray]:
    """The indices of each episode's transitions, in the order in which they were sent.

    An episode is what one sender sent under one number, with rising steps.
    """
    order = np.lexsort((transitions.sequence, transitions.sender))
    if not len(order):
        return
    begins = np.zeros(len(order), dtype=bool)
    for name in ('sender', 'episode'):
        begins[1:] |= np.diff(getattr(transitions, name)[order]) != 0
    begins[1:] |= np.diff(transitions.step[order]) <= 0
    episodes = np.split(order, np.flatnonzero(begins[1:]) + 1)
    yield from sorted(episodes, key=lambda indices: int(indices.min()))


def merge(
    paths: Iterable[Path], folder: Path, on_bag: Callable[[Path], None] = lambda path: None
) -> Written:
    """Put the episodes of many bags into one folder: a bag each, numbered from 0.

    A transition that is there twice is written once. Different transitions under the same number
    of the same sender (two runs in one process each have it) go to different senders.

    Args:
        paths: bags and folders of bags.
        folder: a new one, or one without bags.
        on_bag: called before each bag is read.

    Raises:
        BagError: if a bag cannot be read, there are bags of different widths, or bags in the
            folder.
        OSError: if something cannot be read or written.
    """
    _check_empty(folder)
    collected, duplicates = _collect(paths, on_bag)
    return _write(collected, folder, duplicates, renumber=True)


def split(
    paths: Iterable[Path], folder: Path, on_bag: Callable[[Path], None] = lambda path: None
) -> Written:
    """Put each episode into a bag of its own, under the number it has; otherwise as :func:`merge`.

    Episodes of different senders that have one number go side by side, as ``episode_00003.mcap``
    and ``episode_00003_1.mcap``.
    """
    _check_empty(folder)
    collected, duplicates = _collect(paths, on_bag)
    return _write(collected, folder, duplicates, renumber=False)


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


def write_scored(
    episodes: Iterable[Transitions],
    score: Callable[[Transitions], Transitions],
    folder: Path,
) -> Written:
    """Write transitions as bags of the suite, scored; an episode ends where the score says so.

    Args:
        episodes: of one source each; episodes are numbered on from one to the next.
        score: sets ``reward`` and ``terminated``.
        folder: a new one, or one without bags.

    Raises:
        BagError: if there are bags in the folder.
        OSError: if something cannot be written.
    """
    _check_empty(folder)
    parts = []
    number = 0
    for each in episodes:
        scored = renumbered(score(each), first=number)
        parts.append(scored)
        number = int(scored.episode.max()) + 1
    if not parts:
        return Written((), 0)
    return _write(Transitions.concatenate(parts), folder, 0, renumber=False)


def renumbered(transitions: Transitions, first: int = 0) -> Transitions:
    """Episodes numbered from ``first``, a new one after each end, with steps from 0; at least one
    transition, each episode's in a row."""
    count = len(transitions)
    begins = np.ones(count, dtype=bool)
    begins[1:] = transitions.terminated[:-1] | transitions.truncated[:-1]
    for name in ('sender', 'episode'):
        begins[1:] |= np.diff(getattr(transitions, name)) != 0
    begins[1:] |= np.diff(transitions.step) <= 0
    start = np.maximum.accumulate(np.where(begins, np.arange(count), 0))
    return dataclasses.replace(
        transitions,
        episode=first + np.cumsum(begins) - 1,
        step=transitions.step - transitions.step[start],
    )


def _collect(paths: Iterable[Path], on_bag: Callable[[Path], None]) -> tuple[Transitions, int]:
    """All transitions of some bags, once each, and how many were there again."""
    seen: dict[tuple[str, int], dict[int, bytes]] = {}
    renamed: dict[tuple[Path, str, int], tuple[str, int]] = {}
    parts: list[Transitions] = []
    duplicates = 0
    for path in (found for each in paths for found in find_bags(each)):
        on_bag(path)
        part = recorded_transitions(RosBag(path))
        if not len(part):
            continue
        if parts and widths(part) != widths(parts[0]):
            raise BagError(
                f'{path}: state, action and next state have {widths(part)} entries; those of the '
                f'bags before have {widths(parts[0])}'
            )
        marks = fingerprints(part)
        new = np.zeros(len(part), dtype=bool)
        senders = list(part.senders)
        for number, (robot, session) in enumerate(part.senders):
            places = np.flatnonzero(part.sender == number).tolist()
            home = path.parent, robot, session
            sender = renamed.get(home, (robot, session))
            known = seen.setdefault(sender, {})
            if any(known.get(int(part.sequence[i]), marks[i]) != marks[i] for i in places):
                digest = hashlib.sha256(b''.join(marks[i] for i in places)).digest()
                sender = renamed[home] = robot, int.from_bytes(digest[:8], 'little')
                known = seen.setdefault(sender, {})
            senders[number] = sender
            for i in places:
                new[i] = int(part.sequence[i]) not in known
                known[int(part.sequence[i])] = marks[i]
        duplicates += int((~new).sum())
        parts.append(dataclasses.replace(part, senders=tuple(senders))[new])
    if not parts:
        raise BagError('no transitions in what was given')
    return Transitions.concatenate(parts), duplicates


def _write(transitions: Transitions, folder: Path, duplicates: int, renumber: bool) -> Written:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, indices in enumerate(episodes_of(transitions)):
        episode = transitions[indices]
        if renumber:
            episode = dataclasses.replace(episode, episode=np.full(len(indices), number))
        bag = EpisodeBag(folder, int(episode.episode[0]))
        for transition in episode:
            bag.write(transition)
        bag.finish()
        paths.append(bag.path)
    return Written(tuple(paths), len(transitions), duplicates)


def _check_empty(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise BagError(f'{folder}: is a file; bags are written into a folder')
    if folder.is_dir() and bags(folder):
        raise BagError(f'{folder}: holds bags already; choose a new folder')


def fingerprints(transitions: Transitions) -> list[bytes]:
    """Equal for equal transitions, [N]; rewards do not count, they may be scored anew."""
    stamps = np.stack([transitions.stamp, transitions.next_stamp], axis=1)
    numbers = np.concatenate(
        [transitions.state, transitions.action, transitions.next_state], axis=1
    )
    rows = np.concatenate([stamps.view(np.uint64), numbers.view(np.uint64)], axis=1)
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows]
