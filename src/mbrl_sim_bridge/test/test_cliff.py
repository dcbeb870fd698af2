"""The slope and the cliff against closed forms, and the terrain against MuJoCo's ray casts."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from mbrl_common.settings import build
from mbrl_sim_bridge.environments.cliff import (
    ANGLE,
    DAMPING,
    EDGE,
    FOOT,
    MASS,
    RADIUS,
    TOP,
    Cliff,
    ground_height,
    resting_height,
)
from mbrl_sim_bridge.settings import SimBridgeSettings
from mbrl_sim_bridge.simulation import Simulation

GRAVITY = 9.81


@pytest.fixture
def simulation() -> Simulation:
    task = {
        'name': 'cliff',
        'state': ['x.position', 'z.position', 'x.velocity', 'z.velocity'],
        'action': ['x'],
        'action_low': [-8.0],
        'action_high': [8.0],
        'control_period': 0.05,
        'max_steps': 200,
    }
    return Simulation(build(SimBridgeSettings, {'task': task, 'sim.environment': 'cliff'}))


def test_ball_climbs_at_the_speed_at_which_the_forces_along_the_slope_balance(simulation):
    for _ in range(40):
        state = simulation.step(np.array([8.0]))
    assert state[0] < TOP
    speed = (8.0 - MASS * GRAVITY * np.tan(ANGLE)) / DAMPING
    np.testing.assert_allclose(state[2:], [speed, speed * np.tan(ANGLE)], rtol=0.02)
    assert state[1] == pytest.approx(float(resting_height(state[0])), abs=0.005)


def test_force_that_balances_gravity_holds_the_ball_on_the_slope(simulation):
    state = simulation.reset(3)
    for _ in range(60):
        held = simulation.step(np.array([MASS * GRAVITY * np.tan(ANGLE)]))
    np.testing.assert_allclose(held, state, atol=0.005)


def test_ball_beyond_the_edge_falls_freely_until_it_lands(simulation):
    states = [simulation.step(np.array([8.0])) for _ in range(85)]
    falling = [s for s in states if s[0] > EDGE + RADIUS and s[1] > 0.2]
    assert len(falling) >= 4
    drops = -np.diff([state[3] for state in falling])
    np.testing.assert_allclose(drops, GRAVITY * 0.05, rtol=1e-6)
    assert states[-1][1] == pytest.approx(RADIUS, abs=0.005)


def test_ball_that_is_not_pushed_rolls_down_to_the_left(simulation):
    for _ in range(60):
        state = simulation.step(np.array([0.0]))
    assert state[0] < FOOT
    assert state[1] == pytest.approx(RADIUS, abs=0.005)


@pytest.mark.parametrize('force', [-8.0, 8.0])
def test_walls_keep_the_ball_in_the_world(simulation, force):
    states = np.array([simulation.step(np.array([force])) for _ in range(200)])
    assert (states[-1, 2:] == pytest.approx(0.0, abs=1e-3)) and states[:, 1].min() > 0.05


def test_ground_is_as_high_as_a_ray_from_above_finds_it():
    model = Cliff().make_model()
    data = mujoco.MjData(model)
    data.qpos[1] = 50.0  # the ball out of the way
    mujoco.mj_forward(model, data)
    down, geom = np.array([0.0, 0.0, -1.0]), np.zeros(1, dtype=np.int32)
    for x in np.linspace(FOOT - 0.4, 4.9, 200):
        start = np.array([x, 0.0, 10.0])
        distance = mujoco.mj_ray(model, data, start, down, None, 1, -1, geom)
        assert 10.0 - distance == pytest.approx(float(ground_height(x)), abs=1e-9)


def test_ball_at_its_resting_height_touches_the_ground():
    model = Cliff().make_model()
    data = mujoco.MjData(model)
    for x in np.linspace(FOOT + 0.1, EDGE, 50):
        for above, contacts in ((1e-6, False), (-1e-6, True)):
            data.qpos[:] = x, resting_height(x) + above
            mujoco.mj_forward(model, data)
            assert (data.ncon > 0) == contacts


def test_episodes_begin_at_rest_on_the_slope(simulation):
    states = np.array([simulation.reset(seed) for seed in range(500)])
    assert not states[:, 2:].any()
    # 5 standard errors of a mean and of a standard deviation over 500 draws
    assert states[:, 0].mean() == pytest.approx(FOOT + 0.5, abs=5 * 0.05 / np.sqrt(500))
    assert states[:, 0].std() == pytest.approx(0.05, abs=5 * 0.05 / np.sqrt(1000))
    np.testing.assert_allclose(states[:, 1], resting_height(states[:, 0]), atol=1e-12)
