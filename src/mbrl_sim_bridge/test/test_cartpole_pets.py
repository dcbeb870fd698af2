"""The model against PETS's definition, and against the equations of motion in float64."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from mbrl_sim_bridge.environments import make_environment
from mbrl_sim_bridge.simulation import Simulation

DENSITY = 1000.0  # MuJoCo's default [kg/m^3]
GRAVITY = 9.81


@pytest.fixture(scope='module')
def model():
    return make_environment('cartpole_pets').make_model()


def test_slider_goes_to_2_5_m_and_hinge_has_no_limit(model):
    assert model.joint('slider').range.tolist() == [-2.5, 2.5]
    assert model.jnt_limited.tolist() == [1, 0]


def test_damping_gear_and_control_range_are_those_of_pets(model):
    assert model.dof_damping.tolist() == [1.0, 1.0]
    assert model.dof_armature.tolist() == [0.0, 0.0]
    assert model.actuator('slide').gear.tolist() == [100.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert model.actuator('slide').ctrlrange.tolist() == [-3.0, 3.0]


def test_integrator_and_timestep_are_those_of_pets(model):
    assert model.opt.integrator == int(mujoco.mjtIntegrator.mjINT_RK4)
    assert model.opt.timestep == 0.02
    assert model.opt.gravity.tolist() == [0.0, 0.0, -GRAVITY]


def test_pole_is_a_capsule_from_the_hinge_to_its_tip_below(model):
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    half = data.geom('cpole').xmat.reshape(3, 3)[:, 2] * model.geom('cpole').size[1]
    ends = sorted((data.geom('cpole').xpos + sign * half).tolist() for sign in (-1, 1))
    np.testing.assert_allclose(ends, [[0.0, 0.0, 0.0], [0.001, 0.0, -0.6]], atol=1e-12)
    assert model.geom('cpole').size[0] == 0.049


def test_nothing_collides(model):
    assert not model.geom_contype.any()


@pytest.mark.parametrize('theta', [0.0, 0.7, np.pi / 2, np.pi, -2.5, 9.0])
def test_pole_end_is_where_the_reward_formula_says(model, theta):
    x = 0.4
    data = mujoco.MjData(model)
    data.qpos[:] = x, theta
    mujoco.mj_forward(model, data)
    pole = data.body('pole')
    end = pole.xpos + pole.xmat.reshape(3, 3) @ [0.0, 0.0, -0.6]
    expected = [x - 0.6 * np.sin(theta), 0.0, -0.6 * np.cos(theta)]
    np.testing.assert_allclose(end, expected, atol=1e-12)


def capsule(radius: float, length: float) -> tuple[float, float]:
    """Mass and moment of inertia about a transverse axis through the centre."""
    cylinder = DENSITY * np.pi * radius**2 * length
    caps = DENSITY * 4.0 / 3.0 * np.pi * radius**3
    moment = cylinder * (length**2 / 12 + radius**2 / 4) + caps * (
        2 / 5 * radius**2 + length**2 / 4 + 3 / 8 * length * radius
    )
    return cylinder + caps, moment


def accelerations(state: np.ndarray, action: float) -> np.ndarray:
    """Lagrange's equations of a cart of mass M with a pole of mass m, both joints damped."""
    cart_mass, _ = capsule(0.1, 0.2)
    pole_mass, moment = capsule(0.049, float(np.hypot(0.001, 0.6)))
    cx, cz = 0.0005, -0.3  # centre of the pole, hanging
    _, theta, velocity, omega = state
    sin, cos = np.sin(theta), np.cos(theta)
    dx, dz = -cx * sin + cz * cos, -cx * cos - cz * sin  # of the centre, by theta
    ddx = -cx * cos - cz * sin
    mass = np.array(
        [
            [cart_mass + pole_mass, pole_mass * dx],
            [pole_mass * dx, moment + pole_mass * (cx**2 + cz**2)],
        ]
    )
    force = np.array(
        [
            100.0 * action - velocity - pole_mass * ddx * omega**2,
            -pole_mass * GRAVITY * dz - omega,
        ]
    )
    return np.linalg.solve(mass, force)


def runge_kutta(state: np.ndarray, action: float, dt: float) -> np.ndarray:
    def slope(s: np.ndarray) -> np.ndarray:
        return np.concatenate([s[2:], accelerations(s, action)])

    k1 = slope(state)
    k2 = slope(state + dt / 2 * k1)
    k3 = slope(state + dt / 2 * k2)
    k4 = slope(state + dt * k3)
    return state + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def test_trajectory_is_that_of_the_equations_of_motion(settings):
    simulation = Simulation(settings)
    state = simulation.reset(5)
    generator = np.random.default_rng(0)
    farthest = 0.0
    for _ in range(60):
        action = np.clip(generator.normal(0, 1.5) - state[0] - 0.5 * state[2], -3, 3)
        expected = state
        for _ in range(2):
            expected = runge_kutta(expected, float(action), 0.02)
        state = simulation.step(np.array([action]))
        farthest = max(farthest, abs(state[0]))
        np.testing.assert_allclose(state, expected, rtol=1e-9, atol=1e-9)
    assert farthest < 2.5  # the rail's end never took part
    assert abs(state[1]) > 0.01


def test_cart_stays_on_the_rail_under_full_force(settings):
    simulation = Simulation(settings)
    positions = [abs(simulation.step(np.array([3.0]))[0]) for _ in range(200)]
    assert 2.4 < max(positions) < 3.0


def test_initial_states_have_mean_0_and_standard_deviation_0_1(settings):
    simulation = Simulation(settings)
    states = np.array([simulation.reset(seed) for seed in range(2000)])
    # 5 standard errors of a mean and of a standard deviation over 2000 draws
    np.testing.assert_allclose(states.mean(axis=0), 0.0, atol=5 * 0.1 / np.sqrt(2000))
    np.testing.assert_allclose(states.std(axis=0), 0.1, atol=5 * 0.1 / np.sqrt(4000))
    assert np.abs(np.corrcoef(states.T) - np.eye(4)).max() < 0.12
