"""Every optimiser on linear-quadratic problems, whose optimum is known without any of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mbrl_planner.optimizer import cold_start
from mbrl_planner.optimizers import make_optimizer

HORIZON = 8
A = np.array([[1.0, 0.1], [0.0, 1.0]])  # a mass, pushed: position and velocity
B = np.array([[0.005], [0.1]]) * 10
Q, R = np.diag([1.0, 0.1]), np.array([[0.05]])
STATE = np.array([1.0, 0.0])

# What each may lose of what the best plan gains over doing nothing.
LOSS = {
    'gradient': 1e-3,
    'hybrid': 1e-3,
    'cem': 0.01,
    'icem': 0.02,
    'mppi': 0.05,
    'pddm': 0.05,
    'random_shooting': 0.4,
}
SETTINGS = {
    'gradient': {'iterations': 200, 'gradient__learning_rate': 0.05},
    'hybrid': {'candidates': 64, 'iterations': 3, 'elites': 12, 'hybrid__steps': 150},
    'cem': {'candidates': 400, 'iterations': 12, 'elites': 40, 'cem__epsilon': 1e-8},
    'icem': {'candidates': 400, 'iterations': 12, 'elites': 40, 'icem__colour_beta': 0.0},
    'mppi': {'candidates': 2000, 'iterations': 20, 'mppi__sigma': 0.1, 'mppi__temperature': 0.02},
    'pddm': {'candidates': 2000, 'iterations': 20, 'pddm__sigma': 0.15, 'pddm__kappa': 50.0},
    'random_shooting': {'candidates': 20000, 'iterations': 2},
}


def cost(actions: np.ndarray) -> float:
    """Of a plan [H, 1], in float64."""
    state, total = STATE, 0.0
    for action in actions:
        total += float(action @ R @ action)
        state = A @ state + B @ action
        total += float(state @ Q @ state)
    return total


def evaluate(actions: torch.Tensor) -> torch.Tensor:
    """Returns of candidates, as a rollout gives them."""
    transition, control = torch.tensor(A).float(), torch.tensor(B).float()
    state = torch.tensor(STATE).float().expand(*actions.shape[:2], 2)
    total = torch.zeros(actions.shape[:2])
    for action in actions.unbind(2):
        state = state @ transition.T + action @ control.T
        spent = 0.05 * action.square().sum(-1)
        total = total - spent - (state.square() * torch.tensor([1.0, 0.1])).sum(-1)
    return total


def riccati() -> np.ndarray:
    """The optimal plan without bounds, by the Riccati recursion."""
    value, gains = np.zeros((2, 2)), []
    for _ in range(HORIZON):
        ahead = Q + value
        gain = np.linalg.solve(R + B.T @ ahead @ B, B.T @ ahead @ A)
        value = A.T @ ahead @ (A - B @ gain)
        gains.append(gain)
    state, plan = STATE, []
    for gain in reversed(gains):
        plan.append(-gain @ state)
        state = A @ state + B @ plan[-1]
    return np.array(plan)


def bounded(bound: float) -> np.ndarray:
    """The optimal plan within bounds: a convex quadratic in a box, by projected gradient."""
    base = cost(np.zeros((HORIZON, 1)))
    unit = np.eye(HORIZON)[:, :, None]
    single = np.array([cost(each) for each in unit])
    hessian = np.array([[cost(a + b) - cost(a) - cost(b) + base for b in unit] for a in unit])
    slope = single - base - np.diag(hessian) / 2
    plan, step = np.zeros(HORIZON), 1 / np.linalg.eigvalsh(hessian)[-1]
    for _ in range(100_000):
        plan = np.clip(plan - step * (hessian @ plan + slope), -bound, bound)
    # The conditions of Karush, Kuhn and Tucker: no gradient inside, outwards only on the bounds.
    gradient = hessian @ plan + slope
    inside = np.abs(plan) < bound - 1e-9
    assert np.abs(gradient[inside]).max(initial=0.0) < 1e-8
    assert (gradient[~inside] * np.sign(plan[~inside]) < 1e-8).all()
    return plan[:, None]


@pytest.mark.parametrize('name', list(SETTINGS))
@pytest.mark.parametrize('bound', [3.0, 0.6])
def test_the_optimum_is_found(make_optimizer_settings, name, bound):
    best = bounded(bound)
    free = riccati()
    if bound > np.abs(free).max():
        np.testing.assert_allclose(best, free, atol=1e-6)  # the two ways agree
    else:
        assert (np.abs(best) > bound - 1e-9).any()  # the bounds are active
    low, high = torch.tensor([-bound]), torch.tensor([bound])
    optimizer = make_optimizer(make_optimizer_settings(name=name, **SETTINGS[name]))
    solution = optimizer.optimize(
        evaluate,
        low,
        high,
        cold_start(low, high, 1, HORIZON),
        [torch.Generator().manual_seed(0)],
    )
    gained = cost(np.zeros((HORIZON, 1))) - cost(best)
    lost = cost(solution.actions[0].double().numpy()) - cost(best)
    assert -1e-6 < lost < LOSS[name] * gained
