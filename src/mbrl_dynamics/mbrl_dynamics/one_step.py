"""How good a model is one step ahead: error, spread, calibration, likelihood, learned heads."""

from __future__ import annotations

import math

import numpy as np
import torch

from mbrl_dynamics.calibration import (
    calibration_error,
    coverage,
    error_by_spread,
    mixture_surprise,
    mixture_transform,
    particle_coverage,
    rms,
)
from mbrl_dynamics.evaluation import OneStep
from mbrl_dynamics.model import Prediction
from mbrl_dynamics.propagation import Model
from mbrl_dynamics.relative_error import relative_error
from mbrl_dynamics.transitions import Transitions
from mbrl_dynamics.unseen import windows_at

CHUNK = 256  # transitions predicted at once: whoever waits is looked at in between


def measure_one_step(model: Model, data: Transitions, places: np.ndarray) -> OneStep:
    """Compare a model's predictions with what came.

    Args:
        model: its members are weighed alike.
        data: transitions; those before a place are looked at if the model has a history.
        places: [N] int64, ascending, of the transitions to measure on; at least one.
    """
    state, action = windows_at(data, places, model.history)
    mean, variance, reward, end = _predict(model, state, action)
    start, truth = data.state[places], data.next_state[places]
    counted = np.isfinite(model.target_scale.numpy())
    error = np.abs(mean.mean(0) - truth)
    disagreement = mean.std(0)
    if variance is None:
        spread = disagreement
        transform = np.full(truth.shape, math.nan)
        shares = particle_coverage(mean, truth)
        surprise, joint = np.full(truth.shape, math.nan), np.full(len(truth), math.nan)
    else:
        spread = np.sqrt(variance.mean(0) + mean.var(0))
        transform = mixture_transform(mean, variance, truth)
        transform[:, ~counted] = math.nan
        shares = coverage(transform)
        surprise = np.full(truth.shape, math.nan)
        surprise[:, counted], joint = mixture_surprise(
            mean[..., counted], variance[..., counted], truth[:, counted]
        )
    shares[:, ~counted] = math.nan
    binned_error, binned_spread = error_by_spread(error, spread)
    change, predicted = truth - start, mean.mean(0) - start
    reward_error, reward_deviation = _reward(reward, data.reward[places])
    end_log_loss, end_accuracy, end_share = _end(end, data.terminated[places])
    return OneStep(
        transitions=len(places),
        relative_error=relative_error(predicted[:, counted], change[:, counted]),
        error=rms(error),
        trivial=rms(change),
        spread=rms(spread),
        disagreement=rms(disagreement),
        coverage=shares,
        calibration_error=calibration_error(shares),
        surprise=surprise.mean(0),
        joint_surprise=float(joint.mean()),
        binned_error=binned_error,
        binned_spread=binned_spread,
        reward_error=reward_error,
        reward_deviation=reward_deviation,
        end_log_loss=end_log_loss,
        end_accuracy=end_accuracy,
        end_share=end_share,
        change=change,
        predicted_change=predicted,
        transform=transform,
    )


def _predict(
    model: Model, state: np.ndarray, action: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Mean and variance [E, N, S], reward and probability of an end [N] (mean over the members)."""
    states, actions = torch.from_numpy(state).float(), torch.from_numpy(action).float()
    parts: list[Prediction] = [
        model.predict(
            states[i : i + CHUNK].expand(model.members, -1, -1),
            actions[i : i + CHUNK].expand(model.members, -1, -1),
        )
        for i in range(0, len(states), CHUNK)
    ]

    def join(name: str) -> np.ndarray | None:
        found = [getattr(part, name) for part in parts]
        return None if found[0] is None else torch.cat(found, dim=1).double().numpy()

    mean, reward, end = join('mean'), join('reward'), join('end')
    assert mean is not None
    return (
        mean,
        join('variance'),
        None if reward is None else reward.mean(0),
        None if end is None else end.mean(0),
    )


def _reward(predicted: np.ndarray | None, reward: np.ndarray) -> tuple[float, float]:
    known = ~np.isnan(reward)
    if predicted is None or not known.any():
        return math.nan, math.nan
    return float(rms(predicted[known] - reward[known])), float(reward[known].std())


def _end(probability: np.ndarray | None, ended: np.ndarray) -> tuple[float, float, float]:
    if probability is None:
        return math.nan, math.nan, math.nan
    right = np.where(ended, probability, 1 - probability)
    log_loss = -np.log(np.maximum(right, np.finfo(np.float32).tiny)).mean()
    return float(log_loss), float(((probability > 0.5) == ended).mean()), float(ended.mean())
