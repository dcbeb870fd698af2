"""The compiled kernels of ``mbrl_kernels``: gradient updates of one member of an ensemble.

They do what ``mbrl_dynamics.gradient`` and ``mbrl_dynamics.adam`` do, several times as fast: no
time goes into starting operations, and a member's numbers stay in the cache. What becomes of a
member depends neither on the others nor on the number of threads.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mbrl_dynamics.ensemble import Architecture, Weights
from mbrl_dynamics.gradient import BOUND_PENALTY

# In the order of the kernels' ``Activation``.
ACTIVATIONS = ('silu', 'relu', 'tanh', 'gelu', 'elu', 'leaky_relu', 'softplus', 'sigmoid')
INTERFACE = 1  # of the kernels, as called here
VARIANTS = {'AVX512': 'avx512', 'AVX2': 'avx2'}  # of x86; by what torch calls the machine

_pointer, _int, _long = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64


class _Network(ctypes.Structure):
    _fields_ = [
        ('members', _int),
        ('layers', _int),
        ('widths', ctypes.POINTER(_int)),
        ('targets', _int),
        ('probabilistic', _int),
        ('learns_end', _int),
        ('activation', _int),
        ('bound_penalty', ctypes.c_float),
    ]

    @classmethod
    def of(cls, architecture: Architecture) -> _Network:
        widths = architecture.widths
        return cls(
            architecture.members,
            len(widths) - 1,
            (_int * len(widths))(*widths),
            architecture.targets,
            architecture.probabilistic,
            architecture.learns_termination,
            ACTIVATIONS.index(architecture.activation),
            BOUND_PENALTY,
        )


class _Optimiser(ctypes.Structure):
    _fields_ = [(name, _pointer) for name in ('weights', 'mean', 'square', 'decay')]


class _Data(ctypes.Structure):
    _fields_ = [(name, _pointer) for name in ('inputs', 'targets', 'ends')]


def load(variant: str) -> ctypes.CDLL | None:
    """The kernels compiled for ``avx512``, ``avx2`` or ``portable`` machines; None: not built."""
    for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep):
        path = Path(prefix, 'lib', f'libmbrl_kernels_{variant}.so')
        if prefix and path.exists():
            library = ctypes.CDLL(str(path))
            if library.mbrl_interface() != INTERFACE:
                raise ImportError(f'{path} is older or newer than this file; run `make build`')
            library.mbrl_train.restype = None
            library.mbrl_train.argtypes = [
                *(_pointer,) * 3, *(_int,) * 3, _pointer, _pointer, _long, _pointer,
            ]  # fmt: skip
            library.mbrl_gradient.restype = ctypes.c_float
            library.mbrl_gradient.argtypes = [_pointer, _pointer, _int, _int, *(_pointer,) * 4]
            return library
    return None


@functools.cache
def kernels() -> ctypes.CDLL | None:
    """Those that suit this machine; None: not built, or nothing to gain over torch."""
    capability = torch.backends.cpu.get_cpu_capability()
    x86 = platform.machine() in ('x86_64', 'AMD64')
    variant = VARIANTS.get(capability) if x86 else 'portable'
    library = None if variant is None else load(variant)
    if library is None and variant is not None:
        warnings.warn(
            'mbrl_kernels is not built, or its workspace not sourced: trainings take several times '
            'as long',
            stacklevel=2,
        )
    return library


class MemberTraining:
    """Trains the members of an ensemble, each for itself; from several threads if need be."""

    def __init__(
        self,
        library: ctypes.CDLL,
        weights: Weights,
        inputs: Tensor,
        targets: Tensor,
        ends: Tensor | None,
        weight_decay: Sequence[float],
    ) -> None:
        """
        Args:
            library: the kernels.
            weights: what is trained, float32.
            inputs: all there are to learn from, scaled, [N, I].
            targets: scaled, [N, T].
            ends: [N, 1]; only where the episode's end is learned.
            weight_decay: one for all layers, or one per layer.
        """
        self._library = library
        self._network = _Network.of(weights.architecture)
        layers = len(weights.layers)
        decay = list(weight_decay) * layers if len(weight_decay) == 1 else list(weight_decay)
        if len(decay) != layers:
            raise ValueError(f'{len(decay)} weight decays for {layers} layers')
        flat = weights.flat
        self._kept = [
            flat, torch.zeros_like(flat), torch.zeros_like(flat), torch.tensor(decay),
            inputs.contiguous(), targets.contiguous(), None if ends is None else ends.contiguous(),
        ]  # fmt: skip
        pointers = [None if tensor is None else tensor.data_ptr() for tensor in self._kept]
        self._optimiser = _Optimiser(*pointers[:4])
        self._data = _Data(*pointers[4:])

    def train(self, member: int, indices: Tensor, rates: np.ndarray, done: int) -> np.ndarray:
        """Some updates of one member; no two threads may train the same one at once.

        Args:
            member: its index.
            indices: into the data, contiguous int64 [U, B].
            rates: step size of each update, float64 [U].
            done: how many updates the member has had.

        Returns:
            The loss of each batch before its update, float32 [U]: as
            ``mbrl_dynamics.gradient.data_loss`` says.
        """
        updates, batch = indices.shape
        losses = np.empty(updates, np.float32)
        self._library.mbrl_train(
            ctypes.addressof(self._network),
            ctypes.addressof(self._optimiser),
            ctypes.addressof(self._data),
            member,
            batch,
            updates,
            indices.data_ptr(),
            rates.ctypes.data,
            done,
            losses.ctypes.data,
        )
        return losses


def loss_gradient(
    library: ctypes.CDLL, weights: Weights, inputs: Tensor, targets: Tensor, ends: Tensor | None
) -> tuple[Tensor, Weights]:
    """Loss of each member [M], and its gradient; arguments as those of ``LossGradient``."""
    architecture = weights.architecture
    network = _Network.of(architecture)
    gradient = Weights(architecture, torch.zeros_like(weights.flat))
    losses = [
        library.mbrl_gradient(
            ctypes.addressof(network),
            weights.flat.data_ptr(),
            member,
            inputs.shape[1],
            inputs[member].contiguous().data_ptr(),
            targets[member].contiguous().data_ptr(),
            None if ends is None else ends[member].contiguous().data_ptr(),
            gradient.flat.data_ptr(),
        )
        for member in range(architecture.members)
    ]
    return torch.tensor(losses), gradient
