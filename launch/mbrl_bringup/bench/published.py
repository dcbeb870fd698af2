"""What others published for a task, each figure with its source (``published.yaml``)."""

from __future__ import annotations

import dataclasses
import math
from functools import cache
from pathlib import Path

import yaml


@dataclasses.dataclass(frozen=True)
class Source:
    """Where figures come from, and what is to be known of all of them."""

    title: str
    url: str
    how: str
    """How the numbers were taken from it."""
    measure: str
    """One of ``measures.MEASURES``."""
    seeds: int
    """0: not said."""
    spread_is: str


@dataclasses.dataclass(frozen=True)
class Figure:
    """One published number."""

    task: str
    method: str
    steps: int
    """Environment steps it was reached after."""
    value: float
    spread: float
    """NaN: none given."""
    differs: str
    """How what they ran differs from the task here; empty: it does not, as far as is known."""
    source: Source

    @property
    def measure(self) -> str:
        """What it is a figure of."""
        return self.source.measure


@cache
def figures() -> tuple[Figure, ...]:
    """All of them, in the order of the file."""
    found = []
    for body in yaml.safe_load((Path(__file__).parent / 'published.yaml').read_text()):
        source = Source(
            title=body['source'],
            url=body['url'],
            how=body['how'],
            measure=body['measure'],
            seeds=body['seeds'],
            spread_is=body.get('spread_is', ''),
        )
        for entry in body['figures']:
            found.append(
                Figure(
                    task=entry['task'],
                    method=entry['method'],
                    steps=entry['steps'],
                    value=float(entry['value']),
                    spread=float(entry.get('spread', math.nan)),
                    differs=body.get('differs', {}).get(entry['task'], ''),
                    source=source,
                )
            )
    return tuple(found)


def figures_of(task: str) -> tuple[Figure, ...]:
    """The figures of a task; of one that is not known, none."""
    return tuple(figure for figure in figures() if figure.task == task)
