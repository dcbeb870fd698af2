"""A run in pictures: its learning curve, and its best episode as a GIF."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mbrl_bringup.episodes import EpisodeRow

PETS = {'cartpole_swingup': ((800, 82.0), (1600, 177.0), (3000, 180.0))}
"""Published returns by control steps: Chua et al., NeurIPS 2018, their own code on this task."""


def draw_learning_curve(
    path: Path, task: str, rows: Sequence[EpisodeRow], target_return: float
) -> None:
    """Write the return over the control steps as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.2), dpi=130, layout='constrained')
    axes = figure.add_subplot()
    axes.plot(
        [row.total_steps for row in rows],
        [row.episode_return for row in rows],
        'o-',
        label='this run',
    )
    if task in PETS:
        steps, returns = zip(*PETS[task])
        axes.plot(
            steps, returns, 's--', color='0.55', label="PETS (Chua et al. 2018), authors' code"
        )
    axes.axhline(target_return, color='0.8', zorder=0)
    axes.annotate(
        'solved', (0.01, target_return), xycoords=('axes fraction', 'data'), ha='left', va='bottom'
    )
    axes.set(title=task, xlabel='control steps', ylabel='return of the trial')
    axes.set_xlim(left=0)
    axes.grid(alpha=0.25)
    axes.legend(loc='lower right')
    figure.savefig(path)


def draw_episode(path: Path, params_file: Path, data: Path, episode: int) -> None:
    """Write an episode, as its bag has it, as a GIF.

    Raises:
        OSError, ValueError: if it cannot be read or drawn.
    """
    from mbrl_common.taskfile import node_settings
    from mbrl_dynamics.bag import read_folder
    from mbrl_sim_bridge.render import write_gif
    from mbrl_sim_bridge.settings import SimBridgeSettings

    steps = [each for each in read_folder(data) if each.episode == episode]
    if not steps:
        raise ValueError(f'{data} has no episode {episode}')
    states = np.array([steps[0].state] + [each.next_state for each in steps])
    write_gif(path, node_settings(params_file, 'sim_bridge', SimBridgeSettings), states)
