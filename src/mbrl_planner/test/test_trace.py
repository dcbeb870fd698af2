"""What is drawn of a task, against MuJoCo and against many draws."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch
import yaml

from mbrl_common.settings import SettingsError, build
from mbrl_common.taskfile import node_settings
from mbrl_planner.objectives import make_objective
from mbrl_planner.objectives.cartpole import POLE_LENGTH
from mbrl_planner.settings import PlannerSettings
from mbrl_planner.trace import Trace, make_trace
from mbrl_planner.trace_settings import TraceSettings
from mbrl_sim_bridge.environments import make_environment
from mbrl_sim_bridge.environments.baoding_pddm import BaodingScore
from mbrl_sim_bridge.settings import SimBridgeSettings
from mbrl_sim_bridge.simulation import Simulation

CONFIG = Path(__file__).parents[3] / 'launch' / 'config'
TASKS = sorted(path.stem for path in CONFIG.glob('*.yaml'))
REST = np.zeros(4)
CARTPOLE = {'robot': 'cartpole_pets', 'points': ['pole@0,0,-0.6', 'cart']}


def settings_of(task: str) -> PlannerSettings:
    return node_settings(CONFIG / f'{task}.yaml', 'planner', PlannerSettings)


def place_of(simulation: Simulation, entry: str) -> np.ndarray:
    name, _, offset = entry.partition('@')
    data, model = simulation.data, simulation.model
    if mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SITE, name) >= 0:
        return data.site(name).xpos.copy()
    body = data.body(name)
    return body.xpos + body.xmat.reshape(3, 3) @ np.array(
        [float(number) for number in offset.split(',')] if offset else [0.0] * 3
    )


@pytest.mark.parametrize('task', TASKS)
def test_every_tasks_points_are_where_mujoco_has_them(task: str) -> None:
    settings = settings_of(task)
    trace = make_trace(settings.trace, settings.task)
    assert trace is not None
    simulation = Simulation(node_settings(CONFIG / f'{task}.yaml', 'sim_bridge', SimBridgeSettings))
    generator = np.random.default_rng(0)
    states, expected = [], []
    for _ in range(10):
        simulation.step(generator.uniform(*settings.task.bounds))
        mujoco.mj_forward(simulation.model, simulation.data)
        states.append(simulation.state)
        expected.append([place_of(simulation, entry) for entry in settings.trace.points])
    np.testing.assert_allclose(trace(np.array(states)), expected, atol=1e-9)
    assert np.ptp(expected, axis=0).max() > 1e-4, 'a point that never moves shows nothing'


@pytest.mark.parametrize('task', TASKS)
def test_a_tasks_points_are_of_the_robot_that_is_simulated(task: str) -> None:
    document = yaml.safe_load((CONFIG / f'{task}.yaml').read_text())
    environment = document['/**/sim_bridge']['ros__parameters']['sim']['environment']
    assert settings_of(task).trace.robot == environment


def test_spread_is_the_deviation_of_many_draws(task):
    trace = make_trace(build(TraceSettings, CARTPOLE), task)
    mean = np.array([[0.3, 0.5, 1.0, -2.0], [-1.0, 2.5, 0.0, 0.0]])
    std = np.array([[0.02, 0.15, 3.0, 3.0], [0.2, 0.05, 0.0, 0.0]])
    draws = np.random.default_rng(0).normal(mean, std, (200_000, 2, 4))
    points = trace(draws)
    expected = np.sqrt(np.square(points - points.mean(0)).sum(-1).mean(0))
    plan, spread, past = trace.foresee(mean, std, draws[0])
    np.testing.assert_allclose(spread, expected, rtol=0.02)
    # but for rounding, which on some processors depends on how many states are looked at together
    np.testing.assert_allclose(plan, trace(mean), rtol=0.0, atol=1e-12)
    np.testing.assert_allclose(past, points[0], rtol=0.0, atol=1e-12)
    # the cart knows nothing of the pole's angle
    np.testing.assert_allclose(spread[:, 1], std[:, 0], rtol=1e-12)


def test_spread_of_an_arm_of_seven_joints_is_the_deviation_of_many_draws():
    settings = settings_of('reacher_pets')
    trace = make_trace(settings.trace, settings.task)
    generator = np.random.default_rng(1)
    mean = generator.normal(0.0, 0.5, (1, settings.task.state_dim))
    std, none = np.full_like(mean, 0.03), mean[:0]
    points = trace(generator.normal(mean, std, (50_000, mean.shape[1])))
    expected = np.sqrt(np.square(points - points.mean(0)).sum(-1).mean(0, keepdims=True))
    np.testing.assert_allclose(trace.foresee(mean, std, none)[1], expected, rtol=0.02)
    assert trace.foresee(mean, np.zeros_like(std), none)[1] == 0.0


def test_the_goal_of_the_swing_up_is_a_place_above_the_rail():
    settings = settings_of('cartpole_swingup')
    trace = make_trace(settings.trace, settings.task)
    objective = make_objective(settings.objective, settings.task)
    place = trace.goal(objective, np.array([0.5]), np.zeros(4))
    np.testing.assert_allclose(place, [[0.5, 0.0, POLE_LENGTH]])
    # where the tip is when the pole stands there; hanging, it is as far below
    np.testing.assert_allclose(trace(np.array([0.5, np.pi, 0, 0])), place, atol=2e-3)
    np.testing.assert_allclose(trace(np.zeros(4)), [[0, 0, -POLE_LENGTH]], atol=2e-3)


def test_a_goal_that_is_a_state_is_where_the_robots_points_are_then():
    settings = settings_of('cliff')  # its goal says a height alone
    trace = make_trace(settings.trace, settings.task)
    objective = make_objective(settings.objective, settings.task)
    goal = np.array(objective.default_goal)
    (place,) = trace.goal(objective, goal, np.array([1.3, 0.4, 5.0, 5.0]))
    (expected,) = trace(np.array([1.3, 2.0, 0.0, 0.0]))
    np.testing.assert_allclose(place, expected)


def test_a_goal_that_moves_is_drawn_where_it_is_now(task):
    trace = make_trace(build(TraceSettings, CARTPOLE), task)
    settings = build(PlannerSettings, {'task': vars(task), 'objective.name': 'tracking'}).objective
    objective = make_objective(settings, task)
    goal = np.array([0.1, 0.5, 1.0, np.pi / 2, 0.0, 0.0, 0.0, 0.0])
    cart = trace.goal(objective, objective.goal_after(torch.from_numpy(goal), 0).numpy(), REST)[1]
    np.testing.assert_allclose(cart, [0.6, 0.0, 0.0], atol=1e-12)
    later = objective.goal_after(torch.from_numpy(goal), 0.25 / task.control_period).numpy()
    np.testing.assert_allclose(trace.goal(objective, later, REST)[1], [0.1, 0, 0], atol=1e-9)


def test_an_objective_without_a_goal_has_none_to_draw():
    settings = settings_of('half_cheetah')
    trace = make_trace(settings.trace, settings.task)
    objective = make_objective(settings.objective, settings.task)
    assert trace.goal(objective, np.empty(0), np.zeros(18)).shape == (0, 3)


def test_the_goal_of_the_balls_goes_round_with_the_state(task):
    """Held against what the environment says of balls that are put there."""
    file = CONFIG / 'baoding_pddm.yaml'
    settings = settings_of('baoding_pddm')
    trace = make_trace(settings.trace, settings.task)
    objective = make_objective(settings.objective, settings.task)
    simulation = Simulation(node_settings(file, 'sim_bridge', SimBridgeSettings))
    score = BaodingScore(simulation.model)
    seen = []
    for _ in range(12):
        simulation.step(np.array(settings.task.action_low))  # bends the wrist as well
        seen.append(trace.goal(objective, np.empty(0), simulation.state))
        there = mujoco.MjData(simulation.model)
        there.qpos[:] = simulation.data.qpos
        assert score.step(there) < -1e-4, 'the balls are not there by themselves'
        for ball, place in zip(('ball1', 'ball2'), seen[-1]):
            for letter, value in zip('xyz', place):
                there.joint(f'{ball}_{letter}').qpos = value
        assert score.step(there) == pytest.approx(0.0, abs=1e-9)
    moved = np.linalg.norm(seen[-1] - seen[0], axis=1)
    assert (moved > 0.02).all(), 'they go round'


def test_points_are_computed_in_one_thread_and_the_planner_keeps_its_own(task):
    seen = []

    def point(states):
        seen.append(torch.get_num_threads())
        return states[..., :3]

    point.entries = (0,)
    torch.set_num_threads(2)
    try:
        trace = Trace([point, point], task)
        assert trace.count == 2 and trace(np.zeros((5, 4))).shape == (5, 2, 3)
        assert seen == [1, 1] and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_without_points_nothing_is_drawn(task):
    assert make_trace(TraceSettings(), task) is None


def test_on_a_machine_without_any_environment_nothing_is_drawn(task, monkeypatch):
    monkeypatch.setattr('mbrl_planner.trace.plugin_names', lambda group: [])
    make_trace.cache_clear()
    assert make_trace(build(TraceSettings, CARTPOLE), task) is None
    make_trace.cache_clear()


@pytest.mark.parametrize(
    ('trace', 'complaint'),
    [
        ({'points': ['hand', 'foot']}, r"'trace.points' has 'hand': .*it has .*cart, pole"),
        ({'points': ['pole@1,2']}, r"'trace.points' has 'pole@1,2'; an entry must be .*three num"),
        ({'points': ['pole@1,2,nan']}, 'three numbers'),
        ({'points': ['@1,2,3']}, 'name of a site'),
        ({'robot': '', 'points': ['pole']}, "'trace.robot' must name the environment"),
        ({'robot': 'cartpole', 'points': ['pole']}, r"'trace.robot' is 'cartpole'.*cartpole_pets"),
        ({'rate': 0.0}, "'trace.rate' is 0.0"),
    ],
)
def test_a_wrong_trace_is_refused_with_what_would_be_right(make_settings, trace, complaint):
    given = {f'trace__{name}': value for name, value in {**CARTPOLE, **trace}.items()}
    with pytest.raises(SettingsError, match=complaint):
        make_settings(**given)


def test_a_point_that_the_state_cannot_place_is_refused(make_settings):
    with pytest.raises(SettingsError, match=r"needs slider\.position in 'task.state'"):
        make_settings(
            objective__name='quadratic',
            task__state=['hinge.position', 'hinge.velocity'],
            trace__robot='cartpole_pets',
            trace__points=['pole'],
        )


def test_points_of_a_urdf_file_are_known_by_its_joints(tmp_path):
    path = tmp_path / 'arm.urdf'
    inertia = '<inertia ixx="1" iyy="1" izz="1" ixy="0" ixz="0" iyz="0"/>'
    link = f'<inertial><mass value="1"/>{inertia}</inertial>'
    path.write_text(
        f"""<robot name="arm"><link name="base"/><link name="upper">{link}</link>
        <link name="hand">{link}</link>
        <joint name="shoulder" type="revolute"><parent link="base"/><child link="upper"/>
          <origin xyz="0 0 1"/><axis xyz="0 1 0"/><limit lower="-3" upper="3" effort="1"
          velocity="1"/></joint>
        <joint name="elbow" type="prismatic"><parent link="upper"/><child link="hand"/>
          <origin xyz="0.5 0 0"/><axis xyz="1 0 0"/><limit lower="0" upper="1" effort="1"
          velocity="1"/></joint></robot>"""
    )
    task = settings_of('cartpole_swingup').task
    task = build(type(task), vars(task) | {
        'state': ['elbow.position', 'shoulder.position'], 'angles': [], 'action': ['shoulder'],
    })  # fmt: skip
    trace = make_trace(
        build(TraceSettings, {'robot': f'mjcf:{path}', 'points': ['hand', 'hand@0.1,0,0']}), task
    )
    np.testing.assert_allclose(
        trace(np.array([0.25, np.pi / 2])), [[0, 0, 0.25], [0, 0, 0.15]], atol=1e-9
    )


def test_environments_of_the_tasks_are_installed():
    for task in TASKS:
        make_environment(settings_of(task).trace.robot)
