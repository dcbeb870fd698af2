"""Where the published figures beside a learning curve come from, and how they differ."""

from __future__ import annotations

from collections.abc import Iterator

from mbrl_bringup.bench.measures import MEASURES
from mbrl_bringup.bench.published import figures_of
from mbrl_bringup.report.blocks import Block, Cell, Table, number
from mbrl_bringup.report.plots import MEASURES as SHOWN
from mbrl_bringup.report.run import Run


def published_blocks(run: Run) -> Iterator[Block]:
    """A table of them, if there are any for the task."""
    rows = []
    for each in figures_of(run.task):
        if each.measure in SHOWN:
            rows.append(
                [
                    Cell(each.method),
                    Cell(f'{each.steps:,}', str(each.steps)),
                    number(each.value),
                    Cell(MEASURES[each.measure]),
                    Cell(f'{each.source.title} ({each.source.url})'),
                    Cell(each.differs or 'the same task, as far as is known'),
                ]
            )
    if rows:
        yield Table(
            "Published figures; they are of the environment's own score, where it pays one "
            "(docs/tasks.md), and the return here is the objective's",
            ['method', 'steps', 'value', 'measure', 'source', 'how it differs'],
            rows,
            folded=True,
        )
