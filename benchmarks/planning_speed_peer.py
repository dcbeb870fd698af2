"""The peers' side of ``planning_speed``: mbrl-lib's CEM in its own model, and pytorch-mppi.

Runs in an environment of its own, with mbrl 0.2.0 and pytorch-mppi 0.9.1. Reads one request per
line (JSON) from standard input, and answers each with a line, as ``planning_speed_ours`` does; a
request has the sizes of the plan too, and the file of the weights.

mbrl-lib's plan is that of its PETS agent: ``TrajectoryOptimizer`` with ``CEMOptimizer``, over
``ModelEnv.evaluate_action_sequences``, inputs normalised in double precision, every particle with
its member to the end (``fixed_model``). pytorch-mppi brings no model: it gets the same networks as
batched products, without a variance, all five of them for every row (and then their mean), or a
fifth of the rows for each.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import omegaconf
import torch
from mbrl.models import GaussianMLP, ModelEnv, OneDTransitionRewardModel
from mbrl.planning import TrajectoryOptimizer
from pytorch_mppi import MPPI

POLE_LENGTH = 0.6


def reward(action: torch.Tensor, next_state: torch.Tensor) -> torch.Tensor:
    """The cart-pole's, [N, 1]: of the slider's position, the hinge's angle, and the action."""
    angle = next_state[:, 1]
    across = next_state[:, 0] - POLE_LENGTH * angle.sin()
    below = POLE_LENGTH * angle.cos() + POLE_LENGTH
    tip = torch.exp((across.square() + below.square()) * (-1.0 / POLE_LENGTH**2))
    return (tip - 0.01 * action.square().sum(-1))[:, None]


def never(action: torch.Tensor, next_state: torch.Tensor) -> torch.Tensor:
    """No state ends an episode, [N, 1]."""
    return torch.zeros(len(next_state), 1, dtype=torch.bool)


class Mbrl:
    """mbrl-lib's CEM."""

    def __init__(self, request: dict[str, Any], weights: dict[str, torch.Tensor]) -> None:
        states, actions, horizon = request['states'], request['actions'], request['horizon']
        network = GaussianMLP(
            states + actions,
            states,
            'cpu',
            num_layers=len(request['hidden']),
            ensemble_size=request['members'],
            hid_size=request['hidden'][0],
            activation_fn_cfg={'_target_': 'torch.nn.SiLU'},
            propagation_method='fixed_model',
        )
        linear = [layer[0] for layer in network.hidden_layers] + [network.mean_and_logvar]
        with torch.no_grad():
            for i, layer in enumerate(linear):
                layer.weight.copy_(weights[f'layer{i}.weight'])
                layer.bias.copy_(weights[f'layer{i}.bias'])
        model = OneDTransitionRewardModel(
            network, normalize=True, normalize_double_precision=True, learned_rewards=False
        )
        bound = request['bound']
        spaces = SimpleNamespace(
            observation_space=gymnasium.spaces.Box(-np.inf, np.inf, (states,)),
            action_space=gymnasium.spaces.Box(-bound, bound, (actions,)),
        )
        self._environment = ModelEnv(spaces, model, never, reward)
        self._particles = request['particles']
        self._shape = (request['candidates'], horizon, actions)
        self._state = np.zeros(states, dtype=np.float32)
        self._optimizer = TrajectoryOptimizer(
            omegaconf.OmegaConf.create(
                {
                    '_target_': 'mbrl.planning.CEMOptimizer',
                    'num_iterations': request['iterations'],
                    'elite_ratio': request['elites'] / request['candidates'],
                    'population_size': request['candidates'],
                    'lower_bound': '???',
                    'upper_bound': '???',
                    'alpha': 0.1,
                    'device': 'cpu',
                    'return_mean_elites': True,
                }
            ),
            np.full(actions, -bound),
            np.full(actions, bound),
            horizon,
        )

    def plan(self) -> None:
        """One plan, from where the last one stopped."""
        self._optimizer.optimize(self._evaluate)

    def return_of_nothing(self) -> float:
        """Mean over all particles."""
        return float(self._evaluate(torch.zeros(self._shape)).mean())

    def _evaluate(self, actions: torch.Tensor) -> torch.Tensor:
        return self._environment.evaluate_action_sequences(actions, self._state, self._particles)


class Mppi:
    """pytorch-mppi over the same networks."""

    def __init__(self, request: dict[str, Any], weights: dict[str, torch.Tensor]) -> None:
        states, members = request['states'], request['members']
        last = len(request['hidden'])
        layers = [(weights[f'layer{i}.weight'], weights[f'layer{i}.bias']) for i in range(last + 1)]
        layers[-1] = (
            layers[-1][0][..., :states].contiguous(),
            layers[-1][1][..., :states].contiguous(),
        )
        every = request['propagation'] == 'expectation'

        def step(state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
            x = torch.cat([state, action], dim=-1)
            x = x.expand(members, -1, -1) if every else x.view(members, -1, x.shape[-1])
            for weight, bias in layers[:-1]:
                x = torch.nn.functional.silu(torch.baddbmm(bias, x, weight))
            x = torch.baddbmm(layers[-1][1], x, layers[-1][0])
            return state + (x.mean(0) if every else x.view(-1, states))

        actions, bound = request['actions'], request['bound']
        self._state = torch.zeros(states)
        self._mppi = MPPI(
            step,
            lambda state, action: -reward(action, state)[:, 0],
            states,
            torch.eye(actions) * bound**2 / 4,
            num_samples=request['candidates'],
            horizon=request['horizon'],
            u_min=torch.full((actions,), -bound),
            u_max=torch.full((actions,), bound),
        )

    def plan(self) -> None:
        """One plan, from where the last one stopped."""
        with torch.inference_mode():
            self._mppi.command(self._state)


CONTENDERS: dict[str, Callable[..., Any]] = {'cem': Mbrl, 'mppi': Mppi}


def main() -> None:
    """Answer until there are no more requests."""
    torch.set_num_threads(int(sys.argv[1]))
    if os.environ.get('TUNED'):
        torch.backends.mkldnn.matmul.fp32_precision = 'bf16'  # type: ignore[attr-defined]
    kept: dict[str, Any] = {}
    for line in sys.stdin:
        request = json.loads(line)
        name = request['plan']
        if name not in kept:
            with np.load(request['weights']) as arrays:
                weights = {key: torch.from_numpy(arrays[key]) for key in arrays}
            kept[name] = CONTENDERS[request['optimizer']](request, weights)
        answer: dict[str, Any] = {}
        if request['what'] == 'check':
            answer['value'] = kept[name].return_of_nothing()
        else:
            answer['seconds'] = []
            for _ in range(request['count']):
                began = time.perf_counter()
                kept[name].plan()
                answer['seconds'].append(time.perf_counter() - began)
        print(json.dumps(answer), flush=True)


if __name__ == '__main__':
    main()
