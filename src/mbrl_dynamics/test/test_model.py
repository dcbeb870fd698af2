"""The folded model against the unfolded ensemble in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mbrl_dynamics.encoding import Encoding
from mbrl_dynamics.ensemble import ACTIVATIONS, Architecture, Weights
from mbrl_dynamics.model import DynamicsModel
from mbrl_dynamics.normalizer import Normalizer
from mbrl_dynamics.snapshot import SnapshotError, TrainedEnsemble, encode


def make_ensemble(architecture: Architecture) -> TrainedEnsemble:
    generator = torch.Generator().manual_seed(5)
    weights = Weights.initial(architecture, generator)
    numbers = np.random.default_rng(5)
    inputs, targets = architecture.encoding.input_dim, architecture.encoding.state_dim
    return TrainedEnsemble(
        weights,
        Normalizer(numbers.normal(size=inputs), numbers.uniform(0.01, 10.0, inputs)),
        Normalizer(numbers.normal(size=targets), numbers.uniform(0.01, 10.0, targets)),
    )


@pytest.mark.parametrize('angles', [(), (1,), (0, 3)])
@pytest.mark.parametrize('activation', ACTIVATIONS)
def test_it_predicts_what_the_ensemble_does_in_double_precision(
    angles: tuple[int, ...], activation: str
) -> None:
    architecture = Architecture(Encoding(4, 2, angles), 3, (16, 8), activation)
    ensemble = make_ensemble(architecture)
    model = DynamicsModel.from_bytes(encode(ensemble, 1, 1, 0.0).data)
    numbers = np.random.default_rng(0)
    state, action = numbers.normal(size=(3, 11, 4)), numbers.normal(size=(3, 11, 2))
    mean, variance = model.predict(
        torch.tensor(state, dtype=torch.float32), torch.tensor(action, dtype=torch.float32)
    )
    weights = Weights(architecture, ensemble.weights.flat.double())
    for member in range(3):
        inputs = architecture.encoding.inputs(state[member], action[member])
        scaled = torch.from_numpy(ensemble.inputs.normalize(inputs)).expand(3, -1, -1)
        expected, logvar = (each[member].numpy() for each in weights.forward(scaled))
        change = expected * ensemble.targets.std + ensemble.targets.mean
        np.testing.assert_allclose(mean[member], state[member] + change, rtol=2e-4, atol=2e-4)
        np.testing.assert_allclose(
            variance[member], np.exp(logvar) * ensemble.targets.std**2, rtol=2e-3
        )
    torch.testing.assert_close(
        model.predict_mean(torch.tensor(state).float(), torch.tensor(action).float()), mean
    )


def test_it_says_what_it_is_and_gives_back_its_bytes(architecture: Architecture) -> None:
    data = encode(make_ensemble(architecture), 1, 1, 0.0).data
    model = DynamicsModel.from_bytes(data)
    assert (model.members, model.state_dim, model.action_dim) == (3, 4, 1)
    assert model.to_bytes() == data


def test_a_bad_snapshot_makes_no_model(architecture: Architecture) -> None:
    ensemble = make_ensemble(architecture)
    ensemble.weights.flat[3] = math.nan
    with pytest.raises(SnapshotError, match='NaN'):
        DynamicsModel.from_bytes(encode(ensemble, 1, 1, 0.0).data)


def test_a_state_that_is_not_a_number_stays_so(architecture: Architecture) -> None:
    model = DynamicsModel.from_bytes(encode(make_ensemble(architecture), 1, 1, 0.0).data)
    state = torch.zeros(3, 2, 4)
    state[:, 0, 2] = math.nan
    predicted = model.predict_mean(state, torch.zeros(3, 2, 1))
    assert predicted[:, 0].isnan().all() and not predicted[:, 1].isnan().any()


def test_no_gradient_is_recorded(architecture: Architecture) -> None:
    model = DynamicsModel.from_bytes(encode(make_ensemble(architecture), 1, 1, 0.0).data)
    state = torch.zeros(3, 2, 4, requires_grad=True)
    assert not model.predict_mean(state, torch.zeros(3, 2, 1)).requires_grad
