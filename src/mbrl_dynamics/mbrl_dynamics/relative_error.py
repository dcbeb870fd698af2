"""How good a model is, in a number that needs no units."""

from __future__ import annotations

import numpy as np


def relative_error(predicted: np.ndarray, change: np.ndarray) -> float:
    """One-step error relative to the trivial predictor 'nothing changes'.

    For each entry of the state, the root mean square error of the prediction is divided by that of
    predicting no change; the mean over the entries is returned: 0 is perfect, 1 knows nothing.
    Entries that never change do not count; without any that do, or without data, it is NaN.

    Args:
        predicted: change of the state that was predicted, [N, S].
        change: change of the state, [N, S].
    """
    if len(change) == 0:
        return float('nan')
    trivial = np.sqrt(np.mean(change**2, axis=0))
    error = np.sqrt(np.mean((predicted - change) ** 2, axis=0))
    moving = trivial > 1e-12
    return float(np.mean(error[moving] / trivial[moving])) if moving.any() else float('nan')
