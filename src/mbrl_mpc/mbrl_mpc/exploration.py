"""Actions at random, each a function of the run's seed, the episode and the step alone.

Four kinds, all uniform between the bounds at each single step, and different only in how one step
goes with the next:

- *held* for some steps (as PDDM does; Nagabandi et al. 2019);
- *white*;
- *coloured*, Gaussian noise whose power falls with frequency as f^-beta (Eberhard et al. 2023,
  "Pink noise is all you need": pink reaches further than white, and keeps away from the bounds more
  than brown), here mapped to uniform by its distribution function instead of clipped;
- *walk*, a random walk that is reflected at the bounds, for robots that cannot follow a jump: from
  one step to the next an action changes by at most ``stride`` times its range, by any amount up to
  that with the same probability. It may begin at a given action (a hand's grip, that random
  postures would lose at once), and is then uniform only after a while.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch

from mbrl_common.seeding import derive_seed
from mbrl_mpc.exploration_kinds import KINDS
from mbrl_planner.colored_noise import colored_noise

LONGEST_SERIES = 16_384  # steps of coloured noise; a longer episode goes on with another series
WALK_PART = 4096  # steps of a walk that are drawn at once


def exploration(
    kind: str,
    low: np.ndarray,
    high: np.ndarray,
    *,
    seed: int,
    episode: int,
    step: int,
    hold: int = 1,
    colour: float = 1.0,
    stride: float = 0.1,
    max_steps: int = LONGEST_SERIES,
    start: Sequence[float] = (),
) -> np.ndarray:
    """The action of one step of an episode.

    Args:
        kind: 'held', 'white', 'coloured' or 'walk'.
        low, high: bounds, each of shape [action_dim].
        seed: of the run.
        episode: its number.
        step: of the episode, from 0.
        hold: held: steps for which each action is held.
        colour: coloured: the exponent beta.
        stride: walk: largest change from one step to the next, as a part of ``high - low``.
        max_steps: coloured: length of the episode, which sets the lowest frequency.
        start: walk: action of step 0, within the bounds; empty: anywhere.

    Returns:
        float64 of shape [action_dim], within the bounds.
    """
    if kind not in KINDS:
        *others, last = (repr(name) for name in KINDS)
        raise ValueError(f'exploration is {kind!r}; it must be {", ".join(others)} or {last}')
    if kind == 'walk':
        number, place = divmod(step, WALK_PART)
        free = _free_walk(stride, len(low), seed, episode, number)[place]
        if len(start):
            began = _free_walk(stride, len(low), seed, episode, 0)[0]
            free = free - began + (np.asarray(start) - low) / (high - low)
        # Folding keeps each step within its bound, and what is uniform uniform.
        return np.clip(low + (high - low) * np.abs(free - 2 * np.round(free / 2)), low, high)
    if kind == 'coloured':
        length = max(1, min(max_steps, LONGEST_SERIES))
        number, place = divmod(step, length)
        series_seed = derive_seed(seed, 'explore_coloured', episode, number)
        part = _series(colour, len(low), length, series_seed)[place]
        # Rounding must not lead out of the bounds.
        return np.clip(low + (high - low) * part, low, high)
    number = step // hold if kind == 'held' else step
    random = np.random.default_rng(derive_seed(seed, 'explore', episode, number))
    return random.uniform(low, high)


@functools.lru_cache(maxsize=64)  # several episodes at once, in threads
def _series(colour: float, width: int, length: int, seed: int) -> np.ndarray:
    """Uniform numbers from 0 to 1 [length, width], correlated along the first dimension."""
    generator = torch.Generator().manual_seed(seed)
    noise = colored_noise(colour, (width, length), [generator], torch.float64)[0]
    series = torch.special.ndtr(noise).T.contiguous().numpy()
    series.setflags(write=False)
    return series


@functools.lru_cache(maxsize=64)  # several episodes at once, in threads
def _free_walk(stride: float, width: int, seed: int, episode: int, number: int) -> np.ndarray:
    """One part of a walk without bounds [WALK_PART, width], in units of the range."""
    random = np.random.default_rng(derive_seed(seed, 'explore_walk', episode, number))
    changes = random.uniform(-stride, stride, (WALK_PART, width))
    if number == 0:
        changes[0] = random.uniform(0.0, 1.0, width)  # where it begins
    else:
        changes[0] += _free_walk(stride, width, seed, episode, number - 1)[-1]
    walk = np.cumsum(changes, axis=0)
    walk.setflags(write=False)
    return walk
