"""An objective: a sum of named, weighted terms, and the states that end an episode.

The same functions score imagined steps (float32, many at once) and real ones (float64, one).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

Term = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""``term(state, action, next_state, goal) -> [...]``: what is paid for a step, per unit of weight.

Arguments have shapes ``[..., S]``, ``[..., A]``, ``[..., S]``, ``[..., G]`` whose leading
dimensions broadcast, in physical units, all of one dtype; the result broadcasts to them and has
that dtype. Index the last dimension (``state[..., i]``) and any batch will do.
"""


@dataclasses.dataclass(frozen=True)
class Objective:
    """Reward ``sum over terms of weight * term``, maximised over the horizon.

    Attributes:
        name: what messages call it.
        terms: name to function.
        weights: name to weight, one per term.
        goal_names: one per entry of the goal: what it is, with its unit.
        default_goal: the goal where none is given.
        termination: ``termination(next_state [..., S]) -> bool [...]``, true where the episode
            ends; None: never.
        terminal_value: ``terminal_value(state [..., S], goal [..., G]) -> [...]``: what being in a
            state is worth when the horizon ends there, in units of the reward; None: nothing.
        moved: ``moved(goal [..., G], steps [...]) -> [..., G]``: what becomes of a goal in so many
            control steps, for a goal that moves; None: it stays. Leading dimensions broadcast, and
            steps add up: by 2 is by 1, twice.
        place: ``place(goal [..., G]) -> [..., 3]``: where in the world the goal is [m], for whoever
            draws it; None: it is no place.
        wanted: ``wanted(goal [..., G]) -> [..., S]``: the state that the goal is, likewise; None:
            it is none. Where the objective has a term named as an entry of the state, and its
            weight is 0, that entry does not matter.
        targets: ``targets(state [..., S]) -> [..., n, 3]``: where in the world the goal is [m], of
            an objective whose goal the state says; None: it does not.
    """

    name: str
    terms: Mapping[str, Term]
    weights: Mapping[str, float]
    goal_names: tuple[str, ...] = ()
    default_goal: tuple[float, ...] = ()
    termination: Callable[[torch.Tensor], torch.Tensor] | None = None
    terminal_value: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None
    moved: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None
    place: Callable[[torch.Tensor], torch.Tensor] | None = None
    wanted: Callable[[torch.Tensor], torch.Tensor] | None = None
    targets: Callable[[torch.Tensor], torch.Tensor] | None = None

    def __post_init__(self) -> None:
        if not self.terms or self.terms.keys() != self.weights.keys():
            raise ValueError(
                f'objective {self.name!r} has the terms {sorted(self.terms)} and weights for '
                f'{sorted(self.weights)}; it must have a weight for each of at least one term'
            )
        if len(self.goal_names) != len(self.default_goal):
            raise ValueError(
                f'objective {self.name!r} names {len(self.goal_names)} entries of the goal; '
                f'its default goal has {len(self.default_goal)}'
            )

    @property
    def can_terminate(self) -> bool:
        """Whether any state ends an episode."""
        return self.termination is not None

    def reward(
        self,
        state: torch.Tensor,
        action: torch.Tensor,
        next_state: torch.Tensor,
        goal: torch.Tensor,
    ) -> torch.Tensor:
        """Reward of steps; shapes as in ``Term``. A term of weight zero is not computed."""
        total: torch.Tensor | None = None
        for name, weight in self.weights.items():
            if weight == 0.0:
                continue
            part = self.terms[name](state, action, next_state, goal)
            total = part * weight if total is None else torch.add(total, part, alpha=weight)
        return next_state[..., 0] * 0.0 if total is None else total

    def terminated(self, next_state: torch.Tensor) -> torch.Tensor:
        """Whether states ``[..., S]`` end the episode, bool ``[...]``."""
        if self.termination is None:
            return torch.zeros(next_state.shape[:-1], dtype=torch.bool)
        return self.termination(next_state)

    def goal_after(self, goal: torch.Tensor, steps: torch.Tensor | int) -> torch.Tensor:
        """The goal ``[..., G]`` that holds so many control steps ``[...]`` later."""
        if self.moved is None:
            return goal
        return self.moved(goal, torch.as_tensor(steps, dtype=goal.dtype, device=goal.device))

    def goals(self, goal: torch.Tensor, horizon: int) -> torch.Tensor:
        """The goal of each step of a horizon that begins with ``goal [..., G]``.

        Returns:
            ``[H, ..., G]``; ``[1, ..., G]``, which broadcasts, for a goal that stays.
        """
        steps = torch.arange(horizon, dtype=goal.dtype, device=goal.device)
        return self.goal_after(goal[None], steps.view(-1, *[1] * (goal.ndim - 1)))

    def check_goal(self, goal: Sequence[float] | np.ndarray) -> np.ndarray:
        """The goal as float64 ``[G]``; an empty one is the default.

        Raises:
            ValueError: wrong length, or an entry that is not finite.
        """
        values = np.asarray(goal, dtype=np.float64)
        if values.size == 0:
            return np.array(self.default_goal, dtype=np.float64)
        expected = f'{len(self.goal_names)} entries ({", ".join(self.goal_names)})'
        if values.shape != (len(self.goal_names),):
            raise ValueError(
                f'the goal has shape {list(values.shape)}; objective {self.name!r} takes '
                f'{expected}, or none for its default {list(self.default_goal)}'
            )
        if not np.isfinite(values).all():
            raise ValueError(
                f'the goal is {values.tolist()}; objective {self.name!r} takes {expected}, '
                'all finite'
            )
        return values

    def with_default_goal(self, goal: Sequence[float]) -> Objective:
        """The same objective with another goal where none is given.

        Raises:
            ValueError: as ``check_goal``.
        """
        return dataclasses.replace(self, default_goal=tuple(self.check_goal(goal).tolist()))

    def with_weights(self, weights: Mapping[str, float]) -> Objective:
        """The same objective with some weights changed.

        Raises:
            ValueError: for a term that it does not have.
        """
        unknown = sorted(weights.keys() - self.terms.keys())
        if unknown:
            raise ValueError(
                f'objective {self.name!r} has no term {", ".join(map(repr, unknown))}; '
                f'its terms are {", ".join(map(repr, self.terms))}'
            )
        return dataclasses.replace(self, weights={**self.weights, **weights})
