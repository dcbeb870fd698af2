"""What the tests share: small settings, transitions, jobs, and the true cart-pole of PETS."""

from __future__ import annotations

import dataclasses
import math
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest
import torch

from mbrl_common.settings import build
from mbrl_dynamics.encoding import Encoding
from mbrl_dynamics.ensemble import Architecture, Weights
from mbrl_dynamics.gradient import BOUND_PENALTY
from mbrl_dynamics.settings import DynamicsSettings, TrainingSettings
from mbrl_dynamics.training import TrainingJob
from mbrl_dynamics.transition import Transition
from mbrl_dynamics.transitions import Transitions
from mbrl_sim_bridge.environments.cartpole_pets import CartpolePets

torch.set_num_threads(1)

TASK = {
    'name': 'cartpole_swingup',
    'state': ['slider.position', 'hinge.position', 'slider.velocity', 'hinge.velocity'],
    'angles': ['hinge.position'],
    'action': ['slider'],
    'action_low': [-3.0],
    'action_high': [3.0],
    'control_period': 0.04,
    'max_steps': 200,
}


def _make_transition(number: int, length: int = 20, **changes: Any) -> Transition:
    """Transition ``number`` of a session whose episodes have ``length`` steps."""
    values: dict[str, Any] = {
        'stamp': number * 40_000_000,
        'next_stamp': (number + 1) * 40_000_000,
        'robot': '/mpc_controller',
        'session': 2**63 + 1,
        'sequence': number,
        'episode': number // length,
        'step': number % length,
        'state': np.sin(number + np.arange(4.0)),
        'action': np.cos([float(number)]),
        'next_state': np.sin(number + np.arange(4.0)) + 0.1 * np.cos(number),
        'reward': 0.5,
        'terminated': False,
        'truncated': number % length == length - 1,
    }
    return Transition(**(values | changes))


def _assert_same(ours: Transition, theirs: Transition) -> None:
    """Equal in every bit."""
    for name in Transition.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)


@pytest.fixture
def make_settings() -> Callable[..., DynamicsSettings]:
    """Settings for the cart-pole with small networks and short trainings; ``__`` is a dot."""
    small = {
        'task': TASK,
        'model.members': 3,
        'model.hidden': [16, 16],
        'training.updates_after_episode': 40,
        'training.updates_within_episode': 20,
        'training.min_transitions': 10,
        'training.holdout_block': 1,
    }
    return lambda **changes: build(
        DynamicsSettings, {**small, **{k.replace('__', '.'): v for k, v in changes.items()}}
    )


@pytest.fixture
def architecture() -> Architecture:
    """A small ensemble for four states, the second an angle, and one action."""
    return Architecture(Encoding(4, 1, (1,)), 3, (16, 16), 'silu')


def _make_job(
    architecture: Architecture,
    data: tuple[np.ndarray, np.ndarray, np.ndarray],
    updates: int,
    **changes: Any,
) -> TrainingJob:
    """A job on (state, action, next state), with every tenth transition or so held out."""
    defaults = {'min_transitions': 10, 'holdout_fraction': 0.1, 'holdout_block': 1}
    return TrainingJob(
        architecture,
        build(TrainingSettings, {**defaults, **changes}),
        updates,
        seed=0,
        version=1,
        data=Transitions.from_arrays(*data),
    )


class CartPole:
    """The truth."""

    def __init__(self) -> None:
        self._model = CartpolePets().make_model()
        self._data = mujoco.MjData(self._model)

    def run(self, start: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """States [H + 1, 4] from a start [4] along actions [H, 1]."""
        mujoco.mj_resetData(self._model, self._data)
        self._data.qpos[:], self._data.qvel[:] = start[:2], start[2:]
        states = [start]
        for action in actions:
            self._data.ctrl[:] = action
            mujoco.mj_step(self._model, self._data, 2)
            states.append(np.concatenate([self._data.qpos, self._data.qvel]))
        return np.array(states)

    def random_data(
        self, episodes: int, seed: int = 0
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """State, action and next state of episodes of 200 random steps."""
        generator = np.random.default_rng(seed)
        parts = []
        for _ in range(episodes):
            actions = generator.uniform(-3, 3, (200, 1))
            states = self.run(generator.normal(0, 0.1, 4), actions)
            parts.append((states[:-1], actions, states[1:]))
        state, action, next_state = (np.concatenate(each) for each in zip(*parts))
        return state, action, next_state


@pytest.fixture
def cartpole() -> CartPole:
    """The true cart-pole of PETS."""
    return CartPole()


@pytest.fixture
def make_transition() -> Callable[..., Any]:
    """Makes transition ``number`` of a session with episodes of ``length`` steps, 20 by default."""
    return _make_transition


@pytest.fixture
def assert_same() -> Callable[..., Any]:
    """Asserts that two transitions are equal in every bit."""
    return _assert_same


@pytest.fixture
def make_job() -> Callable[..., Any]:
    """Makes a job on (state, action, next state), with every tenth transition or so held out."""
    return _make_job


@dataclasses.dataclass
class Batch:
    """Weights and a batch that no random number is special in."""

    weights: Weights
    inputs: torch.Tensor
    targets: torch.Tensor
    ends: torch.Tensor | None

    def check(self, loss: torch.Tensor, gradient: Weights) -> None:
        """Compare loss [M] and gradient with those of autograd, in float64."""
        flat = self.weights.flat.double().requires_grad_()
        double = Weights(self.weights.architecture, flat)
        outputs = double.forward(self.inputs.double())
        targets = self.targets.double()
        if outputs.logvar is None:
            objective = reported = (outputs.mean - targets).square().mean((1, 2))
        else:
            normal = torch.distributions.Normal(outputs.mean, torch.exp(0.5 * outputs.logvar))
            reported = -normal.log_prob(targets).mean((1, 2))
            # PETS leaves the half and the constant out.
            objective = 2 * reported - math.log(2 * math.pi)
            low, high = double.bounds
            objective = objective + BOUND_PENALTY * (high - low).sum((1, 2))
        if self.ends is not None:
            assert outputs.logit is not None
            entropy = torch.distributions.Bernoulli(logits=outputs.logit)
            ended = -entropy.log_prob(self.ends[..., 0].double()).mean(1)
            objective, reported = objective + ended, reported + ended
        objective.sum().backward()
        torch.testing.assert_close(loss.double(), reported.detach(), rtol=1e-4, atol=1e-4)
        assert flat.grad is not None
        torch.testing.assert_close(gradient.flat.double(), flat.grad, rtol=1e-3, atol=1e-5)


@pytest.fixture
def make_batch() -> Callable[..., Batch]:
    """Makes random weights, and a batch of some size for them."""

    def make(architecture: Architecture, size: int = 7) -> Batch:
        generator = torch.Generator().manual_seed(1)
        weights = Weights.initial(architecture, generator)
        weights.flat.add_(0.1 * torch.randn(weights.flat.shape, generator=generator))
        members = architecture.members
        inputs = torch.randn(members, size, architecture.encoding.input_dim, generator=generator)
        targets = torch.randn(members, size, architecture.targets, generator=generator)
        ends = (torch.rand(members, size, 1, generator=generator) < 0.3).float()
        return Batch(weights, inputs, targets, ends if architecture.learns_termination else None)

    return make


@pytest.fixture
def small_disk() -> Iterator[Callable[[int], None]]:
    """Lets this process write no file beyond a size, as a full disk would; -1: any size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size if size >= 0 else before[0], before[1]))

    yield limit
    limit(-1)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 100 kB, where one may be mounted."""
    folder = tmp_path / 'tiny'
    folder.mkdir()
    command = ['mount', '-t', 'tmpfs', '-o', 'size=100k', 'tiny', str(folder)]
    if shutil.which('mount') is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip('no file system can be mounted here; that takes the rights of root')
    yield folder
    subprocess.run(['umount', '--lazy', str(folder)], check=True)
