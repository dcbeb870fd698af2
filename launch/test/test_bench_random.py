"""Random episodes in threads: the rows are those of the loop that does one step after the other."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from mbrl_bringup.bench.recipes import recipe
from mbrl_bringup.bench.rows import Row, read
from mbrl_bringup.bench.runs import Bench, run
from mbrl_bringup.tasks import params_file_of
from mbrl_mpc.pilot import EpisodeRecord

TIMES = ('plan_time_p50', 'plan_time_p95', 'training_time', 'wall_time')


class StoppedError(Exception):
    """By the test, as a signal would."""


class Watch:
    """Notes what is run, and stops it before the row of an episode."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.episodes: list[int] = []
        self._stop_at = stop_at

    def note(self, text: str) -> None: ...

    def begin(self, seed: int) -> None: ...

    def step(self, record: EpisodeRecord) -> None:
        if record.episode == self._stop_at:
            raise StoppedError
        self.episodes.append(record.episode)

    def row(self, row: Row) -> None: ...


def bench(task: str, out: Path, max_steps: int | None = None, **options: int | bool) -> Bench:
    file = params_file_of(task)
    what = Bench(
        task=task,
        params_file=file,
        recipe=recipe('random', task, file),
        settings='abc',
        unchanged=False,
        seeds=1,
        episodes=4,
        exploration_episodes=4,
        max_steps=max_steps,
        out=out,
    )
    return dataclasses.replace(what, **options)  # type: ignore[arg-type]


def without_times(rows: list[Row]) -> list[str]:
    return [repr(dataclasses.replace(each, **dict.fromkeys(TIMES, 0.0))) for each in rows]


@pytest.mark.parametrize(
    ('task', 'max_steps'),
    [
        ('hopper', None),  # falls
        ('point_maze', 70),  # a goal and a wall
        ('ant', 40),  # a free body, a score
        ('pusher_pets', 40),  # sums over joints, kinematics
        ('cartpole_balance', 300),  # more steps than the task has
    ],
)
def test_rows_are_those_of_one_step_after_the_other(
    task: str, max_steps: int | None, tmp_path: Path
) -> None:
    expected = run(bench(task, tmp_path / 'a.csv', max_steps, keep=True), Watch())
    assert list((tmp_path / 'a.runs' / 'seed_0' / 'data').glob('*.mcap')), 'it records each step'
    for threads in (1, 3):
        path = tmp_path / f'{threads}.csv'
        rows = run(bench(task, path, max_steps, threads=threads), Watch())
        assert without_times(rows) == without_times(expected)
        assert all(row.wall_time > 0 for row in rows)
    assert len({row.episode_return for row in rows}) == 4
    assert [row.terminated for row in rows] == [task == 'hopper'] * 4


def test_stopped_it_goes_on_with_the_next_episode_and_needs_no_folder(tmp_path: Path) -> None:
    whole = run(bench('hopper', tmp_path / 'whole.csv', threads=2), Watch())
    path = tmp_path / 'rows.csv'
    with pytest.raises(StoppedError):
        run(bench('hopper', path, threads=2), Watch(stop_at=2))
    assert [row.episode for row in read(path)] == [0, 1]
    watch = Watch()
    rows = run(bench('hopper', path, threads=2), watch)
    assert watch.episodes == [2, 3]
    assert without_times(rows) == without_times(whole)
    assert sorted(each.name for each in tmp_path.iterdir()) == ['rows.csv', 'whole.csv']


def test_only_what_learns_nothing_is_run_so() -> None:
    file = params_file_of('hopper')
    assert recipe('random', 'hopper', file).only_random
    for name in ('suite', 'true_model', 'sac'):
        assert not recipe(name, 'hopper', file).only_random
