"""An ensemble of networks, evaluated all at once: every layer of all members is one product.

Probabilistic members predict mean and variance of each target, as in Chua et al., "Deep
Reinforcement Learning in a Handful of Trials using Probabilistic Dynamics Models" (PETS), NeurIPS
2018; deterministic ones predict the mean alone, as in Nagabandi et al., "Deep Dynamics Models for
Learning Dexterous Manipulation" (PDDM), CoRL 2019.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from mbrl_dynamics.encoding import Encoding

INITIAL_MAX_LOGVAR = 0.5
INITIAL_MIN_LOGVAR = -10.0


@dataclasses.dataclass(frozen=True)
class Activation:
    """A nonlinearity and its derivative: ``backward(gradient, input, output)``."""

    forward: Callable[[Tensor], Tensor]
    backward: Callable[[Tensor, Tensor, Tensor], Tensor]


_aten = torch.ops.aten
ACTIVATIONS = {
    'silu': Activation(functional.silu, lambda g, x, y: _aten.silu_backward(g, x)),
    'relu': Activation(torch.relu, lambda g, x, y: _aten.threshold_backward(g, y, 0)),
    'tanh': Activation(torch.tanh, lambda g, x, y: _aten.tanh_backward(g, y)),
    'gelu': Activation(functional.gelu, lambda g, x, y: _aten.gelu_backward(g, x)),
    'elu': Activation(functional.elu, lambda g, x, y: _aten.elu_backward(g, 1, 1, 1, True, y)),
    'leaky_relu': Activation(
        functional.leaky_relu, lambda g, x, y: _aten.leaky_relu_backward(g, x, 0.01, False)
    ),
    'softplus': Activation(
        functional.softplus, lambda g, x, y: _aten.softplus_backward(g, x, 1, 20)
    ),
    'sigmoid': Activation(torch.sigmoid, lambda g, x, y: _aten.sigmoid_backward(g, y)),
}


@dataclasses.dataclass(frozen=True)
class Architecture:
    """All that determines the shapes of an ensemble's weights, and what its outputs mean.

    The outputs are, side by side: the mean of each target, the unbounded log-variance of each (if
    probabilistic), and the logit of the episode's end (if that is learned). The targets are those
    of the encoding, and the reward (if that is learned).
    """

    encoding: Encoding
    members: int
    hidden: tuple[int, ...]
    activation: str
    probabilistic: bool = True
    learns_reward: bool = False
    learns_termination: bool = False

    @property
    def targets(self) -> int:
        """T: entries of the state that are predicted, and the reward."""
        return len(self.encoding.predicted) + self.learns_reward

    @property
    def outputs(self) -> int:
        """Outputs of a network."""
        return self.targets * (2 if self.probabilistic else 1) + self.learns_termination

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of each layer: inputs, hidden ones, outputs."""
        return (self.encoding.input_dim, *self.hidden, self.outputs)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight tensor, in the order in which they lie in memory."""
        shapes: dict[str, tuple[int, ...]] = {}
        for i, (fan_in, fan_out) in enumerate(zip(self.widths[:-1], self.widths[1:])):
            shapes[f'layer{i}.weight'] = (self.members, fan_in, fan_out)
            shapes[f'layer{i}.bias'] = (self.members, 1, fan_out)
        if self.probabilistic:
            for name in ('min_logvar', 'max_logvar'):
                shapes[name] = (self.members, 1, self.targets)
        return shapes


class Weights:
    """The weights of an ensemble: named views into one flat tensor, float32 unless given.

    One tensor makes an optimiser's step one kernel. Every named tensor has the members first.
    """

    def __init__(self, architecture: Architecture, flat: Tensor | None = None) -> None:
        self.architecture = architecture
        shapes = architecture.shapes()
        sizes = [math.prod(shape) for shape in shapes.values()]
        self.flat = torch.zeros(sum(sizes)) if flat is None else flat
        pieces = self.flat.split(sizes)
        self.named = {name: p.view(s) for (name, s), p in zip(shapes.items(), pieces)}
        self.layers = [
            (self.named[f'layer{i}.weight'], self.named[f'layer{i}.bias'])
            for i in range(len(architecture.widths) - 1)
        ]

    @property
    def bounds(self) -> tuple[Tensor, Tensor]:
        """Learned bounds of the log-variance, each [M, 1, T]; of a probabilistic ensemble only."""
        return self.named['min_logvar'], self.named['max_logvar']

    @classmethod
    def initial(cls, architecture: Architecture, generator: torch.Generator) -> Weights:
        """Random weights as PETS draws them: truncated normal, deviation 1 / (2 sqrt(fan_in))."""
        weights = cls(architecture)
        for weight, _ in weights.layers:
            std = 1 / (2 * math.sqrt(weight.shape[1]))
            torch.nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std, generator=generator)
        if architecture.probabilistic:
            low, high = weights.bounds
            low.fill_(INITIAL_MIN_LOGVAR)
            high.fill_(INITIAL_MAX_LOGVAR)
        return weights

    def copy_members(self, source: Weights, members: Tensor) -> None:
        """Take the weights of some members, bool [M], from another ensemble of the same shape."""
        for name, tensor in self.named.items():
            tensor[members] = source.named[name][members]

    def forward(self, inputs: Tensor) -> Outputs:
        """What each member says of its own rows of scaled inputs [M, B, I]."""
        architecture = self.architecture
        activate = ACTIVATIONS[architecture.activation].forward
        x = inputs
        for weight, bias in self.layers[:-1]:
            x = activate(torch.baddbmm(bias, x, weight))
        weight, bias = self.layers[-1]
        x = torch.baddbmm(bias, x, weight)
        targets = architecture.targets
        logvar = None
        if architecture.probabilistic:
            logvar = bound_logvar(x[..., targets : 2 * targets], *self.bounds)
        logit = x[..., -1] if architecture.learns_termination else None
        return Outputs(x[..., :targets], logvar, logit)


@dataclasses.dataclass(frozen=True)
class Outputs:
    """Outputs of an ensemble, scaled as it was trained.

    Attributes:
        mean: [M, B, T].
        logvar: [M, B, T], bounded; None: the members are deterministic.
        logit: [M, B], of the probability that the episode ends; None: that is not learned.
    """

    mean: Tensor
    logvar: Tensor | None
    logit: Tensor | None


def bound_logvar(raw: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Softly keep log-variances between two learned bounds (PETS, appendix A.1)."""
    below_high = high - functional.softplus(high - raw)
    return low + functional.softplus(below_high - low)
