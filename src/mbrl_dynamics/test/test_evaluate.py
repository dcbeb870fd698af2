"""A model's measured quality, against linear Gaussian systems whose every number is known."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from mbrl_dynamics.ensemble import Architecture
from mbrl_dynamics.evaluate import (
    InterruptedEvaluationError,
    NothingHeldOutError,
    evaluate,
)
from mbrl_dynamics.evaluation import LEVELS, About
from mbrl_dynamics.holdout import held_out
from mbrl_dynamics.model import DynamicsModel, Prediction
from mbrl_dynamics.training import TrainingJob, fit
from mbrl_dynamics.transitions import Transitions

A = np.array([[0.95, 0.1], [-0.15, 0.9]])
B = np.array([[0.0], [0.3]])
NOISE = np.array([0.02, 0.1])  # standard deviation of each entry
PARTICLES = 20
AT_90 = int(np.flatnonzero(LEVELS == 0.9)[0])


class Linear:
    """A model with members x' = A x + B u + offset, and a variance; the closed form itself."""

    def __init__(
        self,
        offsets: np.ndarray | None = None,
        deviation: np.ndarray | None = NOISE,
        heads: bool = False,
    ) -> None:
        offsets = np.zeros((1, 2)) if offsets is None else offsets
        self.members, self.state_dim, self.action_dim, self.history = len(offsets), 2, 1, 1
        self.learns_reward = self.learns_termination = heads
        self.target_scale = torch.ones(2)
        self.rows = 0
        self._offsets = torch.from_numpy(offsets)[:, None]
        self._variance = None if deviation is None else torch.from_numpy(deviation**2)

    def predict(
        self, state: torch.Tensor, action: torch.Tensor, variance: bool = True
    ) -> Prediction:
        self.rows += state.shape[0] * state.shape[1]
        mean = state.double() @ torch.from_numpy(A.T) + action.double() @ torch.from_numpy(B.T)
        mean = (mean + self._offsets).float()
        spread = None
        if variance and self._variance is not None:
            spread = self._variance.expand_as(mean).float()
        return Prediction(
            mean,
            spread,
            3 * state[..., 0] if self.learns_reward else None,
            torch.full(mean.shape[:2], 0.25) if self.learns_termination else None,
        )


def record(episodes: int, length: int, seed: int = 0, noise: np.ndarray = NOISE) -> Transitions:
    """Episodes of the true system, from the origin, along random actions."""
    generator = np.random.default_rng(seed)
    state = np.zeros((episodes, length + 1, 2))
    action = generator.normal(size=(episodes, length, 1))
    for t in range(length):
        drawn = generator.normal(size=(episodes, 2)) * noise
        state[:, t + 1] = state[:, t] @ A.T + action[:, t] @ B.T + drawn
    count = episodes * length
    return Transitions.from_arrays(
        state[:, :-1].reshape(count, 2),
        action.reshape(count, 1),
        state[:, 1:].reshape(count, 2),
        episode=np.repeat(np.arange(episodes), length),
        step=np.tile(np.arange(length), episodes),
    )


def variance_after(steps: int) -> np.ndarray:
    """[steps, 2]: variance of the state 1, ..., steps steps after it was known."""
    found, covariance = [], np.zeros((2, 2))
    for _ in range(steps):
        covariance = A @ covariance @ A.T + np.diag(NOISE**2)
        found.append(np.diag(covariance))
    return np.array(found)


def test_the_true_system_is_found_as_good_as_it_is() -> None:
    data = record(5000, 8)
    found = evaluate(Linear(), data, horizon=8, particles=PARTICLES, windows=5000)
    one, many = found.one_step, found.open_loop
    np.testing.assert_allclose(one.error, NOISE, rtol=0.05)
    np.testing.assert_allclose(one.spread, NOISE, rtol=1e-5)
    np.testing.assert_allclose(one.coverage, LEVELS[:, None] + [0, 0], atol=0.035)
    assert (one.calibration_error < 0.02).all()
    entropy = 0.5 * np.log(2 * math.pi * math.e * NOISE**2)
    np.testing.assert_allclose(one.surprise, entropy, atol=0.06)
    assert one.joint_surprise == pytest.approx(entropy.sum(), abs=0.08)
    for column in one.transform.T:
        assert_uniform(column)
    np.testing.assert_allclose(one.binned_error / one.binned_spread, 1.0, atol=0.2)
    assert found.complaints == []

    assert many.windows.tolist() == [5000] * 8
    truth = np.sqrt(variance_after(8))
    # The mean of P particles has a variance of its own: a P-th of theirs.
    np.testing.assert_allclose(many.error, truth * math.sqrt(1 + 1 / PARTICLES), rtol=0.04)
    np.testing.assert_allclose(many.spread, truth, rtol=0.01)
    np.testing.assert_allclose(many.disagreement, 0.0, atol=1e-12)
    shares = many.coverage[:, LEVELS <= 0.9]
    np.testing.assert_allclose(shares, np.broadcast_to(LEVELS[:9, None], shares.shape), atol=0.03)
    assert np.isnan(many.coverage[:, LEVELS > 0.9]).all(), '20 particles say nothing of these'


def assert_uniform(values: np.ndarray) -> None:
    """Kolmogorov and Smirnov's test at 1 %."""
    ordered = np.sort(values)
    steps = np.arange(len(values) + 1) / len(values)
    distance = max((ordered - steps[:-1]).max(), (steps[1:] - ordered).max())
    assert math.sqrt(len(values)) * distance < 1.63


def test_no_change_is_as_wrong_as_the_recorded_windows_say() -> None:
    data = record(40, 6)
    found = evaluate(Linear(), data, horizon=6)
    states = np.concatenate(
        [data.state.reshape(40, 6, 2), data.next_state.reshape(40, 6, 2)[:, -1:]], axis=1
    )
    for k in range(1, 7):
        moved = (states[:, k:] - states[:, :-k]).reshape(-1, 2)
        expected = np.sqrt((moved**2).mean(0))
        np.testing.assert_allclose(found.open_loop.trivial[k - 1], expected, rtol=1e-12)
        assert found.open_loop.windows[k - 1] == len(moved)
    np.testing.assert_allclose(found.one_step.trivial, found.open_loop.trivial[0])
    ratio = found.one_step.error / found.one_step.trivial
    assert found.one_step.relative_error == pytest.approx(ratio.mean())


@pytest.mark.parametrize(('factor', 'expected'), [(0.5, 0.589), (1.0, 0.9), (2.0, 0.999)])
def test_an_overconfident_model_is_told_from_one_that_is_not(
    factor: float, expected: float
) -> None:
    found = evaluate(Linear(deviation=NOISE * factor), record(300, 8), horizon=8)
    assert found.coverage_90 == pytest.approx(expected, abs=0.02)
    assert ('over-confident' in found.complaints) == (factor == 0.5)
    observed = found.open_loop.coverage[-1, AT_90].mean()
    assert observed == pytest.approx(expected, abs=0.07)


def test_a_model_that_knows_nothing_is_told_so() -> None:
    found = evaluate(Linear(np.array([[2.0, -2.0]])), record(20, 8), horizon=8)
    assert found.complaints == ["no better than 'nothing changes'", 'over-confident']
    assert "no better than 'nothing changes'" in found.describe()


def test_members_disagree_as_their_offsets_carry_them_apart() -> None:
    """Each member's mean after k steps is off by the sum of A^j times its offset."""
    offsets = np.array([[0.1, 0.0], [-0.1, 0.2], [0.0, -0.1]])
    found = evaluate(Linear(offsets), record(30, 6), horizon=6, particles=600)
    away = np.zeros((3, 2))
    noise = variance_after(6)
    for k in range(6):
        away = away @ A.T + offsets
        between = away.var(0)
        np.testing.assert_allclose(found.open_loop.disagreement[k], np.sqrt(between), rtol=1e-3)
        spread = np.sqrt(between + noise[k])
        np.testing.assert_allclose(found.open_loop.spread[k], spread, rtol=0.02)
    np.testing.assert_allclose(found.one_step.disagreement, offsets.std(0), rtol=1e-4)
    expected = np.sqrt(offsets.var(0) + NOISE**2)
    np.testing.assert_allclose(found.one_step.spread, expected, rtol=1e-4)


def test_members_without_variance_are_measured_by_how_they_differ() -> None:
    offsets = np.linspace(-0.1, 0.1, 5)[:, None] * [1.0, 2.0]
    found = evaluate(Linear(offsets, deviation=None), record(30, 6), horizon=6)
    one, many = found.one_step, found.open_loop
    np.testing.assert_allclose(one.spread, offsets.std(0), rtol=1e-4)
    np.testing.assert_allclose(many.spread[0], one.spread, rtol=1e-4)
    np.testing.assert_allclose(many.spread, many.disagreement)
    assert np.isnan(one.surprise).all() and math.isnan(one.joint_surprise)
    # Five members divide the line in six: what they say ends with the interval of 2 / 3.
    known = LEVELS < 2 / 3
    assert np.isfinite(one.coverage[known]).all() and np.isnan(one.coverage[~known]).all()
    assert math.isnan(found.coverage_90) and found.complaints == []


def test_one_member_without_variance_has_an_error_and_no_spread() -> None:
    found = evaluate(Linear(deviation=None), record(30, 6), horizon=6)
    np.testing.assert_allclose(found.open_loop.error, np.sqrt(variance_after(6)), rtol=0.2)
    assert (found.open_loop.spread == 0).all() and np.isnan(found.open_loop.coverage).all()


def test_windows_lie_wholly_in_what_was_held_out() -> None:
    """Whatever is not held out is wrong by a thousand, which none of the numbers shows."""
    data = record(60, 40)
    mask = held_out(data.episode, data.step, 0.2, 5)
    spoiled = dataclasses.replace(
        data, next_state=np.where(mask[:, None], data.next_state, data.next_state + 1000.0)
    )
    found = evaluate(Linear(), spoiled, mask, horizon=30)
    assert found.open_loop.longest < 30
    measured = found.open_loop.windows > 0
    assert (found.open_loop.error[measured] < 1.0).all()
    assert np.isnan(found.open_loop.error[~measured]).all()
    assert np.isnan(found.open_loop.relative_error[~measured]).all()
    assert found.one_step.transitions == mask.sum() and (found.one_step.error < 1.0).all()


def test_learned_heads_are_measured() -> None:
    data = record(25, 20)
    ended = data.step % 4 == 3
    data = dataclasses.replace(data, reward=3 * data.state[:, 0] + 0.5, terminated=ended)
    one = evaluate(Linear(heads=True), data, horizon=1).one_step
    assert one.reward_error == pytest.approx(0.5, rel=1e-5)
    assert one.reward_deviation == pytest.approx(3 * data.state[:, 0].std(), rel=1e-6)
    assert one.end_share == 0.25 and one.end_accuracy == 0.75
    entropy = -0.25 * math.log(0.25) - 0.75 * math.log(0.75)
    assert one.end_log_loss == pytest.approx(entropy, rel=1e-6)
    unknown = dataclasses.replace(data, reward=np.full(len(data), math.nan))
    assert math.isnan(evaluate(Linear(heads=True), unknown, horizon=1).one_step.reward_error)
    assert math.isnan(evaluate(Linear(), data, horizon=1).one_step.end_log_loss)


class WithHistory(Linear):
    """x' = 2 x - x_before + u + 0.1 u_before, in both entries, exactly."""

    def __init__(self) -> None:
        super().__init__(deviation=None)
        self.history = 2

    def predict(
        self, state: torch.Tensor, action: torch.Tensor, variance: bool = True
    ) -> Prediction:
        mean = 2 * state[..., :2] - state[..., 2:] + action[..., :1] + 0.1 * action[..., 1:]
        return Prediction(mean, None, None, None)


def test_a_history_reaches_back_into_what_was_trained_on() -> None:
    generator = np.random.default_rng(0)
    x, u = [np.zeros(2), np.zeros(2)], [np.zeros(1)]
    for _ in range(60):
        u.append(generator.normal(size=1) * 0.1)
        x.append(2 * x[-1] - x[-2] + u[-1] + 0.1 * u[-2])
    states = np.array(x[1:])
    order = generator.permutation(60)
    data = Transitions.from_arrays(states[:-1], np.array(u[1:]), states[1:])[order]
    mask = (data.step >= 7) & (data.step < 13)
    found = evaluate(WithHistory(), data, mask, horizon=6)
    assert found.open_loop.windows.tolist() == [6, 5, 4, 3, 2, 1]
    assert found.one_step.error.max() < 1e-4 and found.open_loop.error.max() < 1e-4
    assert found.open_loop.trivial[-1].min() > 0.1


def test_entries_that_are_not_predicted_do_not_count() -> None:
    data = record(20, 10)
    model = Linear()
    model.target_scale = torch.tensor([1.0, math.inf])
    found = evaluate(model, data, horizon=4)
    assert found.counted.tolist() == [True, False]
    ratio = found.one_step.error[0] / found.one_step.trivial[0]
    assert found.one_step.relative_error == pytest.approx(ratio)
    assert np.isnan(found.one_step.coverage[:, 1]).all() and np.isnan(found.one_step.surprise[1])
    ratio = found.open_loop.error[:, 0] / found.open_loop.trivial[:, 0]
    np.testing.assert_allclose(found.open_loop.relative_error, ratio)
    assert np.isfinite(found.one_step.joint_surprise)


def test_a_model_that_runs_off_to_infinity_is_infinitely_wrong() -> None:
    model = Linear(np.array([[3e38, 0.0]]))
    found = evaluate(model, record(5, 6), horizon=6)
    assert np.isfinite(found.open_loop.error[0]).all()
    assert np.isinf(found.open_loop.error[-1]).all() and np.isinf(found.open_loop.spread[-1]).all()
    assert np.isinf(found.open_loop.relative_error[-1])


def test_one_transition_is_enough_and_none_is_refused() -> None:
    data = record(1, 1)
    found = evaluate(Linear(), data, horizon=5)
    assert found.one_step.transitions == 1 and found.open_loop.windows.tolist() == [1, 0, 0, 0, 0]
    assert found.complaints in ([], ["no better than 'nothing changes'"])
    with pytest.raises(NothingHeldOutError, match=r"none of 1 .*'training.holdout_fraction'"):
        evaluate(Linear(), data, np.zeros(1, dtype=bool))


def test_what_it_costs_is_bounded_whatever_the_size_of_the_dataset() -> None:
    rows = []
    for episodes in (100, 1000):
        model = Linear()
        evaluate(model, record(episodes, 20), horizon=10, particles=10, windows=30)
        rows.append(model.rows)
    assert rows[1] <= rows[0] * 1.01
    assert rows[0] <= 2000 + 30 * 10 * (10 + 1) + 10


def test_it_is_repeatable_and_touches_no_generator_of_others() -> None:
    data = record(30, 10)
    torch.manual_seed(3)
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
    first = evaluate(Linear(), data, horizon=5, seed=7)
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002
    again = evaluate(Linear(), data, horizon=5, seed=7)
    other = evaluate(Linear(), data, horizon=5, seed=8)
    np.testing.assert_array_equal(first.open_loop.error, again.open_loop.error)
    assert (first.open_loop.error != other.open_loop.error).any()
    np.testing.assert_array_equal(first.one_step.error, other.one_step.error)


def test_it_is_given_up_when_something_is_more_urgent() -> None:
    asked = 0

    def urgent() -> bool:
        nonlocal asked
        asked += 1
        return asked > 3

    with pytest.raises(InterruptedEvaluationError):
        evaluate(Linear(), record(100, 20), interrupted=urgent)
    assert asked == 4


def test_examples_are_windows_as_they_were_recorded() -> None:
    data = record(30, 8)
    many = evaluate(Linear(), data, horizon=8, particles=100).open_loop
    assert many.truth.shape == (3, 9, 2) and many.quantiles.shape == (3, 9, 5, 2)
    whole = np.concatenate(
        [data.state.reshape(30, 8, 2), data.next_state.reshape(30, 8, 2)[:, -1:]], axis=1
    )
    episodes = [int(np.flatnonzero((whole == each).all((1, 2)))[0]) for each in many.truth]
    assert episodes == [5, 15, 25]
    assert (np.diff(many.quantiles, axis=2) >= 0).all()
    within = (many.truth >= many.quantiles[:, :, 0]) & (many.truth <= many.quantiles[:, :, -1])
    assert within[:, 1:].mean() == pytest.approx(0.9, abs=0.12)


@pytest.mark.parametrize(
    'changes', [{}, {'probabilistic': False}, {'members': 1}, {'members': 1, 'hidden': (8,)}]
)
def test_a_trained_ensemble_gets_the_error_that_its_training_reported(
    changes: dict[str, Any],
    architecture: Architecture,
    cartpole: Any,
    make_job: Callable[..., TrainingJob],
) -> None:
    arrays = cartpole.random_data(2)
    job = make_job(dataclasses.replace(architecture, **changes), arrays, 200)
    outcome = fit(job)
    assert outcome.snapshot is not None
    data = Transitions.from_arrays(*arrays)
    mask = held_out(data.episode, data.step, 0.1, 1)
    model = DynamicsModel.from_bytes(outcome.snapshot.data)
    about = About(model_version=1)
    found = evaluate(model, data, mask, horizon=3, about=about)
    assert found.one_step.relative_error == pytest.approx(outcome.holdout_error, rel=1e-3)
    assert found.describe().startswith('model version 1: ')


def test_left_out_and_absolute_targets_a_history_and_elites_are_measured(
    architecture: Architecture, cartpole: Any, make_job: Callable[..., TrainingJob]
) -> None:
    encoding = dataclasses.replace(
        architecture.encoding, history=3, targets_absolute=(3,), targets_left_out=(0,)
    )
    arrays = cartpole.random_data(2)
    job = make_job(dataclasses.replace(architecture, encoding=encoding), arrays, 300)
    outcome = fit(dataclasses.replace(job, elites=2))
    assert outcome.snapshot is not None
    model = DynamicsModel.from_bytes(outcome.snapshot.data)
    data = Transitions.from_arrays(*arrays)
    mask = held_out(data.episode, data.step, 0.1, 1)
    found = evaluate(model, data, mask, horizon=3)
    assert model.members == 2 and found.counted.tolist() == [False, True, True, True]
    assert found.one_step.relative_error == pytest.approx(outcome.holdout_error, rel=1e-3)
    assert np.isfinite(found.one_step.coverage[:, 1:]).all()
    # An entry left out stays as it is, but for float32.
    np.testing.assert_allclose(found.one_step.error[0], found.one_step.trivial[0], rtol=1e-4)
