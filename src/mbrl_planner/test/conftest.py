"""What the tests share: the cart-pole's task and its truth, and models with known answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import mujoco
import mujoco.rollout
import numpy as np
import pytest
import torch

from mbrl_common.settings import build
from mbrl_common.task import TaskSettings
from mbrl_dynamics.learner import Learner
from mbrl_dynamics.model import Prediction
from mbrl_dynamics.settings import DynamicsSettings
from mbrl_dynamics.transition import Transition
from mbrl_planner.settings import OptimizerSettings, PlannerSettings
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


@pytest.fixture
def task() -> TaskSettings:
    """The cart-pole's task."""
    return build(TaskSettings, TASK)


@pytest.fixture
def parameters() -> dict[str, Any]:
    """Parameters of a planner for the cart-pole, as a parameter file has them."""
    return {'task': dict(TASK), 'objective': {'name': 'cartpole_swingup'}}


@pytest.fixture
def make_settings(parameters: dict[str, Any]) -> Callable[..., PlannerSettings]:
    """Settings of a planner for the cart-pole, with some changed by dotted names."""
    return lambda **changes: build(
        PlannerSettings, {**parameters, **{k.replace('__', '.'): v for k, v in changes.items()}}
    )


@pytest.fixture
def make_optimizer_settings() -> Callable[..., OptimizerSettings]:
    """Settings of an optimiser, with some changed by dotted names (``__`` for the dot)."""
    return lambda **changes: build(
        OptimizerSettings, {k.replace('__', '.'): v for k, v in changes.items()}
    )


class TrueCartpole:
    """The cart-pole in MuJoCo: what happens, and where the tip really is."""

    def __init__(self) -> None:
        self.model = CartpolePets().make_model()
        self.data = mujoco.MjData(self.model)

    def states(self, state: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """States [N, H + 1, 4] from ``state`` [4] under ``actions`` [N, H, 1], two steps each."""
        count, horizon = actions.shape[:2]
        start = np.tile(np.concatenate([[0.0], state]), (count, 1))
        control = np.repeat(actions.astype(np.float64), 2, axis=1)
        full, _ = mujoco.rollout.rollout(self.model, self.data, start, control)
        states = np.empty((count, horizon + 1, 4))
        states[:, 0] = state
        states[:, 1:] = full[:, 1::2, 1:]
        return states

    def tip(self, state: np.ndarray) -> np.ndarray:
        """Position [3] of the pole's tip."""
        self.data.qpos[:] = state[:2]
        self.data.qvel[:] = state[2:]
        mujoco.mj_forward(self.model, self.data)
        pole = self.data.body('pole')
        return pole.xpos + pole.xmat.reshape(3, 3) @ [0.0, 0.0, -0.6]


@pytest.fixture
def true_cartpole() -> TrueCartpole:
    """The cart-pole in MuJoCo."""
    return TrueCartpole()


class LinearModel:
    """E members with next state = A_e s + B_e a, and a constant variance of the next state."""

    def __init__(self, transition: np.ndarray, control: np.ndarray, variance: float = 0.0) -> None:
        self.transition = torch.tensor(transition, dtype=torch.float32)  # [E, S, S]
        self.control = torch.tensor(control, dtype=torch.float32)  # [E, S, A]
        self.variance = variance
        self.members, self.state_dim = transition.shape[:2]
        self.action_dim = control.shape[2]
        self.history = 1
        self.learns_reward = self.learns_termination = False
        self.target_scale = torch.ones(self.state_dim)

    def predict(
        self, state: torch.Tensor, action: torch.Tensor, variance: bool = True
    ) -> Prediction:
        """See ``mbrl_dynamics.propagation.Model``."""
        mean = state @ self.transition.mT + action @ self.control.mT
        return Prediction(mean, torch.full_like(mean, self.variance), None, None)

    def only(self, members: Sequence[int]) -> LinearModel:
        """See ``mbrl_dynamics.propagation.Model``."""
        places = list(members)
        return LinearModel(
            self.transition[places].numpy(), self.control[places].numpy(), self.variance
        )


@pytest.fixture
def linear_model() -> type[LinearModel]:
    """A model whose every answer is known."""
    return LinearModel


@pytest.fixture(scope='session')
def snapshot() -> bytes:
    """A model of the cart-pole, trained for a moment on 200 steps of random actions."""
    truth = TrueCartpole()
    random = np.random.default_rng(0)
    actions = random.uniform(-3, 3, (200, 1))
    states = truth.states(random.normal(0, 0.1, 4), actions[None])[0]
    learner = Learner(
        build(DynamicsSettings, {'task': TASK, 'training.updates_after_episode': 500})
    )
    for step, action in enumerate(actions):
        learner.add(
            Transition(
                stamp=40_000_000 * step,
                next_stamp=40_000_000 * (step + 1),
                robot='test',
                session=1,
                sequence=step,
                episode=0,
                step=step,
                state=states[step],
                action=action,
                next_state=states[step + 1],
                reward=0.0,
                terminated=False,
                truncated=step == 199,
            )
        )
    learner.train()
    assert learner.snapshot is not None
    return learner.snapshot.data


@pytest.fixture(scope='session')
def nan_snapshot(snapshot: bytes) -> bytes:
    """The same with one weight that is NaN: a well-formed file all the same."""
    header_length = int.from_bytes(snapshot[:8], 'little')
    header = json.loads(snapshot[8 : 8 + header_length])
    header.pop('__metadata__', None)
    weights = max(
        header.values(), key=lambda entry: entry['data_offsets'][1] - entry['data_offsets'][0]
    )
    assert weights['dtype'] == 'F32'
    begin = 8 + header_length + weights['data_offsets'][0]
    return snapshot[:begin] + np.float32(np.nan).tobytes() + snapshot[begin + 4 :]
