"""The command line, without a graph."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import pytest

from mbrl_bringup import cli
from mbrl_mpc.modes import MEANINGS

VERBS = (
    'up',
    'tasks',
    'status',
    'retrain',
    'replan',
    'goal',
    'mode',
    'evaluate',
    'data',
    'bench',
    'report',
    'watch',
)


@pytest.fixture(autouse=True)
def keep_signals(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(cli, 'remember_signals', lambda: None)
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    return iter([None])


def exit_code(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    return end.value.code  # type: ignore[return-value]


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code('--help') == 0
    text = capsys.readouterr().out
    assert all(f'\n    {verb} ' in text for verb in VERBS)


@pytest.mark.parametrize('verb', VERBS)
def test_each_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(verb, '--help') == 0
    assert f'usage: mbrl {verb}' in capsys.readouterr().out


def test_the_help_of_the_modes_explains_each_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code('mode', '--help') == 0
    lines = capsys.readouterr().out.splitlines()
    for name, meaning in MEANINGS.items():
        assert f'  {name:17} {meaning}' in lines


def test_every_option_has_a_help_text() -> None:
    verbs = next(
        action
        for action in cli.make_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    for name, verb in verbs.choices.items():
        assert verb.description, name
        assert all(action.help for action in verb._actions), name


@pytest.mark.parametrize(
    ('arguments', 'complaint'),
    [
        ((), 'VERB'),
        (('dance',), "invalid choice: 'dance'"),
        (('up',), 'TASK'),
        (('up', 'x', '--trials', '0'), '0 must be at least 1'),
        (('up', 'x', '--domain-id', '233'), '233 must be from 0 to 232'),
        (('up', 'x', '--resume', 'a', '--run-folder', 'b'), 'not allowed with'),
        (('goal',), 'X'),
        (('goal', 'up'), "'up'"),
        (('mode',), 'NAME'),
        (('mode', 'fast'), "invalid choice: 'fast' (choose from"),
        (('mode', 'every', '--every', '0'), '0 must be at least 1'),
        (('mode', 'on_error', '--bound', 'nan'), 'nan must be above 0'),
        (('mode', 'hold', '--every', '2'), '--every is for the mode every; this is hold'),
        (('mode', 'every', '--bound', '2'), '--bound is for the mode on_error; this is every'),
        (('status', '--timeout', '0'), '0 must be above 0'),
        (('evaluate', '--horizon', '1001'), '1001 must be from 1 to 1000'),
        (('data',), 'ACTION'),
        (('data', 'merge', 'runs'), '-o/--output'),
        (('data', 'import', 'x.mcap', '-o', 'y'), '--task --params-file'),
    ],
)
def test_a_wrong_command_line_is_refused_with_what_is_wrong(
    arguments: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(*arguments) == cli.EXIT_USAGE
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ('arguments', 'complaint'),
    [
        (('walk',), "no task 'walk'"),
        (('walk', '--params-file', 'nowhere.yaml'), 'no parameter file nowhere.yaml'),
        (('cartpole_swingup', '--resume', '.'), 'holds no run to go on with'),
    ],
)
def test_what_cannot_be_brought_up_is_refused_without_a_traceback(
    arguments: tuple[str, ...],
    complaint: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert exit_code('up', *arguments) == cli.EXIT_USAGE
    error = capsys.readouterr().err
    assert error.startswith('error: ')
    assert complaint in error
    assert not (tmp_path / 'runs').exists()


def test_goals_below_zero_are_goals(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli.make_parser().parse_args(['goal', '-0.5', '1']).values == [-0.5, 1.0]
