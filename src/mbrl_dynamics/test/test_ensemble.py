"""All members at once against each network alone, in float64, written out in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mbrl_dynamics.encoding import Encoding
from mbrl_dynamics.ensemble import Architecture, Weights

NONLINEARITIES = {
    'silu': lambda x: x / (1 + np.exp(-x)),
    'relu': lambda x: np.maximum(x, 0),
    'tanh': np.tanh,
    'elu': lambda x: np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1),
    'leaky_relu': lambda x: np.where(x > 0, x, 0.01 * x),
    'softplus': lambda x: np.log1p(np.exp(x)),
    'sigmoid': lambda x: 1 / (1 + np.exp(-x)),
}


def alone(weights: Weights, member: int, inputs: np.ndarray) -> np.ndarray:
    """Outputs [B, O] of one member's network for inputs [B, I]."""
    nonlinearity = NONLINEARITIES[weights.architecture.activation]
    x = inputs
    for i, (weight, bias) in enumerate(weights.layers):
        x = x @ weight[member].numpy() + bias[member, 0].numpy()
        if i < len(weights.layers) - 1:
            x = nonlinearity(x)
    return x


@pytest.mark.parametrize('activation', NONLINEARITIES)
@pytest.mark.parametrize('hidden', [(7,), (16, 3, 9)])
def test_batched_members_are_each_network_alone(activation: str, hidden: tuple[int, ...]) -> None:
    architecture = Architecture(
        Encoding(4, 2, (1,)), 5, hidden, activation, learns_reward=True, learns_termination=True
    )
    weights = Weights.initial(architecture, torch.Generator().manual_seed(0))
    for _, bias in weights.layers:
        bias.normal_(generator=torch.Generator().manual_seed(1))
    weights = Weights(architecture, weights.flat.double())
    inputs = np.random.default_rng(0).normal(size=(5, 11, 7))
    outputs = weights.forward(torch.from_numpy(inputs))
    assert outputs.logvar is not None and outputs.logit is not None
    low, high = (each.numpy() for each in weights.bounds)
    softplus = lambda x: np.log1p(np.exp(x))  # noqa: E731
    for member in range(5):
        expected = alone(weights, member, inputs[member])
        np.testing.assert_allclose(outputs.mean[member], expected[:, :5], rtol=1e-12)
        np.testing.assert_allclose(outputs.logit[member], expected[:, 10], rtol=1e-12)
        below = high[member] - softplus(high[member] - expected[:, 5:10])
        logvar = low[member] + softplus(below - low[member])
        np.testing.assert_allclose(outputs.logvar[member], logvar, rtol=1e-9)


def test_members_begin_apart_with_the_deviation_that_pets_gives() -> None:
    architecture = Architecture(Encoding(100, 0, ()), 3, (200, 200), 'silu')
    weights = Weights.initial(architecture, torch.Generator().manual_seed(0))
    for weight, bias in weights.layers:
        bound = 1 / (2 * np.sqrt(weight.shape[1]))
        assert float(weight.abs().max()) <= 2 * bound
        # A normal cut off at two deviations has 0.88 of its deviation.
        assert float(weight.std()) == pytest.approx(0.88 * bound, rel=0.03)
        assert not torch.equal(weight[0], weight[1]) and not bias.any()


def test_some_members_weights_can_be_taken_from_another_ensemble() -> None:
    architecture = Architecture(Encoding(4, 1, ()), 3, (8,), 'silu')
    ours, theirs = (
        Weights.initial(architecture, torch.Generator().manual_seed(seed)) for seed in (0, 1)
    )
    before = {name: tensor.clone() for name, tensor in ours.named.items()}
    ours.copy_members(theirs, torch.tensor([False, True, False]))
    for name, tensor in ours.named.items():
        assert torch.equal(tensor[1], theirs.named[name][1])
        assert torch.equal(tensor[[0, 2]], before[name][[0, 2]])
