"""The whole loop in one process, without ROS: for benchmarks, research and debugging.

``learn`` composes the cores that the nodes wrap, with the same settings and seeds, so it gives the
trajectory of the graph in lockstep, step for step (``test/test_end_to_end.py`` holds it to that).
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from mbrl_common.seeding import derive_seed
from mbrl_common.taskfile import node_settings
from mbrl_dynamics.learner import Learner
from mbrl_dynamics.settings import DynamicsSettings
from mbrl_dynamics.transition import Transition
from mbrl_mpc.pilot import EpisodeRecord, Pilot
from mbrl_mpc.settings import MpcSettings
from mbrl_planner.planner import Planner, PlanningFailedError
from mbrl_planner.settings import PlannerSettings
from mbrl_sim_bridge.settings import SimBridgeSettings
from mbrl_sim_bridge.simulation import Simulation


@dataclasses.dataclass
class Episode:
    """One episode of a run. ``score`` is the sum of what the environment itself paid, whatever the
    objective is; NaN if it pays nothing."""

    record: EpisodeRecord
    score: float
    total_steps: int
    holdout_error: float
    training_time: float
    wall_time: float
    model_version: int
    """Of the newest model after the episode; 0: there is none."""
    transitions: list[Transition]


def learn(
    params_file: Path,
    *,
    seed: int = 0,
    episodes: int = 8,
    exploration_episodes: int = 1,
    first_episode: int = 0,
    max_steps: int | None = None,
    target_return: float = math.inf,
    folder: Path | None = None,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    on_step: Callable[[EpisodeRecord], None] | None = None,
    on_episode: Callable[[Episode], None] | None = None,
) -> list[Episode]:
    """Learn a task from nothing: random episodes, then planning in the model learned so far.

    Args:
        params_file: the task's parameter file, as the nodes get it.
        seed: of everything.
        episodes: how many, exploration and those before ``first_episode`` included.
        exploration_episodes: the first so many act at random.
        first_episode: where to go on; the episodes before it, and the model after them, must be
            in ``folder``, from a call with the same seed. What comes is what would have come then.
        max_steps: of an episode; None: the task's.
        target_return: stop after the first planned episode that reaches it.
        folder: where bags and models go; None: nowhere.
        overrides: parameters by node, with dotted names, that win over the file.
        on_step: called after each step with the episode so far.
        on_episode: called after each episode, when its bag is finished, and what it caused to be
            trained is trained.

    Returns:
        The episodes, from ``first_episode`` to the last.

    Raises:
        SettingsError: if the file or the overrides are wrong.
    """
    extra = dict(overrides or {})

    def settings(node: str, cls: type) -> Any:
        return node_settings(params_file, node, cls, extra.get(node))

    torch.set_num_threads(1)
    learner = Learner(
        dataclasses.replace(settings('dynamics', DynamicsSettings), seed=seed), folder
    )
    planner = Planner(settings('planner', PlannerSettings))
    # Runs of other seeds are other data, also where they are learned from together.
    session = derive_seed(seed, 'session')
    pilot = Pilot(settings('mpc_controller', MpcSettings), 'learn', session)
    pilot.go_on(learner.next_sequence('learn', session))
    # Its time goes on across episodes: by a period for each step, and for each reset.
    period = round(pilot.task.control_period * 1e9)
    simulation = Simulation(
        settings('sim_bridge', SimBridgeSettings), (pilot.total_steps + first_episode) * period
    )
    if learner.snapshot is not None:
        planner.set_model(learner.snapshot.data, learner.snapshot.version)

    def train() -> float:
        began = time.perf_counter()
        learner.train()
        snapshot = learner.snapshot
        if snapshot is not None:
            planner.set_model(snapshot.data, snapshot.version)
        return time.perf_counter() - began

    done: list[Episode] = []
    with contextlib.closing(learner):
        for episode in range(first_episode, episodes):
            began = time.perf_counter()
            training_time = score = 0.0
            transitions: list[Transition] = []
            pilot.begin(episode, seed, explore=episode < exploration_episodes, max_steps=max_steps)
            pilot.observe(simulation.reset(pilot.reset_seed), simulation.time_ns)
            while not pilot.done:
                action = None
                if pilot.needs_plan:
                    try:
                        pilot.take_plan(planner.plan(pilot.plan_request()))
                    except PlanningFailedError:
                        action = pilot.act_safely()
                state = simulation.step(pilot.act() if action is None else action)
                score += simulation.score
                pilot.observe(state, simulation.time_ns)
                transition = pilot.take_transition()
                assert transition is not None
                transitions.append(transition)
                if learner.add(transition).training_due:
                    training_time += train()
                if on_step is not None:
                    on_step(pilot.record)
            learner.wait_for_disk()
            snapshot = learner.snapshot
            done.append(
                Episode(
                    record=pilot.record,
                    score=score,
                    total_steps=pilot.total_steps,
                    holdout_error=math.nan if snapshot is None else snapshot.holdout_error,
                    training_time=training_time,
                    wall_time=time.perf_counter() - began,
                    model_version=learner.version,
                    transitions=transitions,
                )
            )
            if on_episode is not None:
                on_episode(done[-1])
            if not pilot.record.explore and pilot.record.episode_return >= target_return:
                break
    return done
