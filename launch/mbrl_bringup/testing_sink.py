"""For tests: what is handed on of a graph that is watched, kept."""

from __future__ import annotations

from mbrl_bringup.watch.series import Remark
from mbrl_bringup.watch.shapes import Shapes


class Heard:
    """A sink that keeps what it is handed.

    Attributes:
        arrivals: all that ``arrived`` was told [s].
        times: all that ``at`` was told [s].
        drawn: the last shapes of each place, its parts between slashes.
        values: all values of each robot's curves, in order.
        remarks: who said it, and what.
    """

    def __init__(self) -> None:
        self.arrivals: list[float] = []
        self.times: list[float] = []
        self.drawn: dict[str, Shapes | None] = {}
        self.values: dict[tuple[str, str], list[float]] = {}
        self.remarks: list[tuple[str, str]] = []

    def arrived(self, seconds: float) -> None:
        """See ``Sink``, as the others."""
        self.arrivals.append(seconds)

    def at(self, seconds: float) -> None:
        """See ``Sink``."""
        self.times.append(seconds)

    def draw(self, place: list[str], shapes: Shapes | None) -> None:
        """See ``Sink``."""
        self.drawn['/'.join(place)] = shapes

    def value(self, name: str, robot: str, value: float) -> None:
        """See ``Sink``."""
        self.values.setdefault((robot, name), []).append(value)

    def remark(self, source: str, remark: Remark) -> None:
        """See ``Sink``."""
        self.remarks.append((source, remark.text))
