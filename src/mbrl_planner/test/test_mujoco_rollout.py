"""Planning in the true model, against the simulation that the bridge steps."""

from __future__ import annotations

import dataclasses

import mujoco
import numpy as np
import pytest
import torch

from mbrl_common.plugins import make_plugin
from mbrl_common.settings import SettingsError, build
from mbrl_common.task import BODY_FIELDS, TaskSettings
from mbrl_planner import mujoco_rollout
from mbrl_planner.mujoco_rollout import MujocoDynamics, MujocoRollout
from mbrl_planner.objectives import Objective, ObjectiveSettings, make_objective
from mbrl_planner.settings import SIMULATORS, PlanningSettings
from mbrl_sim_bridge.settings import SimBridgeSettings, SimSettings
from mbrl_sim_bridge.simulation import Simulation

MAZE = {
    'name': 'maze', 'state': ['y.velocity', 'x.position', 'y.position', 'x.velocity'],
    'action': ['y', 'x'], 'action_low': [-3.0, -3.0], 'action_high': [3.0, 3.0],
    'control_period': 0.05, 'max_steps': 100,
}  # fmt: skip


@pytest.fixture
def settings():
    return PlanningSettings(backend='mujoco', simulator='cartpole_pets')


def simulate(task, environment, seed, actions):
    """First state [S] and all states [H + 1, S] of the bridge's simulation."""
    simulation = Simulation(SimBridgeSettings(task, SimSettings(environment, seed)))
    states = [simulation.state, *(simulation.step(action) for action in actions)]
    return np.array(states)


def problems(task, seeds, candidates, horizon):
    """Starts [R, S], actions [R, N, H, A] and the bridge's states [R, N, H + 1, S]."""
    actions = np.random.default_rng(0).uniform(-3, 3, (len(seeds), candidates, horizon, 1))
    states = np.array(
        [
            [simulate(task, 'cartpole_pets', seed, each) for each in rows]
            for seed, rows in zip(seeds, actions)
        ]
    )
    return states[:, 0, 0], actions, states


@pytest.mark.parametrize('threads', [1, 3])
def test_states_are_those_of_the_simulation(task, threads):
    starts, actions, states = problems(task, seeds=(0, 1, 2), candidates=4, horizon=30)
    dynamics = MujocoDynamics(task, 'cartpole_pets', threads)
    found = dynamics(starts.repeat(4, 0), actions.reshape(12, 30, 1))
    np.testing.assert_allclose(found, states.reshape(12, 31, 4), rtol=0, atol=1e-12)


@pytest.mark.parametrize('threads', [1, 3])
def test_a_state_is_carried_ahead_by_the_physics_steps_that_fit(task, threads):
    """Two to a control period; what is left over is not lost."""
    dynamics = MujocoDynamics(task, 'cartpole_pets', threads)
    random = np.random.default_rng(4)
    for durations, steps in (
        ([1.0, 1.0], [2, 2]),
        ([0.5, 1.0, 0.5], [1, 2, 1]),
        ([0.2, 0.2, 0.2, 1.0], [0, 1, 0, 2]),
        ([0.3, 0.9], [1, 1]),
        ([0.1], [0]),
    ):
        state = random.normal(0, 0.5, 4)
        actions = random.uniform(-3, 3, (len(durations), 1))
        model = make_plugin(SIMULATORS, 'cartpole_pets', 'simulator').make_model()
        data = mujoco.MjData(model)
        data.qpos[:], data.qvel[:] = state[:2], state[2:]
        for action, count in zip(actions, steps):
            data.ctrl[:] = action
            for _ in range(count):
                mujoco.mj_step(model, data)
        found = dynamics.ahead(state, actions, np.array(durations))
        np.testing.assert_allclose(found, [*data.qpos, *data.qvel], rtol=0, atol=1e-12)


def test_entries_are_found_by_name_in_any_order_and_walls_stop_the_robot():
    task = build(TaskSettings, MAZE)
    actions = np.random.default_rng(1).uniform(-3, 3, (60, 2)).repeat(1, 0)
    actions[:30] = -3.0  # into the corner
    states = simulate(task, 'point_maze', 0, actions)
    assert abs(states[30, 1] + 1.9) < 0.01
    found = MujocoDynamics(task, 'point_maze')(states[:1], actions[None])[0]
    # A simulation that goes on begins to solve contacts where it left off.
    np.testing.assert_allclose(found, states, rtol=0, atol=1e-5)


def test_actions_outside_the_bounds_are_clamped_as_the_simulation_does(parameters):
    # narrower than the actuator's own range, to which MuJoCo clamps
    bounds = {'action_low': [-1.0], 'action_high': [1.0]}
    task = build(TaskSettings, {**parameters['task'], **bounds})
    actions = np.full((5, 1), 7.0)
    states = simulate(task, 'cartpole_pets', 0, actions)
    found = MujocoDynamics(task, 'cartpole_pets')(states[:1], actions[None])[0]
    np.testing.assert_allclose(found, states, rtol=0, atol=1e-12)


def test_a_large_batch_is_the_same_in_pieces(task, monkeypatch):
    actions = np.random.default_rng(2).uniform(-3, 3, (7, 10, 1))
    dynamics, start = MujocoDynamics(task, 'cartpole_pets'), np.zeros((7, 4))
    whole = dynamics(start, actions)
    monkeypatch.setattr(mujoco_rollout, '_CHUNK', 20 * 5 * 3)
    np.testing.assert_array_equal(dynamics(start, actions), whole)


def test_returns_trajectories_and_terms_are_those_of_the_simulation(task, settings):
    starts, actions, states = problems(task, seeds=(0, 1), candidates=5, horizon=12)
    goal = np.array([[0.0], [0.4]])
    rollout = MujocoRollout(
        task, make_objective(ObjectiveSettings('cartpole_swingup'), task), settings
    )
    rollout.begin(torch.from_numpy(starts), torch.from_numpy(goal), [])
    x, theta = states[..., 1:, 0], states[..., 1:, 1]
    across = x - 0.6 * np.sin(theta) - goal[:, :, None]
    tip = np.exp(-(across**2 + (0.6 + 0.6 * np.cos(theta)) ** 2) / 0.36).sum(-1)
    control = -0.01 * (actions**2).sum((-1, -2))
    np.testing.assert_allclose(rollout(torch.from_numpy(actions)), tip + control, rtol=1e-9)
    assert rollout.model_steps == 2 * 5 * 12
    index = torch.tensor([3, 1])
    mean, std = rollout.trajectory(index)
    np.testing.assert_allclose(mean, states[[0, 1], [3, 1]], atol=1e-12)
    assert std.shape == mean.shape and not std.any()
    expected = np.stack([tip, control], -1)[[0, 1], [3, 1]]
    np.testing.assert_allclose(rollout.terms(index), expected, rtol=1e-9)


def test_single_precision_actions_get_single_precision_returns(task, settings):
    rollout = MujocoRollout(
        task, make_objective(ObjectiveSettings('cartpole_swingup'), task), settings
    )
    rollout.begin(torch.zeros(1, 4), torch.zeros(1, 1), [])
    assert rollout(torch.zeros(1, 2, 3, 1)).dtype == torch.float32


def test_what_is_said_of_terms_is_of_the_candidates_evaluated_and_none_of_weight_zero(
    task, settings
):
    objective = Objective(
        name='x',
        terms={
            'broken': lambda s, a, n, g: torch.full_like(n[..., 0], torch.nan),
            'action': lambda s, a, n, g: a[..., 0],
        },
        weights={'broken': 0.0, 'action': 2.0},
    )
    rollout = MujocoRollout(task, objective, settings)
    rollout.begin(torch.zeros(1, 4), torch.zeros(1, 0), [])
    actions = torch.ones(1, 2, 3, 1, dtype=torch.float64)
    returns = rollout(actions)
    actions.zero_()  # the optimiser's to do with as it likes
    assert returns.tolist() == [[6.0, 6.0]]
    assert rollout.term_names == ('broken', 'action')
    assert rollout.terms(torch.tensor([1])).tolist() == [[0.0, 6.0]]


def counting(limit, **more):
    """One per step; the episode ends where the cart is beyond the limit."""
    return Objective(
        name='count',
        terms={'one': lambda s, a, n, g: torch.ones_like(n[..., 0])},
        weights={'one': 2.0},
        termination=lambda n: n[..., 0] > limit,
        **more,
    )


def test_what_comes_after_the_end_counts_nothing_and_the_state_stays(task, settings):
    limit = 0.3
    objective = counting(limit, terminal_value=lambda s, g: 100.0 + s[..., 0])
    actions = np.stack([np.full((20, 1), 1.0), np.full((20, 1), -1.0)])
    states = MujocoDynamics(task, 'cartpole_pets')(np.zeros((2, 4)), actions)
    end = int(np.argmax(states[0, :, 0] > limit))
    assert 1 < end < 20 and states[1, :, 0].max() <= limit
    rollout = MujocoRollout(task, objective, settings)
    rollout.begin(torch.zeros(1, 4), torch.zeros(1, 0), [])
    returns = rollout(torch.from_numpy(actions)[None])[0]
    # The step that ends it is paid; what the last state is worth, only where there is a future.
    np.testing.assert_allclose(returns, [2.0 * end, 40.0 + 100.0 + states[1, -1, 0]])
    held = rollout.trajectory(torch.tensor([0]))[0][0].numpy()
    np.testing.assert_array_equal(held[: end + 1], states[0, : end + 1])
    np.testing.assert_array_equal(held[end:], np.tile(states[0, end], (21 - end, 1)))
    np.testing.assert_allclose(rollout.terms(torch.tensor([0])), [[2.0 * end]])


def test_a_goal_that_moves_is_met_where_it_is_at_each_step(task, settings):
    objective = make_objective(ObjectiveSettings('tracking'), task)
    goal = torch.tensor([[0.1, 0.5, 0.7, 0.3, 0.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    actions = torch.from_numpy(np.random.default_rng(3).uniform(-3, 3, (1, 2, 8, 1)))
    rollout = MujocoRollout(task, objective, settings)
    rollout.begin(torch.zeros(1, 4), goal, [])
    returns = rollout(actions)[0]
    for candidate in range(2):
        states = rollout.trajectory(torch.tensor([candidate]))[0][0]
        total = sum(
            objective.reward(
                states[step], actions[0, candidate, step], states[step + 1],
                objective.goal_after(goal[0], step),
            )
            for step in range(8)
        )  # fmt: skip
        assert float(returns[candidate]) == pytest.approx(float(total))


class Unstable:
    """A slide on a spring far too stiff for the timestep: it diverges if it is pushed."""

    def make_model(self):
        return mujoco.MjModel.from_xml_string("""
            <mujoco><option timestep="0.02" integrator="Euler"/><worldbody><body>
              <joint name="x" type="slide" axis="1 0 0" stiffness="1e5"/><geom size="0.1" mass="1"/>
            </body></worldbody><actuator><motor joint="x"/></actuator></mujoco>""")

    def draw_initial_state(self, model, data, generator):
        """At rest."""


@pytest.fixture
def unstable(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # where MuJoCo logs its warnings
    monkeypatch.setattr(mujoco_rollout, '_make_environment', lambda name: Unstable())
    return build(
        TaskSettings,
        {
            'name': 'spring', 'state': ['x.position', 'x.velocity'], 'action': ['x'],
            'action_low': [-1.0], 'action_high': [1.0], 'control_period': 0.02, 'max_steps': 100,
        },
    )  # fmt: skip


@pytest.mark.parametrize('terminates', [True, False])
def test_a_candidate_that_diverges_ranks_last_and_spoils_no_other(unstable, settings, terminates):
    objective = counting(1e30)
    if not terminates:
        objective = dataclasses.replace(objective, termination=None)
    rollout = MujocoRollout(unstable, objective, settings)
    rollout.begin(torch.zeros(1, 2), torch.zeros(1, 0), [])
    actions = torch.zeros(1, 3, 40, 1)
    actions[0, 1, 0] = 1.0
    returns = rollout(actions)[0].tolist()
    assert returns[0] == returns[2] == 80.0
    assert np.isnan(returns[1])


def test_a_divergence_in_the_very_last_step_is_seen(unstable):
    dynamics = MujocoDynamics(unstable, 'spring')
    actions = np.zeros((1, 40, 1))
    actions[0, 0] = 1.0
    lost = int(np.argmax(np.isnan(dynamics(np.zeros((1, 2)), actions)[0, :, 0])))
    assert 1 < lost < 40
    states = dynamics(np.zeros((1, 2)), actions[:, :lost])
    assert np.isnan(states[0, -1]).all() and np.isfinite(states[0, :-1]).all()
    one_each = np.ones(lost)
    assert np.isnan(dynamics.ahead(np.zeros(2), actions[0, :lost], one_each)).all()
    before = dynamics.ahead(np.zeros(2), actions[0, : lost - 1], one_each[1:])
    np.testing.assert_array_equal(before, states[0, -2])
    too_fast = np.array([[0.0, 1e11], [0.0, 0.0]])
    assert np.isnan(dynamics(too_fast, np.zeros((2, 1, 1)))[:, 1]).all(axis=1).tolist() == [
        True,
        False,
    ]


@pytest.mark.parametrize(
    ('change', 'simulator', 'complaint'),
    [
        (
            {},
            'cartpole',
            r"'planner.simulator' is 'cartpole'; it must be one of .*'cartpole_pets'",
        ),
        (
            {'state': ['slider.position', 'slider.velocity'], 'angles': []},
            'cartpole_pets',
            r"'task.state' lacks hinge.position, hinge.velocity",
        ),
        (
            {'state': ['slider.position', 'slider.velocity', 'hinge.position', 'hinge.velocity',
                       'cart.position', 'slider.effort']},
            'cartpole_pets',
            r"'task.state' has cart.position, slider.effort; .* knows slider.position",
        ),
        ({'action': ['hinge']}, 'cartpole_pets', r'actuated joints of the model are slider'),
        ({'control_period': 0.05}, 'cartpole_pets', r'multiple of the physics timestep'),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_what_would(parameters, change, simulator, complaint):
    task = build(TaskSettings, {**parameters['task'], **change})
    with pytest.raises(SettingsError, match=complaint):
        MujocoDynamics(task, simulator)


SERVO = """
<mujoco><option timestep="0.01"/><worldbody><body>
  <joint name="a" axis="0 1 0"/><geom type="capsule" fromto="0 0 0 0 0 -0.3" size="0.03"/>
  <body pos="0 0 -0.3"><joint name="b" axis="0 1 0"/>
    <geom type="capsule" fromto="0 0 0 0 0 -0.3" size="0.03"/></body>
</body></worldbody>
<actuator><motor joint="a"/><position joint="b" kp="20" kv="2"/></actuator>
<keyframe><key qpos="0.4 -0.7" ctrl="0 -0.7"/></keyframe></mujoco>"""


def test_an_actuator_that_the_task_does_not_name_holds_its_initial_control(tmp_path):
    path = tmp_path / 'arm.xml'
    path.write_text(SERVO)
    task = build(
        TaskSettings,
        {
            'name': 'arm', 'state': ['a.position', 'b.position', 'a.velocity', 'b.velocity'],
            'action': ['a'], 'action_low': [-1.0], 'action_high': [1.0],
            'control_period': 0.05, 'max_steps': 100,
        },
    )  # fmt: skip
    actions = np.random.default_rng(0).uniform(-1, 1, (30, 1))
    states = simulate(task, f'mjcf:{path}', 0, actions)
    assert abs(states[:, 1] + 0.7).max() < 0.2
    found = MujocoDynamics(task, f'mjcf:{path}')(states[:1], actions[None])[0]
    np.testing.assert_allclose(found, states, rtol=0, atol=1e-9)


ROLLING = """
<mujoco><option timestep="0.005"/><worldbody><geom type="plane" size="1 1 1"/>
<body pos="0 0 0.1"><joint name="x" type="slide" axis="1 0 0"/>
  <joint name="z" type="slide" axis="0 0 1"/>{spin}
  <geom type="sphere" size="0.1" mass="1"/></body></worldbody>
<actuator><motor joint="x"/></actuator></mujoco>"""
BALL = {
    'name': 'ball', 'state': ['x.position', 'z.position', 'x.velocity', 'z.velocity'],
    'action': ['x'], 'action_low': [-1.0], 'action_high': [1.0],
    'control_period': 0.1, 'max_steps': 100,
}  # fmt: skip


def roll(monkeypatch, spin, unseen):
    """How far a ball gets in a second from rest under a force of 1 N, in the planner's model."""

    class Ball:
        unseen_joints = unseen

        def make_model(self):
            return mujoco.MjModel.from_xml_string(ROLLING.format(spin=spin))

        def draw_initial_state(self, model, data, generator):
            pass

    monkeypatch.setattr(mujoco_rollout, '_make_environment', lambda name: Ball())
    dynamics = MujocoDynamics(build(TaskSettings, BALL), 'ball')
    return dynamics(np.zeros((1, 4)), np.ones((1, 10, 1)))[0, -1, 0]


def test_a_joint_that_no_state_can_name_moves_all_the_same_where_the_environment_permits_it(
    monkeypatch,
):
    spin = '<joint name="spin" type="ball"/>'
    with pytest.raises(SettingsError, match=r"the joint 'spin' of the model is a ball joint"):
        roll(monkeypatch, spin, ())
    # A ball that rolls has 7/5 of the inertia of one that slides without friction.
    assert roll(monkeypatch, spin, ('spin',)) == pytest.approx(0.5 * 5 / 7, rel=0.05)


def test_the_model_may_have_a_timestep_of_its_own(task, settings):
    starts, actions = np.array([[0.0, 0.5, 0.0, 0.0]]), np.full((1, 8, 1), 1.0)
    coarse, own, fine = (
        MujocoDynamics(task, 'cartpole_pets', timestep=timestep)(starts, actions)[0, -1]
        for timestep in (0.04, 0.0, 0.001)
    )
    np.testing.assert_array_equal(
        own, MujocoDynamics(task, 'cartpole_pets', timestep=0.02)(starts, actions)[0, -1]
    )
    assert 1e-9 < abs(own - fine).max() < abs(coarse - fine).max() < 0.1
    with pytest.raises(SettingsError, match=r'multiple of the physics timestep.*0\.03 s'):
        MujocoDynamics(task, 'cartpole_pets', timestep=0.03)
    rollout = MujocoRollout(
        task,
        make_objective(ObjectiveSettings('cartpole_swingup'), task),
        dataclasses.replace(settings, timestep=0.04),
    )
    rollout.begin(torch.from_numpy(starts), torch.zeros(1, 1))
    rollout(torch.from_numpy(actions)[None])
    found = rollout.trajectory(torch.tensor([0]))[0][0, -1].numpy()
    np.testing.assert_array_equal(found, coarse)


ANT_LEGS = [f'{part}_{leg}' for leg in range(1, 5) for part in ('hip', 'ankle')]


def test_a_free_body_is_carried_along_as_the_simulation_does():
    fields = [f'torso.{field}' for field in BODY_FIELDS]
    joints = [f'{joint}.{field}' for field in ('velocity', 'position') for joint in ANT_LEGS]
    task = build(
        TaskSettings,
        {
            'name': 'ant', 'state': [*joints, *reversed(fields)], 'action': ANT_LEGS,
            'action_low': [-1.0] * 8, 'action_high': [1.0] * 8, 'control_period': 0.05,
            'max_steps': 100,
        },
    )  # fmt: skip
    actions = np.random.default_rng(3).uniform(-1, 1, (40, 8))
    states = simulate(task, 'gymnasium:Ant-v5', 2, actions)
    dynamics = MujocoDynamics(task, 'gymnasium:Ant-v5')
    assert abs(states[:, task.state.index('torso.qx')]).max() > 0.05
    for start in (0, 20):
        found = dynamics(states[None, start], actions[None, start : start + 8])[0]
        # A simulation that goes on begins to solve contacts where it left off.
        np.testing.assert_allclose(found, states[start : start + 9], rtol=0, atol=1e-4)
    incomplete = dataclasses.replace(task, state=task.state[:-1])
    with pytest.raises(SettingsError, match=r"'task.state' lacks torso\.x"):
        MujocoDynamics(incomplete, 'gymnasium:Ant-v5')
