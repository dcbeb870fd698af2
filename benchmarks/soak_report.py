"""What a soak found: memory and lateness over time, as a table, a picture, and a verdict.

    python benchmarks/soak_report.py benchmarks/results/soak.csv

Memory of each node: the median of minutes 11 to 20 against that of the last ten. It may grow by
2 %, the transitions that were added to the dataset included. Lateness: the share of late control
periods and late plans in every ten minutes; a trend is a share that rises with time more surely
than chance has it (rank correlation over the minutes, p < 0.01) and is in the last ten minutes
half as high again as in minutes 11 to 20. Runs of less than half an hour are not judged by these.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use('Agg')
import csv_rows
from matplotlib import pyplot as plt

BLOCK = 10.0  # min
SHORTEST = 30.0  # min, of a run that is judged
GROWTH = 0.02
Columns = dict[str, np.ndarray]


def columns_of(path: Path) -> Columns:
    """Each column as numbers; NaN where there is none."""
    rows = csv_rows.read(path)
    if not rows:
        raise SystemExit(f'{path}: no rows')
    return {name: np.array([_number(row[name]) for row in rows]) for name in rows[0]}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float('nan')


def report(path: Path) -> bool:
    """Print all; returns whether everything that could be judged is as it should be."""
    table = columns_of(path)
    minute = table['minute']
    judged = bool(minute[-1] >= SHORTEST)
    verdicts = {
        'memory does not grow': _memory(table) if judged else None,
        'no more is late than before': _lateness(table, judged),
        **_storage(table),
    }
    _memory_now(table)
    print(
        f'others took {np.nanmean(table["others"]):.1%} of the machine '
        f'(at most {np.nanmax(table["others"]):.1%}), the graph '
        f'{np.nanmean(table["graph_cpu"]):.1%}, of which the watcher '
        f'{np.nanmean(table["watcher_cpu"]):.2%} of one core'
    )
    for text, good in verdicts.items():
        print(f'{text}: {"not judged" if good is None else "yes" if good else "NO"}')
    return all(good is not False for good in verdicts.values())


def _between(table: Columns, first: float, last: float) -> np.ndarray:
    chosen: np.ndarray = (table['minute'] > first) & (table['minute'] <= last)
    return chosen


def _nodes(table: Columns) -> list[str]:
    return [name.removesuffix('_rss_mb') for name in table if name.endswith('_rss_mb')]


def _memory_now(table: Columns) -> None:
    sizes = ', '.join(f'{name} {table[f"{name}_rss_mb"][-2:].max():.0f}' for name in _nodes(table))
    print(f'resident at the end [MB]: {sizes}')


def _memory(table: Columns) -> bool:
    end = table['minute'][-1]
    early, late = _between(table, BLOCK, 2 * BLOCK), _between(table, end - BLOCK, end)
    added = np.median(table['dataset_size'][late]) - np.median(table['dataset_size'][early])
    print(f'memory [MB]; the dataset grew by {added:.0f} transitions')
    print('node              kind  minutes 11-20  last ten   growth')
    good = True
    for name in _nodes(table):
        for kind in ('rss', 'pss'):
            values = table[f'{name}_{kind}_mb']
            before, after = np.nanmedian(values[early]), np.nanmedian(values[late])
            grows = bool(after - before > GROWTH * before)
            good &= not grows or kind != 'rss'
            print(
                f'{name:16s}  {kind}   {before:12.1f} {after:9.1f}   {after - before:+.1f} '
                f'({after / before - 1:+.1%}){"  GROWS" if grows and kind == "rss" else ""}'
            )
    return good


def _lateness(table: Columns, judged: bool) -> bool | None:
    end = table['minute'][-1]
    print('minutes    periods   late        plans late  lost   plan p95 [ms]  others')
    for first in np.arange(0.0, end, BLOCK):
        chosen = np.flatnonzero(_between(table, first, first + BLOCK))
        if not len(chosen):
            continue
        since = max(0, chosen[0] - 1)
        counts = {
            name: table[name][chosen[-1]] - (table[name][since] if chosen[0] else 0.0)
            for name in ('periods', 'late_steps', 'late_plans', 'steps_lost')
        }
        periods = max(1.0, counts['periods'])
        plan_times = table['plan_p95_ms'][chosen]
        plan_time = np.nanmedian(plan_times) if np.isfinite(plan_times).any() else np.nan
        print(
            f'{first:3.0f} to {min(first + BLOCK, end):3.0f}  {counts["periods"]:7.0f}  '
            f'{counts["late_steps"]:4.0f} {counts["late_steps"] / periods:6.2%}  '
            f'{counts["late_plans"]:4.0f} {counts["late_plans"] / periods:6.2%}  '
            f'{counts["steps_lost"]:4.0f}   {plan_time:10.1f}  '
            f'{np.nanmean(table["others"][chosen]):8.1%}'
        )
    if not judged:
        return None
    return not any(_has_trend(table, name) for name in ('late_steps', 'late_plans'))


def _has_trend(table: Columns, name: str) -> bool:
    """Whether a share rises with time; the first ten minutes, of learning, do not count."""
    end = table['minute'][-1]
    shares = by_minute(table, name)[1][int(BLOCK) :]
    correlation, chance = _rank_correlation(shares)
    early, last = np.nanmean(shares[: int(BLOCK)]), np.nanmean(shares[-int(BLOCK) :])
    print(
        f'{name} from minute {BLOCK:.0f} to {end:.0f}: rank correlation with time '
        f'{correlation:+.2f}, p {chance:.3f}; {early:.2%} in minutes 11 to 20, {last:.2%} in the '
        'last ten'
    )
    return chance < 0.01 and bool(last > 1.5 * early)


def by_minute(table: Columns, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Minutes, and the share of each minute's control periods that a count was raised in."""
    edges = np.arange(0.0, np.floor(table['minute'][-1]) + 1.0)
    counted = np.interp(edges, table['minute'], table[name])
    periods = np.diff(np.interp(edges, table['minute'], table['periods']))
    return edges[1:], np.diff(counted) / np.maximum(periods, 1.0)


def _rank_correlation(values: np.ndarray) -> tuple[float, float]:
    """With time, Spearman's; and how often chance gives one as high (10,000 permutations)."""
    ranks = np.array([((values < v).sum() + (values <= v).sum()) / 2 for v in values])
    ranks -= ranks.mean()
    time = np.arange(len(values)) - (len(values) - 1) / 2
    scale = np.sqrt((ranks**2).sum() * (time**2).sum())
    if scale == 0:
        return 0.0, 1.0
    found = float(ranks @ time / scale)
    shuffled = np.random.default_rng(0).permuted(np.tile(ranks, (10_000, 1)), axis=1) @ time / scale
    return found, float((shuffled >= found).mean())


def _storage(table: Columns) -> dict[str, bool | None]:
    last = {name: column[-1] for name, column in table.items()}
    print(
        f'{last["acknowledged"]:.0f} transitions acknowledged, {last["refused"]:.0f} refused, '
        f'{last["lost"]:.0f} lost, {last["write_errors"]:.0f} not written; '
        f'{last["episodes"]:.0f} episodes, model version {last["model_version"]:.0f}, '
        f'{last["endings"]:.0f} runs ended with an error'
    )
    known = np.isfinite(last['on_disk'])
    if known:
        print(
            f'{last["on_disk"]:.0f} transitions on disk; {last["missing"]:.0f} of those '
            'acknowledged are not there'
        )
    nothing_lost = last['refused'] + last['lost'] + last['write_errors'] == 0
    return {
        'all that was acknowledged is on disk': bool(last['missing'] == 0) if known else None,
        'nothing was refused or lost': bool(nothing_lost),
        'no run of episodes ended with an error': bool(last['endings'] == 0),
    }


def plot(path: Path, picture: Path) -> None:
    """Memory of each node over time, and below it what was late."""
    table = columns_of(path)
    figure, (memory, late) = plt.subplots(2, 1, figsize=(8, 6), sharex=True, layout='constrained')
    for name in _nodes(table):
        memory.plot(table['minute'], table[f'{name}_rss_mb'], label=name.replace('_', ' '))
    memory.set(ylabel='resident memory [MB]', ylim=(0, None))
    memory.legend(ncols=2, fontsize='small')
    for name in ('late_steps', 'late_plans'):
        minutes, shares = by_minute(table, name)
        late.plot(minutes, 100 * shares, label=name.replace('_', ' '))
    late.set(xlabel='minutes', ylabel='of the control periods [%]', ylim=(0, None))
    others: Any = late.twinx()
    others.fill_between(table['minute'], 100 * table['others'], color='0.8', label='others')
    others.set(ylabel='of the machine, by others [%]', ylim=(0, 100))
    late.set_zorder(others.get_zorder() + 1)
    late.patch.set_visible(False)
    late.legend(loc='upper left', fontsize='small')
    figure.savefig(picture, dpi=120)
    plt.close(figure)
    print(f'picture: {picture}')


def main() -> None:
    """Print and draw what is in a file."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('csv', type=Path, help='what soak.py has written')
    arguments: Any = parser.parse_args()
    plot(arguments.csv, arguments.csv.with_suffix('.png'))
    raise SystemExit(0 if report(arguments.csv) else 1)


if __name__ == '__main__':
    main()
