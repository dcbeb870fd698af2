"""Runs of ``mbrl bench``: stopped anywhere and gone on with, the rows are those of one run."""

from __future__ import annotations

import dataclasses
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from mbrl_bringup.bench.recipes import Recipe, digest, recipe
from mbrl_bringup.bench.rows import Row, read
from mbrl_bringup.bench.runs import Bench, run, time_left
from mbrl_bringup.tasks import params_file_of
from mbrl_bringup.testing_bench import row
from mbrl_common.settings import SettingsError
from mbrl_mpc.pilot import EpisodeRecord

pytestmark = pytest.mark.timeout(300)

TASK = 'cartpole_swingup'
STEPS = 30
TIMES = ('plan_time_p50', 'plan_time_p95', 'training_time', 'wall_time')
# As little as can be learned and planned; trained within episodes, too.
SMALL = {
    'dynamics': {
        'model.hidden': [8],
        'model.members': 2,
        'training.updates_after_episode': 5,
        'training.updates_within_episode': 5,
        'training.every_steps': 10,
        'training.min_transitions': 10,
    },
    'planner': {'planner.horizon': 3, 'optimizer.candidates': 4, 'optimizer.elites': 2},
}


class StoppedError(Exception):
    """By the test, as a signal would."""


class Watch:
    """Notes what is run, and stops it when told."""

    def __init__(self, stop: Callable[[EpisodeRecord | Row], bool] = lambda _: False) -> None:
        self.steps: list[tuple[int, int]] = []
        self.notes: list[str] = []
        self._stop = stop
        self._seed = 0

    @property
    def episodes(self) -> list[tuple[int, int]]:
        """Seed and episode of all that were at least begun, in order."""
        return list(dict.fromkeys(self.steps))

    def note(self, text: str) -> None:
        self.notes.append(text)

    def begin(self, seed: int) -> None:
        self._seed = seed

    def step(self, record: EpisodeRecord) -> None:
        self.steps.append((self._seed, record.episode))
        if self._stop(record):
            raise StoppedError

    def row(self, row: Row) -> None:
        if self._stop(row):
            raise StoppedError


def bench(out: Path, seeds: int = 2, episodes: int = 3, keep: bool = False) -> Bench:
    file = params_file_of(TASK)
    small = Recipe('pets', 'as small as can be', 'learn', 'first', SMALL)
    return Bench(
        task=TASK,
        params_file=file,
        recipe=small,
        settings=digest(small, file, STEPS),
        unchanged=False,
        seeds=seeds,
        episodes=episodes,
        exploration_episodes=1,
        max_steps=STEPS,
        out=out,
        keep=keep,
    )


def without_times(rows: list[Row]) -> list[str]:
    return [repr(dataclasses.replace(each, **dict.fromkeys(TIMES, 0.0))) for each in rows]


@pytest.fixture(scope='module')
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    return run(bench(tmp_path_factory.mktemp('whole') / 'rows.csv'), Watch())


def test_a_run_has_a_row_for_each_episode(uninterrupted: list[Row], tmp_path: Path) -> None:
    assert [each.key for each in uninterrupted] == [(s, e) for s in range(2) for e in range(3)]
    assert [each.kind for each in uninterrupted[:3]] == ['random', 'planned', 'planned']
    assert [each.environment_steps for each in uninterrupted[:3]] == [30, 60, 90]
    assert len({each.episode_return for each in uninterrupted}) == 6
    assert all(each.wall_time > 0 for each in uninterrupted)
    assert math.isnan(uninterrupted[0].plan_time_p50) and uninterrupted[1].plan_time_p50 > 0
    # In each of 2 iterations, 2 members propagate 4 candidates (twice the elites) over 3 steps.
    assert uninterrupted[1].model_steps == 2 * 2 * 4 * 3
    assert uninterrupted[2].model_version > uninterrupted[1].model_version > 0


def at_step(episode: int, step: int) -> Callable[[EpisodeRecord | Row], bool]:
    return lambda it: isinstance(it, EpisodeRecord) and (it.episode, it.steps) == (episode, step)


def at_row(episode: int) -> Callable[[EpisodeRecord | Row], bool]:
    return lambda it: isinstance(it, Row) and it.episode == episode


@pytest.mark.parametrize(
    ('stop', 'begins_with'),
    [
        (at_step(0, 7), (0, 0)),
        (at_step(2, 25), (0, 2)),  # two models were trained in this episode
        (at_row(1), (0, 1)),  # written, but what lies beside the file does not yet say so
        (at_row(0), (0, 0)),
    ],
    ids=['first episode', 'after trainings', 'row written', 'first row written'],
)
def test_it_goes_on_where_it_was_stopped(
    stop: Callable[[EpisodeRecord | Row], bool],
    begins_with: tuple[int, int],
    uninterrupted: list[Row],
    tmp_path: Path,
) -> None:
    path = tmp_path / 'rows.csv'
    with pytest.raises(StoppedError):
        run(bench(path), Watch(stop))
    before = read(path)
    watch = Watch()
    rows = run(bench(path), watch)
    assert watch.episodes[0] == begins_with
    assert without_times(rows) == without_times(uninterrupted) == without_times(read(path))
    assert len(before) < len(rows)
    assert [each.name for each in tmp_path.iterdir()] == ['rows.csv']


def test_stopped_again_and_again_it_still_comes_to_the_same(
    uninterrupted: list[Row], tmp_path: Path
) -> None:
    path = tmp_path / 'rows.csv'
    for stop in (at_step(1, 15), at_step(2, 1), at_row(2)):
        with pytest.raises(StoppedError):
            run(bench(path), Watch(stop))
    assert without_times(run(bench(path), Watch())) == without_times(uninterrupted)


def test_what_is_done_is_not_run_again(uninterrupted: list[Row], tmp_path: Path) -> None:
    path = tmp_path / 'rows.csv'
    run(bench(path, seeds=1), Watch())
    text = path.read_bytes()
    watch = Watch()
    run(bench(path, seeds=1), watch)
    assert watch.steps == [] and path.read_bytes() == text
    rows = run(bench(path, seeds=2), watch)
    assert watch.episodes == [(1, 0), (1, 1), (1, 2)]
    assert without_times(rows) == without_times(uninterrupted)


def test_more_episodes_go_on_from_what_was_kept(uninterrupted: list[Row], tmp_path: Path) -> None:
    path = tmp_path / 'rows.csv'
    run(bench(path, episodes=2, keep=True), Watch())
    watch = Watch()
    rows = run(bench(path), watch)
    assert watch.episodes == [(0, 2), (1, 2)]
    assert without_times(rows) == without_times(uninterrupted)


@pytest.mark.parametrize('damage', ['all', 'models', 'a bag', 'progress', 'no progress'])
def test_without_its_data_a_seed_is_run_again_and_no_row_is_lost(
    damage: str, uninterrupted: list[Row], tmp_path: Path
) -> None:
    path = tmp_path / 'rows.csv'
    with pytest.raises(StoppedError):
        run(bench(path, seeds=1), Watch(at_step(2, 5)))
    folder = bench(path).runs_folder / 'seed_0'
    if damage == 'all':
        shutil.rmtree(folder)
    elif damage == 'models':
        shutil.rmtree(folder / 'models')
    elif damage == 'a bag':
        next((folder / 'data').glob('episode_00000*')).unlink()
    elif damage == 'progress':
        (folder / 'progress.yaml').write_text('{')
    else:
        (folder / 'progress.yaml').unlink()
    before = sorted(path.name for path in folder.rglob('*'))
    watch = Watch(at_step(0, 3))
    with pytest.raises(StoppedError):
        run(bench(path, seeds=1), watch)
    assert watch.episodes == [(0, 0)] and 'are run again, from episode 0' in watch.notes[0]
    aside = folder.with_name('unused_seed_0_1')
    assert aside.exists() == (str(aside) in watch.notes[-1]) == (damage != 'all')
    assert without_times(read(path)) == without_times(uninterrupted[:2])
    assert without_times(run(bench(path, seeds=1), Watch())) == without_times(uninterrupted[:3])
    assert sorted(path.name for path in aside.rglob('*')) == before  # nothing is lost


def test_a_row_that_was_cut_off_is_run_again(uninterrupted: list[Row], tmp_path: Path) -> None:
    path = tmp_path / 'rows.csv'
    with pytest.raises(StoppedError):
        run(bench(path, seeds=1), Watch(at_step(2, 5)))
    path.write_bytes(path.read_bytes()[:-9])
    watch = Watch()
    rows = run(bench(path, seeds=1), watch)
    assert 'its last line was cut off' in watch.notes[0]
    assert without_times(rows) == without_times(uninterrupted[:3])


def test_rows_of_other_settings_are_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / 'rows.csv'
    run(bench(path, seeds=1, episodes=1), Watch())
    text = path.read_bytes()
    other = dataclasses.replace(bench(path), settings='other')
    with pytest.raises(SettingsError, match='other settings'):
        run(other, Watch())
    assert path.read_bytes() == text


def test_two_processes_do_not_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / 'rows.csv'
    folder = bench(path).runs_folder
    folder.mkdir()
    hold = 'import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX); '
    hold += 'print("held", flush=True); sys.stdin.read()'
    with subprocess.Popen(
        [sys.executable, '-c', hold, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == b'held\n'
        with pytest.raises(SettingsError, match='another process is at work'):
            run(bench(path), Watch())
        other.communicate(b'', timeout=20)
    assert not path.exists()
    assert len(run(bench(path, seeds=1, episodes=1), Watch())) == 1


def test_the_true_model_learns_nothing_and_still_gets_better_returns(tmp_path: Path) -> None:
    returns = {}
    for name in ('true_model', 'random'):
        file = params_file_of(TASK)
        chosen = recipe(name, TASK, file)
        what = dataclasses.replace(
            bench(tmp_path / f'{name}.csv', seeds=1, episodes=2),
            recipe=chosen,
            exploration_episodes=chosen.exploration_episodes(2, 1),
        )
        rows = run(what, Watch())
        assert [each.kind for each in rows] == ['planned' if name == 'true_model' else 'random'] * 2
        assert [each.model_version for each in rows] == [0, 0]
        assert all(math.isnan(each.holdout_error) for each in rows)
        returns[name] = [each.episode_return for each in rows]
        if name == 'true_model':
            # It predicts what single precision makes of the actions.
            assert all(each.model_error < 1e-6 for each in rows)
    assert min(returns['true_model']) > max(returns['random']) + 1.0


def test_a_stopped_run_of_the_command_can_be_looked_at(tmp_path: Path) -> None:
    """What lies beside the file is what a run folder has."""
    path = tmp_path / 'rows.csv'
    with pytest.raises(StoppedError):
        run(bench(path, seeds=1), Watch(at_step(2, 5)))
    folder = bench(path).runs_folder / 'seed_0'
    progress = yaml.safe_load((folder / 'progress.yaml').read_text())
    assert (progress['episodes'], progress['environment_steps']) == (2, 60)
    assert (folder / 'data' / 'episode_00001.mcap').exists()
    assert (folder / 'models' / f'model_{progress["model_version"]:05d}.safetensors').exists()


def test_the_time_left_goes_by_the_episodes_that_planned() -> None:
    rows = [
        row(kind='random', steps=100, wall_time=1.0),
        row(kind='planned', steps=100, wall_time=50.0),
        row(kind='planned', steps=300, wall_time=150.0),
    ]
    assert time_left(rows, 10) == pytest.approx(5.0)
    assert time_left(rows[:1], 10) == pytest.approx(0.1)
    assert math.isnan(time_left([], 10))
