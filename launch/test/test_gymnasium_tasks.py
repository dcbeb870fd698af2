"""The tasks that are gymnasium's, against gymnasium's own environments, stepped beside them."""

from __future__ import annotations

from typing import Any

import gymnasium
import mujoco
import numpy as np
import pytest
import torch

from mbrl_bringup.learn import learn
from mbrl_bringup.tasks import params_file_of
from mbrl_common.taskfile import node_settings
from mbrl_mpc.settings import MpcSettings
from mbrl_planner.objectives import make_objective
from mbrl_sim_bridge.settings import SimBridgeSettings
from mbrl_sim_bridge.simulation import Simulation

TASKS = {
    'inverted_pendulum': 'InvertedPendulum-v5',
    'inverted_double_pendulum': 'InvertedDoublePendulum-v5',
    'reacher': 'Reacher-v5',
    'pusher': 'Pusher-v5',
    'swimmer': 'Swimmer-v5',
    'hopper': 'Hopper-v5',
    'walker2d': 'Walker2d-v5',
    'half_cheetah': 'HalfCheetah-v5',
    'ant': 'Ant-v5',
}
# Gymnasium takes the positions of bodies from before the last integration; with Euler's, a whole
# physics step before.
REWARD_TOLERANCE = {'pusher': 0.05, 'reacher': 1e-4, 'inverted_double_pendulum': 1e-4}
# The pendulum's objective also wants the cart in the middle.
UNSHAPED = {
    'inverted_pendulum': (
        *('slider.position', 'hinge.position', 'slider.velocity', 'hinge.velocity'),
        'control',
    )
}


class Beside:
    """A task, and the environment of gymnasium's that it should be."""

    def __init__(self, task: str) -> None:
        path = params_file_of(task)
        settings = node_settings(path, 'mpc_controller', MpcSettings)
        self.task = settings.task
        self.objective = make_objective(settings.objective, self.task).with_weights(
            dict.fromkeys(UNSHAPED.get(task, ()), 0.0)
        )
        self.simulation = Simulation(node_settings(path, 'sim_bridge', SimBridgeSettings))
        self.env: Any = gymnasium.make(TASKS[task]).unwrapped
        self.limit = gymnasium.spec(TASKS[task]).max_episode_steps

    def expected_state(self) -> np.ndarray:
        """Gymnasium's state in the task's order, by names; velocities of bodies by MuJoCo."""
        model, data = self.env.model, self.env.data
        values = []
        for entry in self.task.state:
            owner, _, field = entry.rpartition('.')
            if field in ('position', 'velocity'):
                joint = model.joint(owner)
                values.append(
                    data.qpos[joint.qposadr[0]]
                    if field == 'position'
                    else data.qvel[joint.dofadr[0]]
                )
                continue
            rotation, velocity = np.empty(9), data.qvel[:6]
            attitude = data.qpos[3:7] / np.linalg.norm(data.qpos[3:7])
            mujoco.mju_quat2Mat(rotation, attitude)
            linear = rotation.reshape(3, 3).T @ velocity[:3]
            names = ['x', 'y', 'z', 'qw', 'qx', 'qy', 'qz', 'vx', 'vy', 'vz', 'wx', 'wy', 'wz']
            body = [*data.qpos[:3], *attitude, *linear, *velocity[3:6]]
            values.append(body[names.index(field)])
        return np.array(values)

    def reward(self, *step: np.ndarray) -> float:
        """The objective's reward of (state, action, next state)."""
        goal = torch.tensor(self.objective.default_goal, dtype=torch.float64)
        return float(self.objective.reward(*map(torch.from_numpy, step), goal))


@pytest.mark.parametrize('task', TASKS)
def test_period_bounds_and_length_of_an_episode_are_gymnasiums(task: str) -> None:
    pair = Beside(task)
    assert pair.task.control_period == pytest.approx(pair.env.dt, abs=1e-12)
    assert pair.task.max_steps == pair.limit
    joints = [
        pair.env.model.joint(int(joint)).name for joint in pair.env.model.actuator_trnid[:, 0]
    ]
    assert list(pair.task.action) == joints
    space = pair.env.action_space
    np.testing.assert_array_equal(pair.task.bounds, [space.low, space.high])


@pytest.mark.parametrize('task', TASKS)
def test_states_rewards_and_ends_are_gymnasiums(task: str) -> None:
    pair = Beside(task)
    generator = np.random.default_rng(3)
    ended = False
    for seed in (5, 6):
        pair.env.reset(seed=seed)
        state = pair.simulation.reset(seed)
        np.testing.assert_allclose(state, pair.expected_state(), rtol=0, atol=1e-12)
        for _ in range(60):
            action = generator.uniform(*pair.task.bounds)
            before = pair.env.data.qpos[0]
            _, score, terminated, _, info = pair.env.step(action)
            reached = pair.simulation.step(action)
            np.testing.assert_allclose(reached, pair.expected_state(), rtol=0, atol=1e-12)
            assert pair.simulation.score == score
            if task == 'ant':  # no state says contacts, and its way is a body's: see above
                way = (pair.env.data.qpos[0] - before) / pair.env.dt
                assert way == pytest.approx(info['reward_forward'], abs=0.3)
                score += way - info['reward_forward'] - info['reward_contact']
            tolerance = REWARD_TOLERANCE.get(task, 1e-9)
            assert pair.reward(state, action, reached) == pytest.approx(score, abs=tolerance)
            assert bool(pair.objective.terminated(torch.from_numpy(reached))) == terminated
            state, ended = reached, ended or terminated
            if terminated:
                break
    falls = ('inverted_pendulum', 'inverted_double_pendulum', 'hopper', 'walker2d')
    assert ended == (task in falls)


def test_a_state_that_is_not_finite_ends_the_episode_as_in_gymnasium() -> None:
    pair = Beside('ant')
    state = torch.from_numpy(pair.simulation.reset(0))
    assert not bool(pair.objective.terminated(state))
    state[pair.task.state.index('torso.z')] = torch.nan
    assert bool(pair.objective.terminated(state))


@pytest.mark.parametrize('task', ['reacher', 'hopper', 'ant'])
def test_a_task_is_learned_and_planned_in_one_process(task: str) -> None:
    small = {
        'dynamics': {
            'training.updates_after_episode': 20,
            'training.updates_within_episode': 20,
            'training.every_steps': 0,
            'training.min_transitions': 4,
            'model.hidden': [16],
        },
        'planner': {'planner.horizon': 3, 'optimizer.candidates': 16, 'optimizer.iterations': 1},
    }
    explored, planned = learn(
        params_file_of(task), episodes=2, exploration_episodes=1, max_steps=8, overrides=small
    )
    assert explored.record.explore and not planned.record.explore
    assert planned.record.steps == 8 and planned.record.model_version == 1
    assert planned.score == pytest.approx(planned.record.episode_return, abs=0.5)
