"""PDDM's cube: its numbers and its shape, that it lies in the hand, and the score."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from mbrl_sim_bridge.environments import make_environment


@pytest.fixture
def environment():
    return make_environment('cube_pddm')


def begun(environment, seed=0):
    """Model, and data at the beginning of an episode."""
    model = environment.make_model()
    data = mujoco.MjData(model)
    environment.draw_initial_state(model, data, np.random.default_rng(seed))
    mujoco.mj_forward(model, data)
    return model, data


def test_the_numbers_are_pddms(environment):
    model, data = begun(environment)
    assert (model.nu, model.nv) == (24, 24 + 6 + 3)
    cube = model.body('cube')
    assert cube.mass[0] == 0.05 and not cube.ipos.any()
    np.testing.assert_allclose(cube.inertia, 6.48e-5)
    np.testing.assert_allclose(data.body('cube').xpos, [0.0, -0.02, 0.24], atol=1e-12)
    assert model.dof_armature[24:].tolist() == [1e-5] * 9
    assert model.dof_damping[24:].tolist() == [0.001] * 6 + [0.0] * 3


def test_what_touches_is_a_cube_with_round_edges(environment):
    model, _ = begun(environment)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    parts = [i for i in range(model.ngeom) if model.geom_bodyid[i] == model.body('cube').id]
    touching = [i for i in parts if model.geom_contype[i]]
    assert len(touching) == 15

    def reaches(direction):
        """How far the cube goes from its centre, as a ray from outside finds it."""
        start, hit = np.array([0.0, -0.02, 0.24]) + 0.2 * direction, np.empty(1, np.int32)
        groups = np.array([0, 0, 0, 1, 0, 0], np.uint8)
        return 0.2 - mujoco.mj_ray(model, data, start, -direction, groups, 1, -1, hit)

    face, edge = np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 1.0]) / np.sqrt(2)
    assert reaches(face) == pytest.approx(0.0335, abs=1e-9)
    assert reaches(-face) == pytest.approx(0.0335, abs=1e-9)
    assert reaches(edge) == pytest.approx(np.sqrt(2) * 0.0285 + 0.005, abs=1e-9)


def test_the_hand_holds_the_cube_and_the_goal_rests(environment):
    model, data = begun(environment)
    goal = data.qpos[-3:].copy()
    mujoco.mj_step(model, data, nstep=400)
    assert data.joint('cube_z').qpos[0] > -0.06
    assert np.linalg.norm(data.body('cube').cvel) < 0.1
    np.testing.assert_array_equal(data.qpos[-3:], goal)


def test_the_goal_is_one_of_four(environment):
    model = environment.make_model()
    found = []
    for seed in range(100):
        data = mujoco.MjData(model)
        environment.draw_initial_state(model, data, np.random.default_rng(seed))
        assert not data.qvel.any() and not data.qpos[24:30].any()
        found.append(tuple(data.qpos[-3:]))
    expected = {(1.5, 0.0, 0.0), (-1.5, 0.0, 0.0), (0.0, 0.0, 1.5), (0.0, 0.0, -1.5)}
    assert set(found) == expected and min(found.count(each) for each in expected) > 10


def test_the_cube_turns_soundly_where_its_hinges_are_singular(environment):
    model, data = begun(environment)
    data.joint('cube_ry').qpos = np.pi / 2
    data.joint('cube_rx').qvel = 5.0
    mujoco.mj_step(model, data, nstep=200)
    assert np.isfinite(data.qpos).all() and not data.warning.number.any()


@pytest.mark.parametrize('seed', range(3))
def test_random_actions_stay_finite(environment, seed):
    model, data = begun(environment, seed)
    random = np.random.default_rng(seed)
    for _ in range(30):
        data.ctrl[:] = random.uniform(*model.actuator_ctrlrange.T)
        mujoco.mj_step(model, data, nstep=40)
    assert np.isfinite(data.qpos).all() and not data.warning.number.any()


def test_the_score_is_the_length_of_what_the_angles_are_off(environment):
    _, data = begun(environment)
    for letter, cube, goal in (('x', 1.0, 0.0), ('y', 2.0, 0.0), ('z', 0.5, -1.5)):
        data.joint(f'cube_r{letter}').qpos = cube
        data.joint(f'goal_r{letter}').qpos = goal
    assert environment.score.step(data) == pytest.approx(-3.0, abs=1e-12)
