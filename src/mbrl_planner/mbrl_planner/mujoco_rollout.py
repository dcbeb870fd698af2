"""Returns of action sequences in the true MuJoCo model: what planning reaches when no model is to
blame, and a planner for robots that are known well enough.

The model is that of an environment of the simulation bridge, found by its entry point, and stepped
by ``mujoco.rollout`` in threads. It is deterministic: there is one particle, without spread.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import mujoco
import mujoco.rollout
import numpy as np
import torch

from mbrl_common.plugins import make_plugin
from mbrl_common.settings import SettingsError
from mbrl_common.task import BODY_FIELDS, TaskSettings
from mbrl_planner.candidates import Candidates
from mbrl_planner.objectives import Objective
from mbrl_planner.requests import Problem
from mbrl_planner.settings import SIMULATORS, PlanningSettings

_FULL = int(mujoco.mjtState.mjSTATE_FULLPHYSICS)
_SCALAR_JOINTS = (int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_SLIDE))
_START_TIME = 1.0  # [s]; MuJoCo puts a diverged simulation back to time 0
_CHUNK = 2**23  # numbers that a call of MuJoCo may return


class MujocoDynamics:
    """States of a task under actions, in the model of an environment.

    Every joint of the model must be in the task's state, with position and velocity, a free one as
    its body: what the state does not say, nobody could plan with. But those that the environment
    names in ``unseen_joints`` begin each plan as its initial state has them. Actuators that the
    task does not name keep the control that the environment's initial state gives them.
    """

    def __init__(
        self, task: TaskSettings, simulator: str, threads: int = 1, timestep: float = 0.0
    ) -> None:
        """
        Args:
            task: names of joints and actuators, and the control period.
            simulator: name of the environment.
            threads: of MuJoCo; the result does not depend on them.
            timestep: of the physics [s]; 0: the environment's own.

        Raises:
            SettingsError: there is no such environment, or its model and the task do not fit.
        """
        self._task = task
        environment = _make_environment(simulator)
        self._model = environment.make_model()
        if timestep > 0.0:
            self._model.opt.timestep = timestep
        self._unseen: tuple[str, ...] = getattr(environment, 'unseen_joints', ())
        problems: list[str] = []
        self._bodies: list[_Body] = []
        self._place = self._find_state(problems)
        self._actuator = self._find_actuators(problems)
        period, step = task.control_period, self._model.opt.timestep
        self._substeps = round(period / step)
        if self._substeps < 1 or abs(self._substeps * step - period) > 1e-9:
            problems.append(
                f"parameter 'task.control_period' is {period:g}; it must be a multiple of the "
                f'physics timestep of {simulator!r}, {step:g} s'
            )
        if problems:
            raise SettingsError(problems)
        self._low, self._high = task.bounds
        data = mujoco.MjData(self._model)
        environment.draw_initial_state(self._model, data, np.random.default_rng(0))
        self._rest_control = data.ctrl.copy()
        data.time = _START_TIME
        self._rest = np.empty(mujoco.mj_stateSize(self._model, _FULL))
        mujoco.mj_getState(self._model, data, self._rest, _FULL)
        self._data = [mujoco.MjData(self._model) for _ in range(threads)]
        self._pool = mujoco.rollout.Rollout(nthread=threads if threads > 1 else 0)

    def __call__(self, state: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Carry rows through the model.

        Args:
            state: [B, S], where each begins.
            actions: [B, H, A]; clamped to the task's bounds, each held for a control period.

        Returns:
            [B, H + 1, S], float64; NaN from where the physics diverged.
        """
        rows, horizon, _ = actions.shape
        start = self._full(state)
        control = np.repeat(self._control(actions), self._substeps, axis=1)
        elapsed = self._task.control_period * np.arange(1, horizon + 1)
        states = np.empty((rows, horizon + 1, self._task.state_dim))
        states[:, 0] = state
        chunk = max(1, _CHUNK // (control.shape[1] * start.shape[1]))
        for first in range(0, rows, chunk):
            part = slice(first, first + chunk)
            full, _ = self._pool.rollout(self._model, self._data, start[part], control[part])
            ends = full[:, self._substeps - 1 :: self._substeps]  # where a control period ends
            states[part, 1:] = self._unless_diverged(ends, elapsed)
        return states

    def ahead(self, state: np.ndarray, actions: np.ndarray, durations: np.ndarray) -> np.ndarray:
        """Carry one state through the model under actions that need not last a control period.

        Args:
            state: [S], where it begins.
            actions: [n, A]; clamped to the task's bounds.
            durations: [n], of each in control periods; an action ends with the physics step that
                is nearest to its time, counted from the beginning, so that rounding adds up to no
                more than half a step.

        Returns:
            [S], float64; NaN if the physics diverged.
        """
        ends = np.rint(np.cumsum(durations) * self._substeps).astype(np.intp)
        control = np.repeat(self._control(actions), np.diff(ends, prepend=0), axis=0)
        if not len(control):
            return state
        start = self._full(state[None])
        full, _ = self._pool.rollout(self._model, self._data, start, control[None])
        elapsed = self._model.opt.timestep * np.arange(1, len(control) + 1)
        carried: np.ndarray = self._unless_diverged(full, elapsed)[0, -1]
        return carried

    def _full(self, state: np.ndarray) -> np.ndarray:
        """Full states [B, F] of states [B, S]."""
        full = np.tile(self._rest, (len(state), 1))
        full[:, self._place] = state
        for body in self._bodies:
            turned = rotated(state[:, body.attitude], state[:, body.velocity])
            full[:, self._place[body.velocity]] = turned
        return full

    def _control(self, actions: np.ndarray) -> np.ndarray:
        """What actions [..., A] set the actuators to."""
        control = np.tile(self._rest_control, (*actions.shape[:-1], 1))
        control[..., self._actuator] = np.clip(actions, self._low, self._high)
        return control

    def _unless_diverged(self, ends: np.ndarray, elapsed: np.ndarray) -> np.ndarray:
        """States [B, H, S] of full states [B, H, F] at the times ``elapsed`` [H] after the start,
        NaN where the physics has diverged: there MuJoCo has put time back, and stopped stepping."""
        sound = np.abs(ends[..., 0] - (_START_TIME + elapsed)) < 0.5 * self._model.opt.timestep
        sound &= np.isfinite(ends).all(axis=-1)
        sound = np.logical_and.accumulate(sound, axis=1)
        states = ends[..., self._place]
        for body in self._bodies:
            inverse = states[..., body.attitude] * [1.0, -1.0, -1.0, -1.0]
            states[..., body.velocity] = rotated(inverse, states[..., body.velocity])
        return np.where(sound[..., None], states, np.nan)

    def _find_state(self, problems: list[str]) -> np.ndarray:
        """Where each entry of the task's state is in MuJoCo's full state: time, qpos, qvel, ..."""
        model = self._model
        places: dict[str, int] = {}
        for joint in range(model.njnt):
            name, kind = model.joint(joint).name, int(model.jnt_type[joint])
            if name in self._unseen:
                continue
            position = 1 + int(model.jnt_qposadr[joint])
            velocity = 1 + model.nq + int(model.jnt_dofadr[joint])
            if kind == int(mujoco.mjtJoint.mjJNT_FREE):
                body = model.body(int(model.jnt_bodyid[joint])).name
                entries = [f'{body}.{field}' for field in BODY_FIELDS]
                where = [*range(position, position + 7), *range(velocity, velocity + 6)]
                places.update(zip(entries, where))
                if set(entries) <= set(self._task.state):
                    columns = [self._task.state.index(entry) for entry in entries]
                    self._bodies.append(_Body(columns[3:7], columns[7:10]))
                continue
            if kind not in _SCALAR_JOINTS:
                problems.append(
                    f'the joint {name!r} of the model is a ball joint; a model that is planned in '
                    'must have hinges, slides and free joints alone'
                )
                continue
            places[f'{name}.position'] = position
            places[f'{name}.velocity'] = velocity
        if model.na:
            problems.append(
                f'the model has {model.na} states of actuators; none must have any, as the state '
                'of a task cannot name them'
            )
        missing = [entry for entry in places if entry not in self._task.state]
        unknown = [entry for entry in self._task.state if entry not in places]
        if missing:
            problems.append(
                f"parameter 'task.state' lacks {', '.join(missing)}; it must have position and "
                'velocity of every joint to plan in the true model'
            )
        if unknown:
            problems.append(
                f"parameter 'task.state' has {', '.join(unknown)}; planning in the true model "
                f'knows {", ".join(places)}'
            )
        return np.array([places.get(entry, 0) for entry in self._task.state], dtype=np.intp)

    def _find_actuators(self, problems: list[str]) -> np.ndarray:
        """Index of the actuator of each entry of the action: the one of the joint of that name."""
        model = self._model
        actuators = {
            model.joint(int(model.actuator_trnid[index, 0])).name: index
            for index in range(model.nu)
            if model.actuator_trntype[index] == int(mujoco.mjtTrn.mjTRN_JOINT)
        }
        unknown = [joint for joint in self._task.action if joint not in actuators]
        if unknown:
            problems.append(
                f"parameter 'task.action' has {', '.join(unknown)}; the actuated joints of the "
                f'model are {", ".join(actuators)}'
            )
        return np.array([actuators.get(joint, 0) for joint in self._task.action], dtype=np.intp)


class MujocoRollout:
    """``evaluate(actions [R, N, H, A]) -> returns [R, N]`` like ``Rollout``, in the true model.

    The return is the sum of rewards, and the worth of the last state where the objective says one.
    Where the episode ends within the horizon the state stays as it is, and what comes later counts
    nothing. Where the physics diverges the return is NaN. Computed in float64.
    """

    def __init__(
        self, task: TaskSettings, objective: Objective, settings: PlanningSettings
    ) -> None:
        """Raises SettingsError: see ``MujocoDynamics``."""
        self._dynamics = MujocoDynamics(
            task, settings.simulator, settings.threads, settings.timestep
        )
        self._objective = objective
        self.model_steps = 0
        """Control steps made since ``begin``."""

    @property
    def term_names(self) -> tuple[str, ...]:
        """What the columns of ``terms`` are."""
        return tuple(self._objective.weights)

    @property
    def lead_members(self) -> int:
        """Control steps that a step of a lead counts for."""
        return 1

    def ahead(self, problems: Sequence[Problem]) -> list[Problem]:
        """Problems from where their plans take effect; those without a lead as they are."""
        return [self._carried(problem) if problem.lead_steps else problem for problem in problems]

    def _carried(self, problem: Problem) -> Problem:
        state = self._dynamics.ahead(problem.state, problem.lead_actions, problem.lead_durations)
        return dataclasses.replace(problem, state=state, window=state)

    def begin(
        self,
        state: torch.Tensor,
        goal: torch.Tensor,
        generators: Sequence[torch.Generator] = (),
        past_actions: torch.Tensor | None = None,
    ) -> None:
        """Set the R problems: ``state`` [R, S], ``goal`` [R, G]. Nothing is drawn, and the past
        does not matter."""
        self._start = state.double()
        self._goal = goal.double()
        self.model_steps = 0

    def __call__(self, actions: torch.Tensor) -> torch.Tensor:
        """Returns [R, N] of ``actions`` [R, N, H, A], in their dtype."""
        problems, candidates, horizon, _ = actions.shape
        start = self._start.repeat_interleave(candidates, 0).cpu().numpy()
        flat = actions.detach().to(device='cpu', dtype=torch.float64, copy=True)
        states = self._dynamics(start, flat.flatten(0, 1).numpy())
        self.model_steps += problems * candidates * horizon
        # [H + 1, R, N, S] and [H, R, N, A]: as the objective's goals have the steps first
        self._states = torch.from_numpy(states).view(problems, candidates, horizon + 1, -1)
        self._states = self._states.permute(2, 0, 1, 3)
        self._actions = flat.permute(2, 0, 1, 3)
        self._over = self._freeze()
        goals = self._objective.goals(self._goal, horizon)[:, :, None]
        steps = (self._states[:-1], self._actions, self._states[1:], goals)
        reward = self._objective.reward(*steps).expand(horizon, problems, candidates)
        returns = reward.masked_fill(self._over[:-1], 0.0).sum(0)
        if self._objective.terminal_value is not None:
            worth = self._objective.terminal_value(self._states[-1], goals[-1])
            returns = returns + worth.masked_fill(self._over[-1], 0.0)
        diverged = ~self._states[-1].isfinite().all(-1)
        self._returns = returns.masked_fill(diverged, torch.nan)
        return self._returns.to(actions)

    def candidates(self, problem: int) -> Candidates:
        """Those of the last evaluation, of one problem."""
        states = self._states[:, problem]
        return Candidates(self._returns[problem], lambda index: states[:, index].transpose(0, 1))

    def trajectory(self, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """States of candidates of the last evaluation, and their deviation, which is 0.

        Each [R, H + 1, S]; ``index`` [R] says which candidates.
        """
        states = self._of(self._states, index).transpose(0, 1)
        return states, torch.zeros_like(states)

    def terms(self, index: torch.Tensor) -> torch.Tensor:
        """What each term adds to the returns of candidates ``index`` [R], by its weight: [R, T],
        as ``Rollout.terms`` has it; columns as ``term_names``."""
        states, actions, over = (
            self._of(each, index) for each in (self._states, self._actions, self._over)
        )
        goals = self._objective.goals(self._goal, len(actions))
        parts = []
        for name, weight in self._objective.weights.items():
            if weight == 0:
                parts.append(states.new_zeros(len(index)))
                continue
            part = self._objective.terms[name](states[:-1], actions, states[1:], goals)
            part = (weight * part).expand(actions.shape[:-1])
            parts.append(part.masked_fill(over[:-1], 0.0).sum(0))
        return torch.stack(parts, -1)

    def _freeze(self) -> torch.Tensor:
        """Hold states where the episode has ended; whether it has, before each step and after the
        last, [H + 1, R, N]."""
        over = torch.zeros(self._states.shape[:-1], dtype=torch.bool)
        if self._objective.can_terminate:
            over[1:] = self._objective.terminated(self._states[1:]).cummax(0).values
            first = over.to(torch.uint8).argmax(0)  # the state that ended it; 0 if none did
            steps = torch.arange(len(over)).view(-1, 1, 1)
            kept = torch.where(over, torch.minimum(steps, first), steps)
            self._states = self._states.gather(0, kept[..., None].expand_as(self._states))
        return over

    @staticmethod
    def _of(values: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        """Of [H, R, N, ...] the candidates ``index`` [R]: [H, R, ...]."""
        return values[:, torch.arange(len(index)), index]


@dataclasses.dataclass(frozen=True)
class _Body:
    """Columns of a free body in the task's state. MuJoCo has its linear velocity in the world."""

    attitude: list[int]
    velocity: list[int]


def rotated(attitude: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Vectors [..., 3] of a body's frame in the world's, by quaternions w, x, y, z [..., 4] of any
    length."""
    attitude = attitude / np.linalg.norm(attitude, axis=-1, keepdims=True)
    axis = attitude[..., 1:]
    twice = 2.0 * np.cross(axis, vector)
    turned: np.ndarray = vector + attitude[..., :1] * twice + np.cross(axis, twice)
    return turned


def _make_environment(simulator: str) -> Any:
    return make_plugin(SIMULATORS, simulator, 'planner.simulator')
