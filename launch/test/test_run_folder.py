"""Run folders and the table of episodes in them."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import pytest

from mbrl_bringup.episodes import EpisodeLog, EpisodeRow
from mbrl_bringup.pictures import draw_learning_curve
from mbrl_bringup.run_folder import RunFolder
from mbrl_common.settings import SettingsError


def summary(episode: int, planned: bool = True, gain: float = 12.5) -> SimpleNamespace:
    """An ``mbrl_msgs/EpisodeSummary``."""
    return SimpleNamespace(
        SOURCE_PLAN=0,
        SOURCE_EXPLORATION=1,
        source=0 if planned else 1,
        episode=episode,
        steps=200,
        total_steps=4711,
        episode_return=gain,
        terminated=False,
        truncated=True,
        model_version=episode,
        model_error=0.125 if planned else math.nan,
        holdout_error=0.1,
        plan_time_p50=0.0045,
        plan_time_p95=0.006,
        model_steps_per_action=5800,
        training_time=3.2,
        wall_time=5.0,
    )


@pytest.fixture
def params(tmp_path: Path) -> Path:
    path = tmp_path / 'task.yaml'
    path.write_text('# a comment, too\n/**: {}\n')
    return path


def test_a_run_keeps_its_parameters_seed_and_versions(tmp_path: Path, params: Path) -> None:
    folder = RunFolder(tmp_path / 'runs' / 'a')
    folder.create('swing', params, seed=5)
    assert folder.parameters.read_bytes() == params.read_bytes()
    record = RunFolder(folder.path).load()
    assert (record['task'], record['seed']) == ('swing', 5)
    assert record['versions'].keys() >= {'python', 'torch', 'mujoco', 'ros'}


def test_a_run_is_never_started_over_another(tmp_path: Path, params: Path) -> None:
    RunFolder(tmp_path / 'a').create('swing', params, 0)
    with pytest.raises(SettingsError, match='--resume'):
        RunFolder(tmp_path / 'a').create('swing', params, 0)


def test_a_folder_that_cannot_be_made_is_refused(params: Path) -> None:
    with pytest.raises(SettingsError, match='cannot be made a run folder'):
        RunFolder(params / 'below a file').create('swing', params, 0)


@pytest.mark.parametrize('content', [None, '- a list', 'task: swing', '{'])
def test_going_on_needs_a_run(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / 'run.yaml').write_text(content)
    with pytest.raises(SettingsError, match=r'run\.yaml|holds no run'):
        RunFolder(tmp_path).load()


def test_episodes_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    log = EpisodeLog(tmp_path / 'episodes.csv')
    for number in range(3):
        row = EpisodeRow.from_summary(summary(number, planned=number > 0), log.total_steps)
        log.append(row)
    again = EpisodeLog(log.path)
    assert [repr(row) for row in again.rows] == [repr(row) for row in log.rows]  # NaN != NaN
    assert [row.total_steps for row in again.rows] == [200, 400, 600]
    assert [row.kind for row in again.rows] == ['random', 'planned', 'planned']


def test_a_row_is_on_disk_as_soon_as_its_episode_ended(tmp_path: Path) -> None:
    log = EpisodeLog(tmp_path / 'episodes.csv')
    log.append(EpisodeRow.from_summary(summary(0), 0))
    assert len(log.path.read_text().splitlines()) == 2


def test_a_row_whose_write_was_cut_off_is_dropped(tmp_path: Path) -> None:
    log = EpisodeLog(tmp_path / 'episodes.csv')
    for number in range(2):
        log.append(EpisodeRow.from_summary(summary(number), log.total_steps))
    log.path.write_text(log.path.read_text()[:-20])
    again = EpisodeLog(log.path)
    again.append(EpisodeRow.from_summary(summary(1), again.total_steps))
    assert [row.episode for row in EpisodeLog(log.path).rows] == [0, 1]


def test_a_file_that_is_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / 'episodes.csv'
    path.write_text('a,b\n1,2\n')
    with pytest.raises(SettingsError, match='line 2'):
        EpisodeLog(path)


def test_the_best_trial_is_a_planned_one(tmp_path: Path) -> None:
    log = EpisodeLog(tmp_path / 'episodes.csv')
    assert log.best() is None
    for number, (planned, gain) in enumerate([(False, 99.0), (True, 10.0), (True, 30.0)]):
        log.append(EpisodeRow.from_summary(summary(number, planned, gain), log.total_steps))
    best = log.best()
    assert best is not None
    assert best.episode == 2


def test_the_learning_curve_is_a_picture(tmp_path: Path) -> None:
    rows = [EpisodeRow.from_summary(summary(number, gain=50.0 * number), 200 * number)
            for number in range(4)]  # fmt: skip
    path = tmp_path / 'curve.png'
    draw_learning_curve(path, 'cartpole_swingup', rows, 175.0)
    assert path.read_bytes().startswith(b'\x89PNG')
