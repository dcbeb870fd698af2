"""Coloured noise: its spectrum, its variance, and its generators."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mbrl_planner.colored_noise import colored_noise


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize('beta', [0.0, 0.5, 1.0, 2.0, 3.5])
@pytest.mark.parametrize('length', [64, 65])
def test_power_falls_with_frequency_to_the_minus_beta(beta, length):
    noise = colored_noise(beta, (4000, length), [generator()], torch.float64)[0].numpy()
    power = (np.abs(np.fft.rfft(noise)) ** 2).mean(0)
    frequency = np.fft.rfftfreq(length)
    slope = np.polyfit(np.log(frequency[1:]), np.log(power[1:]), 1)[0]
    assert abs(slope + beta) < 0.05
    # offset and highest frequency are real: the whole of their power is in one number
    np.testing.assert_allclose(
        power[-1] / power[-2], (frequency[-1] / frequency[-2]) ** -beta, rtol=0.1
    )
    np.testing.assert_allclose(power[0] / power[1], 1.0, rtol=0.1)


@pytest.mark.parametrize('beta', [0.0, 1.0, 2.0])
@pytest.mark.parametrize('length', [1, 2, 3, 20, 21])
def test_every_entry_has_variance_one(beta, length):
    noise = colored_noise(beta, (60_000, length), [generator()])
    np.testing.assert_allclose(noise[0].var(0), 1.0, rtol=0.04)
    np.testing.assert_allclose(noise[0].mean(0), 0.0, atol=0.03)


def test_white_noise_is_uncorrelated():
    noise = colored_noise(0.0, (50_000, 10), [generator()])[0].numpy()
    np.testing.assert_allclose(np.corrcoef(noise.T), np.eye(10), atol=0.03)


def test_a_problem_draws_from_its_own_generator():
    together = colored_noise(2.0, (5, 3, 20), [generator(1), generator(2)])
    assert together.shape == (2, 5, 3, 20)
    assert torch.equal(together[0], colored_noise(2.0, (5, 3, 20), [generator(1)])[0])
    assert torch.equal(together[1], colored_noise(2.0, (5, 3, 20), [generator(2)])[0])
    assert not torch.equal(together[0], together[1])
