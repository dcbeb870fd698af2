"""Episodes of ``mbrl bench`` that act at random and teach nobody: many at once, in threads.

Each depends on the run's seed and its own number alone. It is scored as a whole, in one call of the
objective, which is what takes the time where it is done step by step. The rows are those of
``learn``, but for times.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import torch

from mbrl_bringup.bench.rows import Row
from mbrl_bringup.bench.runs import Bench
from mbrl_bringup.learn import Episode
from mbrl_common.taskfile import node_settings
from mbrl_mpc.pilot import EpisodeRecord, Pilot, reset_seed_of
from mbrl_mpc.settings import MpcSettings
from mbrl_sim_bridge.parallel import Act, ParallelSimulations, Played
from mbrl_sim_bridge.settings import SimBridgeSettings


def run_random(
    bench: Bench,
    seed: int,
    done: list[Row],
    on_step: Callable[[EpisodeRecord], None],
    put: Callable[[Row], None],
) -> None:
    """Run the episodes of a seed that are missing.

    Args:
        bench: what is to be run.
        seed: of everything.
        done: the rows of the seed that are there, from its first episode on.
        on_step: called with each episode, when it has ended.
        put: takes the rows, in order. ``wall_time`` is the time since the last one.

    Raises:
        SettingsError: something given is wrong.
        SimulationError: the physics diverged.
    """
    torch.set_num_threads(1)
    numbers = range(len(done), bench.episodes)
    threads = max(1, min(bench.threads, len(numbers)))
    mpc = node_settings(bench.params_file, 'mpc_controller', MpcSettings)
    pilots = [Pilot(mpc, 'learn') for _ in range(threads)]
    simulations = ParallelSimulations(
        node_settings(bench.params_file, 'sim_bridge', SimBridgeSettings), threads
    )
    scorer = pilots[0]

    def begin(index: int, thread: int) -> Act:
        pilot = pilots[thread]
        pilot.begin(numbers[index], seed, explore=True, max_steps=bench.max_steps)
        return lambda step, state: pilot.guard.check(pilot.explore_at(step))

    def ends(states: np.ndarray) -> np.ndarray:
        return scorer.objective.terminated(torch.from_numpy(states)).numpy()

    total = done[-1].environment_steps if done else 0
    began = time.perf_counter()
    played = simulations.play(
        [reset_seed_of(seed, number) for number in numbers],
        bench.max_steps or scorer.task.max_steps,
        begin,
        ends,
    )
    for number, one in zip(numbers, played):
        record = EpisodeRecord(
            episode=number,
            explore=True,
            steps=len(one.actions),
            episode_return=_added(_rewards(scorer, one)),
            terminated=one.ended,
            truncated=not one.ended,
        )
        total += record.steps
        now = time.perf_counter()
        on_step(record)
        episode = Episode(
            record=record,
            score=_added(one.scores),
            total_steps=total,
            holdout_error=math.nan,
            training_time=0.0,
            wall_time=now - began,
            model_version=0,
            transitions=[],
        )
        began = now
        put(bench.row(seed, episode, 'random'))


def _rewards(pilot: Pilot, played: Played) -> np.ndarray:
    """The objective's reward of each step, [n]."""
    steps = torch.arange(len(played.actions))
    goals = pilot.objective.goal_after(torch.from_numpy(pilot.goal), steps)
    rewards = pilot.objective.reward(
        torch.from_numpy(played.states[:-1]),
        torch.from_numpy(played.actions),
        torch.from_numpy(played.states[1:]),
        goals,
    )
    return rewards.expand(len(steps)).numpy()


def _added(values: np.ndarray) -> float:
    """One after the other, as an episode adds them up: numpy's sum has other last digits."""
    total = 0.0
    for value in values.tolist():
        total += value
    return total
