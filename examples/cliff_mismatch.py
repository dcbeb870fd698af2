"""A model is right where its data are, and its plan leads elsewhere: off a cliff, the first time.

A ball's data have it move to the right on a slope, where right is up. The model learns that, and
the plan for height goes right, beyond the edge, and falls. What then happened goes into the data,
the model is trained again, and plans again: after some falls it knows where the edge is, and the
plan ends high up and stays there.

    python examples/cliff_mismatch.py --output cliff_mismatch.png
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from cliff_picture import draw
from episodes import Episode, Planned, RecedingHorizon, add_episode, play, train

from mbrl_common.seeding import derive_seed
from mbrl_common.settings import build
from mbrl_dynamics.learner import Learner
from mbrl_dynamics.model import DynamicsModel
from mbrl_dynamics.settings import DynamicsSettings
from mbrl_planner.objectives import Objective
from mbrl_sim_bridge.environments.cliff import (
    ANGLE,
    DAMPING,
    EDGE,
    MASS,
    MAX_FORCE,
    resting_height,
)
from mbrl_sim_bridge.settings import SimBridgeSettings
from mbrl_sim_bridge.simulation import Simulation

TASK = {
    'name': 'cliff',
    'state': ['x.position', 'z.position', 'x.velocity', 'z.velocity'],
    'action': ['x'],
    'action_low': [-MAX_FORCE],  # N
    'action_high': [MAX_FORCE],
    'control_period': 0.1,  # s
    'max_steps': 60,
}
TURNED_BACK = 0.5  # no data beyond this x at the start [m]; the edge is at 2.0
SPEEDS = (0.1, 1.2)  # of the ball in these data [m/s]
FORCE_NOISE = 2.0  # standard deviation of what the motor adds to a planned force [N]
ATTEMPTS = 3  # with each model
LANDED = 0.2  # the ball's centre is below this, right of the edge: it lies at the bottom [m]


class Attempt(Planned):
    """An attempt to end high up."""

    @property
    def fell(self) -> bool:
        """Whether the ball ended below the cliff."""
        return has_landed(self.episode.states[-1])

    @property
    def final_height(self) -> float:
        """Of the ball's centre [m]."""
        return float(self.episode.states[-1, 1])


@dataclasses.dataclass(frozen=True)
class Run:
    """One seed: the data at the start, and the attempts of each iteration, first to last."""

    seed: int
    data: list[Episode]
    iterations: list[list[Attempt]]


def has_landed(state: np.ndarray) -> bool:
    """Whether the ball lies below the cliff."""
    return bool(state[0] > EDGE and state[1] < LANDED)


def make_simulation() -> Simulation:
    """The slope and the cliff in MuJoCo."""
    return Simulation(build(SimBridgeSettings, {'task': TASK, 'sim.environment': 'cliff'}))


def make_learner(seed: int, updates: int) -> Learner:
    """Deterministic members, because a likelihood may take a sudden fall for noise."""
    settings = {
        'task': TASK,
        'seed': seed,
        'model.kind': 'deterministic',
        'model.hidden': [64, 64],
        'training.updates_after_episode': updates,
        'training.learning_rate': 3e-3,
        'training.final_learning_rate': 1e-4,
    }
    return Learner(build(DynamicsSettings, settings))


def collect(simulation: Simulation, seed: int, transitions: int) -> list[Episode]:
    """Climb at a random speed to the right, another every 0.2 s, and turn back before the edge."""
    generator = np.random.default_rng(seed)
    kept = np.exp(-DAMPING * 0.1 / MASS)  # share of the speed after a step without force
    weight = MASS * 9.81 * np.tan(ANGLE)  # the force that holds the ball
    episodes: list[Episode] = []

    def climb() -> Callable[[int, np.ndarray], np.ndarray]:
        speeds = generator.uniform(*SPEEDS, (50, 1))
        return lambda step, state: (
            weight + DAMPING * (speeds[step // 2] - kept * state[2]) / (1 - kept)
        )

    while sum(len(episode.actions) for episode in episodes) < transitions:
        simulation.reset(derive_seed(seed, 'climb', len(episodes)))
        episodes.append(play(simulation, climb(), 100, lambda state: state[0] > TURNED_BACK))
    return episodes


def height(
    state: torch.Tensor, action: torch.Tensor, next_state: torch.Tensor, goal: torch.Tensor
) -> torch.Tensor:
    """Of the ball [m]."""
    return next_state[..., 1]


def attempt(simulation: Simulation, model: DynamicsModel, seed: int) -> Attempt:
    """Plan for height and execute it, for 6 s or until the fall is over.

    A plan is worth what the worst of the five members says: after a fall one that knows the edge
    is enough.
    """
    planner = RecedingHorizon(
        model,
        Objective('height', {'height': height}, {'height': 1.0}),
        simulation.settings.task,
        planner={'horizon': 12, 'worst_share': 0.2},
        optimizer={'candidates': 64, 'iterations': 3, 'elites': 8},
        seed=seed,
    )
    generator = np.random.default_rng(seed)
    simulation.reset(seed)
    episode = play(
        simulation,
        lambda step, state: planner(step, state) + FORCE_NOISE * generator.normal(size=1),
        simulation.settings.task.max_steps,
        has_landed,
    )
    return Attempt(episode, planner.plans)


def run(
    seed: int,
    iterations: int = 9,
    transitions: int = 1200,
    updates: int = 8000,
    report: Callable[[int, list[Attempt]], None] = lambda iteration, attempts: None,
) -> Run:
    """Collect data on the slope; then train, plan, execute and add to the data, repeatedly.

    Args:
        seed: of all random numbers.
        iterations: how often.
        transitions: in the data at the start.
        updates: gradient updates of each training.
        report: called after each iteration.
    """
    simulation = make_simulation()
    learner = make_learner(seed, updates)
    data = collect(simulation, seed, transitions)
    for episode in data:
        add_episode(learner, episode)
    done: list[list[Attempt]] = []
    for iteration in range(iterations):
        model = train(learner)
        attempts = [
            attempt(simulation, model, derive_seed(seed, 'attempt', iteration, number))
            for number in range(ATTEMPTS)
        ]
        for made in attempts:
            add_episode(learner, made.episode)
        done.append(attempts)
        report(iteration, attempts)
    return Run(seed, data, done)


def main() -> None:
    """Run the seeds, print what happens and write the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--seed', type=int, default=0, help='the first seed (default: 0)')
    parser.add_argument('--seeds', type=int, default=3, help='how many, from it on (default: 3)')
    parser.add_argument(
        '--output',
        type=Path,
        default=Path('cliff_mismatch.png'),
        metavar='FILE.png',
        help='the picture (default: cliff_mismatch.png)',
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    began = time.monotonic()
    print(f'The ball on the top is at a height of {float(resting_height(EDGE)):.2f} m.\n')
    print(f'seed  iteration  final height of {ATTEMPTS} attempts [m]')
    runs = []
    for seed in range(arguments.seed, arguments.seed + arguments.seeds):

        def report(iteration: int, attempts: list[Attempt], seed: int = seed) -> None:
            heights = '  '.join(f'{made.final_height:.2f}' for made in attempts)
            falls = sum(made.fell for made in attempts)
            note = f'{falls} off the cliff' if falls else ''
            print(f'{seed:4d}  {iteration + 1:9d}  {heights}  {note}', flush=True)

        runs.append(run(seed, report=report))
    draw(runs, arguments.output)
    print(f'\n{arguments.output} was written, {time.monotonic() - began:.0f} s after the start.')


if __name__ == '__main__':
    main()
