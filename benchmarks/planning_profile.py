"""What the time of a plan is spent on: the network, and everything else.

    python benchmarks/planning_profile.py --plan demo

Each part is run by itself, with the populations and steps of a whole plan: the products with their
activations; the model's prediction; the propagation, the rollout and the planner in a stand-in
model that returns arrays made before; and the optimiser on returns made before. What lies between
two of them is a part's own time. All use the same way of multiplying as the rollout, and record no
gradients. The parts take turns, so that each is disturbed alike; the last
line is what the parts do not add up to. With ``--operators`` torch's profiler lists the operators
of the whole plan, too.

Prints a table; appends a row per part to benchmarks/results/planning_profile.csv.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from csv_rows import append, cpu_name
from planning_plans import PLANS, Plan
from torch.profiler import ProfilerActivity, profile

from mbrl_dynamics.chunks import in_chunks
from mbrl_dynamics.hidden_layers import HiddenLayers, Layer
from mbrl_dynamics.model import DynamicsModel, Prediction
from mbrl_dynamics.precision import fast_products
from mbrl_dynamics.propagation import Propagation
from mbrl_planner.objectives import make_objective
from mbrl_planner.optimizer import Start
from mbrl_planner.optimizers import make_optimizer
from mbrl_planner.planner import Planner, PlanRequest
from mbrl_planner.rollout import Rollout
from mbrl_planner.warm_start import WarmStart

RESULTS = Path(__file__).parent / 'results' / 'planning_profile.csv'


class StandIn:
    """A model of the same sizes that costs nothing: what it says was made before."""

    history = 1
    learns_reward = False
    learns_termination = False

    def __init__(self, model: DynamicsModel) -> None:
        self.members, self.state_dim = model.members, model.state_dim
        self.action_dim, self.target_scale = model.action_dim, model.target_scale
        self._probabilistic = model.probabilistic
        self._made: dict[tuple[int, bool], Prediction] = {}

    def predict(
        self, state: torch.Tensor, action: torch.Tensor, variance: bool = True
    ) -> Prediction:
        """The same for as many rows."""
        key = (state.shape[1], variance)
        if key not in self._made:
            shape = (self.members, state.shape[1], self.state_dim)
            spread = torch.full(shape, 1e-4) if variance and self._probabilistic else None
            self._made[key] = Prediction(0.1 * torch.randn(shape), spread, None, None)
        return self._made[key]

    def only(self, members: Sequence[int]) -> StandIn:
        """It is nobody's."""
        some = copy.copy(self)
        some.members, some._made = len(members), {}
        return some


class Parts:
    """The parts of a plan, each a function to be timed."""

    def __init__(self, plan: Plan, threads: int) -> None:
        settings = plan.settings(planner__threads=threads)
        self._plan, self._settings = plan, settings
        self._model = DynamicsModel.from_bytes(plan.model())
        stand_in = StandIn(self._model)
        objective = make_objective(settings.objective, settings.task)
        self._optimizer = make_optimizer(settings.optimizer)
        self._rollout = Rollout(stand_in, objective, settings.planner)
        self._propagation = Propagation(
            stand_in, settings.planner.propagation, settings.planner.particles
        )
        whole, without = Planner(settings), Planner(settings)
        whole.use_model(self._model, 1)
        without.use_model(stand_in, 1)
        self._warm = self._warm_start(whole)
        self._actions = self._populations()
        self._variance = settings.planner.propagation not in ('mean', 'expectation')
        self._inputs, self._hidden, self._last = self._network()
        self.parts: dict[str, Callable[[], Any]] = {
            'whole': lambda: whole.plan(self._request()),
            'stand_in': lambda: without.plan(self._request()),
            'optimizer': self._optimize,
            'rollout': lambda: self._carry(self._rollout),
            'propagation': lambda: self._carry(self._propagation),
            'predict': self._predict,
            'network': self._products,
        }

    def _request(self) -> PlanRequest:
        return PlanRequest(state=np.zeros(self._plan.states), seed=1, warm_start=self._warm)

    def _warm_start(self, planner: Planner) -> WarmStart:
        first = PlanRequest(state=np.zeros(self._plan.states), seed=0)
        return planner.plan(first).warm_start.shifted(1)

    def _start(self) -> Start:
        return Start(
            torch.tensor(self._warm.mean, dtype=torch.float32)[None],
            torch.tensor(self._warm.elites, dtype=torch.float32)[None],
        )

    def _populations(self) -> list[torch.Tensor]:
        """What the optimiser wants to have evaluated, iteration by iteration."""
        asked: list[torch.Tensor] = []

        def note(actions: torch.Tensor) -> torch.Tensor:
            asked.append(actions.clone())
            return actions[..., 0].sum(-1)

        self._optimize(note)
        return asked

    def _optimize(self, evaluate: Callable[[torch.Tensor], torch.Tensor] | None = None) -> None:
        low, high = (torch.tensor(b, dtype=torch.float32) for b in self._settings.task.bounds)
        made = iter(self._returns) if evaluate is None else iter(())
        with torch.no_grad():
            self._optimizer.optimize(
                evaluate or (lambda actions: next(made)),
                low,
                high,
                self._start(),
                [torch.Generator().manual_seed(1)],
            )

    @property
    def _returns(self) -> list[torch.Tensor]:
        return [actions[..., 0].sum(-1) for actions in self._actions]

    def _carry(self, through: Rollout | Propagation) -> None:
        with torch.no_grad():
            state, generators = torch.zeros(1, self._plan.states), [torch.Generator()]
            if isinstance(through, Rollout):
                through.begin(state, torch.zeros(1, 1), generators)
            else:
                through.begin(state, generators)
            for actions in self._actions:
                through(actions)

    def _network(self) -> tuple[list[torch.Tensor], HiddenLayers, Layer]:
        """Inputs of each iteration's steps, and layers: the last is the mean's, or both."""
        weights = self._plan.weights()
        members = self._model.members
        if self._settings.planner.propagation == 'ts_inf':  # the rest is not computed
            members = min(members, self._propagation.particles)
        inputs = []
        for actions in self._actions:
            rows = actions.shape[1] * -(-self._propagation.particles // self._model.members)
            inputs.append(torch.randn(members, rows, weights.layers[0][0].shape[1]))
        *layers, (weight, bias) = [(w[:members], b[:members]) for w, b in weights.layers]
        if not self._variance:  # the model leaves the variance out where no one asks for it
            states = self._plan.states
            weight, bias = weight[..., :states].contiguous(), bias[..., :states].contiguous()
        return inputs, HiddenLayers(layers, self._plan.activation), (weight, bias)

    def _products(self) -> None:
        hidden, (weight, bias) = self._hidden, self._last

        def through(inputs: torch.Tensor, at: slice) -> torch.Tensor:
            return torch.baddbmm(bias, hidden(inputs[:, at]), weight)

        with torch.no_grad(), fast_products(self._inputs[0].shape[1]):
            for inputs in self._inputs:
                for _ in range(self._settings.planner.horizon):
                    in_chunks(partial(through, inputs), inputs.shape[1], hidden.chunk)

    def _predict(self) -> None:
        states, actions = self._plan.states, self._plan.actions
        model = self._model.only(range(self._inputs[0].shape[0]))
        with torch.no_grad(), fast_products(self._inputs[0].shape[1]):
            for inputs in self._inputs:
                state, action = inputs[..., :states], inputs[..., -actions:]
                for _ in range(self._settings.planner.horizon):
                    model.predict(state, action, variance=self._variance)


def measure(parts: Parts, repetitions: int) -> dict[str, float]:
    """Medians [s], in turns."""
    times: dict[str, list[float]] = {name: [] for name in parts.parts}
    for repetition in range(-2, repetitions):
        for name, run in parts.parts.items():
            began = time.perf_counter()
            run()
            if repetition >= 0:
                times[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in times.items()}


def table(median: dict[str, float]) -> dict[str, float]:
    """Each part's own time [s]; the first is the whole."""
    rest = median['stand_in'] - median['rollout'] - median['optimizer']
    return {
        'whole plan': median['whole'],
        'network: products and activations': median['network'],
        'model: inputs, variance, residual': median['predict'] - median['network'],
        'propagation: noise, windows, copies': median['propagation'],
        'rewards and returns': median['rollout'] - median['propagation'],
        'optimiser: sampling, sorting, fitting': median['optimizer'],
        'planner: checks, conversions, states': rest,
        'not accounted for': median['whole'] - median['stand_in'] - median['predict'],
    }


def main() -> None:
    """Measure, print, and append to the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--plan', choices=PLANS, default='demo')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--repetitions', type=int, default=300)
    parser.add_argument('--operators', action='store_true', help="list torch's operators, too")
    parser.add_argument('--quick', action='store_true', help='few plans')
    parser.add_argument('--csv', type=Path, default=RESULTS, help='where to append the results')
    arguments = parser.parse_args()
    parts = Parts(PLANS[arguments.plan], arguments.threads)
    own = table(measure(parts, 5 if arguments.quick else arguments.repetitions))
    whole = own['whole plan']
    print(f'{arguments.plan}, {arguments.threads} thread{"s" * (arguments.threads > 1)}')
    for name, seconds in own.items():
        print(f'  {name:40s} {seconds * 1e3:9.3f} ms {seconds / whole:7.1%}')
    under = {
        'cpu': cpu_name(),
        'cpus': os.cpu_count(),
        'torch': torch.__version__,
        'plan': arguments.plan,
        'threads': arguments.threads,
    }
    rows = [under | {'part': name, 'ms': round(s * 1e3, 4)} for name, s in own.items()]
    append(arguments.csv, rows)
    if arguments.operators:
        with profile(activities=[ProfilerActivity.CPU]) as seen:
            for _ in range(3 if arguments.quick else 20):
                parts.parts['whole']()
        print(seen.key_averages().table(sort_by='self_cpu_time_total', row_limit=25))


if __name__ == '__main__':
    main()
