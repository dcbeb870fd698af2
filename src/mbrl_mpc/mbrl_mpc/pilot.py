"""The receding-horizon loop, one state at a time, without ROS and without waiting for anything.

The pilot turns a state into what happened (a transition), what to ask the planner, and what to do.
Who calls it decides where planning and physics happen: ``session`` does so over ROS messages,
``mbrl_bringup.learn`` in one process. Both get the same actions from the same seed.
"""

from __future__ import annotations

import dataclasses
import math
from collections import deque

import numpy as np
import torch

from mbrl_common.seeding import derive_seed
from mbrl_dynamics.transition import Transition
from mbrl_mpc.action_guard import ActionGuard
from mbrl_mpc.exploration import exploration
from mbrl_mpc.foresight import Foresight
from mbrl_mpc.modes import Mode
from mbrl_mpc.settings import MpcSettings
from mbrl_planner.objectives import ObjectiveSettings, make_objective
from mbrl_planner.planner import PlanRequest, PlanResult

LONGEST_HISTORY = 64  # steps that a model may look back
_RESTING = 1e-24  # what rounding makes of a target at rest, between two states, is no motion


def reset_seed_of(seed: int, episode: int) -> int:
    """Seed of an episode's initial state: of the run's seed and the episode's number alone."""
    return derive_seed(seed, 'reset', episode)


@dataclasses.dataclass
class EpisodeRecord:
    """What one episode has done so far."""

    episode: int
    explore: bool
    steps: int = 0
    episode_return: float = 0.0
    terminated: bool = False
    truncated: bool = False
    model_version: int = 0
    model_steps: int = 0
    plan_times: list[float] = dataclasses.field(default_factory=list)
    squared_error: np.ndarray | None = None  # sums over steps, per entry of the state
    squared_change: np.ndarray | None = None

    @property
    def model_error(self) -> float:
        """One-step prediction error relative to predicting no change, mean over the state's
        entries; NaN before the first prediction."""
        if self.squared_error is None or self.squared_change is None:
            return math.nan
        moving = self.squared_change > _RESTING
        if not moving.any():
            return math.nan
        return float(np.sqrt(self.squared_error[moving] / self.squared_change[moving]).mean())

    def compare(self, predicted: np.ndarray, state: np.ndarray, next_state: np.ndarray) -> None:
        """Count one step's prediction; all of shape [state_dim]."""
        if self.squared_error is None or self.squared_change is None:
            self.squared_error = np.zeros(len(state))
            self.squared_change = np.zeros(len(state))
        self.squared_error += (predicted - next_state) ** 2
        self.squared_change += (state - next_state) ** 2

    def plan_time(self, percentile: float) -> float:
        """A percentile of the planning time [s]; NaN if nothing was planned."""
        return float(np.percentile(self.plan_times, percentile)) if self.plan_times else math.nan


@dataclasses.dataclass(frozen=True)
class _Step:
    """What led to a state: the state before, its action and stamp, and what was expected."""

    state: np.ndarray
    action: np.ndarray
    stamp: int
    predicted: np.ndarray | None


class Pilot:
    """Flies one episode after the other: explores at random, or follows plans."""

    def __init__(self, settings: MpcSettings, robot: str = '', session: int = 0) -> None:
        """
        Args:
            settings: of the controller.
            robot: goes into the transitions, to tell several robots apart.
            session: likewise, to tell this run's sequence numbers from another's.
        """
        self.task = settings.task
        self._control = settings.control
        self._robot_settings = settings.robot
        self.objective = make_objective(settings.objective, settings.task)
        self.goal = np.array(self.objective.default_goal, dtype=np.float64)
        self.guard = ActionGuard(
            settings.task,
            settings.control.safe_action,
            settings.control.max_action_rate,
            hold=settings.robot.safe_command == 'hold',
        )
        self.mode = Mode.of(settings.control.replan_every)
        """What decides the actions of planned episodes, and of which kind random ones are; may be
        set at any time."""
        self.step_error = math.nan
        """Of the state observed last: how far it is from what was expected, relative to the change
        that was expected; NaN if nothing was."""
        self.foresight = Foresight()
        self._robot = robot
        self._session = session
        self._sequence = 0
        self._seed = 0
        self._max_steps = settings.task.max_steps
        self.record = EpisodeRecord(0, explore=True)
        self.observed = False
        """Whether a state of the episode has been."""
        self._state = np.zeros(settings.task.state_dim)
        self._stamp = 0
        self._action: np.ndarray | None = None
        self._last: _Step | None = None  # observed, and not taken as a transition yet
        self._past: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=LONGEST_HISTORY)
        self._history = 1  # states that the model sees, as the last plan said
        self._plan: PlanResult | None = None
        self._plan_step = 0  # steps of the plan already executed
        self._predicted: np.ndarray | None = None
        self.total_steps = 0

    def go_on(self, steps: int) -> None:
        """Begin where an earlier run of the same session ended, after so many transitions."""
        self._sequence = self.total_steps = steps

    def set_goal(self, goal: np.ndarray) -> None:
        """Set the objective's goal, from the next plan on; raises ValueError if it is not one."""
        self.goal = np.array(self.objective.check_goal(goal), dtype=np.float64)

    def goal_at(self, step: int) -> np.ndarray:
        """The goal that holds for a step of the episode; another one each time if it moves."""
        return self.objective.goal_after(torch.from_numpy(self.goal), step).numpy()

    def set_objective(self, settings: ObjectiveSettings) -> None:
        """Score with this objective from the next step on; the goal stays if it still fits."""
        self.objective = make_objective(settings, self.task)
        try:
            self.objective.check_goal(self.goal)
        except ValueError:
            self.goal = np.array(self.objective.default_goal, dtype=np.float64)

    def begin(
        self, episode: int, seed: int, *, explore: bool, max_steps: int | None = None
    ) -> None:
        """Start an episode; the next state observed is its first.

        Args:
            episode: its number in the dataset.
            seed: of the run; the episode's randomness depends on it and on the numbers of episode
                and step alone.
            explore: act at random instead of planning.
            max_steps: its limit; None: the task's.
        """
        self.record = EpisodeRecord(episode, explore)
        self.foresight.begin()
        self._seed = seed
        self._max_steps = max_steps or self.task.max_steps
        self._action = self._last = None
        self._predicted = None
        self.observed = False
        self.step_error = math.nan
        self._past.clear()
        self.drop_plan()
        self.guard.reset()

    @property
    def reset_seed(self) -> int:
        """Seed of the initial state of the episode begun."""
        return reset_seed_of(self._seed, self.record.episode)

    @property
    def max_steps(self) -> int:
        """Steps after which the episode is cut off."""
        return self._max_steps

    @property
    def state(self) -> np.ndarray:
        """The state observed last, [state_dim]."""
        return self._state

    @property
    def past(self) -> tuple[np.ndarray, np.ndarray]:
        """The states [k, state_dim] before that one, and the actions [k, action_dim] that followed
        each of them: as many as the model looks back, fewer after the start of an episode."""
        wanted = min(self._history - 1, len(self._past))
        past = list(self._past)[len(self._past) - wanted :]
        return np.array([state for state, _ in past]), np.array([action for _, action in past])

    @property
    def path(self) -> np.ndarray:
        """The last states of the episode, [n, state_dim], that observed last at the end: as many
        as a model may look back, and one more."""
        return np.array([*(state for state, _ in self._past), self._state])

    @property
    def stamp(self) -> int:
        """Stamp of the state observed last [ns]."""
        return self._stamp

    @property
    def done(self) -> bool:
        """The episode has ended."""
        return self.record.terminated or self.record.truncated

    def observe(self, state: np.ndarray, stamp: int) -> None:
        """Take in the state that the last action led to; the first one of an episode if there was
        no action yet. Cheap, because the next plan waits for it; see :meth:`take_transition`.

        Args:
            state: shape [state_dim].
            stamp: of the state [ns].
        """
        record = self.record
        if self._action is not None:
            record.steps += 1
            self._look(state)
            self._note_error(state)
            self._last = _Step(self._state, self._action, self._stamp, self._predicted)
            self._past.append((self._state, self._action))
        self._state, self._stamp = state, stamp
        self._action = None
        self.observed = True

    def executed(self, action: np.ndarray, predicted: np.ndarray | None = None) -> None:
        """Say what was executed since the state observed last, where that is known only now.

        Args:
            action: [action_dim], as it was sent.
            predicted: [state_dim], the state that it was expected to lead to.
        """
        self._action, self._predicted = action, predicted

    def skip(self, state: np.ndarray | None, stamp: int) -> None:
        """A step passed of which there is no transition; ``state`` [state_dim] is None if what it
        led to is not known either. What the model sees begins anew."""
        self.record.steps += 1
        self._last = self._action = self._predicted = None
        self.step_error = math.nan
        self._past.clear()
        if state is None:
            self.record.truncated = self.record.steps >= self._max_steps
        else:
            self._look(state)
            self._state, self._stamp = state, stamp

    def _note_error(self, state: np.ndarray) -> None:
        self.step_error = math.nan
        if self._predicted is not None:
            change = float(np.linalg.norm(self._predicted - self._state))
            if change > 0:
                self.step_error = float(np.linalg.norm(state - self._predicted)) / change

    def _look(self, state: np.ndarray) -> None:
        """Whether the episode ends in a state."""
        record = self.record
        record.terminated = bool(self.objective.terminated(torch.from_numpy(state)))
        record.truncated = not record.terminated and record.steps >= self._max_steps

    def take_transition(self) -> Transition | None:
        """The transition into the state observed last, scored; None for the first of an episode.
        To be called once after each :meth:`observe`."""
        last, self._last = self._last, None
        if last is None:
            return None
        record = self.record
        reward = self._reward(last.state, last.action, self._state)
        record.episode_return += reward
        self.foresight.rewarded(record.steps - 1, reward)
        if last.predicted is not None:
            record.compare(last.predicted, last.state, self._state)
            self.foresight.compare(last.predicted, last.state, self._state)
        transition = Transition(
            stamp=last.stamp,
            next_stamp=self._stamp,
            robot=self._robot,
            session=self._session,
            sequence=self._sequence,
            episode=record.episode,
            step=record.steps - 1,
            state=last.state,
            action=last.action,
            next_state=self._state,
            reward=reward,
            terminated=record.terminated,
            truncated=record.truncated,
        )
        self._sequence += 1
        self.total_steps += 1
        return transition

    @property
    def needs_plan(self) -> bool:
        """Whether the next action must come from a new plan."""
        if self.explores or not self.mode.plans:
            return False
        return self._plan is None or self.mode.due(
            self._plan_step, len(self._plan.actions), self.step_error
        )

    @property
    def explores(self) -> bool:
        """Whether actions are drawn at random."""
        return self.record.explore or self.mode.explores

    @property
    def holds(self) -> bool:
        """Whether the safe action is held."""
        return self.mode.name == 'hold' and not self.record.explore

    def plan_request(self, min_model_version: int = 0) -> PlanRequest:
        """What to ask the planner for the state observed last."""
        warm_start = None
        if self.warm and self._plan is not None:
            warm_start = self._plan.warm_start.shifted(self._plan_step)
        past_states, past_actions = self.past
        return PlanRequest(
            state=self._state,
            goal=self.goal_at(self.record.steps),
            seed=derive_seed(self._seed, 'plan', self.record.episode, self.record.steps),
            min_model_version=min_model_version,
            warm_start=warm_start,
            past_states=past_states,
            past_actions=past_actions,
        )

    def take_plan(self, plan: PlanResult, step: int | None = None) -> None:
        """Follow this plan, from a step of the episode on; None: from now on."""
        begins = self.record.steps if step is None else step
        self.foresight.planned(begins, len(plan.actions), plan.predicted_return)
        self._plan, self._plan_step = plan, 0
        self._history = plan.history
        self.record.model_version = plan.model_version
        self.record.model_steps = plan.model_steps
        self.record.plan_times.append(plan.planning_time)

    @property
    def warm(self) -> bool:
        """Whether the next request carries a warm start."""
        return self._control.warm_start and self._plan is not None

    def drop_plan(self) -> None:
        """Forget the plan and its warm start."""
        self._plan, self._plan_step = None, 0

    def act(self) -> np.ndarray:
        """The action for the state observed last, as it is to be executed; shape [action_dim]."""
        if self.explores:
            return self._execute(self.explore_at(self.record.steps))
        if self._plan is None or self.holds:
            return self.act_safely()
        action = self._plan.actions[self._plan_step]
        before, predicted = self._plan.state_mean[self._plan_step : self._plan_step + 2]
        if self._plan_step > 0:  # the plan has not seen this state: its change is what it says
            predicted = self._state + predicted - before
        self._plan_step += 1
        return self._execute(action, predicted)

    def act_safely(self) -> np.ndarray:
        """The safe action, where there is no plan to follow."""
        self.drop_plan()
        return self._execute(self.guard.safe_action)

    def cut_off(self) -> None:
        """End the episode here; what is missing of the last step is lost."""
        self.record.truncated = True

    def _execute(self, action: np.ndarray, predicted: np.ndarray | None = None) -> np.ndarray:
        self._action = self.guard.check(action)
        # A prediction for another action than the one executed says nothing about the model.
        same = np.array_equal(self._action, np.asarray(action, dtype=np.float64))
        self._predicted = predicted if same else None
        return self._action

    def explore_at(self, step: int) -> np.ndarray:
        """The random action [action_dim] of a step of the episode: of the kind that the mode names,
        or else the settings."""
        return exploration(
            self.mode.kind or self._robot_settings.exploration,
            self.guard.low,
            self.guard.high,
            seed=self._seed,
            episode=self.record.episode,
            step=step,
            hold=self._control.exploration_hold,
            colour=self._robot_settings.exploration_colour,
            stride=self._robot_settings.exploration_stride,
            max_steps=self._max_steps,
            start=self._control.safe_action,
        )

    def _reward(self, state: np.ndarray, action: np.ndarray, next_state: np.ndarray) -> float:
        goal = self.goal_at(self.record.steps - 1)
        arrays = (torch.from_numpy(array) for array in (state, action, next_state, goal))
        return float(self.objective.reward(*arrays))
