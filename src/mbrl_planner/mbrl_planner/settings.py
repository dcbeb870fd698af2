"""Settings of the planner: the configuration of the core, and the parameters of the node."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from mbrl_common.plugins import find_plugin
from mbrl_common.settings import SettingsError, setting
from mbrl_common.task import TaskSettings
from mbrl_dynamics.precision import check_device
from mbrl_dynamics.propagation import WAYS
from mbrl_planner.objectives import ObjectiveSettings, make_objective
from mbrl_planner.optimizer_settings import GROUP as OPTIMIZERS
from mbrl_planner.optimizer_settings import OptimizerSettings
from mbrl_planner.splines import KINDS, fewest_knots
from mbrl_planner.trace_settings import TraceSettings

SIMULATORS = 'mbrl_sim_bridge.environments'
"""Entry points of this group are classes with ``make_model() -> mujoco.MjModel``."""


@dataclasses.dataclass(frozen=True)
class PlanningSettings:
    """How far ahead, and how candidates are propagated through the model."""

    horizon: int = setting('steps planned ahead, of task.control_period each', 20, ge=1, le=1000)
    propagation: str = setting(
        "how uncertainty is carried along: 'mean' (every member its own mean), or as PETS has it "
        "'expectation', 'moment_matching', 'distribution_sampling', 'ts1', 'ts_inf'",
        'mean',
        choices=WAYS,
    )
    particles: int = setting(
        "particles of each candidate, any number (PETS: 20); 'mean' has one per member, "
        "'expectation' one",
        20,
        ge=1,
        le=10_000,
    )
    reward: str = setting(
        "who says what a step is worth: the 'objective', or the 'model' that learned it",
        'objective',
        choices=('objective', 'model'),
    )
    termination: str = setting(
        "who says what ends an episode: the 'objective', or the 'model' that learned it",
        'objective',
        choices=('objective', 'model'),
    )
    disagreement_penalty: float = setting(
        "taken off a candidate's return per step, times the members' disagreement in units of "
        'what a step usually changes; 0: uncertainty costs nothing; below 0: it is sought',
        0.0,
        ge=-1e9,
        le=1e9,
    )
    risk_aversion: float = setting(
        "taken off a candidate's return, times the deviation of the particles' returns; 0: the "
        'mean counts alone; below 0: optimism, for exploring with a learned reward',
        0.0,
        ge=-1e6,
        le=1e6,
    )
    worst_share: float = setting(
        'a return is the mean over this share of the particles, the worst ones (the conditional '
        'value at risk); 1: over all',
        1.0,
        ge=1e-4,
        le=1.0,
    )
    knots: int = setting(
        'knots of a spline that the optimiser places instead of every action; 0: every action',
        0,
        ge=0,
        le=1000,
    )
    spline: str = setting(
        "how actions follow from knots: 'zero' (each held until the next), 'linear', 'cubic'",
        'linear',
        choices=KINDS,
    )
    time_budget: float = setting(
        'after this time no iteration is begun, and the best plan so far is returned [s]; 0: never',
        0.0,
        ge=0.0,
        le=3600.0,
    )
    backend: str = setting(
        "what is planned in: the 'model' that was learned, or the true 'mujoco' model",
        'model',
        choices=('model', 'mujoco'),
    )
    simulator: str = setting(
        "environment whose MuJoCo model is planned in, as 'sim.environment' names it; for the "
        "backend 'mujoco' alone",
        '',
    )
    timestep: float = setting(
        "physics timestep of the backend 'mujoco' [s]; 0: the environment's own. A longer one "
        'plans faster, in a model that is less true',
        0.0,
        ge=0.0,
        le=0.1,
    )
    device: str = setting('where the model is evaluated', 'cpu', choices=('cpu', 'cuda'))
    precision: str = setting(
        "of the model's products: 'fp32', or 'bf16' with sums in fp32",
        'fp32',
        choices=('fp32', 'bf16'),
    )
    threads: int = setting(
        'threads that share the rows of the model; plans do not depend on them', 1, ge=1, le=256
    )

    def __post_init__(self) -> None:
        check_device(self.device)


@dataclasses.dataclass(frozen=True)
class PlannerSettings:
    """All settings of a planner; an objective that does not exist or fit is refused here."""

    task: TaskSettings
    objective: ObjectiveSettings
    planner: PlanningSettings = PlanningSettings()
    optimizer: OptimizerSettings = OptimizerSettings()  # noqa: RUF009 - it is frozen
    trace: TraceSettings = TraceSettings()  # noqa: RUF009 - it is frozen

    def __post_init__(self) -> None:
        problems = [*_planning_problems(self.planner), *_backend_problems(self.planner)]
        try:
            find_plugin(OPTIMIZERS, self.optimizer.name, 'optimizer.name')
        except SettingsError as error:
            problems += error.problems
        if problems:
            raise SettingsError(problems)
        make_objective(self.objective, self.task)
        check_trace(self.trace, self.task)


def check_trace(trace: TraceSettings, task: TaskSettings) -> None:
    """Raise ``SettingsError`` where a point that is to be drawn does not exist."""
    if trace.points:
        from mbrl_planner.trace import make_trace  # loading MuJoCo takes a while

        make_trace(trace, task)


def _planning_problems(planner: PlanningSettings) -> Iterator[str]:
    """What several settings together make wrong."""
    if planner.propagation == 'moment_matching' and planner.particles < 2:
        yield (
            f"parameter 'planner.particles' is {planner.particles}; 'moment_matching' "
            'needs at least 2: one particle has no variance'
        )
    if planner.knots > planner.horizon:
        yield (
            f"parameter 'planner.knots' is {planner.knots}; it must be at most "
            f"'planner.horizon', which is {planner.horizon}, or 0"
        )
    elif 0 < planner.knots < fewest_knots(planner.spline):
        yield (
            f"parameter 'planner.knots' is {planner.knots}; a spline {planner.spline!r} must "
            f'have at least {fewest_knots(planner.spline)}'
        )


def _backend_problems(planner: PlanningSettings) -> Iterator[str]:
    """What the true model cannot do."""
    if planner.backend != 'mujoco':
        return
    try:
        find_plugin(SIMULATORS, planner.simulator, 'planner.simulator')
    except SettingsError as error:
        for problem in error.problems:
            yield f"{problem}; the backend 'mujoco' plans in it"
    for name in ('reward', 'termination'):
        if getattr(planner, name) == 'model':
            yield (
                f"parameter 'planner.{name}' is 'model'; with the backend 'mujoco' nothing is "
                "learned, and it must be 'objective'"
            )
