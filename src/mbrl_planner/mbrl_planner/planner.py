"""The planner: a state, a goal and a model in, a plan out; nothing remembered but the model."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from mbrl_common.task import TaskSettings
from mbrl_dynamics.model import DynamicsModel
from mbrl_dynamics.snapshot import SnapshotError
from mbrl_planner.cem import Cem
from mbrl_planner.icem import Icem
from mbrl_planner.objectives import ObjectiveSettings, make_objective
from mbrl_planner.optimizer import Optimizer, Start, cold_start
from mbrl_planner.rollout import Model, Rollout
from mbrl_planner.settings import OptimizerSettings, PlannerSettings, PlanningSettings
from mbrl_planner.warm_start import WarmStart

_OPTIMIZERS: dict[str, Callable[[OptimizerSettings], Optimizer]] = {'cem': Cem, 'icem': Icem}


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
    'make_optimizer',
]


class PlannerError(RuntimeError):
    """No plan could be made; the text says what, where, and what would be right."""


class NoModelError(PlannerError):
    """There is no model yet."""


class ModelOutdatedError(PlannerError):
    """The model is older than the request wants."""


class PlanRequestError(PlannerError):
    """The request is wrong: dimensions, numbers that are not finite, or the goal."""


class PlanningFailedError(PlannerError):
    """No candidate had a finite return."""


@dataclasses.dataclass(frozen=True)
class PlanRequest:
    """All that a plan depends on, besides the model.

    Attributes:
        state: [S], units as the task declares them.
        goal: as the objective says; empty: its default.
        past_states: [k, S], the states before it in this episode, oldest first; as many as
            ``PlanResult.history`` asks for, less one, fewer at the start of an episode.
        past_actions: [k, A], the action that followed each of them.
        seed: of all randomness of this plan, 0 to 2**64 - 1.
        min_model_version: refuse to plan with an older model; 0: any.
        warm_start: the last plan's, shifted to now (``WarmStart.shifted``); None: cold start.
    """

    state: Sequence[float] | np.ndarray
    goal: Sequence[float] | np.ndarray = ()
    seed: int = 0
    min_model_version: int = 0
    warm_start: WarmStart | None = None
    past_states: Sequence[Sequence[float]] | np.ndarray = ()
    past_actions: Sequence[Sequence[float]] | np.ndarray = ()


@dataclasses.dataclass(frozen=True)
class PlanResult:
    """A plan, all float64 and in physical units.

    Attributes:
        actions: [H, A], within the task's bounds.
        state_mean, state_std: [H + 1, S], what the members (and particles) predict, from the
            request's state on: their mean and their standard deviation.
        predicted_return: sum of predicted rewards over the horizon.
        warm_start: of this plan, not shifted yet.
        model_version: of the model planned with.
        model_steps: rows x members x steps spent, all of them.
        planning_time: wall clock [s].
        history: K, states that the model sees: the next request wants K - 1 past ones.
    """

    actions: np.ndarray
    state_mean: np.ndarray
    state_std: np.ndarray
    predicted_return: float
    warm_start: WarmStart
    model_version: int
    model_steps: int
    planning_time: float
    history: int = 1


class Planner:
    """Plans in one model. The same request and the same model give the same plan, bit for bit.

    Sets the threads of torch in this process to ``planner.threads``: sums depend on how they are
    split.
    """

    def __init__(self, settings: PlannerSettings) -> None:
        torch.set_num_threads(settings.planner.threads)
        self._settings = settings
        self._task = settings.task
        self._low, self._high = settings.task.bounds
        self._low32 = torch.tensor(self._low, dtype=torch.float32)
        self._high32 = torch.tensor(self._high, dtype=torch.float32)
        self._optimizer = make_optimizer(settings.optimizer)
        self._objective = make_objective(settings.objective, settings.task)
        self._model: Model | None = None
        self._version = 0

    @property
    def model_version(self) -> int:
        """Version of the model in use; 0: none."""
        return self._version

    def set_model(self, data: bytes, version: int) -> None:
        """Use another model from the next plan on.

        Raises:
            SnapshotError: the snapshot is bad or of another task; the old model stays in use.
        """
        if version < 1:
            raise SnapshotError(f'model version is {version}; it must be at least 1')
        self.use_model(DynamicsModel.from_bytes(data), version)

    def use_model(self, model: Model, version: int) -> None:
        """Like ``set_model``, with any model that has the interface of ``rollout.Model``."""
        check_model(model, self._task, self._settings.planner)
        self._model = model
        self._version = version
        self._rollout = Rollout(model, self._objective, self._settings.planner)

    def set_objective(self, settings: ObjectiveSettings) -> None:
        """Use another objective, or other weights, from the next plan on.

        Raises:
            SettingsError: unknown objective or term; the old one stays in use.
        """
        self._objective = make_objective(settings, self._task)
        if self._model is not None:
            self._rollout = Rollout(self._model, self._objective, self._settings.planner)

    def plan(self, request: PlanRequest) -> PlanResult:
        """Plan from a state.

        Raises:
            NoModelError, ModelOutdatedError, PlanRequestError, PlanningFailedError: each says
                what would be right.
        """
        began = time.perf_counter()
        if self._model is None:
            raise NoModelError('no model has been received yet; one must be trained first')
        if self._version < request.min_model_version:
            raise ModelOutdatedError(
                f'the model has version {self._version}; the request wants '
                f'{request.min_model_version} or newer: ask again when that has arrived'
            )
        state, goal = self._check(request)
        window, past_actions = self._window(state, request, self._model.history)
        with torch.inference_mode():
            start = self._start(request.warm_start)
            generators = [torch.Generator().manual_seed(request.seed)]
            self._rollout.begin(
                torch.tensor(window, dtype=torch.float32)[None],
                torch.tensor(goal, dtype=torch.float32)[None],
                generators,
                torch.tensor(past_actions, dtype=torch.float32)[None],
            )
            solution = self._optimizer.optimize(
                self._rollout, self._low32, self._high32, start, generators
            )
            value, index = solution.value, solution.index
            if index is None:  # a mean, which no one has evaluated yet
                value = self._rollout(solution.actions[:, None])[:, 0]
                index = torch.zeros(1, dtype=torch.int64)
            predicted_return = float(value[0])
            if not math.isfinite(predicted_return):
                raise PlanningFailedError(
                    f'no candidate has a finite return with model version {self._version} from '
                    f'the state {state.tolist()}: the model diverges there; train it on more data'
                )
            mean, std = self._rollout.trajectory(index)
        state_mean = mean[0].double().numpy()
        state_mean[0] = state
        return PlanResult(
            # rounding a bound to float32 may put it outside
            actions=np.clip(solution.actions[0].double().numpy(), self._low, self._high),
            state_mean=state_mean,
            state_std=std[0].double().numpy(),
            predicted_return=predicted_return,
            warm_start=WarmStart(
                solution.mean[0].double().numpy(), solution.elites[0].double().numpy()
            ),
            model_version=self._version,
            model_steps=self._rollout.model_steps,
            planning_time=time.perf_counter() - began,
            history=self._model.history,
        )

    def _check(self, request: PlanRequest) -> tuple[np.ndarray, np.ndarray]:
        """State and goal, float64, or PlanRequestError."""
        state = np.asarray(request.state, dtype=np.float64)
        if state.shape != (self._task.state_dim,):
            raise PlanRequestError(
                f'the state has shape {list(state.shape)}; the task has {self._task.state_dim} '
                f'entries: {", ".join(self._task.state)}'
            )
        if not np.isfinite(state).all():
            bad = self._task.state[int(np.argmin(np.isfinite(state)))]
            raise PlanRequestError(
                f'the state has {bad} = {state[self._task.state.index(bad)]}; '
                'every entry must be finite'
            )
        if not 0 <= request.seed < 2**64:
            raise PlanRequestError(f'the seed is {request.seed}; it must be from 0 to 2**64 - 1')
        try:
            return state, self._objective.check_goal(request.goal)
        except ValueError as error:
            raise PlanRequestError(str(error)) from error

    def _window(
        self, state: np.ndarray, request: PlanRequest, history: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """What a model with a history sees before its first step, newest first, flat: states
        [K * S] and actions [(K - 1) * A]; filled up as ``mbrl_dynamics.history`` does."""
        task = self._task
        past = np.asarray(request.past_states, dtype=np.float64).reshape(-1, task.state_dim)
        actions = np.asarray(request.past_actions, dtype=np.float64).reshape(-1, task.action_dim)
        if len(past) != len(actions):
            raise PlanRequestError(
                f'{len(past)} past states come with {len(actions)} past actions; there must be '
                'one for each'
            )
        if not (np.isfinite(past).all() and np.isfinite(actions).all()):
            raise PlanRequestError('past states and past actions must be finite')
        states = np.concatenate([past, state[None]])[::-1][:history]
        missing = history - len(states)
        states = np.concatenate([states, np.repeat(states[-1:], missing, axis=0)])
        actions = np.concatenate([actions[::-1], np.zeros((history, task.action_dim))])
        return states.reshape(-1), actions[: history - 1].reshape(-1)

    def _start(self, warm_start: WarmStart | None) -> Start:
        """The optimiser's start, or PlanRequestError."""
        horizon, action_dim = self._settings.planner.horizon, self._task.action_dim
        if warm_start is None:
            return cold_start(self._low32, self._high32, 1, horizon)
        for name, values, shape in (
            ('mean', warm_start.mean, (horizon, action_dim)),
            ('elites', warm_start.elites, (-1, horizon, action_dim)),
        ):
            fits = values.ndim == len(shape) and values.shape[-2:] == shape[-2:]
            if not fits:
                raise PlanRequestError(
                    f'the warm start has {name} of shape {list(values.shape)}; it must be '
                    f'[{"K, " if len(shape) == 3 else ""}{horizon}, {action_dim}]: '
                    'horizon and entries of the action'
                )
            if not np.isfinite(values).all():
                raise PlanRequestError(f'the warm start has {name} that are not finite')
        return Start(
            torch.tensor(warm_start.mean, dtype=torch.float32)[None],
            torch.tensor(warm_start.elites, dtype=torch.float32)[None],
        )


def make_optimizer(settings: OptimizerSettings) -> Optimizer:
    """The optimiser that the settings name."""
    return _OPTIMIZERS[settings.name](settings)


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
