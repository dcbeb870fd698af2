"""Planning in the true model: no model is learned, and what is predicted is what happens."""

from __future__ import annotations

import numpy as np
import pytest

from mbrl_planner.objectives import ObjectiveSettings
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
