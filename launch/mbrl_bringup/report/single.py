"""The page of one run: which sections it has, and what stands in them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

from mbrl_bringup.report import faults, plots
from mbrl_bringup.report.best_section import best_blocks
from mbrl_bringup.report.blocks import (
    Block,
    Cell,
    Figure,
    Listing,
    Page,
    Plot,
    Section,
    Table,
    Text,
    cells,
    milliseconds,
    number,
    percent,
    texts,
)
from mbrl_bringup.report.model_section import model_blocks
from mbrl_bringup.report.published_notes import published_blocks
from mbrl_bringup.report.run import Run, Say, median
from mbrl_bringup.report.svg import inline

_MANY_ROWS = 30


def page_of(run: Run, say: Say) -> Page:
    """Everything that there is to say of a run."""
    say('drawing')
    sections = [
        Section(anchor, title, blocks)
        for anchor, title, blocks in (
            ('learning', 'Learning', list(_learning(run))),
            ('best', 'Best episode', list(best_blocks(run))),
            ('model', 'The model', list(model_blocks(run))),
            ('training', 'Training', list(_training(run))),
            ('plans', 'Plans', [*_returns(run), *_times(run)]),
            ('faults', 'Faults and clamps', list(_faults(run))),
            ('settings', 'Settings and versions', list(_settings(run))),
        )
        if blocks
    ]
    seed = '' if run.seed is None else f', seed {run.seed}'
    return Page(
        title=run.name,
        subtitle=f'{run.task or "task not known"}{seed}',
        verdict=verdict(run),
        figures=list(_figures(run)),
        problems=run.problems,
        notes=run.notes,
        sections=sections,
    )


def verdict(run: Run) -> str:
    """What came of it, in a sentence."""
    best, solved = run.best, run.solved
    if best is None:
        return 'No episode is known, so there is nothing to say of its return.'
    reached = f'Best return {number(best.episode_return).text}, in episode {best.episode}'
    if math.isnan(run.target_return):
        return f'{reached}.'
    target = number(run.target_return).text
    if solved is None:
        return f'Not solved: {reached.lower()}; the target is {target}.'
    return (
        f'Solved in episode {solved.episode}, after {solved.total_steps:,} control steps: return '
        f'{number(solved.episode_return).text}, the target is {target}.'
    )


def _figures(run: Run) -> Iterator[Figure]:
    best = run.best
    if best is not None:
        yield Figure('best return', number(best.episode_return), f'episode {best.episode}')
    yield Figure('episodes', Cell(str(len(run.episodes))), f'{run.steps:,} control steps')
    errors = [row.model_error for row in run.episodes if not math.isnan(row.model_error)]
    if errors:
        yield Figure('model error', number(errors[-1], '.3g'), 'last episode; 1: knows nothing')
    if run.evaluation is not None:
        yield Figure('90 % intervals hold', percent(run.evaluation.coverage_90), 'one step')
    times = median([row.plan_time_p50 for row in run.episodes])
    if not math.isnan(times):
        yield Figure('plan [ms]', milliseconds(times), 'median')
    if run.status:
        counts = faults.totals(run.status)
        late, clamped = counts['late_plans'], counts['clamped_actions']
        yield Figure('late plans', Cell(str(late)), f'{clamped} clamped actions')


def _learning(run: Run) -> Iterator[Block]:
    if not run.episodes:
        return
    yield Plot(
        inline(partial(plots.draw_learning_curve, run), 'Learning curve'),
        'Return over control steps',
        'Look for how soon it rises, and whether it stays up once it is there.',
    )
    yield Plot(
        inline(partial(plots.draw_returns, run), 'Return by episode'),
        'Return by episode',
        'Look for episodes that fall out: what went wrong in them is further down.',
    )
    yield _episodes(run)
    yield from published_blocks(run)


def _episodes(run: Run) -> Table:
    columns = ['episode', 'kind', 'steps', 'total steps', 'return', 'end']
    full = not run.from_bags
    if full:
        columns += ['model', 'model error', 'held out', 'plan p50 [ms]', 'p95 [ms]']
        columns += ['training [s]', 'wall [s]']
    rows = []
    for row in run.episodes:
        end = 'terminated' if row.terminated else 'truncated' if row.truncated else 'cut off'
        line = [
            Cell(str(row.episode), str(row.episode)),
            Cell(row.kind),
            Cell(str(row.steps), str(row.steps)),
            Cell(f'{row.total_steps:,}', str(row.total_steps)),
            number(row.episode_return),
            Cell(end),
        ]
        if full:
            line += [
                Cell(str(row.model_version), str(row.model_version)),
                number(row.model_error, '.3g'),
                number(row.holdout_error, '.3g'),
                milliseconds(row.plan_time_p50),
                milliseconds(row.plan_time_p95),
                number(row.training_time, '.1f'),
                number(row.wall_time, '.1f'),
            ]
        rows.append(line)
    return Table('All episodes', columns, rows, folded=len(rows) > _MANY_ROWS)


def _training(run: Run) -> Iterator[Block]:
    if any(not math.isnan(row.model_error) for row in run.episodes):
        yield Plot(
            inline(partial(plots.draw_model_error, run), 'Model error by episode'),
            'Model error by episode',
            'Look for it to fall; where it is far above that on held-out data, the robot was where '
            'the model had not been.',
        )
    known = [each for each in run.models if not math.isnan(each.holdout_error)]
    if known:
        yield Plot(
            inline(partial(plots.draw_training, run.models), 'Held-out error by model version'),
            'Held-out error by model version',
            'Look for it to fall as data come in; 1 is a model that knows nothing.',
        )
    if run.models:
        rows = [
            [
                Cell(str(each.version), str(each.version)),
                Cell(f'{each.dataset_size:,}', str(each.dataset_size)),
                number(each.holdout_error, '.3g'),
                number(each.longest_error, '.3g'),
                percent(each.coverage_90),
                number(each.training_time, '.1f'),
            ]
            for each in run.models
        ]
        columns = ['model', 'transitions', 'error, 1 step', 'error, many', '90 % hold', 'time [s]']
        yield Table('Models', columns, rows, folded=len(rows) > _MANY_ROWS)
    failed = [each for each in run.trainings if each.failed]
    if failed:
        lines = [(each.job_id, each.dataset_size, each.text) for each in failed]
        yield Table('Trainings that failed', ['job', 'transitions', 'why'], cells(lines))


def _returns(run: Run) -> Iterator[Block]:
    pairs = faults.predictions(run.status)
    if pairs:
        short = median([received - predicted for _, predicted, received in pairs])
        yield Plot(
            inline(partial(plots.draw_predictions, pairs), 'Predicted and received return'),
            'What plans promised, and what came',
            'Look for dots on the line; below it, the plans made use of what the model gets wrong. '
            f'{len(pairs)} plans whose horizon has passed, one each second; received less '
            f'predicted: median {number(short).text}.',
        )


def _times(run: Run) -> Iterator[Block]:
    if any(not math.isnan(row.plan_time_p50) for row in run.episodes):
        yield Plot(
            inline(partial(plots.draw_plan_times, run), 'Planning time by episode'),
            'Planning time by episode',
            'In real time, look for the 95th percentile to stay below the control period; in '
            'lockstep nothing hangs on it.',
        )


def _faults(run: Run) -> Iterator[Block]:
    if run.status:
        counts = faults.by_episode(run.status)
        total = faults.totals(run.status)
        if any(total.values()):
            yield Plot(
                inline(partial(plots.draw_faults, run.status), 'Faults by episode'),
                'Faults by episode',
                'Look for kinds that keep coming: late plans ask for a cheaper planner, clamps for '
                'a look at bounds and rate limits.',
            )
        shown = [name for name in counts if total[name]]
        rows = [[Cell(faults.COUNTERS[n]), Cell(str(total[n]), str(total[n]))] for n in total]
        rows += [
            [Cell(f'seconds waiting for {what}'), Cell(f'about {count}')]
            for what, count in faults.waiting(run.status).items()
        ]
        yield Table('Counts of the whole run', ['what', 'count'], rows, beside=True)
        if shown:
            episodes = sorted({each for name in shown for each in counts[name]})
            lines = [
                [Cell(str(each), str(each))]
                + [Cell(str(n), str(n)) for n in (counts[name].get(each, 0) for name in shown)]
                for each in episodes
            ]
            names = [faults.COUNTERS[name] for name in shown]
            yield Table('By episode', ['episode', *names], lines, folded=True)
        said = faults.messages(run.status)
        if said:
            yield Table('What the controller said', ['first in episode', 'text'], cells(said))
    elif run.episodes:
        yield Text(
            ['Counts of faults are not recorded in this run: there is no status.csv, and no bag '
             'has a topic controller_status.']
        )  # fmt: skip
    if run.log:
        found = [(each.count, each.level, each.node, each.text) for each in run.log]
        yield Table('Warnings and errors', ['times', 'level', 'node', 'text'], cells(found))


def _settings(run: Run) -> Iterator[Block]:
    if run.versions:
        yield Table('Versions', ['package', 'version'], cells(sorted(run.versions.items())))
    said = [
        (node, name, value)
        for node, values in run.settings.items()
        for name, value in sorted(values.items())
    ]
    if said:
        yield Table(
            'Parameters, those of the command line included',
            ['node', 'parameter', 'value'],
            [texts(*row) for row in said],
            folded=True,
        )
    if run.settings_text:
        yield Listing('The parameter file as it was', run.settings_text)
