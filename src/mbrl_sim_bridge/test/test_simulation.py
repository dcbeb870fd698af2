from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mbrl_common.settings import SettingsError
from mbrl_sim_bridge.simulation import ActionError, Simulation, SimulationError


@pytest.fixture
def simulation(settings):
    return Simulation(settings)


def trajectory(simulation: Simulation, seed: int, steps: int = 50) -> np.ndarray:
    generator = np.random.default_rng(seed)
    states = [simulation.reset(seed)]
    states += [simulation.step(generator.uniform(-3, 3, 1)) for _ in range(steps)]
    return np.array(states)


def test_same_seed_and_actions_give_the_same_bits_whatever_was_before(settings):
    first = trajectory(Simulation(settings), seed=7)
    used = Simulation(settings)
    trajectory(used, seed=3, steps=200)
    assert trajectory(used, seed=7).tobytes() == first.tobytes()


def test_another_seed_gives_another_initial_state(simulation):
    assert (simulation.reset(1) != simulation.reset(2)).all()


def test_state_is_in_the_order_of_the_task(with_task, simulation):
    names = ('hinge.velocity', 'slider.position', 'hinge.position', 'slider.effort')
    other = Simulation(with_task(state=names, angles=()))
    expected, given = simulation.reset(4), other.reset(4)
    assert given.tolist() == [expected[3], expected[0], expected[1], 0.0]
    assert other.step(np.array([0.5]))[3] == 50.0  # N: gear 100


def test_time_goes_on_over_resets_in_whole_nanoseconds(settings):
    start = 1_700_000_000_123_456_789
    simulation = Simulation(settings, start_ns=start)
    assert simulation.time_ns == start
    for count in range(1, 1001):
        if count % 100 == 0:
            simulation.reset(count)
        else:
            simulation.step(np.zeros(1))
        assert simulation.time_ns == start + count * 40_000_000


def test_actions_are_clamped_to_the_bounds_of_the_task(with_task):
    settings = with_task(action_low=(-1.0,), action_high=(2.0,))
    given, clamped = Simulation(settings), Simulation(settings)
    for action, bound in ((50.0, 2.0), (-50.0, -1.0)):
        assert given.step(np.array([action])).tolist() == clamped.step(np.array([bound])).tolist()
        assert given.action.tolist() == [bound]


@pytest.mark.parametrize(
    ('action', 'complaint'),
    [
        (np.zeros(2), r'shape \[2\]; it must be \[1\].*slider'),
        (np.zeros((1, 1)), r'shape \[1, 1\]; it must be \[1\]'),
        (np.zeros(0), r'shape \[0\]'),
        (np.array([np.nan]), 'finite'),
        (np.array([np.inf]), 'finite'),
    ],
)
def test_bad_action_is_refused_and_nothing_moves(simulation, action, complaint):
    state, time_ns = simulation.state, simulation.time_ns
    with pytest.raises(ActionError, match=complaint):
        simulation.step(action)
    assert simulation.state.tolist() == state.tolist()
    assert simulation.time_ns == time_ns


@pytest.mark.parametrize('value', [np.nan, 1e300])
def test_diverged_physics_is_an_error_until_the_next_reset(
    simulation, value, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)  # MuJoCo writes a log file where it is
    expected = simulation.reset(1)
    simulation.data.qvel[1] = value
    with pytest.raises(SimulationError, match='diverged in this step'):
        simulation.step(np.zeros(1))
    with pytest.raises(SimulationError, match='must be reset'):
        simulation.step(np.zeros(1))
    assert simulation.reset(1).tolist() == expected.tolist()
    assert np.isfinite(simulation.step(np.zeros(1))).all()


def test_joints_are_reported_in_the_order_of_the_model(simulation):
    simulation.reset(2)
    state = simulation.step(np.array([1.5]))
    position, velocity, effort = simulation.joints()
    assert simulation.joint_names == ('slider', 'hinge')
    assert [*position, *velocity] == state.tolist()
    assert effort.tolist() == [150.0, 0.0]


@pytest.mark.parametrize(
    ('change', 'complaint'),
    [
        ({'state': ('cart.position',), 'angles': ()}, "'cart.position'.*slider, hinge"),
        ({'action': ('hinge',)}, "'task.action' has 'hinge'.*are slider"),
        ({'action_high': (4.0,)}, 'takes -3 to 3'),
        ({'control_period': 0.03}, 'multiple of the physics timestep, 0.02'),
        ({'control_period': 0.01}, 'multiple of the physics timestep, 0.02'),
    ],
)
def test_task_that_the_model_cannot_do_is_refused(with_task, change, complaint):
    with pytest.raises(SettingsError, match=complaint):
        Simulation(with_task(**change))


def test_state_is_a_copy(simulation):
    state = simulation.reset(0)
    before = state.copy()
    simulation.step(np.array([3.0]))
    assert state.tolist() == before.tolist()


def test_simulation_needs_neither_ros_nor_opengl():
    code = (
        'import sys, mbrl_sim_bridge.simulation, mbrl_sim_bridge.render; '
        "assert 'rclpy' not in sys.modules and 'OpenGL' not in sys.modules"
    )
    environment = {**os.environ, 'MUJOCO_GL': 'disable'}
    subprocess.run([sys.executable, '-c', code], check=True, env=environment)


@pytest.mark.parametrize('entry', ['base.x', 'hinge.vx'])
def test_what_only_a_free_body_has_is_refused_and_the_joints_are_named(with_task, entry):
    with pytest.raises(SettingsError) as caught:
        Simulation(with_task(state=('slider.position', entry), angles=()))
    assert f"has '{entry}'; the joints of environment" in str(caught.value)
    assert 'slider, hinge, and of each there is position, velocity, effort' in str(caught.value)
