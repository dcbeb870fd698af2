"""Environments by gymnasium's ids; the tasks made of them are compared in mbrl_bringup's tests."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest

from mbrl_common.settings import SettingsError, build
from mbrl_sim_bridge.environments import make_environment
from mbrl_sim_bridge.settings import SimBridgeSettings
from mbrl_sim_bridge.simulation import Simulation

HUMANOID = {
    'name': 'humanoid',
    'state': ['torso.z', 'torso.vx', 'abdomen_y.position', 'right_knee.velocity'],
    'action': ['abdomen_y', 'right_knee'],
    'action_low': [-0.4, -0.4],
    'action_high': [0.4, 0.4],
    'control_period': 0.015,
    'max_steps': 100,
}


def simulate(parameters: dict[str, Any], environment: str) -> Simulation:
    return Simulation(
        build(SimBridgeSettings, {'task': parameters, 'sim.environment': environment})
    )


@pytest.mark.parametrize(
    ('name', 'complaint'),
    [
        ('gymnasium:Hopperr-v5', r"'gymnasium:Hopperr-v5' .*Hopperr.*doesn't exist"),
        ('gymnasium:CartPole-v1', r'CartPole-v1 \(CartPoleEnv\) has no MuJoCo model and data'),
        ('gymnasium', r"it needs an id, as in 'gymnasium:Hopper-v5'"),
        ('gymnasiun:Hopper-v5', r"did you mean 'gymnasium'"),
        ('cartpole_pets:x', r"'cartpole_pets:x' .*takes no arguments"),
    ],
)
def test_what_cannot_be_simulated_is_refused_with_the_reason(name: str, complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        make_environment(name)


def test_an_environment_that_no_task_comes_with_is_played_by_its_id() -> None:
    """With a free body, and joints and actuators of which the task names some."""
    simulation = simulate(HUMANOID, 'gymnasium:Humanoid-v5')
    env: Any = gymnasium.make('Humanoid-v5').unwrapped
    env.reset(seed=4)
    simulation.reset(4)
    model, data = env.model, env.data
    control = np.zeros(model.nu)
    places = [model.actuator(name).id for name in HUMANOID['action']]
    knee, abdomen = model.joint('right_knee'), model.joint('abdomen_y')
    for action in np.random.default_rng(0).uniform(-0.4, 0.4, (20, 2)):
        control[places] = action
        _, reward, *_ = env.step(control)
        state = simulation.step(action)
        assert state[0] == data.qpos[2]
        assert state[2:].tolist() == [data.qpos[abdomen.qposadr[0]], data.qvel[knee.dofadr[0]]]
        assert simulation.score == reward


def test_the_score_is_of_the_last_step_alone_and_unknown_after_a_reset() -> None:
    simulation = simulate(HUMANOID, 'gymnasium:Humanoid-v5')
    assert np.isnan(simulation.score)
    first = [simulation.step(np.zeros(2)) is not None and simulation.score for _ in range(3)]
    simulation.reset(1)
    assert np.isnan(simulation.score)
    simulation.reset(0)
    again = [simulation.step(np.zeros(2)) is not None and simulation.score for _ in range(3)]
    assert first == again and np.isfinite(first).all()


def test_the_score_divides_by_the_tasks_own_control_period() -> None:
    """Twice gymnasium's: the velocity is that over the whole way."""
    task = {
        'name': 'cheetah',
        'state': ['rootx.position'],
        'action': ['bthigh'],
        'action_low': [-1.0],
        'action_high': [1.0],
        'control_period': 0.1,
        'max_steps': 100,
    }
    simulation = simulate(task, 'gymnasium:HalfCheetah-v5')
    before = simulation.reset(2)[0]
    after = simulation.step(np.array([0.5]))[0]
    assert simulation.score == pytest.approx((after - before) / 0.1 - 0.1 * 0.5**2, abs=1e-12)


def test_an_environment_without_a_score_has_none(settings: SimBridgeSettings) -> None:
    simulation = Simulation(settings)
    simulation.step(np.zeros(1))
    assert np.isnan(simulation.score)
