"""The update that MPPI and PDDM share: the mean of all candidates, weighted by their returns."""

from __future__ import annotations

import torch


def weighted_mean(
    candidates: torch.Tensor, returns: torch.Tensor, sharpness: float, mean: torch.Tensor
) -> torch.Tensor:
    """Mean [R, H, A] of ``candidates`` [R, N, H, A], each counting ``exp(sharpness * return)``.

    A return that is not finite counts nothing; where none is finite the old ``mean`` stays.
    """
    finite = torch.isfinite(returns)
    ranked = torch.where(finite, returns, -torch.inf)
    best = ranked.amax(1, keepdim=True)
    # The largest exponent is 0, so that nothing overflows.
    exponent = torch.where(finite, sharpness * (returns - best), -torch.inf)
    weights = exponent.exp()
    total = weights.sum(1, keepdim=True)
    share = torch.where(finite, weights / total, 0.0)
    new = (share[:, :, None, None].to(candidates.dtype) * candidates).sum(1)
    return torch.where(finite.any(1)[:, None, None], new, mean)
