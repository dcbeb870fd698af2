"""What a page is made of: sections of plots, tables and texts. How it looks is the template's."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup

NONE = '–'  # noqa: RUF001


@dataclasses.dataclass(frozen=True)
class Cell:
    """A number as people read it, and in full; or a text."""

    text: str
    value: str = ''

    @property
    def numeric(self) -> bool:
        """Whether it belongs to the right."""
        return bool(self.value) or self.text == NONE


@dataclasses.dataclass(frozen=True)
class Table:
    """A table; with ``folded`` it is shown when asked for, with ``beside`` next to a plot."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    folded: bool = False
    beside: bool = False
    kind: str = 'table'


@dataclasses.dataclass(frozen=True)
class Plot:
    """A drawing, and what one should look for in it; a wide one can be moved sideways."""

    drawing: Markup
    title: str
    caption: str
    wide: bool = False
    kind: str = 'plot'


@dataclasses.dataclass(frozen=True)
class Picture:
    """A GIF, as base64."""

    data: str
    title: str
    caption: str
    kind: str = 'picture'


@dataclasses.dataclass(frozen=True)
class Text:
    """Paragraphs; of a listing, its lines as they are."""

    lines: Sequence[str]
    kind: str = 'text'


@dataclasses.dataclass(frozen=True)
class Listing:
    """A file, as it is, shown when asked for."""

    title: str
    text: str
    kind: str = 'listing'


Block = Table | Plot | Picture | Text | Listing


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the page, with a place in its table of contents."""

    anchor: str
    title: str
    blocks: Sequence[Block]


@dataclasses.dataclass(frozen=True)
class Figure:
    """A number that stands out, and what it is."""

    name: str
    cell: Cell
    note: str = ''


@dataclasses.dataclass(frozen=True)
class Page:
    """All of it."""

    title: str
    subtitle: str
    verdict: str
    figures: Sequence[Figure]
    problems: Sequence[str]
    notes: Sequence[str]
    sections: Sequence[Section]


def number(value: float, form: str = '') -> Cell:
    """A number with four digits, or in a form; a dash if it is not known."""
    if math.isnan(value):
        return Cell(NONE)
    if form:
        return Cell(format(value, form), repr(value))
    text = f'{value:,.0f}' if abs(value) >= 10_000 else f'{value:.4g}'
    return Cell(text, repr(value))


def milliseconds(seconds: float) -> Cell:
    """A time in seconds, shown in milliseconds."""
    return number(seconds) if math.isnan(seconds) else Cell(f'{seconds * 1e3:.1f}', repr(seconds))


def percent(share: float) -> Cell:
    """A share of 1."""
    return number(share) if math.isnan(share) else Cell(f'{share * 100:.0f} %', repr(share))


def texts(*words: object) -> list[Cell]:
    """Cells without numbers."""
    return [Cell(str(word)) for word in words]


def cells(rows: Iterable[Iterable[object]]) -> list[list[Cell]]:
    """Rows of texts."""
    return [texts(*row) for row in rows]
