"""What the examples share: episodes in the simulation, learning from them, planning step by step.

The suite's cores without ROS: `mbrl_sim_bridge` is the robot, `mbrl_dynamics` learns, and
`mbrl_planner` plans, all in this process.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from mbrl_common.settings import build
from mbrl_common.task import TaskSettings
from mbrl_dynamics.learner import Learner
from mbrl_dynamics.model import DynamicsModel
from mbrl_dynamics.transition import Transition
from mbrl_planner.objectives import Objective
from mbrl_planner.optimizer import Start, cold_start
from mbrl_planner.optimizers import make_optimizer
from mbrl_planner.rollout import Rollout
from mbrl_planner.settings import OptimizerSettings, PlanningSettings
from mbrl_planner.warm_start import WarmStart
from mbrl_sim_bridge.simulation import Simulation

ROBOT, SESSION = 'example', 1


@dataclasses.dataclass(frozen=True)
class Episode:
    """What happened: ``states`` [T + 1, S] and the ``actions`` [T, A] in between."""

    states: np.ndarray
    actions: np.ndarray


@dataclasses.dataclass(frozen=True)
class Planned:
    """An episode that was planned.

    Attributes:
        episode: what happened.
        plans: step, and the states [H + 1, S] that were predicted there.
    """

    episode: Episode
    plans: list[tuple[int, np.ndarray]]


def begin_at(simulation: Simulation, position: np.ndarray, velocity: np.ndarray) -> np.ndarray:
    """Reset the simulation and put all joints there [m, m/s]; returns the state."""
    simulation.reset(0)
    simulation.data.qpos[:], simulation.data.qvel[:] = position, velocity
    return simulation.state


def play(
    simulation: Simulation,
    act: Callable[[int, np.ndarray], np.ndarray],
    steps: int,
    is_over: Callable[[np.ndarray], bool] = lambda state: False,
) -> Episode:
    """Play an episode from the simulation's state on.

    Args:
        simulation: in the state to begin with.
        act: ``act(step, state [S]) -> action [A]``.
        steps: at most so many.
        is_over: ``is_over(state [S])``, asked after each step.
    """
    states, actions = [simulation.state], []
    for step in range(steps):
        states.append(simulation.step(act(step, states[-1])))
        actions.append(simulation.action)  # as executed, within the bounds
        if is_over(states[-1]):
            break
    return Episode(np.array(states), np.array(actions))


def add_episode(learner: Learner, episode: Episode) -> None:
    """Give an episode to the learner, which learns from it in its next training."""
    period = round(learner.settings.task.control_period * 1e9)
    number, last = learner.episodes, len(episode.actions) - 1
    for step, action in enumerate(episode.actions):
        sequence = learner.next_sequence(ROBOT, SESSION)
        transition = Transition(
            stamp=sequence * period,
            next_stamp=(sequence + 1) * period,
            robot=ROBOT,
            session=SESSION,
            sequence=sequence,
            episode=number,
            step=step,
            state=episode.states[step],
            action=action,
            next_state=episode.states[step + 1],
            reward=0.0,
            terminated=False,
            truncated=step == last,
        )
        learner.add(transition)


def train(learner: Learner) -> DynamicsModel:
    """Train on all episodes so far; returns the model."""
    outcome = learner.train()
    if outcome.snapshot is None:
        raise RuntimeError(f'the training failed: {outcome.message}')
    return DynamicsModel.from_bytes(outcome.snapshot.data)


class RecedingHorizon:
    """Model-predictive control: plan, execute the first steps of the plan, plan again.

    ``plans`` has, for each plan, the step it was made at and the states [H + 1, S] that the model
    predicts, the mean over its members.
    """

    def __init__(
        self,
        model: DynamicsModel,
        objective: Objective,
        task: TaskSettings,
        *,
        planner: Mapping[str, Any],
        optimizer: Mapping[str, Any],
        replan_every: int = 1,
        goal: Sequence[float] = (),
        seed: int = 0,
    ) -> None:
        """
        Args:
            model: to plan in.
            objective: to maximise over the horizon.
            task: the bounds of the action.
            planner: settings of ``mbrl_planner.settings.PlanningSettings``.
            optimizer: settings of ``mbrl_planner.settings.OptimizerSettings``.
            replan_every: steps executed of each plan.
            goal: as the objective takes it; empty: its default.
            seed: of the candidates.
        """
        self._settings = build(PlanningSettings, planner)
        self._rollout = Rollout(model, objective, self._settings)
        self._optimizer = make_optimizer(build(OptimizerSettings, optimizer))
        self._low, self._high = (torch.tensor(b, dtype=torch.float32) for b in task.bounds)
        self._goal = torch.tensor(objective.check_goal(goal), dtype=torch.float32)[None]
        self._generators = [torch.Generator().manual_seed(seed)]
        self._replan_every = replan_every
        self._start = cold_start(self._low, self._high, 1, self._settings.horizon)
        self._actions = np.empty((0, task.action_dim))
        self.plans: list[tuple[int, np.ndarray]] = []

    def __call__(self, step: int, state: np.ndarray) -> np.ndarray:
        """The action [A] in a state [S]; the steps are counted from 0 on."""
        if step % self._replan_every == 0:
            self._plan(step, state)
        return self._actions[step % self._replan_every]

    @torch.inference_mode()
    def _plan(self, step: int, state: np.ndarray) -> None:
        start = torch.tensor(state, dtype=torch.float32)[None]
        self._rollout.begin(start, self._goal, self._generators)
        solution = self._optimizer.optimize(
            self._rollout, self._low, self._high, self._start, self._generators
        )
        assert solution.index is not None  # iCEM executes the best candidate
        predicted, _ = self._rollout.trajectory(solution.index)
        self._actions = solution.actions[0].double().numpy()
        self.plans.append((step, predicted[0].double().numpy()))
        kept = WarmStart(solution.mean[0].numpy(), solution.elites[0].numpy())
        kept = kept.shifted(self._replan_every)
        self._start = Start(torch.from_numpy(kept.mean)[None], torch.from_numpy(kept.elites)[None])
