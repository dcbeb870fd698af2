"""Splines as a matrix: actions = matrix @ knots, so that an optimiser may place few knots instead
of every action; the three kinds of Howell et al. (2022), "Predictive Sampling".

Knots are spread evenly. ``zero``: each is held for H / K steps, in whole steps. ``linear`` and
``cubic``: the first knot is the first action, the last one is the last action. ``cubic`` is
Catmull-Rom's: Hermite pieces whose slopes are the central differences of the knots, and the
one-sided ones at both ends. It bends at knots' neighbours alone, and may swing past the knots.
"""

from __future__ import annotations

import numpy as np
import torch

from mbrl_planner.optimizer import Evaluate

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


class Knots:
    """Between what the optimiser places, [..., K, A], and actions, [..., H, A]."""

    def __init__(self, horizon: int, knots: int, kind: str) -> None:
        """
        Args:
            horizon: H.
            knots: K; 0: every action is placed, and nothing is converted.
            kind: one of ``KINDS``.
        """
        self.count = knots or horizon
        """K; H where every action is placed."""
        self._matrix: np.ndarray | None = None
        if knots:
            self._matrix = spline_matrix(kind, horizon, knots)
            self._matrix32 = torch.tensor(self._matrix, dtype=torch.float32)
            self._inverse = np.linalg.pinv(self._matrix)

    def actions(self, knots: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
        """Actions as they are evaluated and executed, within the bounds."""
        return knots if self._matrix is None else (self._matrix32 @ knots).clamp(low, high)

    def evaluate(self, rollout: Evaluate, low: torch.Tensor, high: torch.Tensor) -> Evaluate:
        """Returns of knots by those of their actions."""
        if self._matrix is None:
            return rollout
        return lambda knots: rollout(self.actions(knots, low, high))

    def expand(self, knots: torch.Tensor) -> np.ndarray:
        """Knots as actions, float64; not held within the bounds, so that ``project`` undoes it."""
        wide = knots.double().numpy()
        return wide if self._matrix is None else self._matrix @ wide

    def project(self, actions: np.ndarray) -> torch.Tensor:
        """The knots whose actions are nearest to the given ones (least squares)."""
        knots = actions if self._matrix is None else self._inverse @ actions
        return torch.tensor(knots, dtype=torch.float32)
