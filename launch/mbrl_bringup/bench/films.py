"""``mbrl bench --video``: the best planned episode of each seed as a film, from the seed's data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mbrl_bringup.bench.measures import gain
from mbrl_bringup.bench.rows import Row
from mbrl_bringup.bench.runs import Bench
from mbrl_bringup.recorded import find_episode
from mbrl_common.settings import SettingsError
from mbrl_common.taskfile import node_settings
from mbrl_sim_bridge.settings import SimBridgeSettings
from mbrl_sim_bridge.video import check_name, write_video


def film_of(bench: Bench, seed: int) -> Path:
    """Where the film of a seed goes: beside the rows."""
    return bench.out.with_name(f'{bench.out.stem}-seed{seed}.mp4')


def check(bench: Bench) -> None:
    """Whether there will be anything to draw, and it can be drawn.

    Raises:
        SettingsError: the recipe plans nothing, or MP4s cannot be written here.
    """
    if bench.recipe.runner != 'learn' or bench.recipe.explores == 'always':
        raise SettingsError(
            [f"the recipe '{bench.recipe.name}' plans no episode; leave --video out"]
        )
    check_name(film_of(bench, 0))


def draw_best(
    bench: Bench, seed: int, rows: list[Row], folder: Path, say: Callable[[str], None]
) -> None:
    """Draw the planned episode that paid most, by the measure that episodes are compared by.

    Args:
        bench: what was run.
        seed: whose.
        rows: of the seed, all of them.
        folder: of the seed, with its data.
        say: told what was drawn, or why nothing was.
    """
    path = film_of(bench, seed)
    planned = [row for row in rows if row.kind == 'planned']
    if not planned or (path.exists() and not folder.exists()):
        return
    best = max(planned, key=gain)
    settings = node_settings(bench.params_file, 'sim_bridge', SimBridgeSettings)
    try:
        episode = find_episode(folder, str(best.episode))
        write_video(path, settings, episode.states)
    except Exception as error:  # a film is no reason for a run to fail
        say(f'no film of seed {seed}: {error}')
    else:
        say(f'{path}: the best planned episode of seed {seed}, {best.episode}')
