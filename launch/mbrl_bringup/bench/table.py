"""``mbrl bench --table``: what was run, and the published figures beside it, with their sources."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mbrl_bringup.bench.measures import MEASURES, after, by_seed, curve, number, with_range
from mbrl_bringup.bench.published import Figure, Source, figures_of
from mbrl_bringup.bench.rows import Row, read
from mbrl_common.settings import SettingsError

OURS_COLUMNS: tuple[str, ...] = (
    'task',
    'recipe',
    'seeds',
    'episodes',
    'steps',
    'last episode',
    'best so far',
    'plan (ms)',
    'wall (s)',
)
BESIDE_COLUMNS: tuple[str, ...] = (
    'task',
    'steps',
    'measure',
    'method',
    'published',
    'ours',
    'source',
    'differs',
)

Runs = Mapping[tuple[str, str], Sequence[Row]]
"""Rows by task and recipe."""


def load(paths: Iterable[Path]) -> tuple[dict[tuple[str, str], list[Row]], list[str]]:
    """The rows of files, and what is wrong with those that cannot be used."""
    runs: dict[tuple[str, str], list[Row]] = {}
    problems = []
    for path in paths:
        try:
            rows = read(path)
        except SettingsError as error:
            problems.append(str(error))
            continue
        for row in rows:
            runs.setdefault((row.task, row.recipe), []).append(row)
    return runs, problems


def ours(runs: Runs) -> list[tuple[str, ...]]:
    """A row for each task and recipe: medians over the seeds, lowest to highest in brackets.

    Last and best are scores where the environment pays by itself, and returns where it does not;
    plan and wall are medians over the planned episodes, the latter of a whole episode.
    """
    found: list[tuple[str, ...]] = []
    for (task, recipe), rows in sorted(runs.items()):
        seeds = by_seed(rows)
        episodes = min(map(len, seeds.values()))
        own = [each[:episodes] for each in seeds.values()]
        acting = [row for each in own for row in each if row.kind != 'random']
        timed = acting or [row for each in own for row in each]
        plans = [row.plan_time_p50 for row in acting if not math.isnan(row.plan_time_p50)]
        steps = statistics.median(each[-1].environment_steps for each in own)
        found.append(
            (
                task,
                named(recipe, rows),
                str(len(seeds)),
                str(episodes),
                f'{steps:.0f}',
                with_range([curve(each, 'episode')[-1][1] for each in own]),
                with_range([curve(each, 'best_so_far')[-1][1] for each in own]),
                number(statistics.median(plans) * 1e3) if plans else '-',
                number(statistics.median(row.wall_time for row in timed)),
            )
        )
    return found


def beside(runs: Runs) -> tuple[list[tuple[str, ...]], list[str]]:
    """A row for each published figure of a task that was run, and the sources, numbered.

    Ours are the same measure after as many environment steps, of each recipe whose every seed has
    come so far, and that left the task as its file has it.
    """
    sources: list[Source] = []
    rows: list[tuple[str, ...]] = []
    for task in sorted({task for task, _ in runs}):
        for figure in sorted(figures_of(task), key=lambda each: (each.measure, each.steps)):
            if figure.source not in sources:
                sources.append(figure.source)
            rows.append(
                (
                    task,
                    str(figure.steps),
                    MEASURES[figure.measure],
                    figure.method,
                    _with_spread(figure),
                    _ours_at(runs, figure),
                    f'[{sources.index(figure.source) + 1}]',
                    figure.differs or '-',
                )
            )
    return rows, [_text(number, source) for number, source in enumerate(sources, start=1)]


def named(recipe: str, rows: Iterable[Row]) -> str:
    """The recipe's name, with a word of warning where the task was not as its file has it."""
    return recipe if all(row.unchanged for row in rows) else f'{recipe} (task changed)'


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table for a document."""
    lines = [columns, ['---'] * len(columns), *rows]
    cells = ([cell.replace('|', r'\|') for cell in line] for line in lines)
    return '\n'.join(f'| {" | ".join(line)} |' for line in cells)


def _with_spread(figure: Figure) -> str:
    value = number(figure.value)
    return value if math.isnan(figure.spread) else f'{value} ± {number(figure.spread)}'


def _ours_at(runs: Runs, figure: Figure) -> str:
    texts = []
    for (task, recipe), rows in sorted(runs.items()):
        if task != figure.task or not all(row.unchanged for row in rows):
            continue
        values = after(rows, figure.measure, figure.steps)
        if values:
            texts.append(f'{recipe} {with_range(values)}')
    return '; '.join(texts) or '-'


def _text(number: int, source: Source) -> str:
    seeds = {0: 'seeds not said', 1: '1 seed'}.get(source.seeds, f'{source.seeds} seeds')
    spread = f'; ±: {source.spread_is}' if source.spread_is else ''
    return f'[{number}] {source.title}; {source.how}; {seeds}{spread}. {source.url}'
