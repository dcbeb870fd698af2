"""The ensemble's training loss and its gradient, written out.

At batches of 32 the time goes into starting operations, not into arithmetic; written out, the
backward pass needs half as many as autograd does and writes straight into one flat gradient.

The loss is that of PETS (its code, ``BNN.py``): for each member, the mean over batch and targets of
``(mean - target)^2 / variance + log variance``, plus 0.01 times the distance between the bounds of
the log-variance, which pulls them together around what the data need.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mbrl_dynamics.ensemble import ACTIVATIONS, Weights

BOUND_PENALTY = 0.01


class LossGradient:
    """Computes loss and gradient of an ensemble's ``weights`` on one batch per member."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.gradient = Weights(weights.architecture)
        self._activation = ACTIVATIONS[weights.architecture.activation]
        members, _, targets = weights.min_logvar.shape
        self._targets = targets
        self._members = members

    def __call__(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Write the gradient of the summed loss into ``gradient``; return the batch's data loss.

        Args:
            inputs: scaled, [M, B, I].
            targets: scaled, [M, B, S].

        Returns:
            ``(mean - target)^2 / variance + log variance``, [M, B, S]; half of it and a constant is
            the negative log-likelihood.
        """
        layers, activation = self.weights.layers, self._activation
        before: list[Tensor] = []  # each hidden layer's value before its activation
        after = [inputs]
        for weight, bias in layers[:-1]:
            before.append(torch.baddbmm(bias, after[-1], weight))
            after.append(activation.forward(before[-1]))
        weight, bias = layers[-1]
        output = torch.baddbmm(bias, after[-1], weight)

        mean, raw = output.split(self._targets, dim=-1)
        low, high = self.weights.min_logvar, self.weights.max_logvar
        to_high = high - raw
        to_low = (high - low) - torch.nn.functional.softplus(to_high)
        logvar = low + torch.nn.functional.softplus(to_low)

        scale = 1.0 / (inputs.shape[1] * self._targets)
        difference = mean - targets
        weighted = difference * torch.exp(-logvar)
        square = difference * weighted
        d_logvar = (1.0 - square).mul_(scale)
        d_below_high = d_logvar * torch.sigmoid(to_low)
        d_raw = d_below_high * torch.sigmoid(to_high)
        upstream = torch.cat([weighted.mul_(2.0 * scale), d_raw], dim=-1)

        gradient = self.gradient
        torch.sum(d_logvar - d_below_high, 1, keepdim=True, out=gradient.min_logvar)
        torch.sum(d_below_high - d_raw, 1, keepdim=True, out=gradient.max_logvar)
        gradient.min_logvar.sub_(BOUND_PENALTY)
        gradient.max_logvar.add_(BOUND_PENALTY)
        for i in range(len(layers) - 1, -1, -1):
            d_weight, d_bias = gradient.layers[i]
            torch.bmm(after[i].mT, upstream, out=d_weight)
            torch.sum(upstream, 1, keepdim=True, out=d_bias)
            if i > 0:
                upstream = torch.bmm(upstream, layers[i][0].mT)
                upstream = activation.backward(upstream, before[i - 1], after[i])
        return square.add_(logvar)
