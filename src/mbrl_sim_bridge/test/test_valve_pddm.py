"""PDDM's valve: its numbers, that the claw reaches it, and that the goal rests."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from mbrl_sim_bridge.environments import make_environment


@pytest.fixture
def environment():
    return make_environment('valve_pddm')


def begun(environment, seed):
    """Model, and data at the beginning of an episode."""
    model = environment.make_model()
    data = mujoco.MjData(model)
    environment.draw_initial_state(model, data, np.random.default_rng(seed))
    mujoco.mj_forward(model, data)
    return model, data


def test_the_numbers_are_pddms(environment):
    model = environment.make_model()
    assert (model.nq, model.nv, model.nu, model.opt.timestep) == (11, 11, 9, 0.0025)
    assert model.actuator_gainprm[:, 0].tolist() == [2.0] * 9
    high = [0.48, np.pi / 2, np.pi / 2] * 3
    np.testing.assert_allclose(model.actuator_ctrlrange[:, 1], high)
    np.testing.assert_allclose(model.jnt_range[:9, 1], high)
    assert model.dof_damping.tolist() == [0.1] * 10 + [0.0]
    assert model.dof_armature.tolist() == [0.001] * 10 + [0.0]
    assert model.jnt_limited[9:].tolist() == [0, 0]


def test_a_joint_goes_no_faster_than_pddms(environment):
    model, data = begun(environment, 0)
    data.ctrl[:] = model.actuator_ctrlrange[:, 0]
    for _ in range(200):
        mujoco.mj_step(model, data)
        assert np.abs(data.actuator_force).max() <= 0.5
        assert np.abs(data.qvel[:9]).max() < 5.5


def test_it_slips_alike_in_all_directions(environment):
    assert environment.make_model().opt.cone == mujoco.mjtCone.mjCONE_ELLIPTIC


def test_the_claw_begins_in_its_pose_and_clear_of_the_valve_wherever_that_is(environment):
    angles, goals = [], []
    for seed in range(300):
        _, data = begun(environment, seed)
        assert data.qpos[:9].tolist() == [0.0, -1.0, 1.35] * 3 and not data.qvel.any()
        assert data.ncon == 0
        angles.append(data.joint('valve').qpos[0])
        goals.append(data.joint('valve_goal').qpos[0])
    assert -np.pi / 4 < min(angles) < -0.7 and 0.7 < max(angles) < np.pi / 4
    sizes = np.abs(goals)
    assert np.pi / 2 < sizes.min() < 1.7 and 3.0 < sizes.max() < np.pi
    assert 100 < np.sum(np.array(goals) > 0) < 200


def test_with_its_targets_held_it_stays_and_the_goal_does_not_move(environment):
    model, data = begun(environment, 0)
    before = data.qpos.copy()
    mujoco.mj_step(model, data, nstep=400)
    np.testing.assert_allclose(data.qpos[:9], before[:9], atol=0.05)
    np.testing.assert_array_equal(data.qpos[9:], before[9:])


@pytest.mark.parametrize('seed', range(3))
def test_random_actions_turn_the_valve_and_stay_finite(environment, seed):
    model, data = begun(environment, seed)
    random = np.random.default_rng(seed)
    low, high = model.actuator_ctrlrange.T
    way, last = 0.0, data.qpos[9]
    for _ in range(100):
        data.ctrl[:] = random.uniform(low, high)
        mujoco.mj_step(model, data, nstep=40)
        way, last = way + abs(data.qpos[9] - last), data.qpos[9]
    assert np.isfinite(data.qpos).all() and not data.warning.number.any()
    assert way > 1.0


def test_the_score_is_the_short_way_to_the_goal(environment):
    _, data = begun(environment, 0)
    for valve, goal, expected in ((1.0, 2.5, -1.5), (3.0, -3.0, 6.0 - 2 * np.pi), (7.0, 7.0, 0.0)):
        data.joint('valve').qpos, data.joint('valve_goal').qpos = valve, goal
        assert environment.score.step(data) == pytest.approx(expected, abs=1e-12)
