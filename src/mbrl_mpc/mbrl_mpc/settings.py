"""Settings of the controller; they are the parameters of the node ``mpc_controller``."""

from __future__ import annotations

import dataclasses

from mbrl_common.settings import SettingsError, setting
from mbrl_common.task import TaskSettings
from mbrl_mpc.robot_settings import RobotSettings
from mbrl_planner.objectives import ObjectiveSettings, make_objective
from mbrl_planner.settings import check_trace
from mbrl_planner.trace_settings import TraceSettings


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
class RealtimeSettings:
    """Real time: rates and delays (section ``realtime``)."""

    enabled: bool = setting(
        'the robot does not wait: commands by a clock, plans for a moment ahead; else lockstep',
        False,
    )
    command_rate: float = setting('commands per second [Hz]', 100.0, ge=1.0, le=1000.0)
    actuation_delay: float = setting(
        'time from sending a command until it acts [s]', 0.0, ge=0.0, le=1.0
    )
    plan_margin: float = setting(
        'how much earlier than the 95th percentile of its time says a plan is asked for [s]',
        0.005,
        ge=0.0,
        le=1.0,
    )
    first_plan_time: float = setting(
        'what a plan is expected to take before one was made [s]', 0.05, ge=0.001, le=60.0
    )
    plan_timeout: float = setting('ask the planner again after [s]', 0.5, ge=0.01, le=60.0)
    process_priority: int = setting(
        "the process's priority before others (SCHED_FIFO), if the machine permits it; 0: an "
        'ordinary one',
        0,
        ge=0,
        le=99,
    )


@dataclasses.dataclass(frozen=True)
class MpcSettings:
    """All parameters of ``mpc_controller``."""

    task: TaskSettings
    objective: ObjectiveSettings
    control: ControlSettings
    realtime: RealtimeSettings
    robot: RobotSettings
    trace: TraceSettings
    autostart: bool = setting('configure and activate at start', True)

    def __post_init__(self) -> None:
        beats = self.realtime.command_rate * self.task.control_period
        if round(beats) < 1 or abs(beats - round(beats)) > 1e-6:
            raise SettingsError(
                [
                    f"parameter 'realtime.command_rate' is {self.realtime.command_rate:g} Hz; it "
                    'must be a multiple of the control rate, '
                    f'{1 / self.task.control_period:g} Hz'
                ]
            )
        make_objective(self.objective, self.task)  # one that does not exist or fit is refused here
        problems = self.robot.problems(self.task, self.control.state_source)
        if self.robot.reset != 'simulator' and not self.realtime.enabled:
            problems.append(
                f"parameter 'robot.reset' is {self.robot.reset!r}; in lockstep only the simulator "
                "resets: set 'realtime.enabled'"
            )
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
        check_trace(self.trace, self.task)
