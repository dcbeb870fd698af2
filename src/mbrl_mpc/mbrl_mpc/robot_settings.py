"""Settings of the robot's side of the controller: section ``robot`` of ``mpc_controller``."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from mbrl_common.settings import SettingsError, setting
from mbrl_common.task import BODY_FIELDS, TaskSettings, split_entry
from mbrl_mpc.exploration_kinds import KINDS


@dataclasses.dataclass(frozen=True)
class RobotSettings:
    """Where the state comes from, what is believed of it, and how a robot is commanded."""

    joint_state_topics: tuple[str, ...] = setting(
        'topics of sensor_msgs/JointState; each message may hold some of the joints',
        ('joint_states',),
    )
    odometry_topics: tuple[str, ...] = setting(
        'topics of nav_msgs/Odometry; child_frame_id is the name of the body in the state', ()
    )
    pose_topics: tuple[str, ...] = setting(
        "topics of geometry_msgs/PoseStamped, each as 'body=topic'", ()
    )
    frame: str = setting(
        'fixed frame of the bodies, as in header.frame_id; empty: that of the first message', ''
    )
    velocity_from: str = setting(
        'velocities as measured, or from positions by differences and a low pass',
        'measured',
        choices=('measured', 'position'),
    )
    velocity_filter: float = setting(
        'time constant of that low pass [s]; 0: none', 0.02, ge=0.0, le=10.0
    )

    max_age: float = setting(
        'oldest value that a state may have, against its newest and on arrival [s]',
        0.1,
        ge=1e-4,
        le=60.0,
    )
    max_ages: tuple[str, ...] = setting(
        "the same for one joint or body, as 'name=seconds'; one with a longer limit is slow: its "
        'last value is held, and no state waits for it',
        (),
    )
    clock_tolerance: float = setting(
        'how far in the future a stamp may be [s]; with use_sim_time more than the period at which '
        '/clock is published, since the node learns the time from that alone',
        0.05,
        ge=0.0,
        le=60.0,
    )
    max_state_rate: tuple[float, ...] = setting(
        'fastest change of each entry of the state that is believed [units/s]; empty: no limit',
        (),
        ge=0.0,
    )
    jump_patience: int = setting(
        'consistent states in a row after which a jump is believed', 5, ge=2, le=10_000
    )
    state_low: tuple[float, ...] = setting(
        'lower end of the region allowed to each entry of the state; empty: none', ()
    )
    state_high: tuple[float, ...] = setting(
        'upper end of the region allowed to each entry of the state; empty: none', ()
    )
    max_frozen: float = setting(
        'how long new states may be equal to the last bit before they are refused [s]; 0: for ever',
        0.0,
        ge=0.0,
        le=3600.0,
    )
    state_timeout: float = setting(
        'without a state for so long, the safe command is sent [s]', 0.5, ge=1e-3, le=60.0
    )

    command_type: str = setting(
        'what the robot takes: std_msgs/Float64MultiArray (a forward_command_controller of any '
        'interface) or trajectory_msgs/JointTrajectory',
        'effort',
        choices=('effort', 'trajectory'),
    )
    command_as: str = setting(
        'what the action is to the robot', 'effort', choices=('effort', 'velocity', 'position')
    )
    trajectory_points: int = setting(
        'points of a JointTrajectory: the action and what the plan has next', 1, ge=1, le=1000
    )
    trajectory_delay: float = setting(
        'time_from_start of the first of them [s]', 0.0, ge=0.0, le=10.0
    )
    safe_command: str = setting(
        'where there is nothing better: control.safe_action, or hold the last command; hold is for '
        'robots that are commanded positions',
        'action',
        choices=('action', 'hold'),
    )
    allowed_commanders: tuple[str, ...] = setting(
        'full names of other nodes that may publish on the command topics', ()
    )

    exploration: str = setting(
        'how to act at random: held (control.exploration_hold), white, coloured, or walk',
        'held',
        choices=tuple(KINDS),
    )
    exploration_colour: float = setting(
        'coloured: its power falls with frequency to this exponent; 0: white, 1: pink, 2: brown',
        1.0,
        ge=0.0,
        le=4.0,
    )
    exploration_stride: float = setting(
        'walk: largest change from one control step to the next, as a part of the range of each '
        'action [1]',
        0.1,
        ge=1e-4,
        le=1.0,
    )

    reset: str = setting(
        'who brings the robot to the start of an episode: the simulator (sim_bridge/reset), a '
        'service of the robot, or a person',
        'simulator',
        choices=('simulator', 'service', 'person'),
    )
    reset_service: str = setting("its name, of type std_srvs/Trigger, for 'service'", '')

    def __post_init__(self) -> None:
        problems = [*_pairs('robot.pose_topics', self.pose_topics, 'body=topic')]
        problems += _pairs('robot.max_ages', self.max_ages, 'name=seconds')
        for entry in self.max_ages:
            name, _, text = entry.partition('=')
            if name and not 0 < _number(text) <= 60:
                problems.append(
                    f"parameter 'robot.max_ages' has {entry!r}; the limit must be a number above 0 "
                    'and at most 60 [s]'
                )
        topics = [*self.joint_state_topics, *self.odometry_topics, *self.poses.values()]
        if len(set(topics)) != len(topics) or '' in topics:
            problems.append(
                "parameters 'robot.joint_state_topics', 'robot.odometry_topics' and "
                f"'robot.pose_topics' must name different topics; they have {topics}"
            )
        if (self.reset == 'service') != bool(self.reset_service):
            problems.append(
                f"parameter 'robot.reset' is {self.reset!r} and 'robot.reset_service' is "
                f"{self.reset_service!r}; 'service' needs its name, and nothing else takes one"
            )
        if self.safe_command == 'hold' and self.command_as != 'position':
            problems.append(
                "parameter 'robot.safe_command' is 'hold', but 'robot.command_as' is "
                f'{self.command_as!r}; the robot would go on moving. Hold positions alone'
            )
        for name in self.allowed_commanders:
            if not name.startswith('/'):
                problems.append(
                    f"parameter 'robot.allowed_commanders' has {name!r}; it must be a full name, "
                    f"such as '/{name}'"
                )
        if problems:
            raise SettingsError(problems)

    @property
    def poses(self) -> dict[str, str]:
        """Body to topic, of ``pose_topics``."""
        return {body: topic for body, _, topic in (e.partition('=') for e in self.pose_topics)}

    def age_limit(self, source: str) -> float:
        """Oldest value of a joint or body that a state may have [s]."""
        limits = {
            name: float(limit) for name, _, limit in (e.partition('=') for e in self.max_ages)
        }
        return limits.get(source, self.max_age)

    def problems(self, task: TaskSettings, state_source: str) -> list[str]:
        """What contradicts the task, a line each.

        Args:
            task: whose state this is.
            state_source: as ``control.state_source``.
        """
        problems = []
        for name in ('max_state_rate', 'state_low', 'state_high'):
            values = getattr(self, name)
            if values and len(values) != task.state_dim:
                problems.append(
                    f"parameter 'robot.{name}' has {len(values)} entries; 'task.state' has "
                    f'{task.state_dim}'
                )
        for entry, low, high in zip(task.state, self.state_low, self.state_high):
            if not low < high:
                problems.append(
                    f"'robot.state_low' must be below 'robot.state_high' in every entry; for "
                    f'{entry!r} they are {low:g} and {high:g}'
                )
        sources = {split_entry(entry)[0] for entry in task.state}
        for name, _, _ in (entry.partition('=') for entry in self.max_ages):
            if name not in sources:
                problems.append(
                    f"parameter 'robot.max_ages' has {name!r}; 'task.state' has "
                    f'{", ".join(sorted(sources))}'
                )
        if all(self.age_limit(name) > self.max_age for name in sources):
            problems.append(
                "parameter 'robot.max_ages' makes everything slow, and no state would ever be new; "
                "raise 'robot.max_age' instead"
            )
        if state_source == 'joint_states':
            problems += self._body_problems(task)
        return problems

    def _body_problems(self, task: TaskSettings) -> list[str]:
        problems = []
        bodies = {split_entry(entry)[0] for entry in task.body_entries}
        has_joints = len(task.body_entries) < task.state_dim
        if has_joints and not self.joint_state_topics:
            problems.append(
                "parameter 'robot.joint_state_topics' is empty, and 'task.state' has joints"
            )
        unknown = sorted(self.poses.keys() - bodies)
        if unknown:
            problems.append(
                f"parameter 'robot.pose_topics' has {', '.join(unknown)}; the bodies of "
                f"'task.state' are {', '.join(sorted(bodies)) or 'none'}"
            )
        missing = sorted(bodies - self.poses.keys())
        if missing and not self.odometry_topics:
            problems.append(
                f"'task.state' has the body {', '.join(missing)}, which no topic brings; name one "
                "in 'robot.odometry_topics' or 'robot.pose_topics'"
            )
        moving = [
            entry
            for entry in task.body_entries
            if split_entry(entry)[0] in self.poses
            and BODY_FIELDS[split_entry(entry)[1]][-2:] == '/s'
        ]
        if moving and self.velocity_from == 'measured':
            problems.append(
                f"'task.state' has {', '.join(moving)}, which a PoseStamped does not say; set "
                "'robot.velocity_from' to 'position'"
            )
        return problems


def _pairs(parameter: str, entries: Sequence[str], form: str) -> list[str]:
    problems = []
    seen: set[str] = set()
    for entry in entries:
        name, _, value = entry.partition('=')
        if not name.strip() or not value.strip():
            problems.append(f"parameter '{parameter}' has {entry!r}; an entry must be '{form}'")
        elif name in seen:
            problems.append(f"parameter '{parameter}' has {name!r} twice")
        seen.add(name)
    return problems


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
