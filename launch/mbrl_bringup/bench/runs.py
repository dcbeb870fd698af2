"""Runs of ``mbrl bench``: seed after seed, and on from where one was stopped.

By the graph (``graph_runs``), and for the model-free line (``sac``), a seed that was stopped begins
anew; episodes that only act at random need none of the others (``random_runs``). Else everything
happens in this process, and goes on after the last whole episode.

Beside the CSV file lies a folder for each seed that is not done: its bags and its newest model, and
``progress.yaml``, which says how far they go. An episode counts once its row is written, then
``progress.yaml``; what is there of a later one is taken away before the run goes on. As everything
depends on the seed alone, the rows are then those of a run that was never stopped, but for times.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import itertools
import math
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import yaml

from mbrl_bringup.bench.recipes import Recipe
from mbrl_bringup.bench.rows import Row, Rows, machine, versions
from mbrl_bringup.learn import Episode, learn
from mbrl_common.files import replaced
from mbrl_common.settings import SettingsError
from mbrl_mpc.pilot import EpisodeRecord

BY_GRAPH = '-graph'
"""Ends the recipe's name and the digest of what was run by the graph."""
_NUMBERED = re.compile(r'(?:episode|model)_(\d+)')


class SeedFailedError(RuntimeError):
    """A seed's run ended early; the text says which and why."""


@dataclasses.dataclass(frozen=True)
class Bench:
    """What is to be run."""

    task: str
    params_file: Path
    recipe: Recipe
    settings: str
    """Digest of them (``recipes.digest``)."""
    unchanged: bool
    """See ``Row.unchanged``."""
    seeds: int
    episodes: int
    exploration_episodes: int
    max_steps: int | None
    out: Path
    keep: bool = False
    """Keep the folders of seeds that are done."""
    graph: str | None = None
    """Namespace of the graph that runs it; None: it runs in this process, without ROS."""
    threads: int = 1
    """That play random episodes, where nothing is learned from them. Rows do not depend on it."""
    video: bool = False
    """Draw the best planned episode of each seed."""

    @property
    def name(self) -> str:
        """The recipe's, as it is in the rows: what the graph ran is another line."""
        return self.recipe.name + (BY_GRAPH if self.graph is not None else '')

    @property
    def runs_folder(self) -> Path:
        """Where the seeds' folders are."""
        return self.out.with_name(self.out.stem + '.runs')

    def row(self, seed: int, episode: Episode, kind: str) -> Row:
        """What is written of an episode."""
        record = episode.record
        return Row(
            task=self.task,
            recipe=self.name,
            settings=self.settings,
            unchanged=self.unchanged,
            seed=seed,
            episode=record.episode,
            kind=kind,
            steps=record.steps,
            environment_steps=episode.total_steps,
            episode_return=record.episode_return,
            score=episode.score,
            terminated=record.terminated,
            model_error=record.model_error,
            holdout_error=episode.holdout_error,
            model_version=episode.model_version,
            model_steps=record.model_steps,
            plan_time_p50=record.plan_time(50),
            plan_time_p95=record.plan_time(95),
            training_time=episode.training_time,
            wall_time=episode.wall_time,
            versions=versions(),
            machine=machine(),
        )


class Display(Protocol):
    """Who shows how far it is."""

    def note(self, text: str) -> None:
        """Something is to be said."""

    def begin(self, seed: int) -> None:
        """A seed's run begins, or goes on."""

    def step(self, record: EpisodeRecord) -> None:
        """An episode goes on; of a record by the graph only ``episode`` and ``steps`` are there."""

    def row(self, row: Row) -> None:
        """An episode has ended."""


def run(bench: Bench, display: Display) -> list[Row]:
    """Run what is not in the file yet.

    Returns:
        All rows of the file.

    Raises:
        SettingsError: something given is wrong, or the file is, or another process writes it.
        SeedFailedError: the graph did not come up, or did not stay up.
        OSError: something cannot be written.
    """
    with _alone(bench.runs_folder):
        rows = Rows(bench.out)
        rows.check(bench.task, bench.name, bench.settings)
        if rows.cut_off:
            display.note(f'{bench.out}: its last line was cut off; that episode is run again')
        for seed in range(bench.seeds):
            if len(rows.of_seed(seed)) < bench.episodes:
                display.begin(seed)
                _run_seed(bench, seed, rows, display)
            if bench.video:
                _draw(bench, seed, rows, display)
            if not bench.keep:
                shutil.rmtree(_seed_folder(bench, seed), ignore_errors=True)
    with contextlib.suppress(OSError):  # other seeds are in it, or other processes wait for it
        bench.runs_folder.rmdir()
    return rows.rows


def _run_seed(bench: Bench, seed: int, rows: Rows, display: Display) -> None:
    if bench.recipe.runner == 'sac':
        from mbrl_bringup.bench.sac import run_sac

        run_sac(
            bench.params_file,
            seed=seed,
            episodes=bench.episodes,
            max_steps=bench.max_steps,
            on_step=display.step,
            on_episode=lambda episode: _put(rows, bench.row(seed, episode, 'policy'), display),
        )
        return

    folder = _seed_folder(bench, seed)
    done = rows.of_seed(seed)
    if bench.graph is None and bench.recipe.only_random and not bench.keep:
        from mbrl_bringup.bench.random_runs import run_random

        run_random(bench, seed, done, display.step, lambda row: _put(rows, row, display))
        return

    if bench.graph is not None:
        from mbrl_bringup.bench.graph_runs import run_by_graph

        if done:
            display.note(f'seed {seed}: the graph begins it anew, from episode 0')
        run_by_graph(bench, seed, folder, display, lambda row: _put(rows, row, display))
        return

    first = _take_up(folder, done, bench.settings)
    aside = _set_aside(folder) if first == 0 else None
    if first < len(done):
        display.note(
            f'seed {seed}: {len(done)} episodes are in {bench.out}, but their data and model are '
            f'not in {folder}; they are run again, from episode {first}'
        )
    if aside is not None:
        display.note(f'seed {seed}: what was in {folder} does not fit the rows; it is now {aside}')

    def on_episode(episode: Episode) -> None:
        kind = 'random' if episode.record.explore else 'planned'
        row = bench.row(seed, episode, kind)
        _put(rows, row, display)
        _write_progress(folder, row)
        _remove(folder / 'models', lambda version: version != row.model_version)

    learn(
        bench.params_file,
        seed=seed,
        episodes=bench.episodes,
        exploration_episodes=bench.exploration_episodes,
        first_episode=first,
        max_steps=bench.max_steps,
        folder=folder,
        overrides=_with_all_models_kept(bench.recipe),
        on_step=display.step,
        on_episode=on_episode,
    )


def _draw(bench: Bench, seed: int, rows: Rows, display: Display) -> None:
    from mbrl_bringup.bench.films import draw_best

    draw_best(bench, seed, rows.of_seed(seed), _seed_folder(bench, seed), display.note)


def _put(rows: Rows, row: Row, display: Display) -> None:
    rows.put(row)
    display.row(row)


def _seed_folder(bench: Bench, seed: int) -> Path:
    return bench.runs_folder / f'seed_{seed}'


def _with_all_models_kept(recipe: Recipe) -> dict[str, dict[str, Any]]:
    """An episode may train more models than are kept, and the one before it must stay."""
    overrides = {node: dict(values) for node, values in recipe.overrides.items()}
    overrides.setdefault('dynamics', {})['data.keep_models'] = 10**9
    return overrides


def _take_up(folder: Path, done: list[Row], settings: str) -> int:
    """How many whole episodes a folder has that fit the rows, all that is later being removed; 0 if
    it does not fit them, and then it is left as it is."""
    progress = _read_progress(folder)
    count = progress.get('episodes', 0)
    if not 0 < count <= len(done) or progress != _progress_after(done[count - 1], settings):
        return 0
    version = done[count - 1].model_version
    bags = [each for each in _numbers(folder / 'data') if each < count]
    models = [each for each in _numbers(folder / 'models') if each <= version]
    if bags != list(range(count)) or models[-1:] != ([version] if version else []):
        return 0
    _remove(folder / 'data', lambda episode: episode >= count)
    _remove(folder / 'models', lambda each: each > version)
    return int(count)


def _set_aside(folder: Path) -> Path | None:
    """Make way for a run from its first episode: a folder that may have whole episodes, which cost
    hours, is renamed (to what is returned), and one that has no more than its first is removed."""
    if not (folder / 'progress.yaml').exists() and len(_numbers(folder / 'data')) < 2:
        shutil.rmtree(folder, ignore_errors=True)
        return None
    names = (folder.with_name(f'unused_{folder.name}_{i}') for i in itertools.count(1))
    return folder.rename(next(name for name in names if not name.exists()))


def _progress_after(row: Row, settings: str) -> dict[str, Any]:
    return {
        'settings': settings,
        'episodes': row.episode + 1,
        'environment_steps': row.environment_steps,
        'model_version': row.model_version,
    }


def _write_progress(folder: Path, row: Row) -> None:
    with replaced(folder / 'progress.yaml') as partial:
        partial.write_text(yaml.safe_dump(_progress_after(row, row.settings), sort_keys=False))


def _read_progress(folder: Path) -> dict[str, Any]:
    try:
        progress = yaml.safe_load((folder / 'progress.yaml').read_text())
    except (OSError, yaml.YAMLError):
        return {}
    return progress if isinstance(progress, dict) else {}


def _numbers(folder: Path) -> list[int]:
    if not folder.is_dir():
        return []
    matches = (_NUMBERED.match(path.name) for path in folder.iterdir())
    return sorted(int(match[1]) for match in matches if match is not None)


def _remove(folder: Path, unwanted: Any) -> None:
    for path in list(folder.iterdir()) if folder.is_dir() else []:
        match = _NUMBERED.match(path.name)
        if match is not None and unwanted(int(match[1])):
            path.unlink()


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder, which is made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise SettingsError([f'{folder} cannot be made: {error}']) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SettingsError(
                [f'another process is at work in {folder}; give another --out, or wait']
            ) from error
        yield
    finally:
        os.close(handle)


def time_left(rows: list[Row], steps: int) -> float:
    """How long so many more control steps take [s], going by the episodes in ``rows``: those that
    are not random, if there are any. NaN if there is nothing to go by."""
    known = [row for row in rows if row.kind != 'random'] or rows
    known_steps = sum(row.steps for row in known)
    if known_steps == 0:
        return math.nan
    return sum(row.wall_time for row in known) / known_steps * steps
