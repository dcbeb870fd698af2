"""A probabilistic ensemble: networks that predict mean and variance, evaluated all at once.

Chua et al., "Deep Reinforcement Learning in a Handful of Trials using Probabilistic Dynamics
Models" (PETS), NeurIPS 2018. Every layer of all members is one batched product.
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


ACTIVATIONS = {
    'silu': Activation(functional.silu, lambda g, x, y: torch.ops.aten.silu_backward(g, x)),
    'tanh': Activation(torch.tanh, lambda g, x, y: torch.ops.aten.tanh_backward(g, y)),
    'relu': Activation(torch.relu, lambda g, x, y: torch.ops.aten.threshold_backward(g, y, 0)),
}


@dataclasses.dataclass(frozen=True)
class Architecture:
    """All that determines the shapes of an ensemble's weights."""

    encoding: Encoding
    members: int
    hidden: tuple[int, ...]
    activation: str

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of each layer: inputs, hidden ones, and a mean and a log-variance per target."""
        return (self.encoding.input_dim, *self.hidden, 2 * self.encoding.state_dim)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight tensor, in the order in which they lie in memory."""
        shapes: dict[str, tuple[int, ...]] = {}
        for i, (fan_in, fan_out) in enumerate(zip(self.widths[:-1], self.widths[1:])):
            shapes[f'layer{i}.weight'] = (self.members, fan_in, fan_out)
            shapes[f'layer{i}.bias'] = (self.members, 1, fan_out)
        for name in ('min_logvar', 'max_logvar'):
            shapes[name] = (self.members, 1, self.encoding.state_dim)
        return shapes


class Weights:
    """The weights of an ensemble: named views into one flat float32 tensor.

    One tensor makes an optimiser's step one kernel. The log-variance bounds come last, so that
    ``flat[:decayed]`` is what weight decay applies to.
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
        self.min_logvar = self.named['min_logvar']
        self.max_logvar = self.named['max_logvar']
        self.decayed = sum(sizes[:-2])

    @classmethod
    def initial(cls, architecture: Architecture, generator: torch.Generator) -> Weights:
        """Random weights as PETS draws them: truncated normal, deviation 1 / (2 sqrt(fan_in))."""
        weights = cls(architecture)
        for weight, _ in weights.layers:
            std = 1 / (2 * math.sqrt(weight.shape[1]))
            torch.nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std, generator=generator)
        weights.min_logvar.fill_(INITIAL_MIN_LOGVAR)
        weights.max_logvar.fill_(INITIAL_MAX_LOGVAR)
        return weights

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the scaled target, [M, B, S], for scaled inputs [M, B, I]."""
        activate = ACTIVATIONS[self.architecture.activation].forward
        x = inputs
        for weight, bias in self.layers[:-1]:
            x = activate(torch.baddbmm(bias, x, weight))
        weight, bias = self.layers[-1]
        mean, raw = torch.baddbmm(bias, x, weight).chunk(2, dim=-1)
        return mean, bound_logvar(raw, self.min_logvar, self.max_logvar)


def bound_logvar(raw: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Softly keep log-variances between two learned bounds (PETS, appendix A.1)."""
    below_high = high - functional.softplus(high - raw)
    return low + functional.softplus(below_high - low)
