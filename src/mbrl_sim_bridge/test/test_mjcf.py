"""A robot of one's own, from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mbrl_common.settings import SettingsError, build
from mbrl_sim_bridge.environments import make_environment
from mbrl_sim_bridge.settings import SimBridgeSettings
from mbrl_sim_bridge.simulation import Simulation

ROBOT = """
<mujoco>
  <option timestep="0.01"/>
  <worldbody><body>
    <joint name="shoulder" axis="0 1 0"/><geom type="capsule" fromto="0 0 0 0 0 -0.3" size="0.03"/>
    <body pos="0 0 -0.3">
      <joint name="elbow" axis="0 1 0"/><geom type="capsule" fromto="0 0 0 0 0 -0.3" size="0.03"/>
    </body>
  </body></worldbody>
  <actuator><motor joint="shoulder"/><position joint="elbow" kp="20" kv="2"/></actuator>
  {keys}
</mujoco>"""
KEYS = """<keyframe><key name="rest" qpos="0 0"/>
  <key name="home" qpos="0.4 -0.7" ctrl="0 -0.7"/></keyframe>"""
TASK = {
    'name': 'arm',
    'state': ['shoulder.position', 'elbow.position', 'shoulder.velocity', 'elbow.velocity'],
    'action': ['shoulder'],
    'action_low': [-1.0],
    'action_high': [1.0],
    'control_period': 0.05,
    'max_steps': 100,
}


def simulate(folder: Path, keys: str = '', noise: float = 0.0) -> Simulation:
    path = folder / 'arm.xml'
    path.write_text(ROBOT.format(keys=keys))
    parameters = {'task': TASK, 'sim.environment': f'mjcf:{path}', 'sim.reset_noise': noise}
    return Simulation(build(SimBridgeSettings, parameters))


def test_an_episode_begins_in_the_default_configuration(tmp_path: Path) -> None:
    simulation = simulate(tmp_path)
    assert simulation.reset(3).tolist() == [0.0] * 4
    assert simulation.step(np.array([1.0]))[2] != 0.0


def test_the_keyframe_home_says_where_it_begins_and_what_is_held(tmp_path: Path) -> None:
    simulation = simulate(tmp_path, KEYS)
    assert simulation.reset(3).tolist() == [0.4, -0.7, 0.0, 0.0]
    for _ in range(60):
        state = simulation.step(np.zeros(1))
    # The elbow's servo goes on; the task does not name it.
    assert abs(state[1] + 0.7) < 0.1


def test_noise_at_a_reset_is_in_every_joint_by_the_seed(tmp_path: Path) -> None:
    simulation = simulate(tmp_path, KEYS, noise=0.1)
    assert simulation.reset(1).tolist() == simulation.reset(1).tolist()
    states = np.array([simulation.reset(seed) for seed in range(1000)])
    # 5 standard errors of a mean and of a standard deviation over 1000 draws
    expected = [0.4, -0.7, 0.0, 0.0]
    np.testing.assert_allclose(states.mean(axis=0), expected, atol=5 * 0.1 / np.sqrt(1000))
    np.testing.assert_allclose(states.std(axis=0), 0.1, atol=5 * 0.1 / np.sqrt(2000))


@pytest.mark.parametrize(
    ('name', 'complaint'),
    [
        ('mjcf', "it needs a file with its whole path, as in 'mjcf:/opt/arm.xml'"),
        ('mjcf:arm.xml', 'its whole path'),
        ('mjcf:/nowhere/arm.xml', 'there is no file /nowhere/arm.xml'),
    ],
)
def test_a_file_that_cannot_be_found_is_refused(name: str, complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        make_environment(name)


def test_a_file_that_is_no_robot_is_refused_with_mujocos_reason(tmp_path: Path) -> None:
    (tmp_path / 'arm.xml').write_text('<mujoco><worldbody><joint/></worldbody></mujoco>')
    with pytest.raises(SettingsError, match=r"'sim.environment': 'mjcf:.*XML Error"):
        make_environment(f'mjcf:{tmp_path}/arm.xml')
