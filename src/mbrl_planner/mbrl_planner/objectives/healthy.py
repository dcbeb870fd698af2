"""Bounds of the state outside of which an episode ends, for any objective; numbers alone."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from fnmatch import fnmatchcase

import torch

from mbrl_common.task import TaskSettings
from mbrl_planner.objectives.base import Objective

NAME = 'healthy'
"""Of the term that pays for staying within."""


def with_bounds(objective: Objective, task: TaskSettings, bounds: Sequence[str]) -> Objective:
    """The same objective, whose episodes also end outside of bounds.

    It gets one more term, ``healthy``: 1 for a step that ends within them, 0 for one that does not,
    with the weight 0.

    Args:
        objective: any.
        task: names the entries of the state.
        bounds: each ``entry=low:high``, the bounds included; an empty one is no bound, and in the
            name ``*`` stands for anything.

    Raises:
        ValueError: an entry is not of that form, or the state has none of that name.
    """
    low = [-math.inf] * task.state_dim
    high = [math.inf] * task.state_dim
    for entry in bounds:
        pattern, floor, ceiling = _parse(entry)
        found = [i for i, name in enumerate(task.state) if fnmatchcase(name, pattern)]
        if not found:
            raise ValueError(f"{entry!r} fits no entry of 'task.state', which is {[*task.state]}")
        for index in found:
            low[index], high[index] = max(low[index], floor), min(high[index], ceiling)
    bounded = [i for i in range(task.state_dim) if low[i] > -math.inf or high[i] < math.inf]
    floors = torch.tensor([low[i] for i in bounded], dtype=torch.float64)
    ceilings = torch.tensor([high[i] for i in bounded], dtype=torch.float64)

    def within(state: torch.Tensor) -> torch.Tensor:
        values = state[..., bounded]
        # NaN is within nothing.
        return ((values >= floors.to(values)) & (values <= ceilings.to(values))).all(-1)

    ends = objective.termination

    def termination(next_state: torch.Tensor) -> torch.Tensor:
        outside = ~within(next_state)
        return outside if ends is None else outside | ends(next_state)

    def healthy(
        state: torch.Tensor, action: torch.Tensor, next_state: torch.Tensor, goal: torch.Tensor
    ) -> torch.Tensor:
        return within(next_state).to(next_state.dtype)

    return dataclasses.replace(
        objective,
        terms={**objective.terms, NAME: healthy},
        weights={**objective.weights, NAME: 0.0},
        termination=termination,
    )


def _parse(entry: str) -> tuple[str, float, float]:
    name, _, text = entry.partition('=')
    floor, colon, ceiling = text.partition(':')
    try:
        low = float(floor) if floor.strip() else -math.inf
        high = float(ceiling) if ceiling.strip() else math.inf
    except ValueError:
        low = high = math.nan
    if not name.strip() or not colon or not low < high:
        raise ValueError(
            f"{entry!r} must be 'entry=low:high' with low below high, such as "
            "'rootz.position=0.7:' or '*.velocity=-100:100'"
        )
    return name.strip(), low, high
