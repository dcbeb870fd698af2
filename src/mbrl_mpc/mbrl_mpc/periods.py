"""The grid of control periods of an episode in real time, and what was in force in each of them.

The grid begins with a command; at each boundary the action changes. A period is kept from its
first command until the state at its end is known, which may be several periods later.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from mbrl_mpc.ports import Source


@dataclasses.dataclass(frozen=True)
class Period:
    """What is in force from one boundary to the next; ``change`` [S] is expected of it."""

    action: np.ndarray
    source: Source
    plan_id: int = 0
    change: np.ndarray | None = None
    whole: bool = True  # in force all the time


class Periods:
    """Boundaries by their number, and what was commanded from each of them on."""

    def __init__(self, length: int, tick: int) -> None:
        """
        Args:
            length: of a period [ns].
            tick: time between two commands [ns].
        """
        self.length = length
        self.tick = tick
        self.clear()

    def clear(self) -> None:
        """There is no grid yet, as before the first command of an episode."""
        self.begin: int | None = None  # [ns]
        self.current = -1  # that is being commanded
        self.observed = -1  # boundary whose state is known
        self._commanded: dict[int, Period] = {}  # and not in a transition yet

    def boundary(self, index: int) -> int:
        """The time of a boundary [ns]; there must be a grid."""
        assert self.begin is not None
        return self.begin + index * self.length

    def at(self, time: int) -> int:
        """The period that a time [ns] lies in; below 0 before the grid, of which there must be
        one."""
        assert self.begin is not None
        return (time - self.begin) // self.length

    def of_beat(self, time: int) -> int:
        """The period of a command at ``time`` [ns], which may come a little before its boundary."""
        return self.at(time + self.tick // 2)

    def from_time(self, time: int) -> int:
        """The first boundary at ``time`` [ns] or later, 0 at least; there must be a grid."""
        assert self.begin is not None
        return max(0, -((self.begin - time) // self.length))

    def commanded(self, index: int) -> Period | None:
        """What is in force in a period; None: it was not commanded, or is in a transition."""
        return self._commanded.get(index)

    def enter(self, index: int, effect: int, period: Period) -> tuple[int, bool]:
        """The first command of a period takes effect; missed ones had the last action in force.

        Args:
            index: of the period, after the current one.
            effect: when [ns].
            period: what is in force from then on.

        Returns:
            How many periods were missed, and whether the command is late for its own.
        """
        before = self.commanded(self.current)
        missed = range(self.current + 1, index)
        if before is not None:
            for each in missed:
                self._commanded[each] = dataclasses.replace(before, change=None)
        self.current = index
        late = effect - self.boundary(index) > self.tick
        self._commanded[index] = dataclasses.replace(period, whole=not late)
        return len(missed), late

    def replace(self, period: Period) -> None:
        """From now to the end of the current period something else is in force."""
        self._commanded[self.current] = dataclasses.replace(period, whole=False)

    def take(self, index: int) -> Period | None:
        """The state at boundary ``index`` is known: what was in force until then, which is
        forgotten."""
        self.observed = index
        return self._commanded.pop(index - 1, None)
