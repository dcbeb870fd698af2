"""Mean and standard deviation of each input or target, in float64."""

from __future__ import annotations

import dataclasses

import numpy as np

CONSTANT = 1e-12


@dataclasses.dataclass(frozen=True)
class Normalizer:
    """Scales columns to zero mean and unit deviation; ``mean`` and ``std`` are float64 [D].

    A column whose deviation is below 1e-12 is constant so far and is only shifted (PETS does the
    same), so that its first change is not blown up.
    """

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def fit(cls, values: np.ndarray) -> Normalizer:
        """The statistics of float64 ``values`` [N, D], N at least 1.

        The mean is taken of the differences from the first row: summing in two passes around it
        keeps the deviation right even where it is tiny beside the mean.
        """
        values = np.asarray(values, dtype=np.float64)
        shifted = values - values[0]
        mean = shifted.mean(axis=0)
        std = (shifted - mean).std(axis=0)
        return cls(values[0] + mean, np.where(std < CONSTANT, 1.0, std))

    def normalize(self, values: np.ndarray) -> np.ndarray:
        """Scale ``values`` [..., D]; float64."""
        return (values - self.mean) / self.std
