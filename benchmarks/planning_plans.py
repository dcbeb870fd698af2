"""The plans that the benchmarks of planning measure, on ensembles of random weights.

What a plan costs depends on the sizes alone; so the weights are PETS's initial ones, with a
deviation of a few hundredths per step. The objective is that of the cart-pole everywhere: a task of
other sizes has entries of the state, and actions, that it does not look at (but for the price of
control).
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from mbrl_common.settings import build
from mbrl_dynamics.encoding import Encoding
from mbrl_dynamics.ensemble import Architecture, Weights
from mbrl_dynamics.normalizer import Normalizer
from mbrl_dynamics.snapshot import TrainedEnsemble, encode
from mbrl_planner.planner import Planner
from mbrl_planner.settings import PlannerSettings

FIRST = ('slider.position', 'hinge.position', 'slider.velocity', 'hinge.velocity')
LOGVAR = -6.0  # what is added to the log-variance of random networks


@dataclasses.dataclass(frozen=True)
class Plan:
    """Sizes of a task and a model, and how is planned in it.

    ``parameters`` are those of the planner that differ from the defaults, by their dotted names;
    ``bound`` is that of the action, either way.
    """

    name: str
    states: int
    actions: int
    members: int
    hidden: tuple[int, ...]
    parameters: Mapping[str, Any]
    activation: str = 'silu'
    probabilistic: bool = True
    angles: tuple[int, ...] = ()
    bound: float = 1.0

    @property
    def architecture(self) -> Architecture:
        """Of the ensemble."""
        return Architecture(
            Encoding(self.states, self.actions, self.angles),
            self.members,
            self.hidden,
            self.activation,
            self.probabilistic,
        )

    @property
    def flop_per_step(self) -> int:
        """Of one model step: multiplications and additions in the products."""
        widths = self.architecture.widths
        return 2 * sum(a * b for a, b in itertools.pairwise(widths))

    @property
    def task(self) -> dict[str, Any]:
        """The parameters ``task.*``."""
        more = (f'more{i}.position' for i in range(self.states - len(FIRST)))
        names = [*FIRST, *more][: self.states]
        return {
            'name': 'benchmark',
            'state': names,
            'angles': [names[i] for i in self.angles],
            'action': ['slider', *(f'more{i}' for i in range(self.actions - 1))],
            'action_low': [-self.bound] * self.actions,
            'action_high': [self.bound] * self.actions,
            'control_period': 0.04,
            'max_steps': 200,
        }

    def settings(self, **changes: Any) -> PlannerSettings:
        """Of the planner; ``changes`` by name, with ``__`` for the dot.

        Raises:
            SettingsError: a parameter is not known, for instance the name of an optimiser.
        """
        dotted = {name.replace('__', '.'): value for name, value in changes.items()}
        objective = {'name': 'cartpole_swingup'}
        given = {'task': self.task, 'objective': objective, **self.parameters, **dotted}
        return build(PlannerSettings, given)

    def weights(self) -> Weights:
        """The same every time."""
        weights = Weights.initial(self.architecture, torch.Generator().manual_seed(0))
        if self.probabilistic:
            weights.layers[-1][1][..., self.states :] = LOGVAR
        return weights

    def model(self) -> bytes:
        """A snapshot of it, inputs and targets not scaled."""
        architecture = self.architecture
        inputs, targets = (
            Normalizer(np.zeros(width), np.ones(width))
            for width in (architecture.encoding.input_dim, architecture.targets)
        )
        return encode(TrainedEnsemble(self.weights(), inputs, targets), 1, 1000, 0.0).data

    def planner(self, **changes: Any) -> Planner:
        """With the model; ``changes`` as of ``settings``."""
        planner = Planner(self.settings(**changes))
        planner.set_model(self.model(), 1)
        return planner


def _optimizer(name: str, candidates: int, iterations: int, elites: int) -> dict[str, Any]:
    return {
        'optimizer.name': name,
        'optimizer.candidates': candidates,
        'optimizer.iterations': iterations,
        'optimizer.elites': elites,
    }


_PETS = {
    **_optimizer('cem', 500, 5, 50),
    'optimizer.cem.epsilon': 0.0,  # all iterations
    'planner.horizon': 30,
    'planner.propagation': 'ts_inf',
    'planner.particles': 20,
}
_MPPI = {**_optimizer('mppi', 1000, 1, 100), 'planner.horizon': 20}

DEMO = Plan('demo', 4, 1, 5, (128, 128), _optimizer('icem', 32, 2, 8), angles=(1,), bound=3.0)
PDDM = Plan(
    'pddm',
    40,
    24,
    3,
    (250, 250),
    {**_optimizer('pddm', 700, 1, 70), 'planner.horizon': 7, 'planner.propagation': 'mean'},
    activation='relu',
    probabilistic=False,
)
REFERENCE = Plan('reference 17/6', 17, 6, 5, (200,) * 4, _PETS)
REFERENCE_SMALL = Plan('reference 4/1', 4, 1, 5, (200,) * 4, _PETS)
MPPI_MEAN = Plan(
    'mppi, mean of all five',
    17,
    6,
    5,
    (200,) * 4,
    {**_MPPI, 'planner.propagation': 'expectation'},
)
MPPI_ONE = Plan(
    'mppi, one member per row',
    17,
    6,
    5,
    (200,) * 4,
    {**_MPPI, 'planner.propagation': 'ts_inf', 'planner.particles': 1},
)
PLANS = {plan.name: plan for plan in (REFERENCE, REFERENCE_SMALL, PDDM, DEMO, MPPI_MEAN, MPPI_ONE)}
