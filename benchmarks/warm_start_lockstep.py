"""Planned episodes with a model that stays as it is, in one process: what ``learn`` does without
learning."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mbrl_common.taskfile import node_settings
from mbrl_dynamics.learner import Learner
from mbrl_dynamics.settings import DynamicsSettings
from mbrl_mpc.pilot import Pilot
from mbrl_mpc.settings import MpcSettings
from mbrl_planner.planner import Planner
from mbrl_planner.settings import PlannerSettings
from mbrl_sim_bridge.settings import SimBridgeSettings
from mbrl_sim_bridge.simulation import Simulation


class Lockstep:
    """A simulation and a planner with the newest model of a run folder."""

    def __init__(self, params: Path, folder: Path, planner: Mapping[str, Any]) -> None:
        """
        Args:
            params: the task's parameter file.
            folder: where ``learn`` has kept a model.
            planner: parameters that win over the file's.
        """
        torch.set_num_threads(1)
        self._params = params
        learner = Learner(node_settings(params, 'dynamics', DynamicsSettings), folder)
        snapshot = learner.snapshot
        learner.close()
        if snapshot is None:
            raise SystemExit(f'{folder} has no model')
        self._simulation = Simulation(node_settings(params, 'sim_bridge', SimBridgeSettings))
        self._planner = Planner(node_settings(params, 'planner', PlannerSettings, planner))
        self._planner.set_model(snapshot.data, snapshot.version)

    def run(self, warm: bool, seed: int, first: int, episodes: int) -> list[dict[str, Any]]:
        """For each episode its number, its return, and its actions by step."""
        overrides = {'control.warm_start': warm}
        settings = node_settings(self._params, 'mpc_controller', MpcSettings, overrides)
        pilot, simulation = Pilot(settings, 'warm_start', seed), self._simulation
        found = []
        for episode in range(first, first + episodes):
            pilot.begin(episode, seed, explore=False, max_steps=None)
            pilot.observe(simulation.reset(pilot.reset_seed), simulation.time_ns)
            actions: dict[int, np.ndarray] = {}
            while not pilot.done:
                if pilot.needs_plan:
                    pilot.take_plan(self._planner.plan(pilot.plan_request()))
                action = pilot.act()
                actions[len(actions)] = action.copy()
                pilot.observe(simulation.step(action), simulation.time_ns)
                pilot.take_transition()
            earned = pilot.record.episode_return
            found.append({'episode': episode, 'return': earned, 'actions': actions})
        return found
