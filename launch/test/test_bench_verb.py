"""``mbrl bench`` on the command line: what it refuses, and what it leaves and prints."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from mbrl_bringup import cli
from mbrl_bringup.bench import verb
from mbrl_bringup.bench.rows import Rows, read
from mbrl_bringup.testing_bench import row

TASK = 'cartpole_swingup'
QUICK = ('--seeds', '1', '--episodes', '2', '--max-steps', '8')


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """In a folder of its own, with the signals left alone."""
    monkeypatch.setattr(cli, 'remember_signals', lambda: None)
    monkeypatch.setattr(cli, 'interrupt_at_once', lambda: None)
    monkeypatch.chdir(tmp_path)
    return iter([tmp_path])


def bench(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        cli.main(['bench', *arguments])
    return end.value.code  # type: ignore[return-value]


@pytest.mark.parametrize(
    ('arguments', 'complaint'),
    [
        ((), 'TASK is missing'),
        (('dance',), "there is no task 'dance'; there is ant"),
        ((TASK, '--recipe', 'dreams'), "there is no recipe 'dreams'"),
        ((TASK, '--seeds', '0'), '0 must be at least 1'),
        ((TASK, '--params-file', 'none.yaml'), 'none.yaml: cannot be read'),
        (('--table',), 'benchmarks/results/bench has no results; `mbrl bench TASK` makes some'),
        (('--table', 'hopper', '--results', '.'), "no results of the task 'hopper'"),
    ],
)
def test_what_is_wrong_is_said(
    arguments: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(*arguments) == verb.EXIT_USAGE
    assert complaint in capsys.readouterr().err


def test_recipes_are_listed_with_what_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench('--recipes') == 0
    text = capsys.readouterr().out
    assert 'true_model' in text and 'mbmf' in text and 'random shooting' in text


@pytest.mark.parametrize('recipe', ['random', 'true_model'])
def test_a_run_leaves_rows_and_a_curve_and_a_second_one_runs_nothing(
    recipe: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (TASK, '--recipe', recipe, *QUICK)
    assert bench(*arguments) == 0
    folder = Path('benchmarks/results/bench')
    assert sorted(path.name for path in folder.iterdir()) == [
        f'{TASK}-{recipe}.csv',
        f'{TASK}.png',
    ]
    rows = read(folder / f'{TASK}-{recipe}.csv')
    assert [(each.episode, each.steps) for each in rows] == [(0, 8), (1, 8)]
    assert not any(each.unchanged for each in rows)
    printed = capsys.readouterr().out
    assert printed.count('random' if recipe == 'random' else 'planned') >= 2
    assert '(task changed)' in printed
    before = (folder / f'{TASK}-{recipe}.csv').read_bytes()
    assert bench(*arguments) == 0
    assert (folder / f'{TASK}-{recipe}.csv').read_bytes() == before
    assert '2 episodes are there already' in capsys.readouterr().out


def test_rows_of_other_settings_are_refused_and_kept(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert bench(TASK, '--recipe', 'random', *QUICK, '--out', 'a.csv') == 0
    before = Path('a.csv').read_bytes()
    assert bench(TASK, '--recipe', 'random', *QUICK[:-1], '9', '--out', 'a.csv') == verb.EXIT_USAGE
    assert 'other settings' in capsys.readouterr().err
    assert Path('a.csv').read_bytes() == before


def test_the_table_has_ours_and_theirs_with_sources(capsys: pytest.CaptureFixture[str]) -> None:
    rows = Rows(Path('results/any.csv'))
    for episode in range(2):
        rows.put(row(0, episode, episode_return=50.0))
    assert bench('--table', '--results', 'results') == 0
    text = capsys.readouterr().out
    assert '9.0' in text and 'pets 50.0' in text
    assert 'https://github.com/quanvuong/handful-of-trials-pytorch' in text
    assert bench('--table', TASK, '--results', 'results', '--markdown') == 0
    lines = capsys.readouterr().out.splitlines()
    assert f'| {TASK} | 400 | best so far | PETS | 9.0 | pets 50.0 | [1] | - |' in lines


def test_a_damaged_file_is_named_and_the_others_are_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Rows(Path('results/good.csv')).put(row(0, 0))
    Path('results/bad.csv').write_text('nonsense\n')
    assert bench('--table', '--results', 'results') == verb.EXIT_FAILED
    output = capsys.readouterr()
    assert 'results/bad.csv is no file of mbrl bench' in output.err
    assert 'cartpole_swingup' in output.out


@pytest.mark.skipif(
    importlib.util.find_spec('stable_baselines3') is not None,
    reason='stable-baselines3 is installed',
)
def test_the_model_free_line_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(TASK, '--recipe', 'sac', *QUICK) == verb.EXIT_USAGE
    assert 'pip install stable-baselines3' in capsys.readouterr().err
