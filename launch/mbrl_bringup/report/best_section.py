"""The best episode: moving, if there is a picture of it, and as curves of every entry."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from functools import partial

import numpy as np

from mbrl_bringup.report.blocks import Block, Picture, Plot, Text
from mbrl_bringup.report.plots import draw_trace
from mbrl_bringup.report.recordings import episode_of
from mbrl_bringup.report.run import Run
from mbrl_bringup.report.svg import inline
from mbrl_dynamics.transitions import Transitions

_MOST_STATES, _MOST_ACTIONS = 12, 8
_Series = list[tuple[str, np.ndarray, bool]]


def best_blocks(run: Run) -> Iterator[Block]:
    """What is known of the episode with the highest return; nothing if no return is."""
    best = run.best
    if best is None:
        return
    steps = None if run.transitions is None else episode_of(run.transitions, best.episode)
    series: _Series = []
    if steps is not None and len(steps) > 1:
        series = _series(run, steps)
        left_out = steps.state.shape[1] + steps.action.shape[1] + 1 - len(series)
        yield Text(
            [
                f'Episode {best.episode}, {len(steps)} steps. Look for actions that stay at their '
                'bounds, and states that never come to rest.'
                + (f' {left_out} entries are left out.' if left_out else '')
            ]
        )
    if run.picture:
        yield Picture(
            base64.b64encode(run.picture).decode(),
            f'Episode {best.episode}',
            'Look whether it does what was meant, not only what pays.',
        )
    for name, values, held in series:
        assert steps is not None
        time = (steps.stamp - steps.stamp[0]) * 1e-9
        draw = partial(draw_trace, time, values, name, held, 'time [s]')
        yield Plot(inline(draw, f'{name} in episode {best.episode}'), name, '')


def _series(run: Run, steps: Transitions) -> _Series:
    """Name and values [N] of each entry, and whether a value holds until the next."""
    states = run.state or [f'state[{i}]' for i in range(steps.state.shape[1])]
    actions = run.action or [f'action[{i}]' for i in range(steps.action.shape[1])]
    found: _Series = [(f'action {n}', steps.action[:, i], True) for i, n in enumerate(actions)]
    found = found[:_MOST_ACTIONS]
    found += [(n, steps.state[:, i], False) for i, n in enumerate(states)][:_MOST_STATES]
    return [*found, ('reward', steps.reward, False)]
