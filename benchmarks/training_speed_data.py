"""Transitions of random actions for ``training_speed``: the cart-pole of PETS, and HalfCheetah."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import gymnasium
import numpy as np

from mbrl_bringup.tasks import params_file_of
from mbrl_common.settings import build
from mbrl_common.taskfile import node_parameters
from mbrl_sim_bridge.settings import SimBridgeSettings
from mbrl_sim_bridge.simulation import Simulation

Step = tuple[np.ndarray, np.ndarray, np.ndarray]  # state, action, next state


@dataclasses.dataclass(frozen=True)
class Task:
    """Where transitions come from; ``angles`` are the entries of the state that are angles."""

    name: str
    angles: list[int]
    steps: Callable[[int], Iterator[Step]]  # endless, from a seed

    def data(self, train: int, test: int, seed: int) -> dict[str, np.ndarray]:
        """``state``, ``action``, ``next_state`` to train on; the same with ``test_`` to test on.

        The two are of different episodes.
        """
        data = {}
        for prefix, count, source in (('', train, 2 * seed), ('test_', test, 2 * seed + 1)):
            columns = zip(*(step for step, _ in zip(self.steps(source), range(count))))
            for name, column in zip(('state', 'action', 'next_state'), columns):
                data[prefix + name] = np.array(column)
        return data


def _cartpole(seed: int) -> Iterator[Step]:
    """Episodes of 200 steps of the task ``cartpole_swingup``."""
    params = node_parameters(params_file_of('cartpole_swingup'), 'sim_bridge')
    settings = build(SimBridgeSettings, params)
    simulation = Simulation(settings)
    generator = np.random.default_rng(seed)
    low, high = settings.task.bounds
    while True:
        state = simulation.reset(int(generator.integers(2**31)))
        for _ in range(settings.task.max_steps):
            action = generator.uniform(low, high)
            next_state = simulation.step(action)
            yield state, action, next_state
            state = next_state


def _halfcheetah(seed: int) -> Iterator[Step]:
    """Episodes of 1000 steps of gymnasium's HalfCheetah-v5."""
    environment = gymnasium.make('HalfCheetah-v5')
    environment.action_space.seed(seed)
    state, _ = environment.reset(seed=seed)
    while True:
        action = environment.action_space.sample()
        next_state, _, terminated, truncated, _ = environment.step(action)
        yield state, action.astype(float), next_state
        state = environment.reset()[0] if terminated or truncated else next_state


CARTPOLE = Task('cartpole', [1], _cartpole)
HALFCHEETAH = Task('halfcheetah', [], _halfcheetah)
