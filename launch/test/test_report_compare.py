"""``mbrl report RUN RUN ...``: several runs side by side."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from mbrl_bringup import csv_table
from mbrl_bringup.episodes import EpisodeRow
from mbrl_bringup.report import compare
from mbrl_bringup.report.collect import collect_run
from mbrl_bringup.report.run import Options, Run
from mbrl_bringup.testing_report import PageReader, fetched, make_run, report


@pytest.fixture(scope='module')
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three seeds of one kind, and one run with a shorter horizon."""
    top = tmp_path_factory.mktemp('compare')
    for seed in range(3):
        make_run(top / f'seed{seed}', seed=seed, episodes=2)
    make_run(top / 'short', episodes=2, changes={'planner': {'planner.horizon': 4}})
    return [top / name for name in ('seed0', 'seed1', 'short', 'seed2')]


@pytest.fixture(scope='module')
def page(folders: list[Path]) -> PageReader:
    out = folders[0].parent / 'all.html'
    assert report(*folders, '--out', out) == 0
    return PageReader(out.read_text())


@pytest.fixture(scope='module')
def runs(folders: list[Path]) -> list[Run]:
    return [collect_run(path, Options(), lambda text: None) for path in folders]


def test_nothing_is_fetched_and_all_parts_are_there(page: PageReader) -> None:
    assert fetched(page) == []
    assert [each.words for each in page.all('h2')][-4:] == [
        'Runs',
        'Learning curves',
        'Medians',
        'Settings that differ',
    ]
    assert page.drawings() == ['Returns cartpole_swingup', 'Model errors cartpole_swingup']


def test_runs_of_the_same_settings_are_a_group(runs: list[Run]) -> None:
    groups = compare.groups_of(runs)
    names = [[run.name for run in group.runs] for group in groups]
    assert names == [['seed0', 'seed1', 'seed2'], ['short']]
    assert [group.label for group in groups] == ['A: 3 runs, horizon 5', 'B: short']


def test_each_run_has_a_row_with_its_best_return(page: PageReader, folders: list[Path]) -> None:
    rows = next(table for table in page.tables() if 'best return' in table[0])[1:]
    assert [row[:4] for row in rows] == [
        ['seed0', 'A', 'cartpole_swingup', '0'],
        ['seed1', 'A', 'cartpole_swingup', '1'],
        ['short', 'B', 'cartpole_swingup', '0'],
        ['seed2', 'A', 'cartpole_swingup', '2'],
    ]
    shown = page.values()
    for folder in folders:
        planned = csv_table.read(folder / 'episodes.csv', EpisodeRow)[1:]
        assert max(row.episode_return for row in planned) in shown


def test_medians_are_those_of_the_tables(
    page: PageReader, folders: list[Path], runs: list[Run]
) -> None:
    own = [csv_table.read(path / 'episodes.csv', EpisodeRow) for path in folders if
           path.name != 'short']  # fmt: skip
    best = statistics.median(rows[1].episode_return for rows in own)
    assert best in page.values()
    (group, _) = compare.groups_of(runs)
    assert compare.median_curve(group, lambda row: row.episode_return) == [
        (60, statistics.median(rows[0].episode_return for rows in own)),
        (120, best),
    ]


def test_only_settings_that_differ_are_listed(page: PageReader) -> None:
    table = next(table for table in page.tables() if 'parameter' in table[0])
    assert table == [
        ['node', 'parameter', 'seed0', 'seed1', 'short', 'seed2'],
        ['planner', 'planner.horizon', '5', '5', '4', '5'],
    ]


def test_a_setting_that_one_does_not_give_is_the_default_there() -> None:
    assert compare.differences([{'a': 1, 'b': 2}, {'b': 2}, {'a': 1, 'b': 2}]) == [
        ('a', ['1', '(default)', '1'])
    ]


def test_runs_of_one_name_are_told_apart(folders: list[Path], tmp_path: Path) -> None:
    out = tmp_path / 'page.html'
    assert report(folders[0], folders[0], '--out', out) == 0
    rows = next(t for t in PageReader(out.read_text()).tables() if 'best return' in t[0])[1:]
    assert rows[0][0] != rows[1][0]
    assert all('seed0' in row[0] for row in rows)


def test_bags_stand_beside_runs(folders: list[Path], tmp_path: Path) -> None:
    out = tmp_path / 'page.html'
    assert report(folders[0], folders[1] / 'data', '--out', out) == 0
    page = PageReader(out.read_text())
    assert any('Fewer than two runs have parameters' in each.words for each in page.all('p'))
    assert len(page.drawings()) >= 2


def test_one_that_is_no_run_is_refused_and_nothing_is_written(
    folders: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert report(folders[0], tmp_path / 'none') == 2
    assert list(tmp_path.iterdir()) == []


def test_several_runs_go_here_by_default(
    folders: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert report(*folders[:2]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ['report.html']
