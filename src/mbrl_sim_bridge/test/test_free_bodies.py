"""A free body's pose and velocities against MuJoCo's own, in the frames of an Odometry."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from mbrl_common.settings import SettingsError, build
from mbrl_common.task import BODY_FIELDS
from mbrl_sim_bridge.render import Renderer
from mbrl_sim_bridge.settings import SimBridgeSettings
from mbrl_sim_bridge.simulation import Simulation

TASK = {
    'name': 'ant',
    'state': ['hip_1.position', *(f'torso.{field}' for field in BODY_FIELDS), 'hip_1.velocity'],
    'action': ['hip_1'],
    'action_low': [-1.0],
    'action_high': [1.0],
    'control_period': 0.05,
    'max_steps': 100,
}


def make_settings(**changes: object) -> SimBridgeSettings:
    return build(
        SimBridgeSettings,
        {'task': {**TASK, **changes}, 'sim.environment': 'gymnasium:Ant-v5', 'sim.camera': ''},
    )


@pytest.fixture
def simulation() -> Simulation:
    return Simulation(make_settings())


def test_pose_and_velocities_are_those_of_the_body(simulation):
    simulation.reset(3)
    generator = np.random.default_rng(0)
    body = simulation.model.body('torso').id
    turned = 0.0
    for _ in range(40):
        state = simulation.step(generator.uniform(-1, 1, 1))
        mujoco.mj_forward(simulation.model, simulation.data)
        data = simulation.data
        np.testing.assert_allclose(state[1:4], data.xpos[body], rtol=0, atol=1e-12)
        np.testing.assert_allclose(state[4:8], data.xquat[body], rtol=0, atol=1e-12)
        velocity = np.empty(6)  # angular, then linear, in the body's frame
        mujoco.mj_objectVelocity(
            simulation.model, data, mujoco.mjtObj.mjOBJ_XBODY, body, velocity, 1
        )
        np.testing.assert_allclose(state[8:14], [*velocity[3:], *velocity[:3]], atol=1e-12)
        turned = max(turned, abs(state[5:8]).max())
    assert turned > 0.05  # else the frames are the same


def test_an_attitude_is_a_unit_quaternion_from_the_start(simulation):
    # Gymnasium adds noise to all of qpos.
    assert abs(np.linalg.norm(simulation.data.qpos[3:7]) - 1.0) > 1e-4
    assert np.linalg.norm(simulation.state[4:8]) == pytest.approx(1.0, abs=1e-12)


def test_a_body_that_is_not_free_is_refused_with_those_that_are():
    with pytest.raises(SettingsError, match=r"'aux_1.x'.*; it has the free bodies torso"):
        Simulation(make_settings(state=['aux_1.x']))


def test_a_picture_follows_the_body(monkeypatch):
    monkeypatch.setenv('MUJOCO_GL', 'disable')
    with Renderer(make_settings()) as renderer:
        state = np.zeros(len(TASK['state']))
        state[3:5] = 0.75, 1.0
        here = renderer.frame(state)
        state[3] = 1.5
        assert (renderer.frame(state) != here).any()
