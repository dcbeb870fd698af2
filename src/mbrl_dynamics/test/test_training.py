"""The fit: what it learns, that it repeats itself, and how it ends when things go wrong."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from mbrl_dynamics import native, training
from mbrl_dynamics.encoding import Encoding
from mbrl_dynamics.ensemble import Architecture
from mbrl_dynamics.holdout import held_out
from mbrl_dynamics.model import DynamicsModel
from mbrl_dynamics.snapshot import decode, encode
from mbrl_dynamics.training import Progress, TrainingError, TrainingJob, TrainingOutcome, fit
from mbrl_dynamics.transitions import Transitions

Data = tuple[np.ndarray, np.ndarray, np.ndarray]
PETS = Architecture(Encoding(4, 1, (1,)), 5, (128, 128), 'silu')


def linear_data(count: int, noise: tuple[float, ...]) -> Data:
    """A linear system with independent Gaussian noise of known deviation on each entry."""
    generator = np.random.default_rng(0)
    state = generator.normal(size=(count, 2)) * [1.0, 30.0]
    action = generator.uniform(-1, 1, (count, 1))
    change = state @ np.array([[-0.1, 0.5], [0.01, -0.2]]) + action @ np.array([[0.3, -2.0]])
    return state, action, state + change + generator.normal(size=(count, 2)) * noise


def model_of(outcome: TrainingOutcome) -> DynamicsModel:
    assert outcome.error is TrainingError.NONE, outcome.message
    assert outcome.snapshot is not None
    return DynamicsModel.from_bytes(outcome.snapshot.data)


def test_it_learns_a_linear_system_to_its_noise(make_job: Callable[..., TrainingJob]) -> None:
    noise = (0.05, 0.7)
    architecture = Architecture(Encoding(2, 1, ()), 5, (32, 32), 'silu')
    outcome = fit(make_job(architecture, linear_data(4000, noise), 3000))
    model = model_of(outcome)

    state, action, next_state = linear_data(500, (0.0, 0.0))
    as_members = lambda x: torch.tensor(x, dtype=torch.float32).expand(5, -1, -1)  # noqa: E731
    prediction = model.predict(as_members(state), as_members(action))
    assert prediction.variance is not None
    error = prediction.mean.mean(0).double().numpy() - next_state
    assert (np.sqrt(np.mean(error**2, axis=0)) < 0.3 * np.array(noise)).all()
    np.testing.assert_allclose(prediction.variance.sqrt().mean((0, 1)), noise, rtol=0.15)

    trivial = np.sqrt(np.mean((next_state - state) ** 2, axis=0))
    assert outcome.holdout_error == pytest.approx(np.mean(noise / trivial), rel=0.15)
    entropy = np.mean(np.log(noise / np.std(next_state - state, axis=0))) + 0.5 * math.log(
        2 * math.pi * math.e
    )
    assert outcome.train_loss == pytest.approx(entropy, abs=0.1)


def test_it_comes_near_the_error_of_least_squares_which_knows_the_system_is_linear(
    make_job: Callable[..., TrainingJob],
) -> None:
    """Least squares is the best that can be done with these data; here, in numpy's float64."""
    noise = (0.05, 0.7)
    state, action, next_state = linear_data(600, noise)
    train = ~held_out(np.zeros(600, dtype=int), np.arange(600), 0.1, 1)
    features = np.hstack([state, action, np.ones((600, 1))])
    solution, *_ = np.linalg.lstsq(features[train], (next_state - state)[train], rcond=None)
    architecture = Architecture(Encoding(2, 1, ()), 5, (32, 32), 'silu')
    outcome = fit(
        make_job(
            architecture,
            (state, action, next_state),
            0,
            epochs=300,
            patience=10,
            final_learning_rate=1e-5,
        )
    )
    model = model_of(outcome)

    probe, push, truth = linear_data(400, (0.0, 0.0))
    rows = (torch.tensor(x, dtype=torch.float32).expand(5, -1, -1) for x in (probe, push))
    learned = model.predict_mean(*rows).mean(0).double().numpy()
    floor = probe + np.hstack([probe, push, np.ones((400, 1))]) @ solution
    ours, best = (np.sqrt(np.mean((x - truth) ** 2, axis=0)) / noise for x in (learned, floor))
    assert (best < 0.15).all()  # of the noise: 540 transitions, 4 numbers to find
    assert (ours < best + 0.25).all()


def test_members_disagree_where_there_are_no_data(make_job: Callable[..., TrainingJob]) -> None:
    architecture = Architecture(Encoding(2, 1, ()), 5, (32, 32), 'silu')
    model = model_of(fit(make_job(architecture, linear_data(300, (0.01, 0.01)), 500)))
    state = torch.tensor([[0.5, 10.0], [40.0, -900.0]]).expand(5, 2, 2)
    near, far = model.predict_mean(state, torch.zeros(5, 2, 1)).std(0)
    assert (far > 20 * near).all()


def test_on_the_cart_pole_the_return_of_25_open_loop_steps_is_right(
    cartpole: Any, make_job: Callable[..., TrainingJob]
) -> None:
    outcome = fit(make_job(PETS, cartpole.random_data(episodes=3), 3000))
    model = model_of(outcome)
    assert outcome.holdout_error < 0.6  # impacts at the rail's end are rare, and hard to predict

    def returns(states: np.ndarray) -> np.ndarray:
        x, angle = states[1:, ..., 0], states[1:, ..., 1]
        tip = (x - 0.6 * np.sin(angle)) ** 2 + (-0.6 * np.cos(angle) - 0.6) ** 2
        return np.asarray(np.exp(-tip / 0.36).sum(axis=0))

    generator = np.random.default_rng(1)
    starts, _, _ = cartpole.random_data(episodes=1, seed=2)
    errors = []
    for start in starts[::5]:
        actions = generator.uniform(-3, 3, (25, 1))
        state = torch.tensor(start, dtype=torch.float32).expand(5, 1, 4)
        imagined = [state.numpy()]
        for action in actions:
            state = model.predict_mean(state, torch.full((5, 1, 1), float(action[0])))
            imagined.append(state.numpy())
        truth = returns(cartpole.run(start, actions))
        errors.append(returns(np.array(imagined)).mean() - truth)
    assert np.sqrt(np.mean(np.square(errors))) < 0.7


def test_the_same_job_gives_the_same_bytes_and_another_seed_others(
    architecture: Architecture, cartpole: Any, make_job: Callable[..., TrainingJob]
) -> None:
    job = make_job(architecture, cartpole.random_data(1), 200)
    first, second = fit(job), fit(job, report=lambda _: None)
    assert first.snapshot == second.snapshot
    other = fit(dataclasses.replace(job, seed=1))
    assert first.snapshot is not None and other.snapshot is not None
    assert first.snapshot.data != other.snapshot.data


def test_threads_change_nothing_but_the_time(
    architecture: Architecture, cartpole: Any, make_job: Callable[..., TrainingJob]
) -> None:
    data = cartpole.random_data(1)
    one, *others = (
        fit(make_job(architecture, data, 250, threads=threads, batch_size=33))
        for threads in (1, 2, 3, 8)
    )
    assert one.snapshot is not None
    for other in others:
        assert other.snapshot == one.snapshot and other.train_loss == one.train_loss


@pytest.mark.skipif(native.kernels() is None, reason='no kernels are built for this machine')
def test_without_the_kernels_it_learns_the_same(
    architecture: Architecture,
    cartpole: Any,
    make_job: Callable[..., TrainingJob],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = make_job(architecture, cartpole.random_data(1), 100, weight_decay=[1e-3])
    fast = fit(job)
    monkeypatch.setattr(native, 'kernels', lambda: None)
    slow = fit(job)
    assert fast.snapshot is not None and slow.snapshot is not None
    torch.testing.assert_close(
        decode(fast.snapshot.data)[0].weights.flat,
        decode(slow.snapshot.data)[0].weights.flat,
        rtol=1e-3,
        atol=1e-3,
    )
    assert fast.train_loss == pytest.approx(slow.train_loss, abs=1e-3)


def test_it_leaves_the_process_as_it_was(
    architecture: Architecture, cartpole: Any, make_job: Callable[..., TrainingJob]
) -> None:
    job = make_job(architecture, cartpole.random_data(1), 20)
    torch.set_num_threads(2)
    state = torch.random.get_rng_state()
    try:
        fit(job)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.is_grad_enabled()


def test_held_out_transitions_are_never_learned_from(
    architecture: Architecture, cartpole: Any, make_job: Callable[..., TrainingJob]
) -> None:
    state, action, next_state = cartpole.random_data(1)
    first = model_of(fit(make_job(architecture, (state, action, next_state), 50)))
    number = np.arange(len(state))
    spoiled = next_state.copy()
    spoiled[held_out(0 * number, number, 0.1, 1)] = 1e6
    second = model_of(fit(make_job(architecture, (state, action, spoiled), 50)))
    probe = torch.ones(3, 5, 4), torch.ones(3, 5, 1)
    assert torch.equal(first.predict_mean(*probe), second.predict_mean(*probe))


def test_warm_weights_start_where_the_last_model_ended(
    architecture: Architecture, cartpole: Any, make_job: Callable[..., TrainingJob]
) -> None:
    job = make_job(architecture, cartpole.random_data(2), 1000)
    cold = fit(job)
    assert cold.snapshot is not None
    warm = fit(dataclasses.replace(job, updates=100, initial=cold.snapshot.data))
    assert warm.train_loss < cold.train_loss + 0.2
    assert fit(dataclasses.replace(job, updates=100)).train_loss > cold.train_loss + 0.5


def test_progress_is_reported_with_losses_and_errors_of_each_member(
    architecture: Architecture,
    cartpole: Any,
    make_job: Callable[..., TrainingJob],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(training, 'REPORT_PERIOD', 0.0)
    reports: list[Progress] = []
    job = make_job(architecture, cartpole.random_data(1), 2500)
    outcome = fit(job, reports.append)
    assert len(reports) >= 2
    for report in reports:
        assert report.updates == 2500 and report.update % 100 == 0
        assert report.epoch == pytest.approx(report.update * 32 / (0.9 * 200), rel=0.05)
        for values in (report.train_loss, report.holdout_loss, report.holdout_error):
            assert values.shape == (3,) and np.isfinite(values).all()
        assert report.samples_per_second > 0
    assert reports[0].time_left > reports[-1].time_left == 0.0
    assert outcome.updates == reports[-1].update == 2500
    assert outcome.train_loss == reports[-1].train_loss.mean()
    assert outcome.holdout_loss == pytest.approx(reports[-1].holdout_loss.mean())
    assert outcome.holdout_error <= reports[-1].holdout_error.max()


@pytest.mark.parametrize('compiled', [True, False], ids=['kernels', 'torch'])
def test_cancelling_gives_no_model_and_does_not_wait_for_anything(
    architecture: Architecture,
    cartpole: Any,
    make_job: Callable[..., TrainingJob],
    monkeypatch: pytest.MonkeyPatch,
    compiled: bool,
) -> None:
    if not compiled:
        monkeypatch.setattr(native, 'kernels', lambda: None)
    large = dataclasses.replace(architecture, hidden=(256, 256))
    job = make_job(large, cartpole.random_data(3), 10**7, batch_size=512)
    asked = []

    def cancelled() -> bool:
        asked.append(True)
        return len(asked) == 3

    outcome = fit(job, cancelled=cancelled)
    assert outcome.error is TrainingError.CANCELLED
    assert 'of 10000000 updates' in outcome.message
    assert outcome.snapshot is None and 0 < outcome.updates < 100  # within a block of updates


def test_a_loss_that_explodes_ends_the_training_early(
    architecture: Architecture, cartpole: Any, make_job: Callable[..., TrainingJob]
) -> None:
    job = make_job(architecture, cartpole.random_data(1), 10_000)
    snapshot = fit(dataclasses.replace(job, updates=1)).snapshot
    assert snapshot is not None
    ensemble, _ = decode(snapshot.data)
    ensemble.weights.named['layer1.weight'].fill_(1e30)  # its square is infinite in float32
    outcome = fit(dataclasses.replace(job, initial=encode(ensemble, 1, 1, 0.0).data))
    assert outcome.error is TrainingError.DIVERGED
    assert 'NaN or infinite within 100 updates' in outcome.message
    assert outcome.snapshot is None


def test_numbers_beyond_all_measure_give_no_model(
    architecture: Architecture, cartpole: Any, make_job: Callable[..., TrainingJob]
) -> None:
    state, action, next_state = cartpole.random_data(1)
    next_state[7] = 1e200
    with np.errstate(over='ignore', invalid='ignore'):
        outcome = fit(make_job(architecture, (state, action, next_state), 100))
    assert outcome.error is TrainingError.DIVERGED
    assert 'too large' in outcome.message


def test_no_data_and_too_few_are_refused_by_name(
    architecture: Architecture, cartpole: Any, make_job: Callable[..., TrainingJob]
) -> None:
    data = cartpole.random_data(1)
    none = fit(make_job(architecture, tuple(each[:0] for each in data), 10))
    assert none.error is TrainingError.NO_DATA and 'empty' in none.message
    few = fit(make_job(architecture, tuple(each[:9] for each in data), 10))
    assert few.error is TrainingError.DATASET_TOO_SMALL
    assert "9 transitions; 'training.min_transitions' asks for 10" in few.message


def test_weight_decay_makes_weights_smaller(
    architecture: Architecture, cartpole: Any, make_job: Callable[..., TrainingJob]
) -> None:
    data = cartpole.random_data(1)

    def norm(*weight_decay: float) -> float:
        snapshot = fit(make_job(architecture, data, 500, weight_decay=list(weight_decay))).snapshot
        assert snapshot is not None
        return float(decode(snapshot.data)[0].weights.named['layer1.weight'].norm())

    assert norm(0.1) < 0.8 * norm(0.0)
    # One per layer: decay of the others leaves the second layer nearly as it was.
    assert norm(0.0, 0.1, 0.0) < 0.8 * norm(0.0) < norm(0.1, 0.0, 0.1)


def test_epochs_in_place_of_updates(
    architecture: Architecture, cartpole: Any, make_job: Callable[..., TrainingJob]
) -> None:
    data = cartpole.random_data(1)
    outcome = fit(make_job(architecture, data, 0, epochs=5, batch_size=32, holdout_fraction=0.0))
    assert outcome.updates == math.ceil(5 * 200 / 32)
    assert math.isnan(outcome.holdout_error) and math.isnan(outcome.holdout_loss)


def test_a_batch_may_be_larger_than_the_data(
    architecture: Architecture, cartpole: Any, make_job: Callable[..., TrainingJob]
) -> None:
    data = tuple(each[:23] for each in cartpole.random_data(1))
    outcome = fit(make_job(architecture, data, 0, epochs=7, batch_size=512))
    assert outcome.error is TrainingError.NONE and outcome.updates == 7


def test_it_stops_early_and_keeps_the_best_weights_of_each_member(
    make_job: Callable[..., TrainingJob],
) -> None:
    # Few data with much noise: a large network learns them by heart, and its likelihood elsewhere
    # falls without end.
    architecture = Architecture(Encoding(2, 1, ()), 3, (64, 64), 'silu')
    data = linear_data(150, (0.5, 7.0))
    settings = {'holdout_fraction': 0.3, 'epochs': 400}
    patient = fit(make_job(architecture, data, 0, patience=5, **settings))
    stubborn = fit(make_job(architecture, data, 0, **settings))
    assert patient.updates < stubborn.updates
    assert patient.holdout_loss < stubborn.holdout_loss - 0.3


def test_elites_are_the_members_with_the_lowest_held_out_loss(
    architecture: Architecture, cartpole: Any, make_job: Callable[..., TrainingJob]
) -> None:
    reports: list[Progress] = []
    job = dataclasses.replace(make_job(architecture, cartpole.random_data(1), 300), elites=2)
    outcome = fit(job, reports.append)
    assert outcome.snapshot is not None
    expected = np.argsort(reports[-1].holdout_loss)[:2]
    assert decode(outcome.snapshot.data)[0].elites == tuple(expected)
    assert DynamicsModel.from_bytes(outcome.snapshot.data).members == 2
    assert outcome.holdout_loss == pytest.approx(np.sort(reports[-1].holdout_loss)[:2].mean())
    warm = fit(dataclasses.replace(job, initial=outcome.snapshot.data))
    assert warm.snapshot is not None  # all members go on, not the elites alone
    assert decode(warm.snapshot.data)[0].weights.architecture.members == 3


@pytest.mark.parametrize('kind', ['probabilistic', 'deterministic'])
def test_reward_and_termination_are_learned_as_heads(
    make_job: Callable[..., TrainingJob], kind: str
) -> None:
    state, action, next_state = linear_data(3000, (0.01, 0.01))
    reward = 3.0 * state[:, 0] - 2.0 * action[:, 0] + 100.0
    terminated = state[:, 0] > 1.0
    architecture = Architecture(
        Encoding(2, 1, ()), 3, (64, 64), 'silu', kind == 'probabilistic', True, True
    )
    job = make_job(architecture, (state, action, next_state), 2000)
    data = Transitions.from_arrays(state, action, next_state, reward=reward, terminated=terminated)
    model = model_of(fit(dataclasses.replace(job, data=data)))
    test_state, test_action, _ = linear_data(500, (0.0, 0.0))
    as_members = lambda x: torch.tensor(x, dtype=torch.float32).expand(3, -1, -1)  # noqa: E731
    prediction = model.predict(as_members(test_state), as_members(test_action))
    assert prediction.reward is not None and prediction.end is not None
    truth = 3.0 * test_state[:, 0] - 2.0 * test_action[:, 0] + 100.0
    error = prediction.reward.mean(0).numpy() - truth
    assert np.sqrt(np.mean(error**2)) < 0.1 * truth.std()
    clear = np.abs(test_state[:, 0] - 1.0) > 0.1
    ended = prediction.end.mean(0).numpy() > 0.5
    assert (ended == (test_state[:, 0] > 1.0))[clear].mean() > 0.97


def test_a_reward_that_is_not_known_cannot_be_learned(
    architecture: Architecture, cartpole: Any, make_job: Callable[..., TrainingJob]
) -> None:
    learns = dataclasses.replace(architecture, learns_reward=True)
    outcome = fit(make_job(learns, cartpole.random_data(1), 10))
    assert outcome.error is TrainingError.NO_DATA
    assert 'the reward of 200 transitions is not known' in outcome.message


def test_history_lets_it_see_what_one_state_hides(make_job: Callable[..., TrainingJob]) -> None:
    # Positions alone of a second-order system: without the last one, the velocity is unknown.
    generator = np.random.default_rng(3)
    position, velocity, rows = 0.0, 1.0, []
    for _ in range(3000):
        push = generator.uniform(-1, 1)
        velocity += 0.1 * (push - position)
        rows.append((position, push, position + 0.1 * velocity))
        position = rows[-1][2]
    state, action, next_state = (np.array(each)[:, None] for each in zip(*rows))

    def error(history: int) -> float:
        architecture = Architecture(Encoding(1, 1, (), history=history), 3, (32, 32), 'silu')
        return fit(make_job(architecture, (state, action, next_state), 1500)).holdout_error

    assert error(2) < 0.1 < 0.6 < error(1)


def test_constant_entries_are_no_trouble(
    architecture: Architecture, cartpole: Any, make_job: Callable[..., TrainingJob]
) -> None:
    state, action, next_state = cartpole.random_data(1)
    state[:, 0] = next_state[:, 0] = 1e6  # a goal, say: no deviation to divide by
    model = model_of(fit(make_job(architecture, (state, action, next_state), 300)))
    probe = torch.tensor(state[:50], dtype=torch.float32).expand(3, -1, -1)
    predicted = model.predict_mean(probe, torch.zeros(3, 50, 1))
    assert torch.isfinite(predicted).all()
    assert (predicted[..., 0] - 1e6).abs().max() < 1.0
