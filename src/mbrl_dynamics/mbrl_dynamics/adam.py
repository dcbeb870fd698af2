"""Adam on an ensemble's flat weights: PyTorch's fused kernel, without its bookkeeping.

Kingma & Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.optim.adam import adam

from mbrl_dynamics.ensemble import Weights


class Adam:
    """Updates ``weights`` by ``gradient``, both flat.

    Weight decay is an L2 penalty ``decay / 2 * |weight|^2`` on the weights of each layer, not on
    biases nor on the bounds of the log-variance (as in PETS's code).
    """

    def __init__(self, weights: Weights, gradient: Weights, weight_decay: Sequence[float]) -> None:
        """
        Args:
            weights: what is trained.
            gradient: where its gradient is written before each step.
            weight_decay: one for all layers, or one per layer.
        """
        self._weights, self._gradient = weights.flat, gradient.flat
        self._decay: torch.Tensor | None = None
        if any(decay > 0 for decay in weight_decay):
            layers = len(weights.layers)
            each = list(weight_decay) * layers if len(weight_decay) == 1 else weight_decay
            decays = Weights(weights.architecture, torch.zeros_like(weights.flat))
            for (weight, _), decay in zip(decays.layers, each, strict=True):
                weight.fill_(decay)
            self._decay = decays.flat
        self._mean = torch.zeros_like(weights.flat)
        self._square = torch.zeros_like(weights.flat)
        self._count = torch.tensor(0.0)

    def step(self, learning_rate: float) -> None:
        """One update."""
        if self._decay is not None:
            self._gradient.addcmul_(self._weights, self._decay)
        adam(
            [self._weights],
            [self._gradient],
            [self._mean],
            [self._square],
            [],
            [self._count],
            foreach=False,
            fused=True,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=learning_rate,
            weight_decay=0.0,
            eps=1e-8,
            maximize=False,
        )
