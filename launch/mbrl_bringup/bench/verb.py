"""``mbrl bench``: the verb. What takes time to load is loaded where it is needed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mbrl_bringup.bench.parser import RESULTS

EXIT_FAILED = 1
EXIT_USAGE = 2


def run(arguments: argparse.Namespace, terminal: Any) -> int:
    """Run the verb; returns the exit code."""
    from mbrl_common.settings import SettingsError

    try:
        if arguments.recipes:
            return _list_recipes(terminal)
        if arguments.table:
            return _print_table(arguments, terminal)
        return _run(arguments, terminal)
    except SettingsError as error:
        terminal.error(str(error))
        return EXIT_USAGE
    except OSError as error:
        terminal.error(str(error))
        return EXIT_FAILED


def _list_recipes(terminal: Any) -> int:
    from mbrl_bringup.bench.recipes import about, recipe_names

    terminal.table(('recipe', ''), ((name, about(name)) for name in recipe_names()))
    return 0


def _print_table(arguments: argparse.Namespace, terminal: Any) -> int:
    from mbrl_bringup.bench import table
    from mbrl_common.settings import SettingsError

    paths = sorted(arguments.results.glob('*.csv'))
    runs, problems = table.load(paths)
    if arguments.task is not None:
        runs = {key: rows for key, rows in runs.items() if key[0] == arguments.task}
    for problem in problems:
        terminal.error(problem)
    if not runs:
        of = '' if arguments.task is None else f" of the task '{arguments.task}'"
        raise SettingsError(
            [f'{arguments.results} has no results{of}; `mbrl bench TASK` makes some']
        )
    published, sources = table.beside(runs)
    tables = [(table.OURS_COLUMNS, table.ours(runs))]
    if published:
        tables.append((table.BESIDE_COLUMNS, published))
    _widen(terminal)
    for columns, rows in tables:
        if arguments.markdown:
            terminal.console.print(table.markdown(columns, rows), markup=False)
        else:
            terminal.table(columns, rows)
        terminal.console.print()
    for source in sources:
        text = f'- {source}' if arguments.markdown else source
        terminal.console.print(text, markup=False)
    return EXIT_FAILED if problems else 0


def _run(arguments: argparse.Namespace, terminal: Any) -> int:
    from mbrl_bringup.bench import curve, table
    from mbrl_bringup.bench.progress import BenchDisplay
    from mbrl_bringup.bench.recipes import digest, recipe
    from mbrl_bringup.bench.rows import read
    from mbrl_bringup.bench.runs import BY_GRAPH, Bench, SeedFailedError, run
    from mbrl_bringup.tasks import learning_settings, params_file_of
    from mbrl_common.settings import SettingsError
    from mbrl_planner.plan import NoModelError
    from mbrl_sim_bridge.simulation import SimulationError

    if arguments.task is None:
        raise SettingsError(['TASK is missing: `mbrl tasks` lists the tasks'])
    params_file = arguments.params_file or params_file_of(arguments.task)
    learning = learning_settings(params_file)
    chosen = recipe(arguments.recipe, arguments.task, params_file)
    if arguments.graph and chosen.runner != 'learn':
        raise SettingsError(
            [
                f"the recipe '{chosen.name}' has no graph: it plans in no model, and the nodes do "
                'nothing else; leave --graph out'
            ]
        )
    episodes = arguments.episodes or learning.trials
    ending = BY_GRAPH if arguments.graph else ''
    bench = Bench(
        task=arguments.task,
        params_file=params_file,
        recipe=chosen,
        settings=digest(chosen, params_file, arguments.max_steps) + ending,
        unchanged=arguments.params_file is None
        and arguments.max_steps in (None, learning.task.max_steps),
        seeds=arguments.seeds,
        episodes=episodes,
        exploration_episodes=chosen.exploration_episodes(episodes, learning.exploration_trials),
        max_steps=arguments.max_steps,
        out=arguments.out or RESULTS / f'{arguments.task}-{chosen.name}{ending}.csv',
        keep=arguments.keep,
        graph=arguments.namespace if arguments.graph else None,
        threads=arguments.threads,
        video=arguments.video,
    )
    if bench.video:
        from mbrl_bringup.bench import films

        films.check(bench)
    max_steps = arguments.max_steps or learning.task.max_steps
    terminal.step(f'{bench.task}, {bench.name}: {chosen.about}')
    before = read(bench.out) if bench.out.exists() else []
    if before:
        terminal.note(f'{bench.out}: {len(before)} episodes are there already')
    try:
        with BenchDisplay(terminal, bench, before, max_steps) as display:
            rows = run(bench, display)
    except (SimulationError, NoModelError, SeedFailedError) as error:
        terminal.error(str(error))
        return EXIT_FAILED
    folder = bench.out.parent
    runs, problems = table.load({bench.out, *folder.glob(f'{bench.task}-*.csv')})
    for problem in problems:
        terminal.note(problem)
    picture = _picture(folder, bench.task)
    curve.draw(picture, bench.task, runs)
    if len({(row.versions, row.machine) for row in rows}) > 1:
        terminal.note(f'{bench.out} has rows of several versions or machines')
    only = {(bench.task, bench.name): rows}
    _widen(terminal)
    terminal.table(table.OURS_COLUMNS, table.ours(only))
    terminal.note(
        f'{bench.out}, {picture}; `mbrl bench --table` puts them beside published figures'
    )
    return 0


def _widen(terminal: Any) -> None:
    if not terminal.console.is_terminal:
        terminal.console.width = 1000  # no line is folded


def _picture(folder: Path, task: str) -> Path:
    return folder / f'{task}.png'
