"""Reacher, pusher and half-cheetah of PETS: its numbers, and its formula for the hand's end."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from mbrl_sim_bridge.environments import make_environment


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


def test_the_pusher_is_gymnasiums_with_a_light_cylinder_beside_the_goal():
    model = make_environment('pusher_pets').make_model()
    assert model.joint('r_shoulder_pan_joint').range.tolist() == [-2.2854, 2.0]
    assert 1e-6 < model.body('object').mass[0] < 1e-4
    positions, velocities = draws('pusher_pets')
    assert not positions[:, :7].any() and not positions[:, -2:].any()
    cylinder = positions[:, 7:9]
    np.testing.assert_allclose(cylinder.mean(0), [-0.25, 0.15], atol=5 * 0.025 / np.sqrt(1000))
    np.testing.assert_allclose(cylinder.std(0), 0.025, atol=5 * 0.025 / np.sqrt(2000))
    assert 0.0049 < abs(velocities[:, :7]).max() <= 0.005 and not velocities[:, 7:].any()


def test_the_pushers_cylinder_can_be_pushed():
    model = make_environment('pusher_pets').make_model()
    data = mujoco.MjData(model)
    # the wrist in the cylinder, as deep as an arm gets that comes down on it
    data.qpos[:] = [0.11, 0.62, -1.14, -0.85, 0.0, -0.26, 0.7, -0.26, 0.17, 0.0, 0.0]
    mujoco.mj_forward(model, data)
    before = data.qpos[7:9].copy()
    mujoco.mj_step(model, data, nstep=50)
    assert np.linalg.norm(data.qpos[7:9] - before) > 0.01


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
