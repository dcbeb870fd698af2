"""The peer's side of ``training_speed``: trains mbrl-lib's ensemble, as its own loop does.

Runs in an environment of its own, with mbrl 0.2.0. Reads one request per line (JSON) from standard
input, and answers each with a line. What is timed is what mbrl-lib's PETS does between having the
transitions and having the model: filling its replay buffer, the normaliser, ``ModelTrainer.train``.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from typing import Any

import numpy as np
import torch
from mbrl.models import GaussianMLP, ModelTrainer, OneDTransitionRewardModel
from mbrl.util.common import get_basic_buffer_iterators
from mbrl.util.replay_buffer import ReplayBuffer


def angles_as_sine_and_cosine(angles: list[int]) -> Any:
    """What mbrl-lib calls an observation's processing; None if there are no angles."""
    if not angles:
        return None

    def process(state: Any) -> Any:
        rest = [i for i in range(state.shape[-1]) if i not in angles]
        if isinstance(state, np.ndarray):
            turned = state[..., angles]
            return np.concatenate([state[..., rest], np.sin(turned), np.cos(turned)], axis=-1)
        turned = state[..., angles]
        return torch.cat([state[..., rest], turned.sin(), turned.cos()], dim=-1)

    return process


def held_out_nll(model: Any, data: Any) -> tuple[float, float]:
    """Negative log-likelihood of the change of the state [nats per entry], in physical units: of
    the ensemble (a mixture of its members), and of the average member."""
    with torch.no_grad():
        inputs = model._get_model_input(data['test_state'], data['test_action'])
        members = len(model)
        mean, logvar = model.model.forward(inputs.expand(members, -1, -1), use_propagation=False)
    change = torch.from_numpy(data['test_next_state'] - data['test_state'])
    mean, logvar = mean.double(), logvar.double()
    nll = 0.5 * ((mean - change).square() * torch.exp(-logvar) + logvar + math.log(2 * math.pi))
    density = torch.logsumexp(-nll.sum(-1), 0) - math.log(members)
    return -density.mean().item() / nll.shape[-1], nll.mean().item()


def train(request: dict[str, Any]) -> dict[str, Any]:
    """One training from the transitions to the model; times [s] are without what is measured."""
    data = dict(np.load(request['data']))
    state, action, next_state = (data[name] for name in ('state', 'action', 'next_state'))
    torch.manual_seed(request['seed'])
    curve: list[tuple[float, tuple[float, float]]] = []
    measuring = 0.0

    def measure(*_: Any) -> None:
        nonlocal measuring
        start = time.perf_counter()
        nll = held_out_nll(model, data)
        curve.append((start - began - measuring, nll))
        measuring += time.perf_counter() - start

    began = time.perf_counter()
    count = len(state)
    buffer = ReplayBuffer(
        count, state.shape[1:], action.shape[1:], rng=np.random.default_rng(request['seed'])
    )
    no = np.zeros(count, dtype=bool)
    buffer.add_batch(state, action, next_state, np.zeros(count), no, no)
    angles = request['angles']
    network = GaussianMLP(
        state.shape[1] + len(angles) + action.shape[1],
        state.shape[1],
        'cpu',
        num_layers=len(request['hidden']),
        ensemble_size=request['members'],
        hid_size=request['hidden'][0],
        activation_fn_cfg={'_target_': 'torch.nn.SiLU'},
        learn_logvar_bounds=request['learn_bounds'],
    )
    model = OneDTransitionRewardModel(
        network,
        normalize=True,
        normalize_double_precision=True,
        learned_rewards=False,
        obs_process_fn=angles_as_sine_and_cosine(angles),
    )
    trainer = ModelTrainer(
        model, optim_lr=request['learning_rate'], weight_decay=request['weight_decay']
    )
    batches, validation = get_basic_buffer_iterators(
        buffer, request['batch_size'], request['validation'], ensemble_size=request['members']
    )
    model.update_normalizer(buffer.get_all())
    loop_began = time.perf_counter()
    trainer.train(
        batches,
        validation,
        num_epochs=request['epochs'],
        evaluate=request['evaluate'],
        callback=measure if request['curve'] else None,
        silent=True,
    )
    ended = time.perf_counter()
    return {
        'seconds': ended - began - measuring,
        'loop_seconds': ended - loop_began - measuring,
        'updates': len(batches) * request['epochs'],
        'nll': held_out_nll(model, data),
        'curve': curve,
    }


def main() -> None:
    """Answer until there are no more requests."""
    torch.set_num_threads(int(sys.argv[1]))
    if os.environ.get('TUNED'):
        torch.backends.mkldnn.matmul.fp32_precision = 'bf16'  # type: ignore[attr-defined]
    for line in sys.stdin:
        print(json.dumps(train(json.loads(line))), flush=True)


if __name__ == '__main__':
    main()
