"""Whether bags are as they should be: whole, finite, of one kind, and one step after the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from mbrl_dynamics.bag import BagError
from mbrl_dynamics.bag_collection import episodes_of, fingerprints
from mbrl_dynamics.bag_columns import widths
from mbrl_dynamics.bag_source import recorded_transitions
from mbrl_dynamics.ros_bag import RosBag, find_bags
from mbrl_dynamics.transitions import Transitions


@dataclasses.dataclass(frozen=True)
class Problem:
    """Something that is wrong with a bag; the text is for people."""

    path: Path
    text: str


@dataclasses.dataclass(frozen=True)
class Checked:
    """What was looked at, and what is wrong with it."""

    bags: int
    transitions: int
    problems: tuple[Problem, ...]


def check_bags(
    paths: Iterable[Path], on_bag: Callable[[Path], None] = lambda path: None
) -> Checked:
    """Check bags as one dataset: what one process would learn from.

    A reward that is not known (NaN) is no problem.

    Args:
        paths: bags and folders of bags.
        on_bag: called before each bag is read.
    """
    found: list[Path] = []
    parts: list[tuple[Path, Transitions]] = []
    problems: list[Problem] = []
    for given in paths:
        try:
            found += find_bags(given)
        except (BagError, OSError) as error:
            problems.append(_problem(given, error))
    for path in found:
        on_bag(path)
        try:
            bag = RosBag(path)
            part = recorded_transitions(bag)
            if not bag.finished:
                text = 'is not finished (being recorded, or cut off); `mbrl data repair` ends it'
                problems.append(Problem(path, text))
        except (BagError, OSError) as error:
            problems.append(_problem(path, error))
            continue
        if not len(part):
            problems.append(Problem(path, 'is empty'))
            continue
        problems += (Problem(path, text) for text in _wrong_values(part))
        first = parts[0] if parts else (path, part)
        if widths(part) == widths(first[1]):
            parts.append((path, part))
        else:
            text = f'state, action and next state have {widths(part)} entries; those in {first[0]} '
            problems.append(Problem(path, f'{text}have {widths(first[1])}'))
    return Checked(
        len(found),
        sum(len(part) for _, part in parts),
        (*problems, *(_wrong_order(parts) if parts else ())),
    )


def _problem(path: Path, error: Exception) -> Problem:
    """An error without the path that it begins with."""
    if isinstance(error, OSError) and error.strerror:
        return Problem(path, error.strerror)
    return Problem(path, str(error).removeprefix(f'{path}: '))


def _wrong_values(part: Transitions) -> Iterator[str]:
    if widths(part)[0] != widths(part)[2]:
        yield f'state has {widths(part)[0]} entries, and next_state {widths(part)[2]}'
    for name in ('state', 'action', 'next_state'):
        wrong = ~np.isfinite(getattr(part, name)).all(axis=1)
        if wrong.any():
            yield f'{name} is not finite in {_how_many(part, wrong)}'
    wrong = np.isinf(part.reward)
    if wrong.any():
        yield f'reward is infinite in {_how_many(part, wrong)}'
    wrong = part.next_stamp <= part.stamp
    if wrong.any():
        yield f'next_stamp is not after stamp in {_how_many(part, wrong)}'


def _wrong_order(parts: list[tuple[Path, Transitions]]) -> Iterator[Problem]:
    """What is wrong between transitions, of one bag or of several."""
    paths = [path for path, _ in parts]
    each = Transitions.concatenate([part for _, part in parts])
    source = np.repeat(np.arange(len(parts)), [len(part) for _, part in parts])

    order = np.lexsort((source, each.sequence, each.sender))
    again = np.flatnonzero(
        (np.diff(each.sequence[order]) == 0) & (np.diff(each.sender[order]) == 0)
    )
    first, second = order[again], order[again + 1]
    marks = fingerprints(each)
    for a, b in sorted(set(zip(source[first].tolist(), source[second].tolist()))):
        of_these = (source[first] == a) & (source[second] == b)
        pairs = list(zip(first[of_these].tolist(), second[of_these].tolist()))
        other = sum(marks[i] != marks[j] for i, j in pairs)
        where = 'in the same bag' if a == b else f'in {paths[a]}'
        if other < len(pairs):
            yield Problem(paths[b], f'{len(pairs) - other} transitions are there again, {where}')
        if other:
            yield Problem(
                paths[b],
                f'{other} transitions have the sequence number of others of the same sender, '
                f'{where}; only one of each would be learned from (`mbrl data merge` renames them)',
            )

    unique = np.ones(len(each), dtype=bool)
    unique[second] = False
    source, each = source[unique], each[unique]
    for indices in episodes_of(each):
        path = paths[source[indices[0]]]
        for text in _wrong_in_episode(each[indices]):
            yield Problem(path, f'episode {each.episode[indices[0]]}: {text}')


def _wrong_in_episode(episode: Transitions) -> Iterator[str]:
    """What is wrong in an episode whose steps rise."""
    step = episode.step
    if step[0] != 0:
        yield f'begins with step {step[0]}'
    for i in np.flatnonzero(np.diff(step) > 1):
        yield f'steps {step[i] + 1} to {step[i + 1] - 1} are missing'
    follows = np.diff(step) == 1
    for i in np.flatnonzero(follows & (np.diff(episode.stamp) <= 0)):
        yield f'the stamp of step {step[i + 1]} is not after that of step {step[i]}'
    same = (episode.next_state[:-1] == episode.state[1:]).all(axis=1)
    finite = np.isfinite(episode.next_state[:-1]).all(axis=1)
    torn = np.flatnonzero(follows & finite & ~same)
    if len(torn):
        yield (
            f'next_state of step {step[torn[0]]} is not the state of step {step[torn[0] + 1]}'
            + (f', and {len(torn) - 1} more of the kind' if len(torn) > 1 else '')
        )
    for i in np.flatnonzero((episode.terminated | episode.truncated)[:-1]):
        yield f'goes on after step {step[i]}, its end'


def _how_many(part: Transitions, wrong: np.ndarray) -> str:
    first = int(np.flatnonzero(wrong)[0])
    return (
        f'{int(wrong.sum())} of {len(part)} transitions, first in episode {part.episode[first]}, '
        f'step {part.step[first]}'
    )
