"""Planning in the true model: no model is learned, and what is predicted is what happens."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mbrl_common.settings import SettingsError
from mbrl_planner import planner as module
from mbrl_planner.objectives import ObjectiveSettings
from mbrl_planner.optimizer import Solution
from mbrl_planner.planner import Planner, PlanRequest, PlanRequestError

TRUE = {'planner__backend': 'mujoco', 'planner__simulator': 'cartpole_pets'}
STATE = np.array([0.1, -0.2, 0.3, 0.4])


@pytest.mark.parametrize('changes', [{}, {'optimizer__name': 'cem'}, {'planner__knots': 5}])
def test_what_is_predicted_is_what_mujoco_does(make_settings, true_cartpole, changes):
    planner = Planner(make_settings(**TRUE, **changes))
    first = planner.plan(PlanRequest(STATE, seed=1, min_model_version=5))
    result = planner.plan(PlanRequest(STATE, seed=2, warm_start=first.warm_start.shifted(1)))
    states = true_cartpole.states(STATE, result.actions[None])[0]
    np.testing.assert_allclose(result.state_mean, states, atol=1e-5)
    np.testing.assert_allclose(result.state_std, 0.0, atol=1e-6)
    tips = np.array([true_cartpole.tip(state)[[0, 2]] for state in states[1:]])
    distance = ((tips - [0.0, 0.6]) ** 2).sum(1)
    rewards = np.exp(-distance / 0.36) - 0.01 * result.actions[:, 0] ** 2
    assert result.predicted_return == pytest.approx(rewards.sum(), rel=1e-4)
    assert sum(result.term_returns.values()) == pytest.approx(rewards.sum(), rel=1e-4)
    assert (result.model_version, result.history) == (0, 1)
    assert result.model_steps > 0


def test_a_batch_in_the_true_model_is_the_plans_alone(make_settings):
    planner = Planner(make_settings(**TRUE))
    requests = [PlanRequest(STATE * robot, seed=robot) for robot in range(3)]
    requests[1] = PlanRequest([np.nan] * 4)
    answers = planner.plan_many(requests)
    assert isinstance(answers[1], PlanRequestError)
    for robot in (0, 2):
        np.testing.assert_array_equal(answers[robot].actions, planner.plan(requests[robot]).actions)


def test_weights_change_in_the_true_model_too(make_settings):
    planner = Planner(make_settings(**TRUE))
    plain = planner.plan(PlanRequest(STATE))
    planner.set_objective(ObjectiveSettings('cartpole_swingup', ('control=10',)))
    careful = planner.plan(PlanRequest(STATE))
    assert np.abs(careful.actions).mean() < 0.5 * np.abs(plain.actions).mean()


class Ascent:
    """Gradient ascent from the middle of the range, some small steps."""

    needs_gradient = True

    def __init__(self, settings):
        self._steps = settings.iterations

    def optimize(self, evaluate, low, high, start, generators, deadline=np.inf):
        """See ``Optimizer``."""
        mean = start.mean
        for _ in range(self._steps):
            with torch.enable_grad():
                candidate = mean[:, None].clone().requires_grad_()
                (slope,) = torch.autograd.grad(evaluate(candidate).sum(), candidate)
            mean = (mean + 0.3 * slope[:, 0]).clamp(low, high)
        return Solution(mean, mean, mean[:, None][:, :0], mean[:, 0, 0], None)


@pytest.mark.parametrize('changes', [{}, {'planner__knots': 6, 'planner__spline': 'cubic'}])
def test_an_optimiser_that_needs_it_gets_a_gradient(make_settings, snapshot, monkeypatch, changes):
    monkeypatch.setattr(module, 'make_optimizer', Ascent)
    returns = []
    for steps in (1, 20):
        planner = Planner(make_settings(optimizer__iterations=steps, **changes))
        planner.set_model(snapshot, 1)
        returns.append([planner.plan(PlanRequest(s * STATE)).predicted_return for s in (1, 3)])
    assert (np.array(returns[1]) > np.array(returns[0]) + 1e-3).all()


def test_such_an_optimiser_is_refused_where_there_is_no_gradient(make_settings, monkeypatch):
    monkeypatch.setattr(module, 'make_optimizer', Ascent)
    with pytest.raises(SettingsError, match=r"which follows the gradient .* 'mujoco' has none"):
        Planner(make_settings(**TRUE))
