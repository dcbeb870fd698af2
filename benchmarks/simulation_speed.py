"""Control steps per second of the simulation: alone, in threads, and beside gymnasium.

Four ways, each in turn in this process, round after round:

- `sequential`: one `Simulation`, whose episodes `ParallelSimulations` plays in one thread;
- `threads`: two, in two threads;
- `bare`: MuJoCo's `mj_step` for as many physics steps, in a loop that does nothing else: the
  ceiling of one thread;
- `peer`: gymnasium's `env.step` of the same robot; for the cart-pole its InvertedPendulum-v5, which
  has the same bodies and integrator, and as many physics steps.

Random actions, drawn beforehand. A rate is the best of its rounds, which are short: that of a
moment in which others left the machine alone, if there was one. `others` says what they took of it
all the while.

    python benchmarks/simulation_speed.py
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import csv_rows
import gymnasium
import mujoco
import numpy as np
from quiet import Clock

from mbrl_bringup.tasks import params_file_of
from mbrl_common.taskfile import node_settings
from mbrl_sim_bridge.parallel import Act, ParallelSimulations
from mbrl_sim_bridge.settings import SimBridgeSettings
from mbrl_sim_bridge.simulation import Simulation

PEERS = {
    'cartpole_swingup': 'InvertedPendulum-v5',
    'half_cheetah': 'HalfCheetah-v5',
    'pusher': 'Pusher-v5',
    'ant': 'Ant-v5',
}
RESULTS = Path(__file__).parent / 'results' / 'simulation_speed.csv'
EPISODES = 4
STEPS = 100


def measure(task: str, rounds: int) -> dict[str, Any]:
    """A row of results."""
    settings = node_settings(params_file_of(task), 'sim_bridge', SimBridgeSettings)
    low, high = settings.task.bounds
    actions = np.random.default_rng(0).uniform(low, high, (STEPS, len(low)))
    env: Any = gymnasium.make(PEERS[task], max_episode_steps=10**9).unwrapped
    ways = {
        'sequential': _play(settings, 1, actions),
        'threads': _play(settings, 2, actions),
        'bare': _bare(Simulation(settings), actions),
        'peer': _peer(env, settings.task.action_dim),
    }
    for way in ways.values():
        way()
    rates: dict[str, list[float]] = {name: [] for name in ways}
    before = Clock()
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            rates[name].append(EPISODES * STEPS / (time.perf_counter() - began))
    best = {name: max(values) for name, values in rates.items()}
    return {
        'task': task,
        'cpu': csv_rows.cpu_name(),
        'cores': len(os.sched_getaffinity(0)),
        'rounds': rounds,
        **{f'{name}_per_s': round(value) for name, value in best.items()},
        'threads_gain': round(best['threads'] / best['sequential'], 2),
        'of_bare': round(best['sequential'] / best['bare'], 2),
        'of_peer': round(best['sequential'] / best['peer'], 2),
        'others': round(Clock().others_since(before), 2),
    }


def _play(settings: SimBridgeSettings, threads: int, actions: np.ndarray) -> Callable[[], None]:
    simulations = ParallelSimulations(settings, threads)

    def begin(episode: int, thread: int) -> Act:
        return lambda step, state: actions[step]

    def play() -> None:
        for _ in simulations.play(range(EPISODES), STEPS, begin):
            pass

    return play


def _bare(simulation: Simulation, actions: np.ndarray) -> Callable[[], None]:
    model, data = simulation.model, simulation.data
    substeps = round(simulation.settings.task.control_period / model.opt.timestep)
    control = np.zeros((STEPS, model.nu))
    control[:, : actions.shape[1]] = actions

    def step() -> None:
        for episode in range(EPISODES):
            simulation.reset(episode)
            for each in control:
                data.ctrl[:] = each
                mujoco.mj_step(model, data, nstep=substeps)

    return step


def _peer(env: Any, width: int) -> Callable[[], None]:
    space = env.action_space
    assert space.shape == (width,)
    actions = np.random.default_rng(0).uniform(space.low, space.high, (STEPS, width))

    def step() -> None:
        for episode in range(EPISODES):
            env.reset(seed=episode)
            for action in actions:
                env.step(action)

    return step


def main() -> None:
    """Measure, print, and replace what was measured before."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--rounds', type=int, default=100)
    parser.add_argument('--tasks', nargs='+', choices=PEERS, default=list(PEERS))
    parser.add_argument('--csv', type=Path, default=RESULTS, help='where their rows are replaced')
    arguments = parser.parse_args()
    rows = {row['task']: row for row in csv_rows.read(arguments.csv)}
    for task in arguments.tasks:
        rows[task] = measure(task, arguments.rounds)
        print(', '.join(f'{key} {value}' for key, value in rows[task].items()), flush=True)
        csv_rows.write(arguments.csv, [rows[each] for each in PEERS if each in rows])


if __name__ == '__main__':
    main()
