"""Which transitions are never trained on: a function of episode and step alone.

So a transition once held out always is, whatever comes after it and however often the dataset is
loaded again.
"""

from __future__ import annotations

import numpy as np


def held_out(episode: np.ndarray, step: np.ndarray, fraction: float, block: int) -> np.ndarray:
    """Which transitions are held out, bool [N].

    Neighbours in time resemble each other, so they are held out in blocks: each stretch of
    ``block / fraction`` steps of an episode gives one block, at a place drawn by a hash. With
    ``block`` 0 whole episodes are held out, one of every ``1 / fraction``.

    Args:
        episode, step: [N] integers.
        fraction: share that is held out, 0 to 0.5.
        block: steps held out together; 0: whole episodes.
    """
    episode = np.asarray(episode).astype(np.uint64)
    step = np.asarray(step).astype(np.uint64)
    if fraction <= 0:
        return np.zeros(len(episode), dtype=bool)
    if block == 0:
        stretch = np.uint64(max(2, round(1 / fraction)))
        place = _hash(episode // stretch, np.uint64(0)) % stretch
        return np.asarray(episode % stretch == place)
    length = max(block + 1, round(block / fraction))
    stretch = np.uint64(length)
    place = _hash(episode + np.uint64(1), step // stretch) % np.uint64(length - block + 1)
    within = step % stretch
    return np.asarray((within >= place) & (within < place + np.uint64(block)))


def _hash(high: np.ndarray, low: np.ndarray | np.uint64) -> np.ndarray:
    """SplitMix64 of two numbers, 32 good bits."""
    mixed = high * np.uint64(0x9E3779B97F4A7C15) + low + np.uint64(1)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(32))
