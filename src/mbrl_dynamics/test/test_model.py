"""The folded model against the unfolded ensemble in float64."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from mbrl_dynamics import chunks
from mbrl_dynamics.encoding import Encoding
from mbrl_dynamics.ensemble import ACTIVATIONS, Architecture, Weights
from mbrl_dynamics.model import DynamicsModel
from mbrl_dynamics.normalizer import Normalizer
from mbrl_dynamics.snapshot import NO_LIMITS, Limits, SnapshotError, TrainedEnsemble, encode


def make_ensemble(
    architecture: Architecture, elites: tuple[int, ...] = (), limits: Limits = NO_LIMITS
) -> TrainedEnsemble:
    generator = torch.Generator().manual_seed(5)
    weights = Weights.initial(architecture, generator)
    numbers = np.random.default_rng(5)
    inputs, targets = architecture.encoding.input_dim, architecture.targets
    return TrainedEnsemble(
        weights,
        Normalizer(numbers.normal(size=inputs), numbers.uniform(0.1, 10.0, inputs)),
        Normalizer(numbers.normal(size=targets), numbers.uniform(0.01, 10.0, targets)),
        elites,
        limits,
    )


def make_model(ensemble: TrainedEnsemble) -> DynamicsModel:
    return DynamicsModel.from_bytes(encode(ensemble, 1, 1, 0.0).data)


@dataclasses.dataclass
class Expected:
    """What one member says of its rows, computed in float64 from the ensemble, unfolded."""

    mean: np.ndarray
    variance: np.ndarray | None
    reward: np.ndarray | None
    end: np.ndarray | None


def expected_of(
    ensemble: TrainedEnsemble, member: int, state: np.ndarray, action: np.ndarray
) -> Expected:
    architecture = ensemble.weights.architecture
    encoding = architecture.encoding
    scaled = ensemble.inputs.normalize(encoding.inputs(state, action))
    if ensemble.limits.input_clip:
        scaled = np.clip(scaled, -ensemble.limits.input_clip, ensemble.limits.input_clip)
    weights = Weights(architecture, ensemble.weights.flat.double())
    outputs = weights.forward(torch.from_numpy(scaled).expand(architecture.members, -1, -1))
    targets = outputs.mean[member].numpy() * ensemble.targets.std + ensemble.targets.mean
    predicted = list(encoding.predicted)
    newest = state[:, : encoding.state_dim]
    mean = newest.copy()
    for column, entry in enumerate(predicted):
        old = 0.0 if entry in encoding.targets_absolute else newest[:, entry]
        mean[:, entry] = old + targets[:, column]
    low = np.array(ensemble.limits.state_low or [-np.inf] * encoding.state_dim)
    high = np.array(ensemble.limits.state_high or [np.inf] * encoding.state_dim)
    variance = None
    if outputs.logvar is not None:
        variance = np.zeros_like(mean)
        scale = ensemble.targets.std**2
        variance[:, predicted] = (np.exp(outputs.logvar[member].numpy()) * scale)[
            :, : len(predicted)
        ]
    reward = targets[:, -1] if architecture.learns_reward else None
    end = None if outputs.logit is None else outputs.logit[member].sigmoid().numpy()
    return Expected(np.clip(mean, low, high), variance, reward, end)


def check(ensemble: TrainedEnsemble) -> None:
    encoding = ensemble.weights.architecture.encoding
    model = make_model(ensemble)
    numbers = np.random.default_rng(0)
    rows = model.members, 11
    state = numbers.normal(size=(*rows, encoding.history * encoding.state_dim))
    action = numbers.normal(size=(*rows, encoding.history * encoding.action_dim))
    as_tensor = lambda x: torch.tensor(x, dtype=torch.float32)  # noqa: E731
    prediction = model.predict(as_tensor(state), as_tensor(action))
    assert prediction.mean.shape == (*rows, encoding.state_dim)
    for place, member in enumerate(ensemble.elites or range(model.members)):
        expected = expected_of(ensemble, member, state[place], action[place])
        for name, tolerance in (
            ('mean', 2e-4),
            ('variance', 2e-3),
            ('reward', 2e-4),
            ('end', 1e-4),
        ):
            wanted, found = getattr(expected, name), getattr(prediction, name)
            assert (wanted is None) == (found is None), name
            if wanted is not None:
                np.testing.assert_allclose(
                    found[place], wanted, rtol=tolerance, atol=2e-4, err_msg=name
                )
    torch.testing.assert_close(
        model.predict_mean(as_tensor(state), as_tensor(action)), prediction.mean
    )
    lean = model.predict(as_tensor(state), as_tensor(action), variance=False)
    assert lean.variance is None
    torch.testing.assert_close(lean.mean, prediction.mean)


@pytest.mark.parametrize('angles', [(), (1,), (0, 3)])
@pytest.mark.parametrize('activation', ACTIVATIONS)
def test_it_predicts_what_the_ensemble_does_in_double_precision(
    angles: tuple[int, ...], activation: str
) -> None:
    check(make_ensemble(Architecture(Encoding(4, 2, angles), 3, (16, 8), activation)))


@pytest.mark.parametrize(
    'encoding',
    [
        Encoding(4, 2, (1,), history=3),
        Encoding(4, 2, (1, 3), inputs_left_out=(0, 3)),
        Encoding(4, 2, (1,), targets_absolute=(2,)),
        Encoding(4, 2, (1,), targets_left_out=(0, 2)),
        Encoding(4, 2, (1,), (0,), (3,), (1,), history=2),
    ],
    ids=str,
)
@pytest.mark.parametrize('probabilistic', [True, False])
@pytest.mark.parametrize('heads', [(False, False), (True, False), (False, True), (True, True)])
def test_so_it_does_for_every_declaration_kind_and_head(
    encoding: Encoding, probabilistic: bool, heads: tuple[bool, bool]
) -> None:
    check(make_ensemble(Architecture(encoding, 3, (16, 8), 'silu', probabilistic, *heads)))


def test_only_elites_predict_in_their_order() -> None:
    check(make_ensemble(Architecture(Encoding(4, 2, (1,)), 5, (16, 8), 'silu'), elites=(3, 0)))


def test_predictions_keep_within_their_limits() -> None:
    inf = math.inf
    limits = Limits(0.5, (-0.5, -inf, -inf, -1.0), (inf, 0.1, inf, 1.0))
    check(make_ensemble(Architecture(Encoding(4, 2, (1,)), 3, (16, 8), 'silu'), limits=limits))


def test_the_scale_of_the_targets_is_theirs_and_infinite_where_there_is_none() -> None:
    ensemble = make_ensemble(Architecture(Encoding(4, 2, (), (), (), (2,)), 3, (8,), 'silu'))
    first, second, third = (float(each) for each in ensemble.targets.std)
    expected = torch.tensor([first, second, math.inf, third])
    torch.testing.assert_close(make_model(ensemble).target_scale, expected)


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


@pytest.mark.parametrize('activation', ACTIVATIONS)
def test_a_gradient_is_that_of_finite_differences(activation: str) -> None:
    """In float64, of all that is predicted, with angles, clipped inputs and a limited state."""
    inf = math.inf
    limits = Limits(2.0, (-inf, -inf, -inf, -1.0), (inf, inf, inf, 1.0))
    architecture = Architecture(
        Encoding(4, 2, (1,), history=2), 3, (16, 8), activation, True, True, True
    )
    model = make_model(make_ensemble(architecture, limits=limits)).mapped(in_double)
    numbers = torch.Generator().manual_seed(1)
    state = torch.randn(3, 5, 8, generator=numbers, dtype=torch.float64, requires_grad=True)
    action = torch.randn(3, 5, 4, generator=numbers, dtype=torch.float64, requires_grad=True)

    def everything(*inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        prediction = model.predict(*inputs)
        assert prediction.variance is not None and prediction.reward is not None
        assert prediction.end is not None
        return prediction.mean, prediction.variance, prediction.reward, prediction.end

    assert torch.autograd.gradcheck(everything, (state, action))


@pytest.mark.parametrize('activation', ACTIVATIONS)
def test_with_a_gradient_it_predicts_the_same(activation: str) -> None:
    """Whether the rows are so few that memory is not used again, or not."""
    architecture = Architecture(Encoding(4, 1, (1,)), 3, (64, 64), activation)
    model = make_model(make_ensemble(architecture))
    for rows in (20, 300):
        assert (rows <= model._hidden._few) == (rows == 20) and rows <= model._hidden.chunk
        check_gradient_changes_nothing(model, rows)


def check_gradient_changes_nothing(model: DynamicsModel, rows: int) -> None:
    state, action = torch.randn(3, rows, 4), torch.randn(3, rows, 1)
    plain = model.predict(state, action)
    assert not plain.mean.requires_grad
    recorded = model.predict(state.requires_grad_(), action)
    assert recorded.mean.requires_grad
    assert torch.equal(plain.mean, recorded.mean)
    assert plain.variance is not None and torch.equal(plain.variance, recorded.variance)


def test_predictions_are_not_overwritten_by_later_ones(architecture: Architecture) -> None:
    model = make_model(make_ensemble(architecture))
    with torch.inference_mode():
        first = model.predict_mean(torch.zeros(3, 9000, 4), torch.zeros(3, 9000, 1))
    before = first.clone()
    model.predict_mean(torch.ones(3, 9000, 4), torch.ones(3, 9000, 1))
    assert torch.equal(first, before)


@pytest.mark.parametrize('threads', [1, 2, 3])
def test_many_rows_in_chunks_are_predicted_as_few_are(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, '_threads', threads)
    architecture = Architecture(Encoding(4, 1, (1,)), 3, (64, 64), 'silu', True, True, True)
    model = make_model(make_ensemble(architecture))
    rows = 3 * model._hidden.chunk + 5
    state, action = torch.randn(3, rows, 4), torch.randn(3, rows, 1)
    with torch.inference_mode():
        many = model.predict(state, action)
    for some in (slice(0, 7), slice(rows - 7, rows)):
        few = model.predict(state[:, some], action[:, some])
        for name in ('mean', 'variance', 'reward', 'end'):
            torch.testing.assert_close(getattr(many, name)[:, some], getattr(few, name))


@pytest.mark.parametrize('members', [(2,), (0, 2), (1, 1, 0, 2)])
def test_some_members_alone_predict_what_they_do_among_all(members: tuple[int, ...]) -> None:
    architecture = Architecture(Encoding(4, 1, (1,)), 3, (64, 64), 'silu', True, True, True)
    model = make_model(make_ensemble(architecture))
    state, action = torch.randn(3, 300, 4), torch.randn(3, 300, 1)
    places = list(members)
    some = model.only(members)
    assert some.members == len(members) and model.members == 3
    wanted, found = model.predict(state, action), some.predict(state[places], action[places])
    for name in ('mean', 'variance', 'reward', 'end'):
        torch.testing.assert_close(getattr(found, name), getattr(wanted, name)[places])
    deterministic = make_model(
        make_ensemble(dataclasses.replace(architecture, probabilistic=False))
    )
    assert deterministic.only(members).predict(state[places], action[places]).variance is None


def test_in_bf16_the_change_of_the_state_errs_by_a_percent_and_the_state_itself_not() -> None:
    architecture = Architecture(Encoding(4, 1, (1,)), 3, (64, 64, 64), 'silu')
    model = make_model(make_ensemble(architecture))
    state, action = 1000 + torch.randn(3, 200, 4), torch.randn(3, 200, 1)
    exact, rounded = (each.predict(state, action) for each in (model, model.placed('cpu', 'bf16')))
    change = (exact.mean - state).abs().amax()
    error = (rounded.mean - exact.mean).abs().amax()
    assert 0 < error < 0.02 * change
    assert rounded.mean.dtype == torch.float32
    recorded = model.placed('cpu', 'bf16').predict(state, action.clone().requires_grad_())
    torch.testing.assert_close(recorded.mean, rounded.mean)


def in_double(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor
