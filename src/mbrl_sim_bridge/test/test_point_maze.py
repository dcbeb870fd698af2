"""The maze against closed forms, MuJoCo's own contacts, and a search for ways through it."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from mbrl_common.settings import build
from mbrl_sim_bridge.environments.point_maze import (
    DAMPING,
    HALF_WIDTH,
    MASS,
    RADIUS,
    START,
    PointMaze,
    is_free,
)
from mbrl_sim_bridge.settings import SimBridgeSettings
from mbrl_sim_bridge.simulation import Simulation

FAR_CORNER = (1.5, 1.5)


@pytest.fixture
def simulation() -> Simulation:
    task = {
        'name': 'point_maze',
        'state': ['x.position', 'y.position', 'x.velocity', 'y.velocity'],
        'action': ['x', 'y'],
        'action_low': [-3.0, -3.0],
        'action_high': [3.0, 3.0],
        'control_period': 0.1,
        'max_steps': 100,
    }
    return Simulation(build(SimBridgeSettings, {'task': task, 'sim.environment': 'point_maze'}))


def test_robot_in_the_open_moves_as_a_damped_mass(simulation):
    x, y, *_ = simulation.reset(1)
    force = np.array([2.0, 0.5])
    for _ in range(10):
        state = simulation.step(force)
    decay, time = DAMPING / MASS, 1.0
    speed = force / DAMPING * (1 - np.exp(-decay * time))
    way = force / DAMPING * (time - (1 - np.exp(-decay * time)) / decay)
    # the integrator's error is of the order of its timestep, 0.01 s
    np.testing.assert_allclose(state[2:], speed, rtol=0.01)
    np.testing.assert_allclose(state[:2] - [x, y], way, rtol=0.02)


def test_robot_at_full_force_stops_at_a_wall_and_slides_along_it(simulation):
    simulation.reset(1)
    states = np.array([simulation.step(np.array([1.0, -3.0])) for _ in range(40)])
    assert states[-1, 1] == pytest.approx(-HALF_WIDTH + RADIUS, abs=0.003)
    assert states[:, 1].min() > -HALF_WIDTH + RADIUS - 0.01
    assert states[-1, 3] == pytest.approx(0.0, abs=1e-3)
    assert states[-1, 0] > states[0, 0] + 1.0  # no friction


def test_robot_in_the_room_is_caught_in_its_corner(simulation):
    simulation.reset(1)
    for _ in range(100):
        state = simulation.step(np.array([3.0, 3.0]))
    np.testing.assert_allclose(state, [0.85, 0.85, 0.0, 0.0], atol=0.005)


def test_is_free_agrees_with_the_contacts_of_mujoco():
    model = PointMaze().make_model()
    data = mujoco.MjData(model)
    positions = np.random.default_rng(0).uniform(-HALF_WIDTH, HALF_WIDTH, (3000, 2))
    touches = []
    for position in positions:
        data.qpos[:] = position
        mujoco.mj_forward(model, data)
        touches.append(data.ncon > 0)
    free = is_free(positions)
    np.testing.assert_array_equal(free, ~np.array(touches))
    assert 0.5 < free.mean() < 0.9


def test_nowhere_outside_of_the_maze_is_free():
    assert not is_free(np.array([[2.5, 0.0], [0.0, -3.0], [9.0, 9.0]])).any()


def reachable(free: np.ndarray, start: tuple[int, int]) -> np.ndarray:
    """Cells connected to ``start`` by steps to the four neighbours."""
    seen = np.zeros_like(free)
    seen[start] = True
    while True:
        grown = seen.copy()
        grown[1:] |= seen[:-1]
        grown[:-1] |= seen[1:]
        grown[:, 1:] |= seen[:, :-1]
        grown[:, :-1] |= seen[:, 1:]
        grown &= free
        if (grown == seen).all():
            return seen
        seen = grown


def test_the_one_way_to_the_far_corner_leads_along_the_bottom_and_up_on_the_right():
    x = np.linspace(-HALF_WIDTH, HALF_WIDTH, 161)
    grid = np.stack(np.meshgrid(x, x, indexing='ij'), axis=-1)
    free = is_free(grid)
    start, goal = (
        tuple(int(np.abs(x - value).argmin()) for value in place) for place in (START, FAR_CORNER)
    )
    assert reachable(free, start)[goal]
    for closed in (
        (grid[..., 1] < -1.0) & (np.abs(grid[..., 0] - 0.5) < 0.1),
        (grid[..., 0] > 1.0) & (np.abs(grid[..., 1]) < 0.1),
    ):
        assert not reachable(free & ~closed, start)[goal]


def test_episodes_begin_at_rest_about_the_start(simulation):
    states = np.array([simulation.reset(seed) for seed in range(500)])
    assert not states[:, 2:].any()
    # 5 standard errors of a mean and of a standard deviation over 500 draws
    np.testing.assert_allclose(states[:, :2].mean(axis=0), START, atol=5 * 0.05 / np.sqrt(500))
    np.testing.assert_allclose(states[:, :2].std(axis=0), 0.05, atol=5 * 0.05 / np.sqrt(1000))
    assert is_free(states[:, :2]).all()
