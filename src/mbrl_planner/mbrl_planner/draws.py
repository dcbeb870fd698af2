"""Random numbers of R problems, each from a generator of its own: none depends on its company."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def normal(
    shape: tuple[int, ...], generators: Sequence[torch.Generator], dtype: torch.dtype
) -> torch.Tensor:
    """Standard normal numbers [R, *shape]."""
    numbers = torch.empty(len(generators), *shape, dtype=dtype)
    for problem, generator in zip(numbers, generators):
        problem.normal_(generator=generator)
    return numbers


def uniform(
    shape: tuple[int, ...],
    generators: Sequence[torch.Generator],
    dtype: torch.dtype,
    low: float = 0.0,
    high: float = 1.0,
) -> torch.Tensor:
    """Uniform numbers [R, *shape] from ``low`` to ``high``."""
    numbers = torch.empty(len(generators), *shape, dtype=dtype)
    for problem, generator in zip(numbers, generators):
        problem.uniform_(low, high, generator=generator)
    return numbers
