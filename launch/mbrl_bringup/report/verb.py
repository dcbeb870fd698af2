"""``mbrl report``: the verb. What takes time to load is loaded where it is needed."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

EXIT_FAILED = 1
EXIT_USAGE = 2


def run(arguments: argparse.Namespace, terminal: Any) -> int:
    """Run the verb; returns the exit code."""
    from mbrl_bringup.report.run import GivenWrongly
    from mbrl_common.settings import SettingsError

    try:
        return _run(arguments, terminal)
    except (GivenWrongly, SettingsError) as error:
        terminal.error(str(error))
        return EXIT_USAGE
    except OSError as error:
        terminal.error(str(error))
        return EXIT_FAILED


def _run(arguments: argparse.Namespace, terminal: Any) -> int:
    from mbrl_bringup.report.collect import check_run, collect_run
    from mbrl_bringup.report.compare import comparison_of
    from mbrl_bringup.report.page import check_target, render, write
    from mbrl_bringup.report.run import Options
    from mbrl_bringup.report.single import page_of

    out = arguments.out or _default_target(arguments.runs)
    options = Options(_params_file(arguments), _model(arguments))
    for path in arguments.runs:
        check_run(path)
    check_target(out)
    with _progress(terminal) as say:
        runs = []
        for path in arguments.runs:
            say(f'reading {path}')
            runs.append(collect_run(path, options, say))
        page = page_of(runs[0], say) if len(runs) == 1 else comparison_of(runs, say)
        write(out, render(page))
    for problem in page.problems:
        terminal.error(problem)
    for note in page.notes:
        terminal.note(note)
    terminal.console.print(page.verdict, markup=False)
    terminal.console.print(f'{out} ({out.stat().st_size / 1e6:.1f} MB)', markup=False)
    if arguments.open:
        import webbrowser

        webbrowser.open(out.resolve().as_uri())
    return EXIT_FAILED if page.problems else 0


def _default_target(runs: list[Path]) -> Path:
    if len(runs) > 1:
        return Path('report.html')
    return runs[0] / 'report.html' if runs[0].is_dir() else runs[0].with_suffix('.html')


def _params_file(arguments: argparse.Namespace) -> Path | None:
    from mbrl_bringup.report.run import GivenWrongly
    from mbrl_bringup.tasks import params_file_of

    if arguments.task is not None:
        return params_file_of(arguments.task)
    if arguments.params_file is not None and not arguments.params_file.is_file():
        raise GivenWrongly(f'there is no parameter file {arguments.params_file}')
    return arguments.params_file


def _model(arguments: argparse.Namespace) -> Path | None:
    from mbrl_bringup.report.run import GivenWrongly
    from mbrl_dynamics.snapshot import SnapshotError, decode

    if arguments.model is not None:
        try:
            decode(arguments.model.read_bytes())
        except (OSError, SnapshotError) as error:
            raise GivenWrongly(f'{arguments.model} is no model: {error}') from error
    return arguments.model


@contextlib.contextmanager
def _progress(terminal: Any) -> Iterator[Any]:
    """Shows, where there is a terminal to redraw, what is being done."""
    if not terminal.console.is_terminal:
        yield lambda text: None
        return
    with terminal.console.status('reading') as status:
        yield status.update
