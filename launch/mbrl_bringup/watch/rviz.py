"""What an RViz configuration says, for others who show the same."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import yaml


@dataclasses.dataclass(frozen=True)
class Orbit:
    """From where is looked: turned about a point, by yaw about z and by pitch [m, rad]."""

    focus: tuple[float, float, float]
    distance: float
    yaw: float
    pitch: float

    @property
    def eye(self) -> tuple[float, float, float]:
        """Where the eye is [m]."""
        flat = self.distance * math.cos(self.pitch)
        x, y, z = self.focus
        return (
            x + flat * math.cos(self.yaw),
            y + flat * math.sin(self.yaw),
            z + self.distance * math.sin(self.pitch),
        )


@dataclasses.dataclass(frozen=True)
class Grid:
    """Lines in a plane, 'XY' or 'XZ', about the origin."""

    plane: str
    cells: int
    size: float
    """Of a cell [m]."""
    colour: tuple[float, ...]
    """Red, green, blue and opacity, from 0 to 1."""


@dataclasses.dataclass(frozen=True)
class Display:
    """What is shown of a topic, below the robot's namespace."""

    topic: str
    name: str
    enabled: bool


@dataclasses.dataclass(frozen=True)
class RvizConfig:
    """Displays, in their order, and from where they are looked at."""

    displays: tuple[Display, ...]
    view: Orbit
    grid: Grid
    background: tuple[float, ...]

    def _display(self, topic: str) -> Display | None:
        last = topic.rpartition('/')[2]
        return next((each for each in self.displays if each.topic == last), None)

    def label(self, topic: str) -> str:
        """What a topic is called; 'robot1/markers' is 'Robot (robot1)'."""
        display, robot = self._display(topic), topic.rpartition('/')[0]
        if display is None:
            return topic
        return f'{display.name} ({robot})' if robot else display.name

    def shown(self, topic: str) -> bool:
        """Whether a topic is shown at first; one that is not in the configuration is."""
        display = self._display(topic)
        return display is None or display.enabled

    def order(self, topic: str) -> tuple[str, int, str]:
        """To sort topics by: robot by robot, in the order of the displays."""
        display, robot = self._display(topic), topic.rpartition('/')[0]
        place = len(self.displays) if display is None else self.displays.index(display)
        return robot, place, topic


def read(path: Path) -> RvizConfig:
    """Read a configuration as ``tools/rviz_configs.py`` writes them.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is none, or lacks something.
    """
    try:
        manager = yaml.safe_load(path.read_text())['Visualization Manager']
        view = manager['Views']['Current']
        (grid,) = [d for d in manager['Displays'] if d['Class'] == 'rviz_default_plugins/Grid']
        return RvizConfig(
            displays=tuple(
                Display(d['Topic']['Value'], d['Name'], bool(d['Enabled']))
                for d in manager['Displays']
                if 'Topic' in d
            ),
            view=Orbit(
                focus=tuple(float(view['Focal Point'][axis]) for axis in 'XYZ'),  # type: ignore[arg-type]
                distance=float(view['Distance']),
                yaw=float(view['Yaw']),
                pitch=float(view['Pitch']),
            ),
            grid=Grid(
                plane=grid['Plane'],
                cells=int(grid['Plane Cell Count']),
                size=float(grid['Cell Size']),
                colour=(*_colour(grid['Color']), float(grid['Alpha'])),
            ),
            background=_colour(manager['Global Options']['Background Color']),
        )
    except (yaml.YAMLError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f'{path} is no RViz configuration: {error!r}') from error


def _colour(text: Any) -> tuple[float, ...]:
    return tuple(int(part) / 255 for part in text.split(';'))
