"""Gaussian noise whose power falls with frequency: smooth action sequences.

Timmer and König (1995), "On generating power law noise", Astronomy and Astrophysics 300: the
Fourier coefficients are independent Gaussians of variance f^-beta; the inverse FFT is the series.
Scaled so that every entry has variance 1, the offset of the series included.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch

from mbrl_planner.draws import normal


@functools.lru_cache(maxsize=16)
def _amplitudes(beta: float, length: int, dtype: torch.dtype) -> torch.Tensor:
    """Factors [length // 2 + 1, 2] of the real and imaginary parts."""
    frequency = torch.fft.rfftfreq(length, dtype=torch.float64)
    frequency[0] = 1.0 / length  # the offset gets the power of the lowest frequency
    amplitude = torch.stack([frequency ** (-beta / 2)] * 2, dim=1)
    # Offset and, for an even length, the highest frequency have no imaginary part: all of their
    # power is in the real one.
    ends = [0, -1] if length % 2 == 0 else [0]
    for end in ends:
        amplitude[end, 0] *= 2**0.5
        amplitude[end, 1] = 0.0
    # Every other coefficient stands for two, itself and its conjugate.
    power = 2 * amplitude.square().sum(1)
    for end in ends:
        power[end] /= 2
    scale = length / power.sum().sqrt()
    return (amplitude * scale).to(dtype)


def colored_noise(
    beta: float,
    shape: tuple[int, ...],
    generators: Sequence[torch.Generator],
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """Noise [R, *shape] along the last dimension, with one generator for each of R problems.

    Args:
        beta: exponent; 0: white, 1: pink, 2: brown.
        shape: of one problem's noise; the last entry is the length of the series.
        generators: R of them.
        dtype: float32 or float64.
    """
    length = shape[-1]
    amplitudes = _amplitudes(beta, length, dtype)
    parts = normal((*shape[:-1], length // 2 + 1, 2), generators, dtype)
    coefficients = torch.view_as_complex(parts.mul_(amplitudes))
    noise: torch.Tensor = torch.fft.irfft(coefficients, n=length, dim=-1)
    return noise
