"""What a graph says of itself, as rows in the run folder."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip('mbrl_msgs')

from mbrl_bringup import csv_table
from mbrl_bringup.status_log import STATES, StatusLog, StatusRow, TrainingRow
from mbrl_common.settings import SettingsError
from mbrl_msgs.msg import ControllerStatus, TrainingStatus


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def log(tmp_path: Path, notes: list[str]) -> StatusLog:
    return StatusLog(tmp_path / 'status.csv', tmp_path / 'trainings.csv', notes.append)


def status(**fields: object) -> ControllerStatus:
    message = ControllerStatus(state=ControllerStatus.RUNNING, **fields)
    message.stamp.sec, message.stamp.nanosec = 12, 500_000_000
    return message


def test_every_field_of_a_row_is_one_of_the_message() -> None:
    fields = set(ControllerStatus.get_fields_and_field_types())
    assert {field.name for field in dataclasses.fields(StatusRow)} <= fields
    fields = set(TrainingStatus.get_fields_and_field_types())
    assert {field.name for field in dataclasses.fields(TrainingRow)} - {'failed'} <= fields


def test_the_states_are_those_of_the_message() -> None:
    assert [getattr(ControllerStatus, name) for name in STATES] == list(range(len(STATES)))


def test_a_status_is_read_back_as_it_was_said(tmp_path: Path, log: StatusLog) -> None:
    log.controller(status(episode=3, late_plans=7, predicted_return=0.1 + 0.2, text='two\nlines'))
    (row,) = csv_table.read(tmp_path / 'status.csv', StatusRow)
    assert (row.stamp, row.state, row.episode, row.late_plans) == (12.5, 'RUNNING', 3, 7)
    assert row.predicted_return == 0.1 + 0.2
    assert row.text == 'two lines'


def test_a_field_that_an_older_message_lacks_is_not_known() -> None:
    stamp = SimpleNamespace(sec=1, nanosec=0)
    row = StatusRow.from_message(SimpleNamespace(stamp=stamp, state=9, episode=4))
    assert (row.episode, row.state, row.late_plans, row.text) == (4, '9', 0, '')
    assert math.isnan(row.surprise)


def test_each_training_that_ended_has_one_row(tmp_path: Path, log: StatusLog) -> None:
    idle, training, failed = TrainingStatus.IDLE, TrainingStatus.TRAINING, TrainingStatus.FAILED
    for job, state in ((0, idle), (1, training), (1, idle), (1, idle), (2, training), (2, failed)):
        log.training(TrainingStatus(job_id=job, state=state, model_version=1, holdout_error=0.25))
    rows = csv_table.read(tmp_path / 'trainings.csv', TrainingRow)
    assert [(row.job_id, row.failed) for row in rows] == [(1, False), (2, True)]
    assert rows[0].holdout_error == 0.25


def test_a_training_that_was_followed_by_another_at_once_has_its_row(
    tmp_path: Path, log: StatusLog
) -> None:
    idle, training = TrainingStatus.IDLE, TrainingStatus.TRAINING
    said = ((1, idle, 1), (2, training, 1), (3, training, 2), (3, training, 2), (3, idle, 3))
    for job, state, version in said:
        log.training(TrainingStatus(job_id=job, state=state, model_version=version))
    rows = csv_table.read(tmp_path / 'trainings.csv', TrainingRow)
    assert [(row.job_id, row.model_version) for row in rows] == [(1, 1), (2, 2), (3, 3)]


def test_a_log_whose_last_line_was_cut_off_is_gone_on_with(
    tmp_path: Path, log: StatusLog, notes: list[str]
) -> None:
    path = tmp_path / 'status.csv'
    for episode in range(2):
        log.controller(status(episode=episode))
    path.write_bytes(path.read_bytes()[:-30])
    again = StatusLog(path, tmp_path / 'trainings.csv', notes.append)
    again.controller(status(episode=7))
    assert [row.episode for row in csv_table.read(path, StatusRow)] == [0, 7]
    assert notes == []


def test_a_log_that_cannot_be_written_is_said_once_and_ends_nothing(
    tmp_path: Path, notes: list[str]
) -> None:
    (tmp_path / 'a file').touch()
    log = StatusLog(tmp_path / 'none' / 'status.csv', tmp_path / 'trainings.csv', notes.append)
    for episode in range(3):
        log.controller(status(episode=episode))
    log.training(TrainingStatus(job_id=1))
    assert len(notes) == 1
    assert notes[0].startswith('status.csv ends here: ')
    assert len(csv_table.read(tmp_path / 'trainings.csv', TrainingRow)) == 1


def test_who_only_looks_on_takes_whole_lines_alone(tmp_path: Path, log: StatusLog) -> None:
    path = tmp_path / 'status.csv'
    for episode in range(2):
        log.controller(status(episode=episode, text='whole'))
    path.write_bytes(path.read_bytes()[:-4])
    assert [row.episode for row in csv_table.read(path, StatusRow, whole_lines=True)] == [0]
    assert len(csv_table.read(path, StatusRow)) == 2


@pytest.mark.parametrize('content', [b'a,b\n1,2\n', b'\xff\xfe\n', b'stamp\nx\n'])
def test_a_table_of_another_kind_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / 'status.csv'
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=r'status\.csv'):
        csv_table.read(path, StatusRow)
