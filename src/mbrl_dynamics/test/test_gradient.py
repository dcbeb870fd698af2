"""The written-out gradient against autograd in float64, and the loss against its closed form."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from mbrl_dynamics.ensemble import ACTIVATIONS, Architecture, Weights, bound_logvar
from mbrl_dynamics.gradient import BOUND_PENALTY, LossGradient, data_loss

BATCH = 7
KINDS = [
    {},
    {'probabilistic': False},
    {'learns_reward': True},
    {'learns_termination': True},
    {'probabilistic': False, 'learns_reward': True, 'learns_termination': True},
]


@dataclasses.dataclass
class Case:
    """Weights and a batch that no random number is special in."""

    weights: Weights
    inputs: torch.Tensor
    targets: torch.Tensor
    ends: torch.Tensor | None


def make_case(architecture: Architecture) -> Case:
    generator = torch.Generator().manual_seed(1)
    weights = Weights.initial(architecture, generator)
    weights.flat.add_(0.1 * torch.randn(weights.flat.shape, generator=generator))
    members = architecture.members
    inputs = torch.randn(members, BATCH, 6, generator=generator)
    targets = torch.randn(members, BATCH, architecture.targets, generator=generator)
    ends = (torch.rand(members, BATCH, 1, generator=generator) < 0.3).float()
    return Case(weights, inputs, targets, ends if architecture.learns_termination else None)


def check_against_autograd(architecture: Architecture) -> None:
    case = make_case(architecture)
    flat = case.weights.flat.double().requires_grad_()
    double = Weights(architecture, flat)
    outputs = double.forward(case.inputs.double())
    targets = case.targets.double()
    if outputs.logvar is None:
        objective = reported = (outputs.mean - targets).square().mean((1, 2))
    else:
        normal = torch.distributions.Normal(outputs.mean, torch.exp(0.5 * outputs.logvar))
        reported = -normal.log_prob(targets).mean((1, 2))
        # PETS leaves the half and the constant out.
        objective = 2 * reported - math.log(2 * math.pi)
        low, high = double.bounds
        objective = objective + BOUND_PENALTY * (high - low).sum((1, 2))
    if case.ends is not None:
        assert outputs.logit is not None
        entropy = torch.distributions.Bernoulli(logits=outputs.logit)
        ended = -entropy.log_prob(case.ends[..., 0].double()).mean(1)
        objective, reported = objective + ended, reported + ended
    objective.sum().backward()

    loss_gradient = LossGradient(case.weights)
    loss = loss_gradient(case.inputs, case.targets, case.ends)

    torch.testing.assert_close(loss.double(), reported.detach(), rtol=1e-4, atol=1e-4)
    assert flat.grad is not None
    torch.testing.assert_close(
        loss_gradient.gradient.flat.double(), flat.grad, rtol=1e-3, atol=1e-5
    )
    outputs = case.weights.forward(case.inputs)
    torch.testing.assert_close(data_loss(outputs, case.targets, case.ends), loss)


@pytest.mark.parametrize('activation', ACTIVATIONS)
def test_it_equals_autograd_in_double_precision(
    architecture: Architecture, activation: str
) -> None:
    check_against_autograd(dataclasses.replace(architecture, activation=activation))


@pytest.mark.parametrize('kind', KINDS, ids=str)
def test_it_equals_autograd_for_every_kind_of_member_and_head(
    architecture: Architecture, kind: dict[str, bool]
) -> None:
    check_against_autograd(dataclasses.replace(architecture, **kind))


def test_log_variances_stay_softly_between_their_bounds() -> None:
    low, high = torch.tensor(-10.0), torch.tensor(0.5)
    raw = torch.linspace(-1000, 1000, 101)
    bounded = bound_logvar(raw, low, high)
    assert (bounded >= low).all() and (bounded <= high + 1e-4).all()
    assert (bounded.diff() >= 0).all()
    np.testing.assert_allclose(bound_logvar(torch.tensor(-4.0), low, high), -4.0, atol=0.02)


def test_members_do_not_touch_each_other(architecture: Architecture) -> None:
    case = make_case(architecture)
    loss_gradient = LossGradient(case.weights)
    loss_gradient(case.inputs, case.targets)
    before = {name: g.clone() for name, g in loss_gradient.gradient.named.items()}
    case.inputs[0] += 1.0
    case.targets[0] -= 1.0
    loss_gradient(case.inputs, case.targets)
    for name, gradient in loss_gradient.gradient.named.items():
        assert not torch.equal(gradient[0], before[name][0]), name
        torch.testing.assert_close(gradient[1:], before[name][1:])
