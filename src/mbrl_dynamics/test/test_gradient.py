"""The written-out gradient against autograd in float64, and the loss against its closed form."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from mbrl_dynamics.ensemble import ACTIVATIONS, Architecture, Weights, bound_logvar
from mbrl_dynamics.gradient import BOUND_PENALTY, LossGradient

BATCH = 7


def batch(architecture: Architecture) -> tuple[Weights, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    weights = Weights.initial(architecture, generator)
    weights.flat.add_(0.1 * torch.randn(weights.flat.shape, generator=generator))
    inputs = torch.randn(architecture.members, BATCH, 6, generator=generator)
    targets = torch.randn(architecture.members, BATCH, 4, generator=generator)
    return weights, inputs, targets


@pytest.mark.parametrize('activation', ACTIVATIONS)
def test_it_equals_autograd_in_double_precision(
    architecture: Architecture, activation: str
) -> None:
    architecture = dataclasses.replace(architecture, activation=activation)
    weights, inputs, targets = batch(architecture)
    flat = weights.flat.double().requires_grad_()
    double = Weights(architecture, flat)
    mean, logvar = double.forward(inputs.double())
    data = (mean - targets) ** 2 * torch.exp(-logvar) + logvar
    bounds = double.max_logvar.sum() - double.min_logvar.sum()
    (data.mean((1, 2)).sum() + BOUND_PENALTY * bounds).backward()

    loss_gradient = LossGradient(weights)
    loss = loss_gradient(inputs, targets)

    torch.testing.assert_close(loss.double(), data.detach(), rtol=1e-4, atol=1e-4)
    assert flat.grad is not None
    torch.testing.assert_close(
        loss_gradient.gradient.flat.double(), flat.grad, rtol=1e-3, atol=1e-5
    )


def test_the_loss_is_the_gaussian_likelihood_up_to_scale_and_constant(
    architecture: Architecture,
) -> None:
    weights, inputs, targets = batch(architecture)
    mean, logvar = weights.forward(inputs)
    expected = -torch.distributions.Normal(mean, torch.exp(0.5 * logvar)).log_prob(targets)
    loss = LossGradient(weights)(inputs, targets)
    torch.testing.assert_close(0.5 * (loss + math.log(2 * math.pi)), expected, rtol=1e-4, atol=1e-4)


def test_log_variances_stay_softly_between_their_bounds() -> None:
    low, high = torch.tensor(-10.0), torch.tensor(0.5)
    raw = torch.linspace(-1000, 1000, 101)
    bounded = bound_logvar(raw, low, high)
    assert (bounded >= low).all() and (bounded <= high + 1e-4).all()
    assert (bounded.diff() >= 0).all()
    np.testing.assert_allclose(bound_logvar(torch.tensor(-4.0), low, high), -4.0, atol=0.02)


def test_members_do_not_touch_each_other(architecture: Architecture) -> None:
    weights, inputs, targets = batch(architecture)
    loss_gradient = LossGradient(weights)
    loss_gradient(inputs, targets)
    before = {name: g.clone() for name, g in loss_gradient.gradient.named.items()}
    inputs[0] += 1.0
    targets[0] -= 1.0
    loss_gradient(inputs, targets)
    for name, gradient in loss_gradient.gradient.named.items():
        assert not torch.equal(gradient[0], before[name][0]), name
        torch.testing.assert_close(gradient[1:], before[name][1:])
