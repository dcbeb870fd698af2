"""Hidden layers of all members at once, with memory that is used again where that pays.

Fresh memory for large layers costs page faults, which can take as long as the products. Small ones
get theirs from the allocator faster than from here, and where gradients are recorded every layer
keeps its own.
"""

from __future__ import annotations

import copy
import functools
import threading
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from mbrl_dynamics.ensemble import ACTIVATIONS

Layer = tuple[Tensor, Tensor]
"""Weight [E, I, O] and bias [E, 1, O]."""
CACHE = 1_600_000
"""Bytes of one layer's activations that stay in a core's cache from one operation to the next."""
MOST_ROWS = 512
"""More rows make no product faster, and leave other threads idle."""
_Buffers = tuple[list[Tensor], list[Tensor | None], Tensor | None]
SMALL = 131_072
"""Bytes below which the C library does not ask the system for memory each time."""
_SIZES = 8  # numbers of rows whose memory is kept

_aten = torch.ops.aten
_IN_PLACE: dict[str, Callable[[Tensor], Tensor]] = {
    'silu': functools.partial(functional.silu, inplace=True),
    'relu': torch.relu_,
    'tanh': torch.tanh_,
    'gelu': _aten.gelu_.default,
    'elu': functools.partial(functional.elu, inplace=True),
    'leaky_relu': functools.partial(functional.leaky_relu, inplace=True),
    'softplus': lambda x: _aten.softplus.out(x, out=x),
    'sigmoid': torch.sigmoid_,
}


class HiddenLayers:
    """Features [E, N, O] of inputs [E, N, I].

    The layers after the first may have bf16 weights: activations are then rounded to bf16 between
    them, and the features are fp32 again. The first layer sees physical units, which bf16 would
    spoil.
    """

    def __init__(self, layers: list[Layer], activation: str) -> None:
        self._layers = layers
        self._activation = activation
        self._memory = threading.local()
        row = 4 * layers[0][0].shape[0] * max(weight.shape[2] for weight, _ in layers)
        self.chunk = min(MOST_ROWS, max(1, CACHE // row))
        """Rows that are worked on at once: their activations fit the cache."""
        self._few = SMALL // row
        self._rounds = any(weight.dtype != layers[0][0].dtype for weight, _ in layers)

    def mapped(self, function: Callable[[Tensor], Tensor]) -> HiddenLayers:
        """The same with every tensor replaced by what a function makes of it."""
        layers = [(function(weight), function(bias)) for weight, bias in self._layers]
        return HiddenLayers(layers, self._activation)

    def in_bf16(self) -> HiddenLayers:
        """The same with the layers after the first in bf16."""
        later = [(weight.bfloat16(), bias.bfloat16()) for weight, bias in self._layers[1:]]
        return HiddenLayers([self._layers[0], *later], self._activation)

    def __call__(self, x: Tensor) -> Tensor:
        """Features; they may be overwritten by this thread's next, unless they have a gradient."""
        if x.shape[1] <= self._few or (torch.is_grad_enabled() and x.requires_grad):
            activate = ACTIVATIONS[self._activation].forward
            if not self._rounds:
                for weight, bias in self._layers:
                    x = activate(torch.baddbmm(bias, x, weight))
                return x
            kind = x.dtype
            for weight, bias in self._layers:
                x = activate(torch.baddbmm(bias, x.to(weight.dtype), weight))
            return x.to(kind)
        activate = _IN_PLACE[self._activation]
        out, rounded, features = self._buffers(x.shape[1])
        for (weight, bias), target, narrow in zip(self._layers, out, rounded):
            if narrow is not None:
                x = narrow.copy_(x)
            x = activate(torch.baddbmm(bias, x, weight, out=target))
        return x if features is None else features.copy_(x)

    def __deepcopy__(self, memo: object) -> HiddenLayers:
        return HiddenLayers(copy.deepcopy(self._layers), self._activation)

    def _buffers(self, rows: int) -> _Buffers:
        """Each layer's output, its input where that must be rounded, and the features' if so."""
        kept: dict[int, _Buffers] = self._memory.__dict__.setdefault('kept', {})
        if rows not in kept:
            if len(kept) >= _SIZES:
                kept.clear()
            kept[rows] = self._allocate(rows)
        return kept[rows]

    def _allocate(self, rows: int) -> _Buffers:
        pool: dict[tuple[int, int, torch.dtype], Tensor] = {}
        out: list[Tensor] = []
        rounded: list[Tensor | None] = []
        # memory made in inference mode could not be written to outside of it
        with torch.inference_mode(False):
            for i, (weight, _) in enumerate(self._layers):
                members, inputs, outputs = weight.shape
                changes = i > 0 and self._layers[i - 1][0].dtype != weight.dtype
                rounded.append(weight.new_empty(members, rows, inputs) if changes else None)
                key = i % 2, outputs, weight.dtype  # by turns: none reads what it writes
                if key not in pool:
                    pool[key] = weight.new_empty(members, rows, outputs)
                out.append(pool[key])
            features = None
            if out[-1].dtype != self._layers[0][0].dtype:
                features = self._layers[0][0].new_empty(out[-1].shape)
        return out, rounded, features
