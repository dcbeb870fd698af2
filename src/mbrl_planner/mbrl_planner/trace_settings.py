"""Parameters of what is drawn of a robot; shared by whoever draws plans and candidates."""

from __future__ import annotations

import dataclasses
import math

from mbrl_common.settings import SettingsError, setting


@dataclasses.dataclass(frozen=True)
class TraceSettings:
    """Which points of the robot are drawn where it was, and where it is predicted to be."""

    robot: str = setting(
        "environment whose model says where points are, named as in 'sim.environment'; "
        'mjcf:FILE takes a MJCF or a URDF',
        '',
    )
    points: tuple[str, ...] = setting(
        "sites or bodies that are drawn, or a place in the frame of one as 'part@x,y,z' [m]; "
        'empty: no plan is drawn',
        (),
    )
    rate: float = setting('most drawings per second, of each node [Hz]', 10.0, ge=0.1, le=30.0)

    def __post_init__(self) -> None:
        self.places()
        if self.points and not self.robot:
            raise SettingsError(
                [
                    f"parameter 'trace.points' is {list(self.points)}; 'trace.robot' must name the "
                    'environment whose model has them'
                ]
            )

    def places(self) -> list[tuple[str, tuple[float, ...]]]:
        """Of each point the name of its part, and the place [3] in that part's frame [m].

        Raises:
            SettingsError: for an entry that is neither a name nor ``part@x,y,z``.
        """
        places, problems = [], []
        for entry in self.points:
            part, at, text = entry.partition('@')
            try:
                offset = tuple(float(number) for number in text.split(',')) if at else (0.0,) * 3
            except ValueError:
                offset = ()
            if not part.strip() or len(offset) != 3 or not all(map(math.isfinite, offset)):
                problems.append(
                    f"parameter 'trace.points' has {entry!r}; an entry must be the name of a site "
                    "or body, or 'part@x,y,z' with three numbers [m]"
                )
            places.append((part.strip(), offset))
        if problems:
            raise SettingsError(problems)
        return places
