"""Reacher, pusher and half-cheetah of PETS: its numbers, and its formula for the hand's end."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from mbrl_sim_bridge.environments import make_environment
from mbrl_sim_bridge.environments.cartpole_pets import gymnasium_asset


def draws(name: str, count: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """Positions and velocities of initial states."""
    environment = make_environment(name)
    model = environment.make_model()
    data = mujoco.MjData(model)
    states = []
    for seed in range(count):
        mujoco.mj_resetData(model, data)
        environment.draw_initial_state(model, data, np.random.default_rng(seed))
        states.append((data.qpos.copy(), data.qvel.copy()))
    positions, velocities = zip(*states)
    return np.array(positions), np.array(velocities)


def pets_hand(angles: np.ndarray) -> np.ndarray:
    """Where PETS's reward has the hand's end [3], from the arm's seven angles [7]: along the upper
    arm, and from there, at elbow and wrist, on in a direction that roll and hinge turn."""
    pan, lift, roll, elbow, forearm_roll, wrist, _ = angles
    along = np.array([np.cos(lift) * np.cos(pan), np.cos(lift) * np.sin(pan), -np.sin(lift)])
    across = np.array([-np.sin(pan), np.cos(pan), 0.0])
    shoulder = np.array([0.1 * np.cos(pan), 0.1 * np.sin(pan) - 0.188, 0.0])
    end = shoulder + 0.4 * along
    for length, hinge, turn in ((0.321, elbow, roll), (0.16828, wrist, forearm_roll)):
        up = np.cross(along, across)
        bent = np.cos(hinge) * along + np.sin(hinge) * (np.sin(turn) * across - np.cos(turn) * up)
        across = np.cross(bent, along)
        across /= np.linalg.norm(across)
        along, end = bent, end + length * bent
    return end


def test_the_reachers_hand_is_where_the_reward_of_pets_has_it():
    model = make_environment('reacher_pets').make_model()
    data = mujoco.MjData(model)
    generator = np.random.default_rng(0)
    for _ in range(50):
        angles = generator.uniform(-1.0, 1.0, 7)
        # Of a hinge's two bent sides, its formula is right for the one that the joint can take.
        angles[[3, 5]] = generator.uniform(-2.0, -0.05, 2)
        data.qpos[:7] = angles
        mujoco.mj_forward(model, data)
        np.testing.assert_allclose(data.site('hand_end').xpos, pets_hand(angles), atol=1e-12)


def test_the_reachers_numbers_are_those_of_pets():
    model = make_environment('reacher_pets').make_model()
    assert model.opt.integrator == int(mujoco.mjtIntegrator.mjINT_RK4)
    assert model.opt.timestep == 0.01 and not model.opt.gravity.any()
    assert model.actuator_ctrlrange.tolist() == [[-20.0, 20.0]] * 7
    assert model.dof_damping.tolist() == [10.0, 10.0, 0.1, 1.0, 0.1, 0.1, 0.1, 0.0, 0.0, 0.0]
    assert model.dof_armature.tolist() == [0.04] * 7 + [0.0] * 3
    assert model.jnt_limited.tolist() == [1, 1, 1, 1, 0, 1, 0, 0, 0, 0]
    assert model.joint('r_wrist_flex_joint').range.tolist() == [-2.094, 0.0]
    assert not model.geom_contype.any() and not model.geom_conaffinity.any()


def test_the_reachers_target_stays_where_it_is_drawn():
    positions, velocities = draws('reacher_pets')
    assert not positions[:, :7].any() and not velocities.any()
    # 5 standard errors of a mean and of a standard deviation over 1000 draws
    np.testing.assert_allclose(positions[:, 7:].mean(0), [0, 0.25, 0], atol=0.5 / np.sqrt(1000))
    np.testing.assert_allclose(positions[:, 7:].std(0), 0.1, atol=0.5 / np.sqrt(2000))
    model = make_environment('reacher_pets').make_model()
    data = mujoco.MjData(model)
    data.qpos[:] = positions[0]
    data.ctrl[:] = 20.0
    mujoco.mj_step(model, data, nstep=100)
    np.testing.assert_array_equal(data.qpos[7:], positions[0, 7:])
    np.testing.assert_allclose(data.body('target').xpos, positions[0, 7:], atol=1e-12)
    assert abs(data.qpos[0]) > 0.1


def test_the_pusher_is_gymnasiums_with_a_cylinder_beside_the_goal():
    model = make_environment('pusher_pets').make_model()
    assert model.joint('r_shoulder_pan_joint').range.tolist() == [-2.2854, 2.0]
    positions, velocities = draws('pusher_pets')
    assert not positions[:, :7].any() and not positions[:, -2:].any()
    cylinder = positions[:, 7:9]
    np.testing.assert_allclose(cylinder.mean(0), [-0.25, 0.15], atol=5 * 0.025 / np.sqrt(1000))
    np.testing.assert_allclose(cylinder.std(0), 0.025, atol=5 * 0.025 / np.sqrt(2000))
    assert 0.0049 < abs(velocities[:, :7]).max() <= 0.005 and not velocities[:, 7:].any()


def glide(model: mujoco.MjModel) -> list[float]:
    """Where the pusher's cylinder goes that nothing touches, from 1 m/s [m]."""
    data = mujoco.MjData(model)
    data.qvel[7:9] = [1.0, -0.5]
    places: list[float] = []
    for _ in range(100):
        mujoco.mj_step(model, data)
        places.extend(data.qpos[7:9])
    return places


def test_the_pushers_cylinder_glides_as_gymnasiums():
    gymnasiums = mujoco.MjModel.from_xml_path(str(gymnasium_asset('pusher_v5.xml')))
    ours = make_environment('pusher_pets').make_model()
    np.testing.assert_allclose(glide(ours), glide(gymnasiums), rtol=1e-3)
    assert max(glide(ours)) > 0.05


def strike(model: mujoco.MjModel) -> tuple[float, float]:
    """The hand swings against the cylinder: how deep it sinks into it, and how far it is pushed
    within 0.6 s [m]."""
    data = mujoco.MjData(model)
    data.qpos[:9] = [-0.4, 0.48, 0.0, -0.23, 0.0, -0.83, 0.0, -0.62, 0.35]
    data.ctrl[0] = 1.0  # the shoulder's
    cylinder, depth = model.body('object').id, 0.0
    for _ in range(60):
        mujoco.mj_step(model, data)
        for contact in data.contact:
            bodies = {int(model.geom_bodyid[geom]) for geom in (contact.geom1, contact.geom2)}
            if cylinder in bodies and 0 not in bodies:  # 0: the table
                depth = max(depth, -contact.dist)
    return depth, float(np.linalg.norm(data.qpos[7:9] - [-0.62, 0.35]))


def test_the_hand_does_not_sink_into_the_pushers_cylinder():
    depth, way = strike(make_environment('pusher_pets').make_model())
    assert depth < 0.001 and way > 0.04


def test_it_does_in_gymnasiums():
    """Why the cylinder has a mass of its own: once this fails, it needs none any more."""
    gymnasiums = mujoco.MjModel.from_xml_path(str(gymnasium_asset('pusher_v5.xml')))
    depth, way = strike(gymnasiums)
    assert depth > 0.02 and way < 0.01


def test_the_half_cheetah_begins_almost_at_rest():
    for values in draws('half_cheetah_pets'):
        np.testing.assert_allclose(values.std(0), 0.001, atol=5 * 0.001 / np.sqrt(2000))


@pytest.mark.parametrize('name', ['reacher_pets', 'pusher_pets'])
def test_an_arm_under_full_torque_stays_finite(name):
    model = make_environment(name).make_model()
    data = mujoco.MjData(model)
    generator = np.random.default_rng(1)
    for _ in range(150):
        data.ctrl[:] = generator.choice(model.actuator_ctrlrange[0], model.nu)
        mujoco.mj_step(model, data, nstep=4)
    assert np.isfinite(data.qpos).all() and not data.warning.number.any()
