"""The fit: what it learns, that it repeats itself, and how it ends when things go wrong."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from mbrl_dynamics.encoding import Encoding
from mbrl_dynamics.ensemble import Architecture
from mbrl_dynamics.model import DynamicsModel
from mbrl_dynamics.snapshot import decode, encode
from mbrl_dynamics.training import Progress, TrainingError, TrainingJob, TrainingOutcome, fit

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
    mean, variance = model.predict(as_members(state), as_members(action))
    error = mean.mean(0).double().numpy() - next_state
    assert (np.sqrt(np.mean(error**2, axis=0)) < 0.3 * np.array(noise)).all()
    np.testing.assert_allclose(variance.sqrt().mean((0, 1)), noise, rtol=0.15)

    trivial = np.sqrt(np.mean((next_state - state) ** 2, axis=0))
    assert outcome.holdout_error == pytest.approx(np.mean(noise / trivial), rel=0.15)
    entropy = np.mean(np.log(noise / np.std(next_state - state, axis=0))) + 0.5 * math.log(
        2 * math.pi * math.e
    )
    assert outcome.train_loss == pytest.approx(entropy, abs=0.1)


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
    job = make_job(architecture, cartpole.random_data(1), 50)
    spoiled = job.next_state.copy()
    spoiled[job.held_out] = 1e6
    first, second = model_of(fit(job)), model_of(fit(dataclasses.replace(job, next_state=spoiled)))
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
    architecture: Architecture, cartpole: Any, make_job: Callable[..., TrainingJob]
) -> None:
    reports: list[Progress] = []
    outcome = fit(make_job(architecture, cartpole.random_data(1), 250), reports.append)
    assert [(r.update, r.updates) for r in reports] == [(100, 250), (200, 250), (250, 250)]
    for report in reports:
        assert report.train_loss.shape == report.holdout_error.shape == (3,)
        assert np.isfinite(report.train_loss).all() and np.isfinite(report.holdout_error).all()
        assert report.samples_per_second > 0
    assert reports[0].time_left > reports[-1].time_left == 0.0
    assert outcome.train_loss == reports[-1].train_loss.mean()
    assert outcome.holdout_error <= reports[-1].holdout_error.max()


def test_cancelling_gives_no_model(
    architecture: Architecture, cartpole: Any, make_job: Callable[..., TrainingJob]
) -> None:
    seen: list[Progress] = []
    outcome = fit(
        make_job(architecture, cartpole.random_data(1), 5000),
        seen.append,
        lambda: len(seen) == 3,
    )
    assert outcome.error is TrainingError.CANCELLED
    assert outcome.message == 'cancelled after 300 of 5000 updates'
    assert outcome.snapshot is None


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

    def norm(weight_decay: float) -> float:
        snapshot = fit(make_job(architecture, data, 500, weight_decay=weight_decay)).snapshot
        assert snapshot is not None
        return float(decode(snapshot.data)[0].weights.named['layer1.weight'].norm())

    assert norm(0.1) < 0.8 * norm(0.0)
