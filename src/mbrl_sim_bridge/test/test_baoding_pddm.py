"""PDDM's Baoding balls: their numbers, that they rest and roll as free bodies do, and the score."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from mbrl_sim_bridge.environments import make_environment
from mbrl_sim_bridge.environments.adroit_hand import JOINTS, make_hand, put_in_starting_pose
from mbrl_sim_bridge.environments.baoding_pddm import MASS, RADIUS, STARTS

BALLS = ('ball1', 'ball2')


@pytest.fixture
def environment():
    return make_environment('baoding_pddm')


def begun(environment):
    """Model, and data at the beginning of an episode."""
    model = environment.make_model()
    data = mujoco.MjData(model)
    environment.draw_initial_state(model, data, np.random.default_rng(0))
    mujoco.mj_forward(model, data)
    return model, data


def test_the_numbers_are_pddms(environment):
    model, data = begun(environment)
    assert (model.nu, model.nv) == (24, 24 + 2 * 6 + 1)
    for ball, start in zip(BALLS, ((-0.029, -0.001, 0.19), (0.03, 0.01, 0.19))):
        geom = model.geom(ball)
        assert (geom.size[0], geom.condim[0], model.body(ball).mass[0]) == (0.028, 4, 0.043)
        np.testing.assert_allclose(data.body(ball).xpos, start, atol=1e-12)
        where = [data.joint(f'{ball}_{letter}').qpos[0] for letter in 'xyz']
        np.testing.assert_allclose(where, start, atol=1e-12)
    free = slice(24, None)
    for each in (model.dof_damping, model.dof_armature, model.dof_frictionloss):
        assert not each[free].any()


def test_the_hand_holds_the_balls_and_the_phase_turns_evenly(environment):
    model, data = begun(environment)
    mujoco.mj_step(model, data, nstep=400)
    for ball, start in zip(BALLS, STARTS):
        assert np.linalg.norm(data.body(ball).xpos - start) < 0.03
        assert np.linalg.norm(data.body(ball).cvel) < 0.1
    assert data.joint('phase').qpos[0] == pytest.approx(2 * np.pi / 6, abs=1e-9)
    assert data.joint('phase').qvel[0] == pytest.approx(2 * np.pi / 6, abs=1e-12)


def test_the_balls_are_free_bodies_but_for_the_names_of_their_joints(environment):
    model, data = begun(environment)
    spec = make_hand()
    for name, start in zip(BALLS, STARTS):
        ball = spec.worldbody.add_body(name=name, pos=start)
        ball.add_freejoint()
        ball.add_geom(
            type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[RADIUS, 0, 0], mass=MASS, condim=4,
            friction=[1.0, 0.005, 0.0001], margin=0.0,
        )  # fmt: skip
    twin = spec.compile()
    other = mujoco.MjData(twin)
    put_in_starting_pose(other)
    random = np.random.default_rng(1)
    rolled = 0.0
    for _ in range(6):
        target = [data.actuator(name).ctrl[0] + random.uniform(-0.1, 0.1) for name in JOINTS]
        data.ctrl[:] = other.ctrl[:] = target
        mujoco.mj_step(model, data, nstep=40)
        mujoco.mj_step(twin, other, nstep=40)
        for ball in BALLS:
            np.testing.assert_allclose(data.body(ball).xpos, other.body(ball).xpos, atol=2e-5)
            np.testing.assert_allclose(data.body(ball).xmat, other.body(ball).xmat, atol=2e-3)
            rolled = max(rolled, abs(data.body(ball).xmat.reshape(3, 3) - np.eye(3)).max())
    assert rolled > 0.1


@pytest.mark.parametrize('seed', range(3))
def test_random_actions_stay_finite_and_drop_the_balls(environment, seed):
    model, data = begun(environment)
    random = np.random.default_rng(seed)
    lowest = np.inf
    for _ in range(30):
        data.ctrl[:] = random.uniform(*model.actuator_ctrlrange.T)
        mujoco.mj_step(model, data, nstep=40)
        lowest = min(lowest, *(data.body(ball).xpos[2] for ball in BALLS))
    assert np.isfinite(data.qpos).all() and not data.warning.number.any()
    assert lowest < 0.06


def test_the_score_is_what_the_balls_are_off_seen_from_above(environment):
    _, data = begun(environment)
    for name in JOINTS:  # palm flat, where its frame is easy to write down
        data.joint(name).qpos = 0.0
    data.joint('phase').qpos = np.pi / 4  # targets at 180 and 0 degrees
    data.joint('ball1_x').qpos, data.joint('ball1_y').qpos = 0.005 - 0.02 + 0.003, -0.055 + 0.004
    data.joint('ball2_x').qpos, data.joint('ball2_y').qpos = 0.005 + 0.02, -0.055 - 0.01
    data.joint('ball2_z').qpos = 5.0
    before = data.xpos.copy()
    assert environment.score.step(data) == pytest.approx(-0.005 - 0.01, abs=1e-12)
    data.joint('phase').qpos = np.pi / 4 + np.pi / 2  # a quarter on, towards the wrist and away
    data.joint('ball1_x').qpos, data.joint('ball2_x').qpos = 0.005, 0.005
    data.joint('ball1_y').qpos, data.joint('ball2_y').qpos = -0.055 - 0.036, -0.055 + 0.036
    assert environment.score.step(data) == pytest.approx(0.0, abs=1e-12)
    np.testing.assert_array_equal(data.xpos, before)
