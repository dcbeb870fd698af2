"""Planning by backpropagation: Adam by hand, clipping, bounds, and gradients that are not there."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mbrl_planner.gradient import ascend
from mbrl_planner.optimizer_settings import GradientSettings

LOW, HIGH = torch.tensor([-2.0, 0.0]), torch.tensor([2.0, 1.0])
MIDDLE, HALF = np.array([0.0, 0.5]), np.array([2.0, 0.5])
START = torch.tensor([[[[0.4, 0.5], [-1.0, 0.2]]]])


def adam(slope_of, scaled, steps, rate, clip=math.inf):
    """Adam as Kingma and Ba write it, in float64, upwards and projected onto -1 to 1."""
    first = second = 0.0
    for step in range(1, steps + 1):
        slope = slope_of(scaled)
        slope = slope * min(1.0, clip / np.linalg.norm(slope))
        first = 0.9 * first + 0.1 * slope
        second = 0.999 * second + 0.001 * slope**2
        change = (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        scaled = np.clip(scaled + rate * change, -1, 1)
    return scaled


def test_the_first_step_goes_as_far_as_the_rate_says():
    settings = GradientSettings(learning_rate=0.05)
    found = ascend(lambda a: a.sum((2, 3)), START, LOW, HIGH, settings, 1)
    np.testing.assert_allclose(
        found.actions[0, 0], START[0, 0] + 0.05 * torch.tensor(HALF), atol=1e-5
    )


@pytest.mark.parametrize('clip', [0.01, 1e6])
def test_steps_are_adams(clip):
    target = np.array([[3.0, 0.9], [0.5, 0.1]])

    def evaluate(actions):
        return -(actions - torch.tensor(target)).square().sum((2, 3))

    def slope_of(scaled):
        return -2 * (MIDDLE + HALF * scaled - target) * HALF

    settings = GradientSettings(learning_rate=0.05, clip=clip)
    found = ascend(evaluate, START.double(), LOW.double(), HIGH.double(), settings, 12)
    scaled = adam(slope_of, (START[0, 0].double().numpy() - MIDDLE) / HALF, 12, 0.05, clip)
    np.testing.assert_allclose(found.actions[0, 0], MIDDLE + HALF * scaled, rtol=1e-6)


def test_clipping_keeps_one_steep_step_from_ruling_the_next():
    """Adam forgets a huge gradient slowly: after a cliff it would hardly move."""

    def evaluate(actions):
        steep = torch.where(actions < -0.9, 1e4 * (actions + 0.9), 0.0)
        return (actions + steep).sum((2, 3))

    low, high = torch.tensor([-1.0]), torch.tensor([1.0])
    start = torch.full((1, 1, 1, 1), -0.95)
    reached = {
        clip: float(
            ascend(
                evaluate, start, low, high, GradientSettings(learning_rate=0.1, clip=clip), 15
            ).actions
        )
        for clip in (1.0, 1e9)
    }
    assert reached[1.0] > 0.4
    assert reached[1e9] < 0.0


def test_a_start_without_a_finite_return_or_gradient_never_wins_and_harms_no_other():
    def evaluate(actions):
        value = actions[:, :, 0, 0]
        returns = -(value - 1.0).square()
        returns = torch.where(value < -1.5, math.nan, returns)
        # A square root at 0 has a return and no gradient.
        return returns + 0.0 * (value - 0.25).abs().sqrt()

    starts = torch.tensor([-1.9, 0.25, 0.6]).view(1, 3, 1, 1)
    low, high = torch.tensor([-2.0]), torch.tensor([2.0])
    found = ascend(evaluate, starts, low, high, GradientSettings(learning_rate=0.02), 40)
    assert float(found.actions[0, 0]) == pytest.approx(1.0, abs=0.02)
    assert float(found.actions[0, 1]) == 0.25
    assert float(found.returns[0, 2]) == -math.inf


def test_an_entry_that_cannot_move_stays():
    low, high = torch.tensor([-1.0, 0.3]), torch.tensor([1.0, 0.3])
    found = ascend(
        lambda a: a.sum((2, 3)),
        torch.tensor([[[[0.0, 0.3]]]]),
        low,
        high,
        GradientSettings(learning_rate=0.5),
        5,
    )
    np.testing.assert_allclose(found.actions.flatten(), [1.0, 0.3])
