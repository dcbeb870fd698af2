"""Where the data are, the model is right, and its members agree; where there are none, they do not.

An ensemble learns to drive a point robot in a maze from drives in one part of it. Over the whole
maze, its one-step error (against MuJoCo) and the disagreement of its members are mapped. Then it
plans to a goal: it is lured into a room that it has never seen, which is a dead end, unless
disagreement costs something; then it takes the way that it knows.

    python examples/maze_coverage.py --output maze_coverage.png
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path

import numpy as np
import torch
from episodes import Episode, Planned, RecedingHorizon, add_episode, begin_at, play, train
from maze_picture import draw

from mbrl_common.settings import build
from mbrl_dynamics.learner import Learner
from mbrl_dynamics.model import DynamicsModel
from mbrl_dynamics.settings import DynamicsSettings
from mbrl_planner.objectives import Objective
from mbrl_sim_bridge.environments.point_maze import HALF_WIDTH, is_free
from mbrl_sim_bridge.settings import SimBridgeSettings
from mbrl_sim_bridge.simulation import Simulation

TASK = {
    'name': 'point_maze',
    'state': ['x.position', 'y.position', 'x.velocity', 'y.velocity'],
    'action': ['x', 'y'],
    'action_low': [-3.0, -3.0],  # N
    'action_high': [3.0, 3.0],
    'control_period': 0.1,  # s
    'max_steps': 100,
}
CORRIDOR = 1.05  # the data come from below y = -1.05 m and from the right of x = 1.05 m
MAX_SPEED = 1.5  # of the robot, along each axis [m/s]
GOAL = (1.5, 1.3)  # m
REACHED = 0.25  # m from the goal
PENALTY = 200.0  # m of distance per unit of disagreement
CELL = 0.1  # m
SAMPLES = 16  # of the dynamics, in each cell


def is_known(position: np.ndarray) -> np.ndarray:
    """Whether positions [..., 2] are in the part of the maze that the data come from."""
    inside = (position[..., 1] < -CORRIDOR) | (position[..., 0] > CORRIDOR)
    return np.asarray(inside & is_free(position))


def make_simulation() -> Simulation:
    """The maze in MuJoCo."""
    return Simulation(build(SimBridgeSettings, {'task': TASK, 'sim.environment': 'point_maze'}))


def collect(simulation: Simulation, seed: int, transitions: int) -> list[Episode]:
    """Drive at random in the known part, for 2 s at a time, until there are enough transitions.

    Each episode begins somewhere in that part at any speed, takes a new random force every 0.5 s,
    and ends when it leaves that part.
    """
    generator = np.random.default_rng(seed)
    episodes: list[Episode] = []
    while sum(len(episode.actions) for episode in episodes) < transitions:
        position = generator.uniform(-HALF_WIDTH, HALF_WIDTH, 2)
        if not is_known(position):
            continue
        begin_at(simulation, position, generator.uniform(-MAX_SPEED, MAX_SPEED, 2))
        forces = generator.uniform(-3.0, 3.0, (4, 2))
        drive = play(
            simulation,
            lambda step, _: forces[step // 5],  # noqa: B023
            steps=20,
            is_over=lambda state: not is_known(state[:2]),
        )
        episodes.append(drive)
    return episodes


def learn(episodes: list[Episode], seed: int, updates: int) -> DynamicsModel:
    """Train an ensemble on the episodes."""
    settings = {
        'task': TASK,
        'seed': seed,
        'model.hidden': [64, 64, 64],
        'training.updates_after_episode': updates,
        'training.learning_rate': 3e-3,
        'training.final_learning_rate': 1e-4,
    }
    learner = Learner(build(DynamicsSettings, settings))
    for episode in episodes:
        add_episode(learner, episode)
    return train(learner)


@dataclasses.dataclass(frozen=True)
class Coverage:
    """The maze in cells, [rows from below, columns from the left]; NaN where there is a wall.

    Attributes:
        visits: states in the data.
        error: root mean square error of the predicted next state, for velocities and forces as
            they are in the data, in units of what a step usually changes.
        disagreement: of the members' predictions, in the same units.
        auc: probability that a cell without data has more disagreement than one with data.
    """

    visits: np.ndarray
    error: np.ndarray
    disagreement: np.ndarray
    auc: float


def map_coverage(
    simulation: Simulation, model: DynamicsModel, episodes: list[Episode], seed: int
) -> Coverage:
    """Ask the model and MuJoCo for the same steps, everywhere in the maze."""
    generator = np.random.default_rng(seed)
    seen = np.concatenate([episode.states[:-1] for episode in episodes])
    forces = np.concatenate([episode.actions for episode in episodes])
    edges = np.linspace(-HALF_WIDTH, HALF_WIDTH, round(2 * HALF_WIDTH / CELL) + 1)
    middles = (edges[:-1] + edges[1:]) / 2
    cells = np.stack(np.meshgrid(middles, middles), axis=-1)
    shape = (*cells.shape[:2], SAMPLES)

    position = cells[:, :, None] + generator.uniform(-CELL / 2, CELL / 2, (*shape, 2))
    drawn = generator.integers(len(seen), size=shape)
    state = np.concatenate([position, seen[drawn, 2:]], axis=-1)
    free = is_free(position)
    scale = model.target_scale.double().numpy()
    error, disagreement = np.full(shape, np.nan), np.full(shape, np.nan)
    truth = []
    for each, force in zip(state[free], forces[drawn][free]):
        begin_at(simulation, each[:2], each[2:])
        truth.append(simulation.step(force))
    members = predict(model, state[free], forces[drawn][free])
    error[free] = np.square((members.mean(0) - truth) / scale).mean(-1)
    disagreement[free] = (members.std(0) / scale).mean(-1)

    visits = np.histogram2d(seen[:, 1], seen[:, 0], bins=(edges, edges))[0]
    is_cell = free.any(-1)
    visits[~is_cell] = np.nan
    count = np.where(is_cell, free.sum(-1), np.nan)
    mean_disagreement = np.nansum(disagreement, axis=-1) / count
    return Coverage(
        visits,
        np.sqrt(np.nansum(error, axis=-1) / count),
        mean_disagreement,
        area_under_curve(
            mean_disagreement[is_cell & (visits == 0)], mean_disagreement[is_cell & (visits > 0)]
        ),
    )


def predict(model: DynamicsModel, state: np.ndarray, action: np.ndarray) -> np.ndarray:
    """Every member's mean next state [E, N, S] of states [N, S] and actions [N, A]."""
    inputs = (torch.from_numpy(values).float() for values in (state, action))
    every = (values.expand(model.members, -1, -1) for values in inputs)
    return model.predict_mean(*every).double().numpy()


def area_under_curve(positives: np.ndarray, negatives: np.ndarray) -> float:
    """AUC: the share of pairs in which the positive's score is above the negative's."""
    below = np.searchsorted(np.sort(negatives), positives, side='left')
    equal = np.searchsorted(np.sort(negatives), positives, side='right') - below
    return float((below + equal / 2).mean() / len(negatives))


def distance(
    state: torch.Tensor, action: torch.Tensor, next_state: torch.Tensor, goal: torch.Tensor
) -> torch.Tensor:
    """Minus the distance to the goal [m]."""
    return -torch.hypot(next_state[..., 0] - goal[..., 0], next_state[..., 1] - goal[..., 1])


def is_reached(state: np.ndarray) -> bool:
    """Whether the robot is at the goal."""
    return bool(np.hypot(*(state[:2] - GOAL)) < REACHED)


class Drive(Planned):
    """A way to the goal."""

    @property
    def reached(self) -> bool:
        """Whether it ended at the goal."""
        return is_reached(self.episode.states[-1])

    @property
    def seconds(self) -> float:
        """How long it took [s]."""
        return len(self.episode.actions) * 0.1


def drive_to_goal(simulation: Simulation, model: DynamicsModel, penalty: float, seed: int) -> Drive:
    """Plan to the goal, with a price on disagreement, and drive for at most 10 s."""
    objective = Objective(
        name='goal',
        terms={'distance': distance},
        weights={'distance': 1.0},
        goal_names=('x [m]', 'y [m]'),
        default_goal=GOAL,
    )
    planner = RecedingHorizon(
        model,
        objective,
        simulation.settings.task,
        planner={
            'horizon': 25,
            'propagation': 'expectation',
            'disagreement_penalty': penalty,
        },
        optimizer={'candidates': 200, 'iterations': 3, 'elites': 20},
        replan_every=3,
        seed=seed,
    )
    simulation.reset(seed)
    steps = simulation.settings.task.max_steps
    return Drive(play(simulation, planner, steps, is_reached), planner.plans)


@dataclasses.dataclass(frozen=True)
class Result:
    """What one seed gave: the map, and drives without and with a price on disagreement."""

    seed: int
    coverage: Coverage
    free: Drive
    careful: Drive


def run(seed: int, transitions: int = 6000, updates: int = 20000) -> Result:
    """Collect, learn, map and drive; random numbers are the seed's."""
    simulation = make_simulation()
    episodes = collect(simulation, seed, transitions)
    model = learn(episodes, seed, updates)
    return Result(
        seed,
        map_coverage(simulation, model, episodes, seed),
        drive_to_goal(simulation, model, 0.0, seed),
        drive_to_goal(simulation, model, PENALTY, seed),
    )


def main() -> None:
    """Run the seeds, print a table and write the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--seed', type=int, default=0, help='the first seed (default: 0)')
    parser.add_argument('--seeds', type=int, default=3, help='how many, from it on (default: 3)')
    parser.add_argument(
        '--output',
        type=Path,
        default=Path('maze_coverage.png'),
        metavar='FILE.png',
        help='the picture (default: maze_coverage.png)',
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    began = time.monotonic()
    print(
        'Each seed: 6,000 steps in the known part of the maze, an ensemble, and two drives to the'
    )
    print(f'goal, planned without and with a price of {PENALTY:g} on disagreement.\n')
    print('seed    AUC   disagreement (median)    error (median)      no price    with price')
    print('             visited   unvisited    visited  unvisited    to goal      to goal')
    results = []
    for seed in range(arguments.seed, arguments.seed + arguments.seeds):
        result = run(seed)
        results.append(result)
        coverage, times = result.coverage, (result.free, result.careful)
        medians = [
            np.median(values[where])
            for values in (coverage.disagreement, coverage.error)
            for where in (coverage.visits > 0, coverage.visits == 0)
        ]
        arrival = [f'{drive.seconds:.1f} s' if drive.reached else 'never' for drive in times]
        print(
            f'{seed:4d}  {coverage.auc:5.3f}  {medians[0]:8.4f}  {medians[1]:10.4f}'
            f'  {medians[2]:9.4f}  {medians[3]:9.4f}  {arrival[0]:>9s}  {arrival[1]:>11s}',
            flush=True,
        )
    draw(results, GOAL, arguments.output)
    print(f'\n{arguments.output} was written, {time.monotonic() - began:.0f} s after the start.')


if __name__ == '__main__':
    main()
