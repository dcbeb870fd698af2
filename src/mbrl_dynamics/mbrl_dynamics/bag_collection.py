"""Many bags as one set of transitions: each of them once, episode by episode."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from mbrl_dynamics.bag import BagError
from mbrl_dynamics.bag_columns import widths
from mbrl_dynamics.bag_source import recorded_transitions
from mbrl_dynamics.ros_bag import RosBag, find_bags
from mbrl_dynamics.transitions import Transitions

OnBag = Callable[[Path], None]
_Sender = tuple[str, int]


def collect(
    paths: Iterable[Path],
    read: Callable[[Path], Transitions] | None = None,
    on_bag: OnBag = lambda path: None,
) -> tuple[Transitions, int]:
    """All transitions of many bags, once each.

    Different transitions under the same number of the same sender (runs in one process have no
    names, and all count from 0) get different senders.

    Args:
        paths: bags and folders of bags.
        read: what reads one; None: the suite's bags, as they are.
        on_bag: called before each bag is read.

    Returns:
        The transitions, and how many were there more than once.

    Raises:
        BagError: if a bag cannot be read, their widths differ, or there is no transition.
        OSError: if one cannot be read.
    """
    seen: dict[_Sender, dict[int, bytes]] = {}
    renamed: dict[tuple[Path, _Sender], _Sender] = {}
    parts: list[Transitions] = []
    duplicates = 0
    for path in (found for each in paths for found in find_bags(each)):
        on_bag(path)
        part = recorded_transitions(RosBag(path)) if read is None else read(path)
        if not len(part):
            continue
        if parts and widths(part) != widths(parts[0]):
            raise BagError(
                f'{path}: state, action and next state have {widths(part)} entries; those of the '
                f'bags before have {widths(parts[0])}'
            )
        part, dropped = _new_ones(part, path.parent, seen, renamed)
        parts.append(part)
        duplicates += dropped
    if not parts:
        raise BagError('no transitions in what was given')
    return Transitions.concatenate(parts), duplicates


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


def fingerprints(transitions: Transitions) -> list[bytes]:
    """Equal for equal transitions, [N]; rewards do not count, they may be scored anew."""
    stamps = np.stack([transitions.stamp, transitions.next_stamp], axis=1)
    numbers = np.concatenate(
        [transitions.state, transitions.action, transitions.next_state], axis=1
    )
    rows = np.concatenate([stamps.view(np.uint64), numbers.view(np.uint64)], axis=1)
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in rows]


def _new_ones(
    part: Transitions,
    home: Path,
    seen: dict[_Sender, dict[int, bytes]],
    renamed: dict[tuple[Path, _Sender], _Sender],
) -> tuple[Transitions, int]:
    """The transitions that were not seen yet, and how many were; keeps ``seen`` and ``renamed``.

    Args:
        part: of one bag.
        home: the bag's folder: a sender that was renamed in one of its bags is so in all.
        seen: fingerprints by sender and number.
        renamed: senders whose numbers others had already.
    """
    marks = fingerprints(part)
    new = np.zeros(len(part), dtype=bool)
    senders = list(part.senders)
    for number, original in enumerate(part.senders):
        places = np.flatnonzero(part.sender == number).tolist()
        sender = renamed.get((home, original), original)
        known = seen.setdefault(sender, {})
        if any(known.get(int(part.sequence[i]), marks[i]) != marks[i] for i in places):
            digest = hashlib.sha256(b''.join(marks[i] for i in places)).digest()
            sender = original[0], int.from_bytes(digest[:8], 'little')
            renamed[home, original] = sender
            known = seen.setdefault(sender, {})
        senders[number] = sender
        for i in places:
            new[i] = int(part.sequence[i]) not in known
            known[int(part.sequence[i])] = marks[i]
    return dataclasses.replace(part, senders=tuple(senders))[new], int((~new).sum())
