"""Settings of a simulation and of the ``sim_bridge`` node."""

from __future__ import annotations

import dataclasses

from mbrl_common.settings import setting
from mbrl_common.task import TaskSettings


@dataclasses.dataclass(frozen=True)
class SimSettings:
    """Which simulation, and how it is shown (section ``sim``)."""

    environment: str = setting(
        'name of the environment, from the entry points mbrl_sim_bridge.environments; '
        'gymnasium:ENV_ID and mjcf:FILE are two of them'
    )
    seed: int = setting('seed of the state shown before the first reset', 0, ge=0)
    reset_noise: float = setting(
        'standard deviation of what is added to every position and velocity of a joint at a reset '
        '[m, rad, m/s, rad/s]',
        0.0,
        ge=0.0,
        le=10.0,
    )
    state_repeat_period: float = setting(
        'wall-clock time after which the last joint state is sent again [s]', 0.5, ge=0.05, le=60.0
    )
    marker_rate: float = setting(
        'most marker messages per second of wall-clock time [Hz]', 30.0, ge=0.1, le=30.0, live=True
    )
    camera: str = setting("camera of the model to render from; '' is MuJoCo's free camera", 'side')
    render_width: int = setting('width of rendered frames [pixels]', 480, ge=16, le=4096)
    render_height: int = setting('height of rendered frames [pixels]', 180, ge=16, le=4096)
    timestep: float = setting(
        "physics timestep [s]; 0: the environment's own, in real time as fine as sim.state_rate "
        'needs',
        0.0,
        ge=0.0,
        le=0.1,
    )
    real_time: bool = setting('run on the clock as a robot does, instead of in lockstep', False)
    state_rate: float = setting(
        'real time: joint states per simulated second [Hz]', 250.0, ge=1.0, le=1000.0
    )
    clock_rate: float = setting(
        'real time: clock messages per second of wall-clock time [Hz]', 100.0, ge=1.0, le=1000.0
    )
    speed: float = setting(
        'real time: simulated seconds per second of wall-clock time [1]', 1.0, ge=0.01, le=100.0
    )
    max_lag: float = setting(
        'real time: time that physics may be late and still be caught up with [s]',
        0.1,
        ge=0.0,
        le=10.0,
    )
    thread_priority: int = setting(
        "real time: the loop's priority before other processes (SCHED_FIFO); 0: an ordinary one",
        0,
        ge=0,
        le=99,
    )
    command_type: str = setting(
        'real time: the controller whose topic is obeyed',
        'effort',
        choices=('effort', 'trajectory'),
    )
    command_timeout: float = setting(
        'real time: time without a command after which the action is zero [s]; 0: never',
        0.1,
        ge=0.0,
        le=60.0,
    )
    position_noise: float = setting(
        'real time: standard deviation of measured positions [m, rad]', 0.0, ge=0.0, le=100.0
    )
    velocity_noise: float = setting(
        'real time: standard deviation of measured velocities [m/s, rad/s]', 0.0, ge=0.0, le=100.0
    )
    effort_noise: float = setting(
        'real time: standard deviation of measured efforts [N, N m]', 0.0, ge=0.0, le=1000.0
    )
    state_latency: float = setting(
        'real time: least delay of a joint state [s]', 0.0, ge=0.0, le=1.0
    )
    state_jitter: float = setting(
        'real time: most that a joint state is delayed beyond that [s]', 0.0, ge=0.0, le=1.0
    )
    state_drop: float = setting(
        'real time: share of joint states that are lost [1]', 0.0, ge=0.0, le=1.0
    )
    command_latency: float = setting('real time: least delay of a command [s]', 0.0, ge=0.0, le=1.0)
    command_jitter: float = setting(
        'real time: most that a command is delayed beyond that [s]', 0.0, ge=0.0, le=1.0
    )
    command_drop: float = setting(
        'real time: share of commands that are lost [1]', 0.0, ge=0.0, le=1.0
    )


@dataclasses.dataclass(frozen=True)
class SimBridgeSettings:
    """All that a simulation needs: the task it plays, and itself."""

    task: TaskSettings
    sim: SimSettings
