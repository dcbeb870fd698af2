"""Rows of ``mbrl bench`` on disk: what comes back, and what a damaged file does."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from mbrl_bringup.bench.rows import Row, Rows, machine, read, versions
from mbrl_bringup.testing_bench import row
from mbrl_common.settings import SettingsError


def same(left: list[Row], right: list[Row]) -> bool:
    """NaN equals NaN here."""
    return [repr(each) for each in left] == [repr(each) for each in right]


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / 'new' / 'rows.csv'
    rows = Rows(path)
    written = [row(1), row(0), row(0, 1, terminated=True, machine='a, "quoted" one')]
    for each in written:
        rows.put(each)
    expected = [written[1], written[2], written[0]]
    assert same(read(path), expected)
    assert same(rows.rows, expected)
    assert [each.name for each in path.parent.iterdir()] == ['rows.csv']


def test_others_can_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / 'rows.csv'
    Rows(path).put(row(2, 3))
    with path.open(newline='') as file:
        (found,) = csv.DictReader(file)
    assert list(found) == [field.name for field in dataclasses.fields(Row)]
    assert (found['seed'], found['episode'], found['environment_steps']) == ('2', '3', '800')
    assert float(found['episode_return']) == 0.1 + 0.2
    assert found['score'] == 'nan'


def test_a_row_of_the_same_episode_is_replaced(tmp_path: Path) -> None:
    rows = Rows(tmp_path / 'rows.csv')
    rows.put(row(wall_time=1.0))
    rows.put(row(wall_time=2.0))
    assert [each.wall_time for each in read(rows.path)] == [2.0]


def test_the_rows_of_a_seed_end_where_one_is_missing(tmp_path: Path) -> None:
    rows = Rows(tmp_path / 'rows.csv')
    for seed, episode in ((0, 0), (0, 1), (0, 3), (1, 1)):
        rows.put(row(seed, episode))
    assert [each.episode for each in rows.of_seed(0)] == [0, 1]
    assert rows.of_seed(1) == rows.of_seed(2) == []
    assert len(rows.rows) == 4


@pytest.mark.parametrize('lost', [1, 7, 100])
def test_a_last_line_that_was_cut_off_is_not_there_and_the_others_are(
    tmp_path: Path, lost: int
) -> None:
    path = tmp_path / 'rows.csv'
    rows = Rows(path)
    for episode in range(3):
        rows.put(row(episode=episode))
    path.write_bytes(path.read_bytes()[:-lost])
    again = Rows(path)
    assert again.cut_off
    assert [each.episode for each in again.of_seed(0)] == [0, 1]
    again.put(row(episode=2))
    assert not Rows(path).cut_off
    assert same(read(path), rows.rows)


def test_an_empty_file_and_half_a_header_are_a_new_one(tmp_path: Path) -> None:
    for text in ('', 'task,reci'):
        path = tmp_path / 'rows.csv'
        path.write_text(text)
        assert read(path) == []


@pytest.mark.parametrize(
    ('spoil', 'complaint'),
    [
        (lambda text: text.replace('wall_time', 'time', 1), 'is no file of mbrl bench'),
        (lambda text: text.replace(',200,200,', ',many,200,', 1), 'row 2 is damaged'),
        (lambda text: text.replace('False', 'perhaps', 1), "'perhaps' is neither"),
        (lambda text: text.replace('planned,', '', 1), 'row 2 is damaged: 21 values, not 22'),
        (lambda text: text + text.splitlines()[1] + '\n', 'seed 0, episode 0 twice'),
    ],
)
def test_a_damaged_file_is_refused_and_left_alone(
    tmp_path: Path, spoil: Any, complaint: str
) -> None:
    path = tmp_path / 'rows.csv'
    rows = Rows(path)
    rows.put(row())
    rows.put(row(episode=1))
    spoilt = spoil(path.read_text())
    assert spoilt != path.read_text()
    path.write_text(spoilt)
    with pytest.raises(SettingsError, match=complaint):
        Rows(path)
    assert path.read_text() == spoilt


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / 'rows.csv'
    path.write_bytes(b'\xff\xfe\n')
    with pytest.raises(SettingsError, match='cannot be read'):
        Rows(path)


@pytest.mark.parametrize(
    ('other', 'complaint'),
    [
        (('reacher', 'pets', 'abc'), "task 'cartpole_swingup'"),
        (('cartpole_swingup', 'random', 'abc'), "recipe 'pets'"),
        (('cartpole_swingup', 'pets', 'xyz'), 'other settings'),
    ],
)
def test_rows_of_something_else_do_not_mix(
    tmp_path: Path, other: tuple[str, str, str], complaint: str
) -> None:
    rows = Rows(tmp_path / 'rows.csv')
    rows.put(row())
    rows.check('cartpole_swingup', 'pets', 'abc')
    with pytest.raises(SettingsError, match=complaint):
        rows.check(*other)


def test_versions_and_machine_say_what_was_run() -> None:
    assert 'torch=' in versions() and 'mujoco=' in versions() and 'unknown' not in versions()
    assert machine()[0].isdigit() and ' x ' in machine()
