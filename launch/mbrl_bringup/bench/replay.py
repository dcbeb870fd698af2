"""What an environment itself paid for an episode: its recorded actions, simulated once more.

Bags know the objective's reward, not the environment's score. In lockstep an episode is a function
of its seed and actions, so simulating it again tells.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from mbrl_dynamics.bag import read_arrays
from mbrl_sim_bridge.settings import SimBridgeSettings
from mbrl_sim_bridge.simulation import Simulation


def replayed_score(settings: SimBridgeSettings, reset_seed: int, bag: Path) -> float:
    """The score of an episode from its bag.

    Args:
        settings: of the simulation that it was recorded from.
        reset_seed: of its initial state.
        bag: with that one episode.

    Returns:
        The sum over all steps; NaN if the environment pays nothing by itself.

    Raises:
        ValueError: a state is not, bit for bit, the recorded one: it was another simulation.
        SimulationError: the physics diverge.
        OSError: the bag cannot be read.
    """
    simulation = Simulation(settings)
    steps = read_arrays(bag)
    score = 0.0
    state = simulation.reset(reset_seed)
    for number in range(len(steps)):
        _check(state, steps.state[number], number, bag)
        state = simulation.step(steps.action[number])
        if math.isnan(simulation.score):
            return math.nan
        score += simulation.score
        _check(state, steps.next_state[number], number + 1, bag)
    return score


def _check(state: np.ndarray, recorded: np.ndarray, step: int, bag: Path) -> None:
    if not np.array_equal(state, recorded):
        raise ValueError(f'{bag}: simulated once more, step {step} leads to another state')
