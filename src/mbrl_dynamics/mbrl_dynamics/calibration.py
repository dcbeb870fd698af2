"""Whether a predicted spread is as large as it should be: coverage, likelihood, error by spread.

If a prediction is right, the share of the truth that lies below its quantile p is p, for every p.
The probability integral transform (Dawid 1984; Gneiting et al. 2007) turns each true value into
the p at which it lies; a central interval of level c holds what lies from (1 - c) / 2 to
(1 + c) / 2.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from mbrl_dynamics.evaluation import LEVELS

BINS = 8


def mixture_transform(mean: np.ndarray, variance: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Where the truth lies in the members' mixture: its exact distribution function there.

    Args:
        mean, variance: [E, N, S] float64, of the Gaussians; each counts the same.
        truth: [N, S].

    Returns:
        [N, S], 0 to 1; NaN where nothing is spread.
    """
    deviation = np.sqrt(variance)
    with np.errstate(divide='ignore', invalid='ignore'):
        scaled = torch.from_numpy((truth - mean) / deviation)
    return np.asarray(torch.special.ndtr(scaled).mean(0))


def mixture_surprise(
    mean: np.ndarray, variance: np.ndarray, truth: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Negative log-likelihood of the truth in the members' mixture [nats].

    Args:
        mean, variance: [E, N, S] float64, of the Gaussians; each counts the same.
        truth: [N, S].

    Returns:
        that of each entry alone, [N, S], and that of all together, [N].
    """
    with np.errstate(divide='ignore', invalid='ignore'):
        log = -0.5 * ((truth - mean) ** 2 / variance + np.log(2 * np.pi * variance))
    return _minus_log_mean_exp(log), _minus_log_mean_exp(log.sum(-1))


def coverage(transform: np.ndarray) -> np.ndarray:
    """Share of the truth within the central intervals of ``LEVELS``, [L, S].

    Args:
        transform: [N, S], where the truth lies, 0 to 1.
    """
    distance = 2 * np.abs(transform - 0.5)
    share = (distance[None] <= LEVELS[:, None, None]).mean(1)
    return np.where(np.isnan(transform).any(0), np.nan, share)


def particle_coverage(particles: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Share of the truth within the central intervals of a few particles, [L, S].

    Among P particles that are drawn from what the truth is drawn from, each of the P + 1 gaps holds
    it equally often; within a gap, nothing is known, so it is taken to be anywhere. Levels that
    would end within the outermost gaps are NaN: so few particles say nothing of them.

    Args:
        particles: [P, N, S].
        truth: [N, S].
    """
    count = len(particles)
    below = (particles < truth).sum(0)
    upper = (below + (particles == truth).sum(0) + 1) / (count + 1)
    lower = below / (count + 1)
    shares = np.full((len(LEVELS), truth.shape[1]), np.nan)
    for i, level in enumerate(LEVELS):
        if level * (count + 1) <= count - 1 + 1e-9:
            low, high = 0.5 - level / 2, 0.5 + level / 2
            within = np.clip(np.minimum(upper, high) - np.maximum(lower, low), 0.0, None)
            shares[i] = (within / (upper - lower)).mean(0)
    return shares


def calibration_error(shares: np.ndarray) -> np.ndarray:
    """Mean distance between observed and nominal coverage over the levels, [S].

    Args:
        shares: [L, S], as of :func:`coverage`.
    """
    return mean_known(np.abs(shares - LEVELS[:, None]))


def error_by_spread(error: np.ndarray, spread: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Root mean squares of error and spread, in bins of ever larger spread: [B, S] each.

    They agree in every bin where the model knows how uncertain it is.

    Args:
        error, spread: [N, S].
    """
    order = np.argsort(spread, axis=0, kind='stable')
    bins = np.array_split(order, min(BINS, len(order)))
    return tuple(  # type: ignore[return-value]
        np.array([rms(np.take_along_axis(values, bin_, axis=0)) for bin_ in bins])
        for values in (error, spread)
    )


def rms(values: np.ndarray) -> np.ndarray:
    """Root mean square over the first axis."""
    return np.asarray(np.sqrt(np.mean(values**2, axis=0)))


def mean_known(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis of what is not NaN; NaN where nothing is known."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(0)
    return np.asarray(np.where(known.any(0), total / np.maximum(known.sum(0), 1), math.nan))


def _minus_log_mean_exp(log: np.ndarray) -> np.ndarray:
    count = math.log(len(log))
    return np.asarray(count - torch.logsumexp(torch.from_numpy(log), dim=0))
