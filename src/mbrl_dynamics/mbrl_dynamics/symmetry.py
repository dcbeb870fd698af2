"""Symmetries of a robot: each transition is learned from once more as its mirror images.

What a claw of three equal fingers does to a valve of three lobes, it does as well with every finger
in the next one's place; PDDM (Nagabandi et al., CoRL 2019) learns the Baoding balls from each
transition and from the same with the balls exchanged. Images cost no robot time, and no time when
planning.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Collection, Sequence

import numpy as np

from mbrl_common.task import TaskSettings, split_entry

MOST = 64  # images of a transition, itself included
ROUNDING = 2e-3  # [rad]: what a person writes of a third of a turn may be off by
_OFFSET = re.compile(r'(.*?)\s*([+-]\s*(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)')


@dataclasses.dataclass(frozen=True)
class Image:
    """A map of vectors: entry i of the image is ``sign[i] * x[source[i]] + offset[i]``."""

    source: tuple[int, ...]
    sign: tuple[float, ...]
    offset: tuple[float, ...]

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """The image of vectors side by side, [N, K * D]."""
        parts = values.reshape(len(values), -1, len(self.source))
        image = parts[..., list(self.source)] * np.array(self.sign) + np.array(self.offset)
        return image.reshape(values.shape)

    def after(self, first: Image) -> Image:
        """The map that is ``first``, then this one."""
        sign, offset = np.array(first.sign), np.array(first.offset)
        at = list(self.source)
        return Image(
            source=tuple(first.source[i] for i in at),
            sign=tuple((np.array(self.sign) * sign[at]).tolist()),
            offset=tuple((np.array(self.sign) * offset[at] + np.array(self.offset)).tolist()),
        )


@dataclasses.dataclass(frozen=True)
class Symmetry:
    """What a symmetry does to states and to actions."""

    state: Image
    action: Image

    def after(self, first: Symmetry) -> Symmetry:
        """The symmetry that is ``first``, then this one."""
        return Symmetry(self.state.after(first.state), self.action.after(first.action))


def parse(text: str, task: TaskSettings) -> Symmetry:
    """A symmetry from what a person writes: ``left=right, right=left, yaw=-yaw``.

    Each part says of what the left side is the image: of a joint or body (all its entries of the
    state, and its action) or of one entry of the state. A minus turns the sign; a number at the end
    is added to an angle (a position of ``task.angles``) [rad], as in ``valve=valve+2.0944``, and
    not to an action. What is not on a left side stays as it is.

    Args:
        text: the symmetry.
        task: names the entries of state and action, and the action's bounds.

    Raises:
        ValueError: the text says why it cannot be.
    """
    state, action = _Parts(task.state), _Parts(task.action)
    owners = dict.fromkeys(split_entry(entry)[0] for entry in task.state)
    names = {*owners, *task.state, *task.action}
    for part in filter(None, (piece.strip() for piece in text.split(','))):
        left, equals, right = (piece.strip() for piece in part.partition('='))
        if not equals or not left or not right:
            raise ValueError(f"{part!r} must be 'joint=joint', 'joint=-joint' or 'angle=angle+1.5'")
        sign = -1.0 if right.startswith('-') else 1.0
        right, offset = _split_offset(right.removeprefix('-').strip(), names)
        found = left in task.action
        if found:
            action.say(left, right, sign)
        for entry in task.state:
            owner, field = split_entry(entry)
            if entry == left or owner == left:
                source = right if entry == left else f'{right}.{field}'
                turned = offset if entry in task.angles else 0.0
                state.say(entry, source, sign, turned)
                found = True
        if not found:
            raise ValueError(f'the task has no {left!r}; it has {", ".join(owners)}')
        if offset and not {left, f'{left}.position'} & set(task.angles):
            raise ValueError(f"{part!r}: {left!r} is not in 'task.angles', so nothing can be added")
    found_symmetry = Symmetry(state.image(), action.image())
    low, high = task.bounds
    turned_low, turned_high = (found_symmetry.action(each[None])[0] for each in (low, high))
    for i, name in enumerate(task.action):
        bounds = sorted((turned_low[i], turned_high[i]))
        if not np.allclose(bounds, (low[i], high[i])):
            raise ValueError(
                f'the action {name!r} has the bounds {low[i]:g} and {high[i]:g}, its image '
                f'{bounds[0]:g} and {bounds[1]:g}; they must be the same'
            )
    return found_symmetry


def closure(generators: Sequence[Symmetry], angles: Sequence[int]) -> list[Symmetry]:
    """All that come of some symmetries, one after another, but for the one that changes nothing.

    Args:
        generators: the symmetries.
        angles: indices of the state's entries in which a turn makes no difference.

    Raises:
        ValueError: there are more than ``MOST``.
    """
    if not generators:
        return []
    states, actions = (len(getattr(generators[0], kind).source) for kind in ('state', 'action'))
    known = [Symmetry(_identity(states), _identity(actions))]
    for each in known:  # which grows as it is gone through
        for made in (generator.after(each) for generator in generators):
            if not any(_same(made, other, angles) for other in known):
                known.append(made)
        if len(known) > MOST:
            raise ValueError(
                f'one after another they make more than {MOST} images; each must come back to '
                'where it began after a few times'
            )
    return known[1:]


def with_images(
    symmetries: Sequence[Symmetry], states: Sequence[np.ndarray], action: np.ndarray
) -> tuple[list[np.ndarray], np.ndarray]:
    """Arrays with the images below them, symmetry after symmetry.

    Args:
        symmetries: M of them.
        states: arrays [N, K * S].
        action: [N, K * A].

    Returns:
        The states, each [(M + 1) N, K * S], and the actions [(M + 1) N, K * A].
    """
    return (
        [np.concatenate([each, *(s.state(each) for s in symmetries)]) for each in states],
        np.concatenate([action, *(s.action(action) for s in symmetries)]),
    )


class _Parts:
    """What has been said of the entries of a vector."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(names)
        self._said: dict[str, tuple[str, float, float]] = {}

    def say(self, name: str, source: str, sign: float, offset: float = 0.0) -> None:
        if name in self._said:
            raise ValueError(f'{name!r} is the image of two things; it can be of one')
        if source not in self._names:
            raise ValueError(f'{name!r} is to be the image of {source!r}, which the task lacks')
        self._said[name] = (source, sign, offset)

    def image(self) -> Image:
        full = [self._said.get(name, (name, 1.0, 0.0)) for name in self._names]
        sources = [source for source, _, _ in full]
        for source in sources:
            if sources.count(source) > 1:
                raise ValueError(
                    f'{source!r} has two images; what takes its place must go somewhere, too'
                )
        return Image(
            source=tuple(self._names.index(source) for source in sources),
            sign=tuple(sign for _, sign, _ in full),
            offset=tuple(offset for _, _, offset in full),
        )


def _split_offset(text: str, names: Collection[str]) -> tuple[str, float]:
    """A name and what is added to it; a name may itself have a sign in it, as 'joint-1'."""
    match = None if text in names else _OFFSET.fullmatch(text)
    return (text, 0.0) if match is None else (match[1], float(match[2].replace(' ', '')))


def _identity(size: int) -> Image:
    return Image(tuple(range(size)), (1.0,) * size, (0.0,) * size)


def _same(one: Symmetry, other: Symmetry, angles: Sequence[int]) -> bool:
    """Whether two do the same, but for whole turns of angles, and rounding."""
    if (one.action, one.state.source, one.state.sign) != (
        other.action,
        other.state.source,
        other.state.sign,
    ):
        return False
    ways = np.array(one.state.offset) - np.array(other.state.offset)
    at = list(angles)
    ways[at] = np.remainder(ways[at] + math.pi, 2.0 * math.pi) - math.pi
    return bool((np.abs(ways) < ROUNDING).all())
