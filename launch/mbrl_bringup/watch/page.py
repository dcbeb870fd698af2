"""What is watched as one page of HTML: the scene, the curves and what was said, back in time.

Needs no Rerun, no RViz and no network: a browser shows the page, wherever it is taken.
"""

from __future__ import annotations

import base64
import collections
import dataclasses
import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from mbrl_bringup.watch.intake import SaveError
from mbrl_bringup.watch.rviz import RvizConfig
from mbrl_bringup.watch.series import PLOTS, Remark
from mbrl_bringup.watch.shapes import Lines, Shapes
from mbrl_common.files import replaced

MOST = 30_000_000
"""Of shapes in a page [bytes], before they are compressed; the oldest go first."""
_MOST_VALUES = 20_000  # of a curve
_MOST_REMARKS = 500
_PARTS = 65535  # that a column of numbers is told apart in
_Event = tuple[float, str, str | None]
"""When [s], what of, and what there is from then on, packed; None: nothing."""


class PageRecording:
    """Keeps what it is given, and writes the page when it is closed."""

    def __init__(self, name: str, file: Path, config: RvizConfig) -> None:
        """
        Args:
            name: for people: what is watched.
            file: new file.
            config: of RViz: what is shown at first, and from where.

        Raises:
            SaveError: if the file cannot be written.
        """
        self._name, self._file, self._config = name, file, config
        self._now = 0.0
        self._begin: float | None = None
        self._events: collections.deque[_Event] = collections.deque()
        self._size = 0
        self._newest: dict[str, str | None] = {}
        self._base: dict[str, str | None] = {}  # what there is before the first event
        self._topics: dict[str, str] = {}  # of what is drawn
        self._values: dict[str, dict[str, collections.deque[tuple[float, float]]]] = {}
        self._said: collections.deque[tuple[float, str, str, bool]] = collections.deque(
            maxlen=_MOST_REMARKS
        )
        try:
            file.touch()
        except OSError as error:
            raise SaveError(f'{file} cannot be written: {error.strerror or error}') from error

    def arrived(self, seconds: float) -> None:
        """When what is given next came [s]; the page counts from the first of all."""
        if self._begin is None:
            self._begin = seconds
        self._now = max(seconds - self._begin, self._now)

    def at(self, seconds: float) -> None:
        """The page has one time, that of arrival: all that came together is shown together."""

    def draw(self, place: list[str], shapes: Shapes | None) -> None:
        """Shapes under a name, '<topic>/<namespace>/<kind>' below the graph's own place."""
        name = '/'.join(place)
        self._topics[name] = '/'.join(place[:-2])
        packed = None if shapes is None else pack(shapes)
        if name in self._newest and self._newest[name] == packed:
            return  # such as what does not move
        self._newest[name] = packed
        self._events.append((self._now, name, packed))
        self._size += len(packed or '')
        while self._size > MOST and len(self._events) > 1:
            _, gone, what = self._events.popleft()
            self._base[gone] = what
            self._size -= len(what or '')

    def value(self, name: str, robot: str, value: float) -> None:
        """A value of a curve; ``name`` is '<plot>/<curve>', ``robot`` may be empty."""
        plot, _, curve = name.partition('/')
        curves = self._values.setdefault(plot, {})
        points = curves.setdefault(
            f'{robot} {curve}'.strip(), collections.deque(maxlen=_MOST_VALUES)
        )
        points.append((self._now, value))

    def remark(self, source: str, remark: Remark) -> None:
        """Something to read."""
        self._said.append((self._now, source, remark.text, remark.fault))

    def flush(self) -> None:
        """Nothing is written before the end."""

    def discard(self) -> None:
        """Leave no page, in place of :meth:`close`."""
        self._file.unlink(missing_ok=True)

    def close(self) -> None:
        """Write the page.

        Raises:
            SaveError: if it cannot be written; then nothing is left of it.
        """
        environment = Environment(
            loader=PackageLoader('mbrl_bringup.watch', '.'),
            autoescape=True,
            undefined=StrictUndefined,
        )
        text = json.dumps(self._content(), separators=(',', ':')).encode()
        data = base64.b64encode(gzip.compress(text, 6)).decode()
        html = environment.get_template('page.html').render(title=self._name, data=data)
        try:
            with replaced(self._file) as partial:
                partial.write_text(html, encoding='utf-8')
        except OSError as error:
            self.discard()
            raise SaveError(f'{self._file} cannot be written: {error.strerror or error}') from error

    def _content(self) -> dict[str, Any]:
        """All that the page shows."""
        begin = self._events[0][0] if self._base else 0.0  # of the shapes that were not dropped
        blobs: dict[str, int] = {}
        places: dict[str, list[list[float | int]]] = {name: [] for name in self._topics}
        before = [(begin, name, packed) for name, packed in self._base.items()]
        for time, name, packed in [*before, *self._events]:
            number = -1 if packed is None else blobs.setdefault(packed, len(blobs))
            places[name].append([_time(time), number])
        topics = sorted(set(self._topics.values()), key=self._config.order)
        return {
            'end': _time(self._now),
            'view': dataclasses.asdict(self._config.view),
            'grid': dataclasses.asdict(self._config.grid),
            'background': self._config.background,
            'topics': [
                {'name': t, 'label': self._config.label(t), 'shown': self._config.shown(t)}
                for t in topics
            ],
            'places': [
                {'name': name, 'topic': self._topics[name], 'events': events}
                for name, events in places.items()
            ],
            'blobs': [json.loads(packed) for packed in blobs],
            'plots': [
                {'title': title, 'curves': self._curves(plot)}
                for plot, title in PLOTS.items()
                if plot in self._values
            ],
            'said': [
                [_time(time), source, text, fault] for time, source, text, fault in self._said
            ],
        }

    def _curves(self, plot: str) -> list[dict[str, Any]]:
        return [
            {
                'name': name,
                'dots': plot == 'return' and name.endswith('episode'),
                'points': [[_time(time), float(f'{value:.6g}')] for time, value in points],
            }
            for name, points in self._values[plot].items()
        ]


def _time(seconds: float) -> float:
    """As all of the page has it: what comes last must not be after its end."""
    return round(seconds, 4)


def pack(shapes: Shapes) -> str:
    """Shapes as text: colours as bytes, columns of numbers in 65535 parts of their range.

    Equal shapes have equal texts.
    """
    if isinstance(shapes, Lines):
        shapes = joined(shapes)
    colours = shapes.colours
    if len(colours) and (colours == colours[0]).all():
        colours = colours[:1]
    packed: dict[str, Any] = {
        'kind': type(shapes).__name__,
        'count': len(shapes.colours),
        'colours': _text(colours),
        'fields': {},
    }
    for field in dataclasses.fields(shapes):
        values = getattr(shapes, field.name)
        if field.name == 'lengths':
            packed['lengths'] = values.tolist()
        elif field.name != 'colours':
            packed['fields'][field.name] = _parts(
                values.reshape(len(values), math.prod(values.shape[1:]))
            )
    return json.dumps(packed, separators=(',', ':'))


def _parts(columns: np.ndarray) -> dict[str, Any]:
    """Of numbers [n, k]."""
    empty = not len(columns)
    low = np.zeros(columns.shape[1]) if empty else columns.min(axis=0)
    high = low if empty else columns.max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    parts = np.rint((columns - low) / span * _PARTS).astype('<u2')
    return {
        'low': [float(f'{value:.8g}') for value in low],
        'high': [float(f'{value:.8g}') for value in high],
        'data': _text(parts),
    }


def _text(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def joined(lines: Lines) -> Lines:
    """The same lines, with those that go on from each other in the same colour as one."""
    if not len(lines.lengths) or not (lines.lengths == 2).all():
        return lines
    ends = lines.points.reshape(-1, 2, 3)
    goes_on = (
        (ends[1:, 0] == ends[:-1, 1]).all(axis=1)
        & (lines.colours[1:] == lines.colours[:-1]).all(axis=1)
        & (lines.radii[1:] == lines.radii[:-1])
    )
    first = np.concatenate([[True], ~goes_on])
    kept = np.ones(len(lines.points), dtype=bool)
    kept[0::2] = first  # where one goes on, its begin is the end before
    starts = np.flatnonzero(first)
    pieces = np.diff(np.append(starts, len(first)))
    return Lines(lines.colours[starts], lines.points[kept], pieces + 1, lines.radii[starts])
