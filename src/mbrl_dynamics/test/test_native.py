"""Each variant of the kernels that this machine can run, against torch and against autograd."""

from __future__ import annotations

import ctypes
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from mbrl_dynamics import native
from mbrl_dynamics.encoding import Encoding
from mbrl_dynamics.ensemble import ACTIVATIONS, Architecture, Weights
from mbrl_dynamics.gradient import LossGradient
from mbrl_dynamics.native import MemberTraining, load, loss_gradient

RUNNABLE = {'AVX512': ['portable', 'avx2', 'avx512'], 'AVX2': ['portable', 'avx2']}
VARIANTS = RUNNABLE.get(torch.backends.cpu.get_cpu_capability(), ['portable'])
KINDS = [
    {},
    {'probabilistic': False},
    {'learns_reward': True},
    {'learns_termination': True},
    {'probabilistic': False, 'learns_reward': True, 'learns_termination': True},
]


@pytest.fixture(params=VARIANTS)
def kernels(request: pytest.FixtureRequest) -> ctypes.CDLL:
    library = load(request.param)
    assert library is not None, 'mbrl_kernels is not built'
    return library


@pytest.mark.parametrize('activation', ACTIVATIONS)
def test_the_gradient_equals_autograd_in_double_precision(
    kernels: ctypes.CDLL,
    architecture: Architecture,
    make_batch: Callable[..., Any],
    activation: str,
) -> None:
    batch = make_batch(dataclasses.replace(architecture, activation=activation))
    batch.check(*loss_gradient(kernels, batch.weights, batch.inputs, batch.targets, batch.ends))


@pytest.mark.parametrize('kind', KINDS, ids=str)
def test_so_it_does_for_every_kind_of_member_and_head(
    kernels: ctypes.CDLL,
    architecture: Architecture,
    make_batch: Callable[..., Any],
    kind: dict[str, bool],
) -> None:
    batch = make_batch(dataclasses.replace(architecture, **kind), 41)
    batch.check(*loss_gradient(kernels, batch.weights, batch.inputs, batch.targets, batch.ends))


@pytest.mark.parametrize(
    ('states', 'hidden', 'size'),
    [(1, (1,), 1), (3, (7, 15), 2), (5, (16, 17), 16), (2, (31, 33, 49), 33), (20, (200, 8), 65)],
)
def test_no_size_has_to_fit_a_vector(
    kernels: ctypes.CDLL,
    make_batch: Callable[..., Any],
    states: int,
    hidden: tuple[int, ...],
    size: int,
) -> None:
    batch = make_batch(Architecture(Encoding(states, 1, ()), 2, hidden, 'tanh'), size)
    batch.check(*loss_gradient(kernels, batch.weights, batch.inputs, batch.targets, batch.ends))


@pytest.mark.parametrize('activation', ACTIVATIONS)
def test_activations_are_right_near_zero_and_far_out(kernels: ctypes.CDLL, activation: str) -> None:
    # One unit, weights of one: with a target of zero, the gradient by the last bias is twice the
    # value, and that by the first bias is that times the slope.
    encoding = Encoding(1, 1, ())
    weights = Weights(Architecture(encoding, 1, (1,), activation, probabilistic=False))
    weights.named['layer0.weight'][0, 0] = 1.0
    weights.named['layer1.weight'].fill_(1.0)
    for x in [*np.linspace(-12, 12, 49), -1e4, -89.0, -30.0, -1e-4, 1e-4, 30.0, 89.0, 1e4]:
        inputs = torch.tensor([[[x, 0.0]]], dtype=torch.float32)
        _, gradient = loss_gradient(kernels, weights, inputs, torch.zeros(1, 1, 1), None)
        exact = inputs[0, 0, 0].double().requires_grad_()
        value = ACTIVATIONS[activation].forward(exact)
        value.backward()
        assert exact.grad is not None
        y, slope = value.item(), exact.grad.item()
        tolerance = 4e-7 * (1 + abs(y))
        assert gradient.named['layer1.bias'].item() / 2 == pytest.approx(y, abs=tolerance), x
        product = gradient.named['layer0.bias'].item() / 2
        assert product == pytest.approx(y * slope, abs=tolerance * (1 + abs(slope))), x


def test_log_variances_far_outside_their_bounds_are_bounded(
    kernels: ctypes.CDLL, architecture: Architecture, make_batch: Callable[..., Any]
) -> None:
    batch = make_batch(architecture, 20)
    raw = torch.tensor([-1e4, -100.0, 100.0, 1e4])
    batch.weights.named['layer2.bias'][..., 4:] = raw
    loss, gradient = loss_gradient(kernels, batch.weights, batch.inputs, batch.targets, batch.ends)
    expected = LossGradient(batch.weights)
    torch.testing.assert_close(
        loss, expected(batch.inputs, batch.targets, batch.ends), rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(gradient.flat, expected.gradient.flat, rtol=1e-3, atol=1e-3)


def test_what_is_no_number_stays_none(
    kernels: ctypes.CDLL, architecture: Architecture, make_batch: Callable[..., Any]
) -> None:
    batch = make_batch(architecture)
    batch.inputs[1, 3, 2] = float('nan')
    loss, gradient = loss_gradient(kernels, batch.weights, batch.inputs, batch.targets, None)
    assert torch.isnan(loss[1]) and torch.isfinite(loss[[0, 2]]).all()
    assert torch.isnan(gradient.named['layer0.weight'][1]).all()
    assert torch.isfinite(gradient.named['layer0.weight'][[0, 2]]).all()


@pytest.mark.parametrize('decay', [(0.0,), (0.01,), (0.1, 0.0, 0.3)])
def test_training_is_torchs_adam_on_the_gradient(
    kernels: ctypes.CDLL,
    architecture: Architecture,
    make_batch: Callable[..., Any],
    decay: tuple[float, ...],
) -> None:
    architecture = dataclasses.replace(architecture, learns_termination=True)
    start = make_batch(architecture).weights
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(50, 6, generator=generator)
    targets = torch.randn(50, 4, generator=generator)
    ends = (torch.rand(50, 1, generator=generator) < 0.3).float()
    indices = torch.randint(50, (3, 20, 9), generator=generator)
    rates = np.linspace(1e-2, 1e-3, 20)

    theirs = Weights(architecture, start.flat.clone())
    parameters = {name: torch.nn.Parameter(tensor) for name, tensor in theirs.named.items()}
    each = list(decay) * 3 if len(decay) == 1 else decay
    groups = [
        {'params': [parameter], 'weight_decay': each[int(name[5])] if 'weight' in name else 0.0}
        for name, parameter in parameters.items()
    ]
    adam = torch.optim.Adam(groups)
    expected = []
    for update, rate in enumerate(rates):
        batch = indices[:, update]
        loss, gradient = loss_gradient(kernels, theirs, inputs[batch], targets[batch], ends[batch])
        expected.append(loss)
        for name, parameter in parameters.items():
            parameter.grad = gradient.named[name]
        for group in adam.param_groups:
            group['lr'] = rate
        adam.step()

    ours = Weights(architecture, start.flat.clone())
    training = MemberTraining(kernels, ours, inputs, targets, ends, decay)
    for member in (2, 0, 1):  # in any order, and in parts
        first = training.train(member, indices[member, :13], rates[:13], 0)
        second = training.train(member, indices[member, 13:], rates[13:], 13)
        losses = torch.tensor(np.concatenate([first, second]))
        torch.testing.assert_close(losses, torch.stack(expected)[:, member], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.flat, theirs.flat, rtol=1e-4, atol=1e-5)


def test_a_wrong_number_of_weight_decays_is_refused(
    kernels: ctypes.CDLL, architecture: Architecture
) -> None:
    weights = Weights(architecture)
    with pytest.raises(ValueError, match='2 weight decays for 3 layers'):
        MemberTraining(kernels, weights, torch.ones(1, 6), torch.ones(1, 4), None, [0.1, 0.1])


def test_the_machine_decides_which_kernels_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[str] = []
    monkeypatch.setattr(native, 'load', lambda variant: chosen.append(variant) or object())
    choose = native.kernels.__wrapped__
    for machine, capability, expected in [
        ('x86_64', 'AVX512', ['avx512']),
        ('x86_64', 'AVX2', ['avx2']),
        ('x86_64', 'DEFAULT', []),
        ('aarch64', 'DEFAULT', ['portable']),
    ]:
        monkeypatch.setattr('platform.machine', lambda machine=machine: machine)
        monkeypatch.setattr(
            torch.backends.cpu, 'get_cpu_capability', lambda capability=capability: capability
        )
        chosen.clear()
        assert (choose() is not None) == bool(expected)
        assert chosen == expected


def test_kernels_that_are_not_there_are_missed_aloud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('AMENT_PREFIX_PATH', '/nowhere')
    assert native.load('portable') is None
    monkeypatch.setattr('platform.machine', lambda: 'aarch64')
    with pytest.warns(UserWarning, match='mbrl_kernels is not built'):
        assert native.kernels.__wrapped__() is None


def test_kernels_of_another_time_are_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, 'INTERFACE', -1)
    with pytest.raises(ImportError, match='run `make build`'):
        native.load('portable')


def test_numbers_too_small_to_be_fast_are_zero_in_a_training_alone(kernels: ctypes.CDLL) -> None:
    weights = Weights(Architecture(Encoding(1, 1, ()), 1, (1,), 'relu', probabilistic=False))
    inputs, targets = torch.zeros(1, 2), torch.full((1, 1), 1e-20)  # so is the gradient: -2e-20
    training = MemberTraining(kernels, weights, inputs, targets, None, (0.0,))
    training.train(0, torch.zeros(1, 1, dtype=torch.long), np.array([1e-3]), 0)
    mean, square = training._kept[1:3]
    assert mean is not None and square is not None
    assert mean[mean != 0.0].tolist() == pytest.approx([-2e-21])
    assert not square.any()  # of 4e-43
    assert np.float32(1e-40) * np.float32(1.0) != 0.0
