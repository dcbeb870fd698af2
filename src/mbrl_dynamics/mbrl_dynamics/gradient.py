"""The ensemble's training loss and its gradient, written out.

At batches of 32 the time goes into starting operations, not into arithmetic; written out, the
backward pass needs half as many as autograd does and writes straight into one flat gradient.

The loss of probabilistic members is that of PETS (its code, ``BNN.py``): for each member, the mean
over batch and targets of ``(mean - target)^2 / variance + log variance``, plus 0.01 times the
distance between the bounds of the log-variance, which pulls them together around what the data
need. That of deterministic members is the mean of ``(mean - target)^2``. Where the episode's end is
learned, its cross-entropy is added.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from mbrl_dynamics.ensemble import ACTIVATIONS, Outputs, Weights

BOUND_PENALTY = 0.01


class LossGradient:
    """Computes loss and gradient of an ensemble's ``weights`` on one batch per member."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.gradient = Weights(weights.architecture, torch.zeros_like(weights.flat))
        self._activation = ACTIVATIONS[weights.architecture.activation]
        self._targets = weights.architecture.targets

    def __call__(self, inputs: Tensor, targets: Tensor, ends: Tensor | None = None) -> Tensor:
        """Write the gradient of the loss, summed over the members, into ``gradient``.

        Args:
            inputs: scaled, [M, B, I].
            targets: scaled, [M, B, T].
            ends: [M, B, 1], 1 where the step ended the episode, otherwise 0; only where that is
                learned.

        Returns:
            the data's loss of each member, [M]: as :func:`data_loss` says.
        """
        layers, activation = self.weights.layers, self._activation
        before: list[Tensor] = []  # each hidden layer's value before its activation
        after = [inputs]
        for weight, bias in layers[:-1]:
            before.append(torch.baddbmm(bias, after[-1], weight))
            after.append(activation.forward(before[-1]))
        weight, bias = layers[-1]
        output = torch.baddbmm(bias, after[-1], weight)

        if self.weights.architecture.probabilistic:
            loss, upstream = self._gaussian(output, targets)
        else:
            loss, upstream = self._squared(output, targets)
        if ends is not None:
            logit = output[..., -1:]
            upstream.append((torch.sigmoid(logit) - ends).mul_(1.0 / ends.shape[1]))
            entropy = functional.binary_cross_entropy_with_logits(logit, ends, reduction='none')
            loss = loss + entropy.mean((1, 2))

        flow = torch.cat(upstream, dim=-1) if len(upstream) > 1 else upstream[0]
        for i in range(len(layers) - 1, -1, -1):
            d_weight, d_bias = self.gradient.layers[i]
            torch.bmm(after[i].mT, flow, out=d_weight)
            torch.sum(flow, 1, keepdim=True, out=d_bias)
            if i > 0:
                flow = torch.bmm(flow, layers[i][0].mT)
                flow = activation.backward(flow, before[i - 1], after[i])
        return loss

    def _gaussian(self, output: Tensor, targets: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Loss [M], and its derivative by mean and by raw log-variance; fills in the bounds'."""
        count = self._targets
        mean, raw = output[..., :count], output[..., count : 2 * count]
        low, high = self.weights.bounds
        to_high = high - raw
        to_low = (high - low) - functional.softplus(to_high)
        logvar = low + functional.softplus(to_low)

        scale = 1.0 / (output.shape[1] * count)
        difference = mean - targets
        weighted = difference * torch.exp(-logvar)
        square = difference * weighted
        d_logvar = (1.0 - square).mul_(scale)
        d_below_high = d_logvar * torch.sigmoid(to_low)
        d_raw = d_below_high * torch.sigmoid(to_high)
        d_low, d_high = self.gradient.bounds
        torch.sum(d_logvar - d_below_high, 1, keepdim=True, out=d_low)
        torch.sum(d_below_high - d_raw, 1, keepdim=True, out=d_high)
        d_low.sub_(BOUND_PENALTY)
        d_high.add_(BOUND_PENALTY)
        return _nats(square.add_(logvar)), [weighted.mul_(2.0 * scale), d_raw]

    def _squared(self, output: Tensor, targets: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Loss [M], and its derivative by the mean."""
        difference = output[..., : self._targets] - targets
        scale = 1.0 / (output.shape[1] * self._targets)
        return difference.square().mean((1, 2)), [difference * (2.0 * scale)]


def data_loss(outputs: Outputs, targets: Tensor, ends: Tensor | None = None) -> Tensor:
    """The loss of each member [M] on targets [M, B, T], without the penalty on the bounds.

    The mean over batch and targets of the negative log-likelihood [nats] of probabilistic members,
    of the squared error of deterministic ones; plus the mean cross-entropy [nats] of the episode's
    end, ``ends`` [M, B, 1], where that is learned. All of it in scaled units.
    """
    square = (outputs.mean - targets).square()
    if outputs.logvar is None:
        loss = square.mean((1, 2))
    else:
        loss = _nats(square * torch.exp(-outputs.logvar) + outputs.logvar)
    if ends is not None and outputs.logit is not None:
        loss = loss + functional.binary_cross_entropy_with_logits(
            outputs.logit, ends[..., 0], reduction='none'
        ).mean(1)
    return loss


def _nats(loss: Tensor) -> Tensor:
    return loss.mean((1, 2)).add_(math.log(2 * math.pi)).mul_(0.5)
