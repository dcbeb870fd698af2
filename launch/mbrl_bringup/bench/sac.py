"""The model-free line: soft actor-critic of stable-baselines3, on the same simulation.

Same initial states for the same seed and episode, same reward (the task's objective), same bounds
and ends as the other recipes have. The policy sees what the dynamics model sees: the state with
sine and cosine for angles, without what the task leaves out.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch

from mbrl_bringup.learn import Episode
from mbrl_common.settings import SettingsError
from mbrl_common.taskfile import node_settings
from mbrl_dynamics.settings import DynamicsSettings
from mbrl_mpc.pilot import EpisodeRecord, Pilot
from mbrl_mpc.settings import MpcSettings
from mbrl_sim_bridge.settings import SimBridgeSettings
from mbrl_sim_bridge.simulation import Simulation

MISSING = (
    "the recipe 'sac' needs stable-baselines3, which is not installed here and which nothing else "
    'needs: pip install stable-baselines3'
)


class TaskEnv(gymnasium.Env):
    """A task as a gymnasium environment; actions are scaled to -1 to 1."""

    def __init__(self, params_file: Path, seed: int, max_steps: int | None = None) -> None:
        """Raises SettingsError: the parameter file is wrong."""
        self._simulation = Simulation(node_settings(params_file, 'sim_bridge', SimBridgeSettings))
        self._pilot = Pilot(node_settings(params_file, 'mpc_controller', MpcSettings), 'sac')
        dynamics = node_settings(params_file, 'dynamics', DynamicsSettings)
        task = dynamics.task
        unseen = {task.state.index(name) for name in dynamics.model.inputs_left_out}
        self._angles = [i for i in task.angle_indices if i not in unseen]
        self._plain = [
            i for i in range(task.state_dim) if i not in unseen and i not in task.angle_indices
        ]
        self._seed, self._max_steps = seed, max_steps
        self._low, self._high = task.bounds
        self.episode = 0
        """Number of the next episode."""
        self.score = 0.0
        """What the environment itself has paid in this episode."""
        size = len(self._plain) + 2 * len(self._angles)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (task.action_dim,), np.float32)

    @property
    def record(self) -> EpisodeRecord:
        """Of the episode that goes on, or has just ended."""
        return self._pilot.record

    @property
    def total_steps(self) -> int:
        """Control steps of all episodes."""
        return self._pilot.total_steps

    @property
    def max_steps(self) -> int:
        """Most steps of an episode."""
        return self._pilot.max_steps if self._max_steps is None else self._max_steps

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        """Begin the next episode, in the initial state that its number and the run's seed say."""
        self._pilot.begin(self.episode, self._seed, explore=True, max_steps=self._max_steps)
        self.episode += 1
        self.score = 0.0
        state = self._simulation.reset(self._pilot.reset_seed)
        self._pilot.observe(state, self._simulation.time_ns)
        return self._observation(state), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        """Hold an action, [action_dim] of -1 to 1, for a control period."""
        wanted = self._low + (np.asarray(action, dtype=np.float64) + 1) / 2 * (
            self._high - self._low
        )
        executed = self._pilot.guard.check(wanted)
        self._pilot.executed(executed)
        state = self._simulation.step(executed)
        self.score += self._simulation.score
        self._pilot.observe(state, self._simulation.time_ns)
        transition = self._pilot.take_transition()
        assert transition is not None
        record = self.record
        observation = self._observation(state)
        info = {'record': record, 'score': self.score}
        return observation, transition.reward, record.terminated, record.truncated, info

    def _observation(self, state: np.ndarray) -> np.ndarray:
        angles = state[self._angles]
        parts = [state[self._plain], np.sin(angles), np.cos(angles)]
        return np.concatenate(parts).astype(np.float32)


def run_sac(
    params_file: Path,
    *,
    seed: int,
    episodes: int,
    max_steps: int | None,
    on_step: Callable[[EpisodeRecord], None],
    on_episode: Callable[[Episode], None],
) -> None:
    """Learn a task from its first to its last episode; arguments as of ``learn``.

    Raises:
        SettingsError: stable-baselines3 is not installed, or the file is wrong.
    """
    try:
        from stable_baselines3 import SAC
        from stable_baselines3.common.callbacks import BaseCallback
    except ImportError as error:
        raise SettingsError([f'{MISSING} ({error})']) from error

    torch.set_num_threads(1)
    env = TaskEnv(params_file, seed, max_steps)

    class Watch(BaseCallback):
        """Reports each step and episode, and ends the training after the last one."""

        def __init__(self) -> None:
            super().__init__()
            self.began = time.perf_counter()

        def _on_step(self) -> bool:
            record = self.locals['infos'][0]['record']
            on_step(record)
            if not (record.terminated or record.truncated):
                return True
            now = time.perf_counter()
            on_episode(
                Episode(
                    record=record,
                    score=self.locals['infos'][0]['score'],
                    total_steps=env.total_steps,
                    holdout_error=math.nan,
                    training_time=math.nan,
                    wall_time=now - self.began,
                    model_version=0,
                    transitions=[],
                )
            )
            self.began = now
            return record.episode + 1 < episodes

    steps = episodes * env.max_steps
    SAC('MlpPolicy', env, seed=seed, device='cpu').learn(steps, callback=Watch())
