"""Settings of the controller; they are the parameters of the node ``mpc_controller``."""

from __future__ import annotations

import dataclasses

from mbrl_common.settings import SettingsError, setting
from mbrl_common.task import TaskSettings
from mbrl_mpc.robot_settings import RobotSettings
from mbrl_planner.objectives import ObjectiveSettings, make_objective


@dataclasses.dataclass(frozen=True)
class ControlSettings:
    """The control loop and its limits."""

    state_source: str = setting(
        'where the state comes from: the topic joint_states or the topic observation',
        'joint_states',
        choices=('joint_states', 'observation'),
    )
    replan_every: int = setting('steps executed of each plan before the next', 1, ge=1, le=1000)
    exploration_hold: int = setting(
        'steps that a random action is held while exploring: longer ones move heavy bodies further',
        1,
        ge=1,
        le=100_000,
    )
    warm_start: bool = setting('start each plan from the last one, shifted to now', True)
    safe_action: tuple[float, ...] = setting(
        'sent when there is nothing better, per action [task units]; empty: zero', ()
    )
    max_action_rate: float = setting(
        'largest change of an action per second [task units/s]; 0: no limit', 0.0, ge=0.0, le=1e9
    )
    state_timeout: float = setting('longest wait for the next state [s]', 2.0, ge=0.01, le=60.0)
    plan_timeout: float = setting('ask the planner again after [s]', 2.0, ge=0.01, le=60.0)
    ack_timeout: float = setting(
        'send transitions again that were not acknowledged for [s]', 2.0, ge=0.1, le=60.0
    )
    model_timeout: float = setting(
        'lockstep: longest wait for a training, or for a first model [s]', 120.0, ge=0.1, le=3600.0
    )
    recovery_timeout: float = setting(
        'how long a node of the graph may be away before the episodes are given up [s]',
        60.0,
        ge=0.1,
        le=3600.0,
    )


@dataclasses.dataclass(frozen=True)
class MpcSettings:
    """All parameters of ``mpc_controller``."""

    task: TaskSettings
    objective: ObjectiveSettings
    control: ControlSettings
    robot: RobotSettings
    autostart: bool = setting('configure and activate at start', True)

    def __post_init__(self) -> None:
        make_objective(self.objective, self.task)  # one that does not exist or fit is refused here
        problems = self.robot.problems(self.task, self.control.state_source)
        known = all(f'{joint}.position' in self.task.state for joint in self.task.action)
        holds = self.robot.safe_command == 'hold' and known
        if self.robot.command_as == 'position' and not holds and not self.control.safe_action:
            problems.append(
                "parameter 'robot.command_as' is 'position', and the safe command would lead every "
                "joint to 0; set 'robot.safe_command' to 'hold' and have the joints' positions in "
                "'task.state', or set 'control.safe_action'"
            )
        if problems:
            raise SettingsError(problems)
        safe = self.control.safe_action
        if safe and len(safe) != self.task.action_dim:
            raise SettingsError(
                [
                    f"parameter 'control.safe_action' has {len(safe)} entries; "
                    f"'task.action' has {self.task.action_dim}"
                ]
            )
        for value, low, high in zip(safe, self.task.action_low, self.task.action_high):
            if not low <= value <= high:
                raise SettingsError(
                    [
                        f"parameter 'control.safe_action' has {value}, outside the bounds of the "
                        f'action, {low} to {high}'
                    ]
                )
