"""A trained model as bytes: safetensors, with the architecture as metadata. Nothing is executed.

What is read is checked whole before anyone uses it: a receiver never plans with half a model.
"""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from mbrl_dynamics.encoding import Encoding
from mbrl_dynamics.ensemble import ACTIVATIONS, Architecture, Weights
from mbrl_dynamics.normalizer import Normalizer

ARCHITECTURE = 'probabilistic_ensemble'
FORMAT = 1
_KEY = 'mbrl_dynamics'  # one key alone: safetensors does not keep the order of several
_LARGEST = 1 << 16  # of any dimension: a bad header must not make us reserve the memory it asks for


class SnapshotError(ValueError):
    """A snapshot cannot be used; the text says why."""


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """A model to be sent or stored, with what is known about it (``mbrl_msgs/ModelSnapshot``)."""

    version: int
    data: bytes
    dataset_size: int
    holdout_error: float
    architecture: str = ARCHITECTURE


@dataclasses.dataclass(frozen=True)
class TrainedEnsemble:
    """Weights together with the scaling that they were trained under."""

    weights: Weights
    inputs: Normalizer
    targets: Normalizer


def encode(
    ensemble: TrainedEnsemble, version: int, dataset_size: int, holdout_error: float
) -> Snapshot:
    """Turn a model into a snapshot; the same model gives the same bytes."""
    architecture = ensemble.weights.architecture
    header = {
        'format': FORMAT,
        'architecture': ARCHITECTURE,
        'state_dim': architecture.encoding.state_dim,
        'action_dim': architecture.encoding.action_dim,
        'angles': list(architecture.encoding.angles),
        'members': architecture.members,
        'hidden': list(architecture.hidden),
        'activation': architecture.activation,
        'version': version,
        'dataset_size': dataset_size,
        'holdout_error': holdout_error if math.isfinite(holdout_error) else None,
    }
    tensors = {name: tensor.contiguous() for name, tensor in ensemble.weights.named.items()}
    for label, normalizer in (('input', ensemble.inputs), ('target', ensemble.targets)):
        tensors[f'{label}_mean'] = torch.tensor(normalizer.mean, dtype=torch.float64)
        tensors[f'{label}_std'] = torch.tensor(normalizer.std, dtype=torch.float64)
    data = safetensors.torch.save(tensors, {_KEY: json.dumps(header, sort_keys=True)})
    return Snapshot(version, data, dataset_size, holdout_error)


def decode(data: bytes) -> tuple[TrainedEnsemble, Snapshot]:
    """Read and check a snapshot.

    Raises:
        SnapshotError: if it is truncated, of another format or architecture, lacks a tensor or has
            one too many, one has another shape or type, or any number in it is not finite.
    """
    data = bytes(data)
    try:
        tensors = safetensors.torch.load(data)
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise SnapshotError(
            f'model snapshot of {len(data)} bytes is no whole safetensors file: {error}'
        ) from error
    header = _read_header(data)
    architecture = Architecture(
        Encoding(header['state_dim'], header['action_dim'], tuple(header['angles'])),
        header['members'],
        tuple(header['hidden']),
        header['activation'],
    )
    expected: dict[str, tuple[tuple[int, ...], torch.dtype]] = {
        name: (shape, torch.float32) for name, shape in architecture.shapes().items()
    }
    for label, width in (
        ('input', architecture.encoding.input_dim),
        ('target', architecture.encoding.state_dim),
    ):
        expected[f'{label}_mean'] = expected[f'{label}_std'] = ((width,), torch.float64)
    _check_tensors(tensors, expected)
    names = architecture.shapes()
    weights = Weights(architecture, torch.cat([tensors[name].reshape(-1) for name in names]))
    inputs = Normalizer(tensors['input_mean'].numpy(), tensors['input_std'].numpy())
    targets = Normalizer(tensors['target_mean'].numpy(), tensors['target_std'].numpy())
    measured = header['holdout_error']
    snapshot = Snapshot(
        header['version'], data, header['dataset_size'], math.nan if measured is None else measured
    )
    return TrainedEnsemble(weights, inputs, targets), snapshot


def _read_header(data: bytes) -> dict[str, Any]:
    length = int.from_bytes(data[:8], 'little')
    metadata = json.loads(data[8 : 8 + length]).get('__metadata__', {})
    if _KEY not in metadata:
        raise SnapshotError(f"model snapshot has no metadata '{_KEY}': it is no dynamics model")
    try:
        header = json.loads(metadata[_KEY])
    except ValueError as error:
        raise SnapshotError(f'metadata of the model snapshot is no JSON: {error}') from error
    if not isinstance(header, dict):
        raise SnapshotError('metadata of the model snapshot is no JSON object')
    if header.get('format') != FORMAT:
        raise SnapshotError(
            f'model snapshot has format {header.get("format")!r}; this version reads {FORMAT}'
        )
    if header.get('architecture') != ARCHITECTURE:
        raise SnapshotError(
            f'model snapshot has architecture {header.get("architecture")!r}; '
            f'known is {ARCHITECTURE!r}'
        )
    checks = {
        'state_dim': _is_size(header.get('state_dim')),
        'action_dim': _is_size(header.get('action_dim')),
        'members': _is_size(header.get('members')),
        'hidden': _are_ints(header.get('hidden')) and all(map(_is_size, header['hidden'])),
        'activation': header.get('activation') in tuple(ACTIVATIONS),
        'version': _is_int(header.get('version')) and header['version'] >= 0,
        'dataset_size': _is_int(header.get('dataset_size')) and header['dataset_size'] >= 0,
        'holdout_error': header.get('holdout_error') is None
        or isinstance(header['holdout_error'], (int, float)),
    }
    checks['angles'] = checks['state_dim'] and _are_indices(
        header.get('angles'), header['state_dim']
    )
    for name, good in checks.items():
        if not good:
            raise SnapshotError(f'metadata of the model snapshot: {name} is {header.get(name)!r}')
    return header


def _check_tensors(
    tensors: dict[str, torch.Tensor], expected: dict[str, tuple[tuple[int, ...], torch.dtype]]
) -> None:
    for name in sorted(expected.keys() - tensors.keys()):
        raise SnapshotError(f"model snapshot lacks the tensor '{name}'")
    for name in sorted(tensors.keys() - expected.keys()):
        raise SnapshotError(f"model snapshot has an unknown tensor '{name}'")
    for name, (shape, dtype) in expected.items():
        tensor = tensors[name]
        if tuple(tensor.shape) != shape or tensor.dtype != dtype:
            raise SnapshotError(
                f"tensor '{name}' of the model snapshot is {tensor.dtype} {tuple(tensor.shape)}; "
                f'its metadata ask for {dtype} {shape}'
            )
        if not torch.isfinite(tensor).all():
            raise SnapshotError(
                f"tensor '{name}' of the model snapshot has NaN or infinite entries"
            )
        if name.endswith('_std') and not (tensor > 0).all():
            raise SnapshotError(f"tensor '{name}' of the model snapshot must be positive")


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_size(value: Any) -> bool:
    return _is_int(value) and 1 <= value <= _LARGEST


def _are_ints(values: Any) -> bool:
    return isinstance(values, list) and len(values) > 0 and all(map(_is_int, values))


def _are_indices(values: Any, below: int) -> bool:
    return (
        isinstance(values, list)
        and all(_is_int(value) and 0 <= value < below for value in values)
        and len(set(values)) == len(values)
    )
