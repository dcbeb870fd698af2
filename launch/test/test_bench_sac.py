"""The model-free line: the same task as the other recipes have, and a word where it is missing."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

from mbrl_bringup.bench.sac import TaskEnv, run_sac
from mbrl_bringup.learn import Episode, learn
from mbrl_bringup.tasks import params_file_of
from mbrl_common.settings import SettingsError

TASK = 'cartpole_swingup'
INSTALLED = importlib.util.find_spec('stable_baselines3') is not None


def test_the_same_actions_are_paid_as_in_the_loop_of_the_suite() -> None:
    file = params_file_of(TASK)
    (episode,) = learn(file, seed=3, episodes=1, max_steps=20)
    env = TaskEnv(file, seed=3, max_steps=20)
    observation, _ = env.reset()
    paid = 0.0
    for transition in episode.transitions:
        state = transition.state
        angle = state[1]
        expected = [state[0], state[2], state[3], math.sin(angle), math.cos(angle)]
        np.testing.assert_array_equal(observation, np.array(expected, dtype=np.float32))
        observation, reward, terminated, truncated, _ = env.step(transition.action / 3.0)
        paid += reward
    assert paid == pytest.approx(episode.record.episode_return, abs=1e-9)
    assert truncated and not terminated
    assert env.record.steps == env.total_steps == 20


def test_an_episode_ends_where_the_objective_ends_it_and_the_score_is_gymnasiums() -> None:
    env = TaskEnv(params_file_of('inverted_pendulum'), seed=0)
    env.reset()
    steps, terminated = 0, False
    while not terminated:
        _, _, terminated, truncated, info = env.step(np.ones(1))
        steps += 1
        assert not truncated and steps < 100
    # Gymnasium pays 1 for each step but the one in which the pole is lost.
    assert info['score'] == steps - 1


def test_what_the_task_leaves_out_of_the_model_the_policy_does_not_see() -> None:
    env = TaskEnv(params_file_of('half_cheetah'), seed=0)
    observation, _ = env.reset()
    # 18 entries of the state, without the root's x, the pitch as sine and cosine.
    assert observation.shape == env.observation_space.shape == (18,)
    assert env.action_space.shape == (6,)


@pytest.mark.skipif(INSTALLED, reason='stable-baselines3 is installed')
def test_without_stable_baselines_it_says_how_to_get_it() -> None:
    with pytest.raises(SettingsError, match='pip install stable-baselines3'):
        run(params_file_of(TASK))


@pytest.mark.skipif(not INSTALLED, reason='stable-baselines3 is not installed')
def test_it_runs_the_episodes_that_were_asked_for() -> None:
    episodes = run(params_file_of(TASK))
    assert [each.record.episode for each in episodes] == [0, 1, 2]
    assert [each.total_steps for each in episodes] == [40, 80, 120]
    again = run(params_file_of(TASK))
    assert [e.record.episode_return for e in again] == [e.record.episode_return for e in episodes]


def run(file: Path) -> list[Episode]:
    done: list[Episode] = []
    run_sac(
        file,
        seed=1,
        episodes=3,
        max_steps=40,  # training begins after 100 steps
        on_step=lambda record: None,
        on_episode=done.append,
    )
    return done
