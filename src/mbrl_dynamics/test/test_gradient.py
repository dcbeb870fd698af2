"""The written-out gradient against autograd in float64, and the loss against its closed form."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from mbrl_dynamics.ensemble import ACTIVATIONS, Architecture, bound_logvar
from mbrl_dynamics.gradient import LossGradient, data_loss

KINDS = [
    {},
    {'probabilistic': False},
    {'learns_reward': True},
    {'learns_termination': True},
    {'probabilistic': False, 'learns_reward': True, 'learns_termination': True},
]


def check(architecture: Architecture, make_batch: Callable[..., Any]) -> None:
    batch = make_batch(architecture)
    loss_gradient = LossGradient(batch.weights)
    loss = loss_gradient(batch.inputs, batch.targets, batch.ends)
    batch.check(loss, loss_gradient.gradient)
    outputs = batch.weights.forward(batch.inputs)
    torch.testing.assert_close(data_loss(outputs, batch.targets, batch.ends), loss)


@pytest.mark.parametrize('activation', ACTIVATIONS)
def test_it_equals_autograd_in_double_precision(
    architecture: Architecture, make_batch: Callable[..., Any], activation: str
) -> None:
    check(dataclasses.replace(architecture, activation=activation), make_batch)


@pytest.mark.parametrize('kind', KINDS, ids=str)
def test_it_equals_autograd_for_every_kind_of_member_and_head(
    architecture: Architecture, make_batch: Callable[..., Any], kind: dict[str, bool]
) -> None:
    check(dataclasses.replace(architecture, **kind), make_batch)


def test_log_variances_stay_softly_between_their_bounds() -> None:
    low, high = torch.tensor(-10.0), torch.tensor(0.5)
    raw = torch.linspace(-1000, 1000, 101)
    bounded = bound_logvar(raw, low, high)
    assert (bounded >= low).all() and (bounded <= high + 1e-4).all()
    assert (bounded.diff() >= 0).all()
    np.testing.assert_allclose(bound_logvar(torch.tensor(-4.0), low, high), -4.0, atol=0.02)


def test_members_do_not_touch_each_other(
    architecture: Architecture, make_batch: Callable[..., Any]
) -> None:
    case = make_batch(architecture)
    loss_gradient = LossGradient(case.weights)
    loss_gradient(case.inputs, case.targets)
    before = {name: g.clone() for name, g in loss_gradient.gradient.named.items()}
    case.inputs[0] += 1.0
    case.targets[0] -= 1.0
    loss_gradient(case.inputs, case.targets)
    for name, gradient in loss_gradient.gradient.named.items():
        assert not torch.equal(gradient[0], before[name][0]), name
        torch.testing.assert_close(gradient[1:], before[name][1:])
