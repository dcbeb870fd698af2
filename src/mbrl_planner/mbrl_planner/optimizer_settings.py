"""Settings of the optimisers: what all share, and a group for what each alone knows."""

from __future__ import annotations

import dataclasses

from mbrl_common.settings import SettingsError, setting

GROUP = 'mbrl_planner.optimizers'
"""Entry points of this group are functions ``make(settings: OptimizerSettings) -> Optimizer``."""


@dataclasses.dataclass(frozen=True)
class CemSettings:
    """What CEM alone knows; defaults are PETS's."""

    alpha: float = setting('share of the old mean and variance that is kept', 0.1, ge=0.0, le=1.0)
    epsilon: float = setting('stop when no variance is above this [action units^2]', 1e-3, ge=0.0)


@dataclasses.dataclass(frozen=True)
class IcemSettings:
    """What iCEM alone knows; Pinneri et al. (2020) give the meaning and the ranges."""

    colour_beta: float = setting(
        'exponent of the noise: its power falls with frequency^-beta; 0 is white',
        2.0,
        ge=0.0,
        le=10.0,
    )
    decay: float = setting(
        'candidates are divided by this after each iteration', 1.25, ge=1.0, le=10.0
    )
    keep_fraction: float = setting(
        'share of the elites that are candidates again, in the next iteration and the next plan',
        0.3,
        ge=0.0,
        le=1.0,
    )
    alpha: float = setting('share of the old mean and deviation that is kept', 0.1, ge=0.0, le=1.0)
    initial_std: float = setting(
        'standard deviation at the start, as a share of half the action range',
        0.5,
        ge=1e-3,
        le=10.0,
    )
    add_mean: bool = setting('make the mean a candidate of the last iteration', True)
    execute_best: bool = setting('return the best candidate; otherwise the mean', True)


@dataclasses.dataclass(frozen=True)
class RandomShootingSettings:
    """What random shooting alone knows."""

    hold: int = setting('steps that each drawn action is held', 1, ge=1, le=1000)


@dataclasses.dataclass(frozen=True)
class MppiSettings:
    """What MPPI alone knows; Williams et al. (2017) give the meaning."""

    sigma: float = setting(
        'standard deviation of the noise, as a share of half the action range',
        0.5,
        ge=1e-6,
        le=10.0,
    )
    temperature: float = setting(
        'candidates count by exp(return / temperature); small: the best alone counts [return]',
        0.1,
        ge=1e-9,
        le=1e9,
    )
    noise_cost: float = setting(
        'taken off a return, times mean * noise / variance summed over steps and entries (gamma of '
        'the paper); 0: effort is left to the objective',
        0.0,
        ge=0.0,
        le=1e6,
    )


@dataclasses.dataclass(frozen=True)
class PddmSettings:
    """What PDDM's refinement alone knows; defaults are typical of its tasks."""

    sigma: float = setting(
        'standard deviation of the noise before it is filtered, as a share of half the action '
        'range',
        0.9,
        ge=1e-6,
        le=10.0,
    )
    beta: float = setting(
        'share of the new noise in the filtered one; 1: no filter', 0.7, ge=1e-3, le=1.0
    )
    kappa: float = setting(
        'candidates count by exp(kappa * return); large: the best alone counts (gamma of the '
        'paper) [1/return]',
        10.0,
        ge=0.0,
        le=1e9,
    )
    calm_share: float = setting('share of the candidates with less noise', 0.1, ge=0.0, le=1.0)
    calm_sigma: float = setting(
        'their noise, as a share of that of the others', 0.3, ge=0.0, le=1.0
    )


@dataclasses.dataclass(frozen=True)
class GradientSettings:
    """What planning by backpropagation alone knows; the hybrid refines with it too."""

    starts: int = setting('sequences that are improved side by side', 4, ge=1, le=100_000)
    learning_rate: float = setting(
        "Adam's step, as a share of half the action range", 0.1, ge=1e-6, le=10.0
    )
    clip: float = setting(
        "longest gradient of a sequence [return per half the action range]; what Adam's step "
        'becomes does not depend on it before a gradient grows',
        10.0,
        ge=1e-9,
        le=1e9,
    )


@dataclasses.dataclass(frozen=True)
class HybridSettings:
    """What the hybrid alone knows; it samples as ``icem`` and refines as ``gradient`` says."""

    refined: int = setting('best samples that are refined', 4, ge=1, le=100_000)
    steps: int = setting('steps along the gradient', 5, ge=1, le=10_000)


@dataclasses.dataclass(frozen=True)
class OptimizerSettings:
    """The optimiser; groups of the ones not chosen are not used."""

    name: str = setting('optimiser, in the entry-point group mbrl_planner.optimizers', 'icem')
    candidates: int = setting('action sequences in the first iteration', 32, ge=2, le=1_000_000)
    iterations: int = setting("refinements of a plan; of 'gradient', its steps", 2, ge=1, le=1000)
    elites: int = setting('best candidates that the next distribution is fitted to', 8, ge=1)
    options: tuple[str, ...] = setting(
        "settings of an optimiser from another package, each as 'name=value'", ()
    )
    cem: CemSettings = CemSettings()
    icem: IcemSettings = IcemSettings()
    random_shooting: RandomShootingSettings = RandomShootingSettings()
    mppi: MppiSettings = MppiSettings()
    pddm: PddmSettings = PddmSettings()
    gradient: GradientSettings = GradientSettings()
    hybrid: HybridSettings = HybridSettings()

    def __post_init__(self) -> None:
        problems = []
        if self.elites >= self.candidates:
            problems.append(
                f"parameter 'optimizer.elites' is {self.elites}; it must be below "
                f"'optimizer.candidates', which is {self.candidates}"
            )
        for entry in self.options:
            name, sign, _ = entry.partition('=')
            if not sign or not name.strip():
                problems.append(
                    f"parameter 'optimizer.options' has {entry!r}; an entry must be 'name=value'"
                )
        if problems:
            raise SettingsError(problems)

    def option_values(self) -> dict[str, str]:
        """The options as a mapping, values as they were written."""
        pairs = (entry.partition('=') for entry in self.options)
        return {name.strip(): value.strip() for name, _, value in pairs}
