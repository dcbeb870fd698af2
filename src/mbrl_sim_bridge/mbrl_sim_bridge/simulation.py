"""A task played in MuJoCo: reset, step, and the state in the task's order."""

from __future__ import annotations

import math

import mujoco
import numpy as np

from mbrl_common.settings import SettingsError
from mbrl_sim_bridge.environments import Score, make_environment
from mbrl_sim_bridge.free_bodies import FreeBodies
from mbrl_sim_bridge.settings import SimBridgeSettings

_SCALAR_JOINTS = (int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_SLIDE))
# After these MuJoCo has put the simulation back to its default state, without an error.
_DIVERGED = np.array(
    [
        int(mujoco.mjtWarning.mjWARN_BADQPOS),
        int(mujoco.mjtWarning.mjWARN_BADQVEL),
        int(mujoco.mjtWarning.mjWARN_BADQACC),
        int(mujoco.mjtWarning.mjWARN_BADCTRL),
    ]
)


class ActionError(ValueError):
    """An action of the wrong length, or not finite; nothing was stepped."""


class SimulationError(RuntimeError):
    """The physics diverged; a reset is needed."""


class Simulation:
    """One robot and its task.

    A function of the seeds and actions alone, bit for bit, whatever was simulated before. Time
    goes on across resets, as it does for a robot, and is counted in whole nanoseconds.
    """

    def __init__(self, settings: SimBridgeSettings, start_ns: int = 0) -> None:
        """Make the simulation and put it into the state of the seed ``sim.seed``.

        Args:
            settings: the task and the simulation.
            start_ns: time of that first state [ns].

        Raises:
            SettingsError: if the model lacks what the task names, or cannot do it.
        """
        self.settings = settings
        self.environment = make_environment(settings.sim.environment)
        self.model = self.environment.make_model()
        if settings.sim.timestep > 0.0:
            self.model.opt.timestep = settings.sim.timestep
        elif settings.sim.real_time:
            period = 1.0 / settings.sim.state_rate
            self.model.opt.timestep = period / max(1, np.ceil(period / self.model.opt.timestep))
        self.timestep_ns = round(self.model.opt.timestep * 1e9)
        """Of the physics [ns]."""
        self.data = mujoco.MjData(self.model)
        # Views of what MuJoCo writes, side by side: gathering joints and fields one by one takes
        # five times as long as one index of all.
        self._vectors = (self.data.qpos, self.data.qvel, self.data.qfrc_actuator)
        task = settings.task

        scalar = [
            joint
            for joint in range(self.model.njnt)
            if int(self.model.jnt_type[joint]) in _SCALAR_JOINTS
        ]
        self.joint_names = tuple(self.model.joint(joint).name for joint in scalar)
        """Joints of the model with one degree of freedom, in the model's order."""
        self._position_of_joint = self.model.jnt_qposadr[scalar]
        self._velocity_of_joint = self.model.jnt_dofadr[scalar]
        self._bodies = FreeBodies(self.model, task)

        problems: list[str] = []
        self._state_of_values = self._find_state(problems)
        self._actuator_of_action = self._find_actuators(problems)
        self._steps = self._count_physics_steps(problems)
        if problems:
            raise SettingsError(problems)
        self._low, self._high = task.bounds
        self._period_ns = round(task.control_period * 1e9)
        self._score: Score | None = getattr(self.environment, 'score', None)
        self.score = math.nan
        """What the environment itself paid for the last :meth:`step`; NaN if it pays nothing, and
        after a reset. It is not the objective's reward."""

        self.time_ns = start_ns - self._period_ns
        self._diverged = False
        self._action = np.zeros(task.action_dim)
        self.reset(settings.sim.seed)

    @property
    def state(self) -> np.ndarray:
        """The state in the task's order, float64 of shape [state_dim], SI units."""
        bodies = [self._bodies.values(self.data)] if self._bodies.names else []
        state: np.ndarray = np.concatenate([*self._vectors, *bodies])[self._state_of_values]
        return state

    @property
    def action(self) -> np.ndarray:
        """The last action as executed, after clamping; zeros after a reset. [action_dim]"""
        return self._action.copy()

    def joints(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Position, velocity and actuator effort of ``joint_names``, SI units."""
        return (
            self.data.qpos[self._position_of_joint],
            self.data.qvel[self._velocity_of_joint],
            self.data.qfrc_actuator[self._velocity_of_joint],
        )

    def reset(self, seed: int) -> np.ndarray:
        """Begin an episode: a new initial state, one control period after the last state.

        Args:
            seed: at least 0; the same seed gives the same initial state.

        Returns:
            The state, float64 [state_dim].

        Raises:
            SimulationError: if the environment drew a state that is not finite.
        """
        mujoco.mj_resetData(self.model, self.data)
        generator = np.random.default_rng(seed)
        self.environment.draw_initial_state(self.model, self.data, generator)
        noise = self.settings.sim.reset_noise
        if noise > 0.0:
            for values, places in (
                (self.data.qpos, self._position_of_joint),
                (self.data.qvel, self._velocity_of_joint),
            ):
                values[places] += generator.normal(0.0, noise, len(places))
        mujoco.mj_forward(self.model, self.data)
        self._action = np.zeros_like(self._action)
        self.score = math.nan
        if self._score is not None:
            self._score.begin(self.data)
        self.time_ns += self._period_ns
        return self._checked_state('reset')

    def step(self, action: np.ndarray) -> np.ndarray:
        """Hold an action for one control period.

        Args:
            action: shape [action_dim], in physical units; clamped to the task's bounds.

        Returns:
            The state reached, float64 [state_dim].

        Raises:
            ActionError: if the action is of the wrong length or not finite; nothing was stepped.
            SimulationError: if the physics diverged in this step, or earlier without a reset since.
        """
        names = self.settings.task.action
        action = np.asarray(action, dtype=np.float64)
        if action.shape != (len(names),):
            raise ActionError(
                f'the action has shape {list(action.shape)}; it must be [{len(names)}], an entry '
                f'for each of {", ".join(names)}'
            )
        if not np.isfinite(action).all():
            raise ActionError(
                f'the action is {action.tolist()}; every entry must be a finite number'
            )
        if self._diverged:
            raise SimulationError('the simulation diverged and must be reset before it can step')
        self._action = np.clip(action, self._low, self._high)
        self.data.ctrl[self._actuator_of_action] = self._action
        mujoco.mj_step(self.model, self.data, nstep=self._steps)
        self.time_ns += self._period_ns
        state = self._checked_state('step')
        if self._score is not None:
            self.score = self._score.step(self.data)
        return state

    def advance(self, action: np.ndarray, steps: int) -> np.ndarray:
        """Hold an action for some steps of the physics, of ``timestep_ns`` each.

        Args:
            action: shape [action_dim], in physical units; neither checked nor clamped here.
            steps: at least 1.

        Returns:
            The state reached, float64 [state_dim].

        Raises:
            SimulationError: as :meth:`step`.
        """
        if self._diverged:
            raise SimulationError('the simulation diverged and must be reset before it can step')
        self._action = action
        self.data.ctrl[self._actuator_of_action] = action
        mujoco.mj_step(self.model, self.data, nstep=steps)
        self.time_ns += steps * self.timestep_ns
        return self._checked_state('step')

    def _checked_state(self, what: str) -> np.ndarray:
        state = self.state
        self._diverged = bool(
            self.data.warning.number[_DIVERGED].any() or not np.isfinite(state).all()
        )
        if self._diverged:
            raise SimulationError(
                f'the physics diverged in this {what} (action {self._action.tolist()}): position, '
                'velocity or acceleration became NaN, infinite or too large; reset it'
            )
        return state

    def _find_state(self, problems: list[str]) -> np.ndarray:
        """Index of each entry of the state in [qpos, qvel, qfrc_actuator, free bodies]."""
        model = self.model
        places = {
            'position': (0, self._position_of_joint),
            'velocity': (model.nq, self._velocity_of_joint),
            'effort': (model.nq + model.nv, self._velocity_of_joint),
        }
        indices = []
        for name in self.settings.task.state:
            if name in self._bodies.entries:
                place = self._bodies.entries.index(name)
                indices.append(model.nq + 2 * model.nv + place)
                continue
            joint, _, field = name.rpartition('.')
            if joint not in self.joint_names or field not in places:
                problems.append(
                    f"parameter 'task.state' has {name!r}; the joints of environment "
                    f'{self.settings.sim.environment!r} are {", ".join(self.joint_names)}, and of '
                    f'each there is {", ".join(places)}{self._bodies.hint}'
                )
                continue
            first, of_joint = places[field]
            indices.append(first + int(of_joint[self.joint_names.index(joint)]))
        return np.array(indices, dtype=np.intp)

    def _find_actuators(self, problems: list[str]) -> np.ndarray:
        """Index of the actuator of each entry of the action."""
        model, task = self.model, self.settings.task
        actuators = {
            model.joint(int(model.actuator_trnid[index, 0])).name: index
            for index in range(model.nu)
            if model.actuator_trntype[index] == int(mujoco.mjtTrn.mjTRN_JOINT)
        }
        found = []
        for joint, low, high in zip(task.action, task.action_low, task.action_high):
            if joint not in actuators:
                problems.append(
                    f"parameter 'task.action' has {joint!r}; the actuated joints of environment "
                    f'{self.settings.sim.environment!r} are {", ".join(actuators)}'
                )
                continue
            index = actuators[joint]
            found.append(index)
            floor, ceiling = model.actuator_ctrlrange[index]
            if model.actuator_ctrllimited[index] and (low < floor or high > ceiling):
                problems.append(
                    f"'task.action_low' and 'task.action_high' are {low:g} and {high:g} for "
                    f'{joint!r}; the actuator takes {floor:g} to {ceiling:g}'
                )
        return np.array(found, dtype=np.intp)

    def _count_physics_steps(self, problems: list[str]) -> int:
        """Physics steps in a control period."""
        period, timestep = self.settings.task.control_period, self.model.opt.timestep
        steps = round(period / timestep)
        if steps < 1 or abs(steps * timestep - period) > 1e-9:
            problems.append(
                f"parameter 'task.control_period' is {period:g}; it must be a multiple of the "
                f'physics timestep, {timestep:g} s'
            )
        return steps
