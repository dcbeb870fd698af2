"""Splines as a matrix: actions = matrix @ knots, so that an optimiser may place few knots instead
of every action; the three kinds of Howell et al. (2022), "Predictive Sampling".

Knots are spread evenly. ``zero``: each is held for H / K steps, in whole steps. ``linear`` and
``cubic``: the first knot is the first action, the last one is the last action. ``cubic`` is
Catmull-Rom's: Hermite pieces whose slopes are the central differences of the knots, and the
one-sided ones at both ends. It bends at knots' neighbours alone, and may swing past the knots.
"""

from __future__ import annotations

import numpy as np

KINDS = ('zero', 'linear', 'cubic')


def fewest_knots(kind: str) -> int:
    """How many knots a kind of spline must have."""
    return 1 if kind == 'zero' else 2


def spline_matrix(kind: str, horizon: int, knots: int) -> np.ndarray:
    """The matrix [H, K] from knots to actions, float64, of full rank; each row sums to one.

    Args:
        kind: one of ``KINDS``.
        horizon: H, steps.
        knots: K, at most H.

    Raises:
        ValueError: unknown kind, or too few or too many knots.
    """
    if kind not in KINDS:
        raise ValueError(f'the spline is {kind!r}; it must be one of {", ".join(map(repr, KINDS))}')
    if not fewest_knots(kind) <= knots <= horizon:
        raise ValueError(
            f'there are {knots} knots; a spline {kind!r} over {horizon} steps must have '
            f'{fewest_knots(kind)} to {horizon}'
        )
    identity = np.eye(knots)
    steps = np.arange(horizon)
    if kind == 'zero':
        return identity[steps * knots // horizon]
    place = steps * (knots - 1) / (horizon - 1)  # in knots
    left = np.minimum(place.astype(int), knots - 2)
    t = (place - left)[:, None]
    begin, end = identity[left], identity[left + 1]
    if kind == 'linear':
        return (1 - t) * begin + t * end
    slopes = np.gradient(identity, axis=0)
    cubed, squared = t**3, t**2
    matrix: np.ndarray = (
        (2 * cubed - 3 * squared + 1) * begin
        + (cubed - 2 * squared + t) * slopes[left]
        + (3 * squared - 2 * cubed) * end
        + (cubed - squared) * slopes[left + 1]
    )
    return matrix
