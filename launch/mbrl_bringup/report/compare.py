"""Several runs side by side: curves on the same axes, medians, and the settings that differ."""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from mbrl_bringup.bench.curve import draw_published
from mbrl_bringup.bench.published import figures_of
from mbrl_bringup.episodes import EpisodeRow
from mbrl_bringup.report import faults, plots
from mbrl_bringup.report.blocks import (
    Block,
    Cell,
    Page,
    Plot,
    Section,
    Table,
    Text,
    cells,
    milliseconds,
    number,
)
from mbrl_bringup.report.collect import NODES
from mbrl_bringup.report.run import Run, Say, median
from mbrl_bringup.report.svg import inline

_SEEDS = ('seed', 'sim.seed')
_UNSAID = '(default)'
_MOST_APART = 2  # settings in a label


@dataclasses.dataclass(frozen=True)
class Group:
    """Runs of one task with the same settings, but for the seed."""

    label: str
    task: str
    runs: tuple[Run, ...]


def groups_of(runs: Sequence[Run]) -> list[Group]:
    """The groups, in the order of their first runs; a run of unknown settings is one by itself."""
    found: dict[str, list[Run]] = {}
    for place, run in enumerate(runs):
        said = {
            node: {name: value for name, value in values.items() if name not in _SEEDS}
            for node, values in run.settings.items()
        }
        key = json.dumps([run.task, said], sort_keys=True, default=str) if said else str(place)
        found.setdefault(key, []).append(run)
    groups = list(found.values())
    return [Group(label, own[0].task, tuple(own)) for label, own in zip(_labels(groups), groups)]


def _labels(groups: Sequence[Sequence[Run]]) -> Iterator[str]:
    """A letter for each, and the run's name, or how many they are and what sets them apart."""
    said = [
        {name: value for node in own[0].settings.values() for name, value in node.items()}
        for own in groups
    ]
    apart = [entry for entry in differences(said) if entry[0] not in _SEEDS] if said else []
    for place, own in enumerate(groups):
        letter = chr(65 + place) if place < 26 else str(place + 1)
        if len(own) == 1:
            yield f'{letter}: {own[0].name}'
            continue
        known = [f'{name.rpartition(".")[2]} {values[place]}' for name, values in apart]
        few = known if len(known) <= _MOST_APART else [*known[:_MOST_APART], '…']
        yield ', '.join([f'{letter}: {len(own)} runs', *few])


def comparison_of(runs: Sequence[Run], say: Say) -> Page:
    """The page of several runs."""
    say('drawing')
    _name_apart(runs)
    groups = groups_of(runs)
    tasks = list(dict.fromkeys(run.task for run in runs))
    sections = [
        Section(anchor, title, blocks)
        for anchor, title, blocks in (
            ('runs', 'Runs', list(_runs(runs, groups))),
            ('curves', 'Learning curves', list(_curves(groups, tasks))),
            ('medians', 'Medians', list(_medians(groups))),
            ('settings', 'Settings that differ', list(_settings(runs))),
            ('versions', 'Versions that differ', list(_versions(runs))),
        )
        if blocks
    ]
    return Page(
        title=f'{len(runs)} runs',
        subtitle=', '.join(task or 'task not known' for task in tasks),
        verdict=_verdict(groups),
        figures=[],
        problems=[f'{run.name}: {text}' for run in runs for text in run.problems],
        notes=[f'{run.name}: {text}' for run in runs for text in run.notes],
        sections=sections,
    )


def differences(said: Sequence[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    """Names whose values are not the same everywhere, with the value in each; one that is not
    given is the default."""
    names = sorted(set().union(*said))
    found = []
    for name in names:
        values = [str(each[name]) if name in each else _UNSAID for each in said]
        if len(set(values)) > 1:
            found.append((name, values))
    return found


def _name_apart(runs: Sequence[Run]) -> None:
    """Runs of the same name get that of the folder above, or their number, in front."""
    names = [run.name for run in runs]
    for place, run in enumerate(runs):
        if names.count(names[place]) > 1:
            run.name = f'{run.path.resolve().parent.name}/{run.name}'
    names = [run.name for run in runs]
    for place, run in enumerate(runs):
        if names.count(names[place]) > 1:
            run.name = f'{place + 1} {run.name}'


def _verdict(groups: Sequence[Group]) -> str:
    parts = []
    for group in groups:
        solved = sum(run.solved is not None for run in group.runs)
        parts.append(f'{group.label}: {solved} of {len(group.runs)} solved')
    return '; '.join(parts) + '.'


def _runs(runs: Sequence[Run], groups: Sequence[Group]) -> Iterator[Block]:
    letter = {id(run): group.label.partition(':')[0] for group in groups for run in group.runs}
    rows = []
    for run in runs:
        best, solved = run.best, run.solved
        counts = faults.totals(run.status) if run.status else {}
        rows.append(
            [
                Cell(run.name),
                Cell(letter[id(run)]),
                Cell(run.task or '?'),
                number(math.nan) if run.seed is None else Cell(str(run.seed), str(run.seed)),
                Cell(str(len(run.episodes)), str(len(run.episodes))),
                Cell(f'{run.steps:,}', str(run.steps)),
                number(math.nan if best is None else best.episode_return),
                number(math.nan if solved is None else float(solved.total_steps), ',.0f'),
                number(_last(row.model_error for row in run.episodes), '.3g'),
                milliseconds(median([row.plan_time_p50 for row in run.episodes])),
                number(float(counts.get('late_plans', math.nan)), '.0f'),
                number(float(counts.get('clamped_actions', math.nan)), '.0f'),
            ]
        )
    columns = ['run', 'group', 'task', 'seed', 'episodes', 'steps', 'best return', 'steps to solve']
    columns += ['model error', 'plan [ms]', 'late plans', 'clamped']
    yield Table('A row each; a group has the same settings, but for the seed', columns, rows)
    yield Text(['All of one of them: mbrl report RUN'])


def _curves(groups: Sequence[Group], tasks: Sequence[str]) -> Iterator[Block]:
    for task in tasks:
        own = [group for group in groups if group.task == task]
        if not any(run.episodes for group in own for run in group.runs):
            continue
        name = task or 'task not known'
        yield Plot(
            inline(partial(draw_curves, own, task), f'Returns {name}'),
            f'{name}: return over control steps',
            'Thin: a run; thick: the median of a group. Look which rises first, and how far '
            'runs of one group lie apart: that much is chance.',
        )
        if any(
            not math.isnan(row.model_error)
            for group in own
            for run in group.runs
            for row in run.episodes
        ):
            yield Plot(
                inline(partial(draw_errors, own), f'Model errors {name}'),
                f'{name}: model error within the episode',
                'Look whether a better return goes along with a better model.',
            )


def draw_curves(groups: Sequence[Group], task: str) -> Any:
    """Returns of all runs over control steps, on the same axes."""
    figure, axes = plots.new_figure(4.0)
    _draw_groups(axes, groups, lambda row: row.episode_return)
    last = max((run.steps for group in groups for run in group.runs), default=1)
    published = [each for each in figures_of(task) if each.measure in plots.MEASURES]
    draw_published(axes, published, last)
    axes.set(xlabel='control steps', ylabel='return of the episode')
    axes.set_xlim(left=0)
    plots.legend(figure, axes)
    return figure


def draw_errors(groups: Sequence[Group]) -> Any:
    """Model errors of all runs over control steps."""
    figure, axes = plots.new_figure(4.0)
    _draw_groups(axes, groups, lambda row: row.model_error)
    axes.set_yscale('log', nonpositive='mask')
    axes.set(xlabel='control steps', ylabel='relative error')
    plots.legend(figure, axes)
    return figure


def _draw_groups(axes: Any, groups: Sequence[Group], value: Callable[[EpisodeRow], float]) -> None:
    for place, group in enumerate(groups):
        colour = f'C{place % 10}'
        several = len(group.runs) > 1
        for run in group.runs:
            axes.plot(
                [row.total_steps for row in run.episodes],
                [value(row) for row in run.episodes],
                'o-',
                color=colour,
                markersize=2 if several else 4,
                linewidth=0.7 if several else 1.2,
                alpha=0.5 if several else 1.0,
                label='' if several else group.label,
            )
        if several:
            points = median_curve(group, value)
            axes.plot(*zip(*points), color=colour, linewidth=2.2, label=group.label)


def median_curve(group: Group, value: Callable[[EpisodeRow], float]) -> list[tuple[float, float]]:
    """Control steps and value of each episode that all runs of a group have, medians over them."""
    points = [
        (statistics.median(row.total_steps for row in rows), median([value(row) for row in rows]))
        for rows in zip(*(run.episodes for run in group.runs))
    ]
    return points or [(math.nan, math.nan)]


def _medians(groups: Sequence[Group]) -> Iterator[Block]:
    rows = []
    for group in groups:
        runs = group.runs
        best = [math.nan if r.best is None else r.best.episode_return for r in runs]
        solved = [float(run.solved.total_steps) for run in runs if run.solved is not None]
        rows.append(
            [
                Cell(group.label),
                Cell(str(len(runs)), str(len(runs))),
                Cell(f'{len(solved)} of {len(runs)}'),
                number(median(best)),
                number(median(solved), ',.0f'),
                number(median([_last(row.model_error for row in r.episodes) for r in runs]), '.3g'),
                milliseconds(median([row.plan_time_p50 for r in runs for row in r.episodes])),
            ]
        )
    columns = ['group', 'runs', 'solved', 'best return', 'steps to solve', 'model error']
    yield Table('Medians over the runs of a group', [*columns, 'plan [ms]'], rows)


def _settings(runs: Sequence[Run]) -> Iterator[Block]:
    known = [run for run in runs if run.settings]
    if len(known) < 2:
        yield Text(['Fewer than two runs have parameters, so there are none to compare.'])
        return
    rows = []
    for node in NODES:
        for name, values in differences([run.settings.get(node, {}) for run in known]):
            if name not in _SEEDS:
                rows.append((node, name, *values))
    if not rows:
        yield Text(['None: but for the seed, all have the same parameters.'])
        return
    columns = ['node', 'parameter', *(run.name for run in known)]
    yield Table('As the parameter files and the command lines give them', columns, cells(rows))


def _versions(runs: Sequence[Run]) -> Iterator[Block]:
    known = [run for run in runs if run.versions]
    found = differences([dict(run.versions) for run in known]) if len(known) > 1 else []
    if found:
        rows = [(name, *values) for name, values in found]
        yield Table('Of packages', ['package', *(run.name for run in known)], cells(rows))


def _last(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return known[-1] if known else math.nan
