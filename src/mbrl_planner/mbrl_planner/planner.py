"""The planner: states, goals and a model in, plans out; nothing remembered but the model."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from mbrl_common.seeding import derive_seed
from mbrl_common.settings import SettingsError
from mbrl_common.task import TaskSettings
from mbrl_dynamics.chunks import use_threads
from mbrl_dynamics.model import DynamicsModel
from mbrl_dynamics.precision import fast_fp32
from mbrl_dynamics.snapshot import SnapshotError
from mbrl_planner.candidates import Candidates
from mbrl_planner.objectives import ObjectiveSettings, make_objective
from mbrl_planner.optimizer import Iteration, Start
from mbrl_planner.optimizers import make_optimizer
from mbrl_planner.plan import (
    ModelOutdatedError,
    NoModelError,
    PlannerError,
    PlanningFailedError,
    PlanRequest,
    PlanRequestError,
    PlanResult,
)
from mbrl_planner.requests import Problem, check_request
from mbrl_planner.rollout import Model, Rollout
from mbrl_planner.settings import PlannerSettings, PlanningSettings
from mbrl_planner.splines import Knots
from mbrl_planner.warm_start import WarmStart

if TYPE_CHECKING:
    from mbrl_planner.mujoco_rollout import MujocoRollout


__all__ = [
    'ModelOutdatedError',
    'NoModelError',
    'PlanRequest',
    'PlanRequestError',
    'PlanResult',
    'Planner',
    'PlannerError',
    'PlanningFailedError',
    'WarmStart',
    'check_model',
]


class Planner:
    """Plans in one model. The same request and the same model give the same plan, bit for bit,
    unless ``planner.time_budget`` cuts it short.

    The model's rows are shared out to ``planner.threads`` threads; torch's own are set to one in
    this process, as sums depend on how they are split.
    """

    def __init__(self, settings: PlannerSettings) -> None:
        """Raises SettingsError: the backend cannot do what is asked of it."""
        planning = settings.planner
        use_threads(planning.threads)
        fast_fp32()  # tried out now rather than in the first plan
        self._settings = settings
        self._task = settings.task
        self._low, self._high = settings.task.bounds
        self._low32 = torch.tensor(self._low, dtype=torch.float32)
        self._high32 = torch.tensor(self._high, dtype=torch.float32)
        self._optimizer = make_optimizer(settings.optimizer)
        # What is made in inference mode, which is a little faster, can have no gradient ever.
        gradient = self._optimizer.needs_gradient
        if gradient and planning.backend == 'mujoco':
            raise SettingsError(
                [
                    f"parameter 'optimizer.name' is {settings.optimizer.name!r}, which follows the "
                    "gradient of the returns; the backend 'mujoco' has none: plan in the 'model', "
                    'or with another optimiser'
                ]
            )
        self._mode = torch.no_grad if gradient else torch.inference_mode
        self._knots = Knots(planning.horizon, planning.knots, planning.spline)
        self._objective = make_objective(settings.objective, settings.task)
        self._model: Model | None = None
        self._version = 0
        self._rollout = self._make_rollout()
        self.keeps_candidates = False
        """Whether somebody wants to see ``candidates``."""
        self.candidates: Candidates | None = None
        """Of the last plan's last iteration (of a batch, one robot's), to be read before the next
        plan is made; None unless they are kept."""

    @property
    def model_version(self) -> int:
        """Version of the model in use; 0: none."""
        return self._version

    @property
    def ready(self) -> bool:
        """Whether there is something to plan in."""
        return self._rollout is not None

    def set_model(self, data: bytes, version: int) -> None:
        """Use another model from the next plan on; with another backend than 'model', do nothing.

        Raises:
            SnapshotError: the snapshot is bad or of another task; the old model stays in use.
        """
        if self._settings.planner.backend != 'model':
            return
        if version < 1:
            raise SnapshotError(f'model version is {version}; it must be at least 1')
        self.use_model(DynamicsModel.from_bytes(data), version)

    def use_model(self, model: Model, version: int) -> None:
        """Like ``set_model``, with any model that has the interface of ``rollout.Model``."""
        check_model(model, self._task, self._settings.planner)
        self._model = model
        self._version = version
        self._rollout = self._make_rollout()

    def set_objective(self, settings: ObjectiveSettings) -> None:
        """Use another objective, or other weights, from the next plan on.

        Raises:
            SettingsError: unknown objective or term; the old one stays in use.
        """
        self._objective = make_objective(settings, self._task)
        self._rollout = self._make_rollout()

    def _make_rollout(self) -> Rollout | MujocoRollout | None:
        planning = self._settings.planner
        if planning.backend == 'mujoco':
            from mbrl_planner.mujoco_rollout import MujocoRollout  # loading MuJoCo takes a while

            return MujocoRollout(self._task, self._objective, planning)
        return None if self._model is None else Rollout(self._model, self._objective, planning)

    def plan(self, request: PlanRequest) -> PlanResult:
        """Plan from a state.

        Raises:
            NoModelError, ModelOutdatedError, PlanRequestError, PlanningFailedError: each says
                what would be right.
        """
        answer = self.plan_many([request])[0]
        if isinstance(answer, PlannerError):
            raise answer
        return answer

    def plan_many(self, requests: Sequence[PlanRequest]) -> list[PlanResult | PlannerError]:
        """Plan for many robots at once, in one batch.

        A robot's plan is what it would be alone, but for the rounding of sums; a time budget is
        shared. Robots that bring as many elites along make a batch, so mixing cold and warm starts
        makes two.

        Returns:
            for each request its plan, or the error that ``plan`` would raise: what is wrong with
            one does not concern the others.
        """
        began = time.perf_counter()
        answers: dict[int, PlanResult | PlannerError] = {}
        checked: dict[int, Problem] = {}
        groups: dict[int, dict[int, Problem]] = {}
        for robot, request in enumerate(requests):
            try:
                checked[robot] = self._check(request)
            except PlannerError as error:
                answers[robot] = error
        for robot, problem in zip(checked, self._ahead(list(checked.values()))):
            if isinstance(problem, PlannerError):
                answers[robot] = problem
            else:
                groups.setdefault(problem.elites, {})[robot] = problem
        waiting = sum(map(len, groups.values()))
        budget = self._settings.planner.time_budget
        for group in groups.values():
            now = time.perf_counter()
            share = len(group) / waiting
            deadline = now + (began + budget - now) * share if budget else math.inf
            with self._mode():
                answers.update(zip(group, self._solve(list(group.values()), deadline)))
            waiting -= len(group)
        spent = time.perf_counter() - began
        return [
            dataclasses.replace(answer, planning_time=spent)
            if isinstance(answer, PlanResult)
            else answer
            for _, answer in sorted(answers.items())
        ]

    def _check(self, request: PlanRequest) -> Problem:
        if self._rollout is None:
            raise NoModelError('no model has been received yet; one must be trained first')
        if self._model is not None and self._version < request.min_model_version:
            raise ModelOutdatedError(
                f'the model has version {self._version}; the request wants '
                f'{request.min_model_version} or newer: ask again when that has arrived'
            )
        horizon = self._settings.planner.horizon
        return check_request(request, self._task, self._objective, horizon, self._history)

    @property
    def _history(self) -> int:
        return 1 if self._model is None else self._model.history

    def _ahead(self, problems: Sequence[Problem]) -> list[Problem | PlannerError]:
        """Problems from where their plans take effect."""
        if not problems:
            return []
        assert self._rollout is not None
        with self._mode():
            carried = self._rollout.ahead(problems)
        return [
            after
            if np.isfinite(after.window).all()
            else self._failed(before, 'lead_actions lead to no finite state')
            for before, after in zip(problems, carried)
        ]

    def _solve(
        self, problems: Sequence[Problem], deadline: float
    ) -> list[PlanResult | PlannerError]:
        """Plans of problems with as many elites each."""
        rollout = self._rollout
        assert rollout is not None
        self.candidates = None
        low, high = self._low32, self._high32
        generators = [torch.Generator().manual_seed(each.seed) for each in problems]
        _begin(rollout, problems, generators)
        evaluate = self._knots.evaluate(rollout, low, high)
        solution = self._optimizer.optimize(
            evaluate, low, high, self._start(problems), generators, deadline
        )
        if self.keeps_candidates:
            self.candidates = rollout.candidates(0)
        actions = self._knots.actions(solution.actions, low, high)
        value, index, steps = solution.value, solution.index, rollout.model_steps
        if index is None:  # a mean, which no one has evaluated yet
            # Drawn afresh: how much a generator has given so far may depend on the company.
            seeds = [derive_seed(each.seed, 'mean') for each in problems]
            _begin(rollout, problems, [torch.Generator().manual_seed(seed) for seed in seeds])
            value = rollout(actions[:, None])[:, 0]
            index = torch.zeros(len(problems), dtype=torch.int64)
            steps += rollout.model_steps
        state_mean, state_std = (array.double().numpy() for array in rollout.trajectory(index))
        terms = rollout.terms(index).double().tolist()
        state_mean[:, 0] = [each.state for each in problems]
        # rounding a bound to float32 may put it outside
        clipped = np.clip(actions.double().numpy(), self._low, self._high)
        best, average, spread = _curves(solution.iterations, len(problems))
        mean, elites = map(self._knots.expand, (solution.mean, solution.elites))
        return [
            PlanResult(
                actions=clipped[robot],
                state_mean=state_mean[robot],
                state_std=state_std[robot],
                predicted_return=float(value[robot]),
                warm_start=WarmStart(mean[robot], elites[robot]),
                model_version=self._version,
                model_steps=steps // len(problems) + problem.lead_steps * rollout.lead_members,
                planning_time=math.nan,
                history=self._history,
                iteration_best=best[robot],
                iteration_mean=average[robot],
                iteration_spread=spread[robot],
                term_returns=dict(zip(rollout.term_names, terms[robot])),
            )
            if math.isfinite(value[robot])
            else self._failed(problem)
            for robot, problem in enumerate(problems)
        ]

    def _failed(
        self, problem: Problem, what: str = 'no candidate has a finite return'
    ) -> PlanningFailedError:
        where = f'from the state {problem.state.tolist()}'
        if self._model is None:
            return PlanningFailedError(f'{what} {where}: the simulation diverges there')
        return PlanningFailedError(
            f'{what} with model version {self._version} {where}: the model diverges there; train '
            'it on more data'
        )

    def _start(self, problems: Sequence[Problem]) -> Start:
        """Where the optimiser begins, in knots."""
        middle = ((self._low32 + self._high32) / 2).expand(self._knots.count, -1)
        means, elites = [], []
        for each in problems:
            if each.warm_start is None:
                means.append(middle)
                elites.append(middle.new_empty(0, *middle.shape))
            else:
                means.append(self._knots.project(each.warm_start.mean))
                elites.append(self._knots.project(each.warm_start.elites))
        return Start(torch.stack(means), torch.stack(elites))


def _begin(
    rollout: Rollout | MujocoRollout,
    problems: Sequence[Problem],
    generators: Sequence[torch.Generator],
) -> None:
    windows, goals, past_actions = (
        torch.tensor(np.array(rows), dtype=torch.float32)
        for rows in zip(*((each.window, each.goal, each.past_actions) for each in problems))
    )
    rollout.begin(windows, goals, generators, past_actions)


def _curves(iterations: Sequence[Iteration], robots: int) -> np.ndarray:
    """Best, mean and spread of each iteration, [3, R, iterations], float64."""
    rows = [torch.stack([each.best, each.mean, each.spread]).double() for each in iterations]
    return torch.stack(rows, -1).numpy() if rows else np.empty((3, robots, 0))


def check_model(model: Model, task: TaskSettings, planning: PlanningSettings) -> None:
    """Raise ``SnapshotError`` where a model does not fit the task, or lacks what is asked of it."""
    has = (model.state_dim, model.action_dim)
    wants = (task.state_dim, task.action_dim)
    if has != wants:
        raise SnapshotError(
            f'the model has {has[0]} entries of state and {has[1]} of action; '
            f'task {task.name!r} has {wants[0]} and {wants[1]}'
        )
    for name, learned in (
        ('reward', model.learns_reward),
        ('termination', model.learns_termination),
    ):
        if getattr(planning, name) == 'model' and not learned:
            raise SnapshotError(
                f"'planner.{name}' is 'model', and the model has not learned it: set "
                f"'model.{name}' of the dynamics node, or let the objective say"
            )
