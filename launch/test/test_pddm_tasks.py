"""PDDM's tasks: what is planned for is what they score, and planning in the true model solves them.

Episodes are played by ``learn``, with the settings of the tasks' files but for fewer candidates, a
coarser model to plan in, and PDDM's kappa and beta for the cube: its file is made for a model that
errs.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mbrl_bringup.learn import Episode, learn
from mbrl_bringup.tasks import params_file_of
from mbrl_common.taskfile import node_settings
from mbrl_dynamics.settings import DynamicsSettings
from mbrl_mpc.settings import MpcSettings
from mbrl_planner.mujoco_rollout import MujocoDynamics
from mbrl_planner.objectives import make_objective

PUBLISHED = {'cube_pddm': {'optimizer.pddm.kappa': 10.0, 'optimizer.pddm.beta': 0.6}}


def play(
    task: str,
    length: int,
    seed: int,
    candidates: int = 0,
    timestep: float = 0.005,
    iterations: int = 1,
) -> Episode:
    """An episode planned in the true model; at random, with no candidates."""
    no_training = {'training.every_episodes': 0, 'training.every_steps': 0}
    planner = {
        'planner.backend': 'mujoco',
        'planner.simulator': task,
        'planner.timestep': timestep,
        'optimizer.candidates': max(candidates, 21),
        'optimizer.iterations': iterations,
        **PUBLISHED.get(task, {}),
    }
    return learn(
        params_file_of(task),
        seed=seed,
        episodes=1,
        exploration_episodes=0 if candidates else 1,
        max_steps=length,
        overrides={'planner': planner, 'dynamics': no_training},
    )[0]


def column(task: str, episode: Episode, name: str) -> np.ndarray:
    """An entry of the state, after each step."""
    names = node_settings(params_file_of(task), 'mpc_controller', MpcSettings).task.state
    return np.array([each.next_state[names.index(name)] for each in episode.transitions])


def steps(task: str, episode: Episode, name: str) -> np.ndarray:
    """A term of the objective without its weight, for each step."""
    settings = node_settings(params_file_of(task), 'mpc_controller', MpcSettings)
    objective = make_objective(settings.objective, settings.task)
    rows = [(each.state, each.action, each.next_state) for each in episode.transitions]
    state, action, after = (torch.from_numpy(np.array(each)) for each in zip(*rows))
    return objective.terms[name](state, action, after, torch.empty(len(rows), 0)).numpy()


@pytest.mark.parametrize(
    ('task', 'terms'),
    [('valve_pddm', ['error']), ('cube_pddm', ['error']), ('baoding_pddm', ['ball1', 'ball2'])],
)
def test_the_environments_score_is_the_objectives_distance(task: str, terms: list[str]) -> None:
    episode = play(task, 30, seed=0)
    assert episode.record.explore and episode.score < 0
    assert episode.score == pytest.approx(sum(steps(task, episode, each).sum() for each in terms))


def test_the_claw_turns_the_valve_to_its_goal() -> None:
    task = 'valve_pddm'
    episode = play(task, 30, seed=0, candidates=100)
    way = column(task, episode, 'valve.position') - column(task, episode, 'valve_goal.position')
    error = np.abs((way + np.pi) % (2 * np.pi) - np.pi)
    assert error[0] > 1.5
    assert error[-5:].max() < 0.1


def test_the_hand_turns_the_cube_towards_its_goal() -> None:
    error = cube_error(play('cube_pddm', 12, seed=0, candidates=50, timestep=0.01))
    assert error[0] > 1.0
    assert error[-5:].mean() < 0.3


def test_the_hand_brings_the_balls_to_their_targets() -> None:
    episode = play('baoding_pddm', 10, seed=0, candidates=50, timestep=0.01)
    assert not episode.record.terminated
    off = balls_off(episode)
    assert off[0] > 0.025
    assert off[4:8].mean() < 0.02


@pytest.mark.parametrize(('task', 'images'), [('valve_pddm', 5), ('baoding_pddm', 1)])
def test_the_physics_have_the_symmetries_that_are_learned_from(task: str, images: int) -> None:
    settings = node_settings(params_file_of(task), 'dynamics', DynamicsSettings)
    episodes = [play(task, 40, seed) for seed in range(3)]
    rows = [(each.state, each.action) for episode in episodes for each in episode.transitions]
    state, action = (np.array(each) for each in zip(*rows))
    physics = MujocoDynamics(settings.task, task)
    after = physics(state, action[:, None])[:, 1]
    symmetries = settings.symmetries()
    assert len(symmetries) == images
    for symmetry in symmetries:
        image = physics(symmetry.state(state), symmetry.action(action)[:, None])[:, 1]
        np.testing.assert_allclose(image, symmetry.state(after), atol=1e-3)


@pytest.mark.timeout(600)
@pytest.mark.parametrize('seed', [0, 1])
def test_the_cube_gets_to_its_goal_and_stays_there(seed: int) -> None:
    episode = play('cube_pddm', 30, seed, candidates=100)
    assert not episode.record.terminated
    assert cube_error(episode)[-5:].mean() < 0.3


@pytest.mark.timeout(600)
def test_the_balls_go_round_and_none_is_dropped() -> None:
    episode = play('baoding_pddm', 60, seed=0, candidates=50, iterations=2)
    assert episode.record.steps == 60 and not episode.record.terminated
    assert balls_off(episode)[10:].mean() < 0.015
    across = [
        column('baoding_pddm', episode, f'ball1_{c}.position')
        - column('baoding_pddm', episode, f'ball2_{c}.position')
        for c in 'xy'
    ]
    turned = np.unwrap(np.arctan2(across[1], across[0]))
    assert turned[-1] - turned[0] > np.pi  # the targets have turned by almost 2 pi


def cube_error(episode: Episode) -> np.ndarray:
    """PDDM's length of what the cube's three angles are off, after each step [rad]."""
    ways = [
        column('cube_pddm', episode, f'cube_r{c}.position')
        - column('cube_pddm', episode, f'goal_r{c}.position')
        for c in 'xyz'
    ]
    return np.linalg.norm(ways, axis=0)


def balls_off(episode: Episode) -> np.ndarray:
    """How far the balls are from their targets, seen from above, mean of the two [steps] [m]."""
    task = 'baoding_pddm'
    return -0.5 * sum(steps(task, episode, each) for each in ('ball1', 'ball2'))
