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

ARCHITECTURES = {True: 'probabilistic_ensemble', False: 'deterministic_ensemble'}
FORMAT = 2
_KEY = 'mbrl_dynamics'  # one key alone: safetensors does not keep the order of several
_ENCODING = (
    'state_dim',
    'action_dim',
    'angles',
    'inputs_left_out',
    'targets_absolute',
    'targets_left_out',
    'history',
)
_ARCHITECTURE = ('members', 'hidden', 'activation', 'learns_reward', 'learns_termination')
_BOUNDS = ('state_low', 'state_high')
_LARGEST = 1 << 16  # of any dimension: a bad header must not make us reserve the memory it asks for


class SnapshotError(ValueError):
    """A snapshot cannot be used; the text says why."""


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """A model to be sent or stored, with what is known about it (``mbrl_msgs/ModelSnapshot``)."""

    version: int
    data: bytes = dataclasses.field(repr=False)
    dataset_size: int
    holdout_error: float
    architecture: str = ARCHITECTURES[True]


@dataclasses.dataclass(frozen=True)
class Limits:
    """What predictions are kept within.

    Attributes:
        input_clip: scaled inputs are clipped to so many deviations; 0: not at all.
        state_low, state_high: bounds of predicted states, one per entry; empty: none.
    """

    input_clip: float = 0.0
    state_low: tuple[float, ...] = ()
    state_high: tuple[float, ...] = ()


NO_LIMITS = Limits()


@dataclasses.dataclass(frozen=True)
class TrainedEnsemble:
    """Weights together with the scaling that they were trained under.

    ``elites`` are the members that predict, best first; empty: all of them.
    """

    weights: Weights
    inputs: Normalizer
    targets: Normalizer
    elites: tuple[int, ...] = ()
    limits: Limits = NO_LIMITS


def encode(
    ensemble: TrainedEnsemble, version: int, dataset_size: int, holdout_error: float
) -> Snapshot:
    """Turn a model into a snapshot; the same model gives the same bytes."""
    architecture = ensemble.weights.architecture
    encoding = architecture.encoding
    name = ARCHITECTURES[architecture.probabilistic]
    header = {
        'format': FORMAT,
        'architecture': name,
        **{key: _plain(getattr(encoding, key)) for key in _ENCODING},
        **{key: _plain(getattr(architecture, key)) for key in _ARCHITECTURE},
        'elites': list(ensemble.elites),
        'input_clip': ensemble.limits.input_clip,
        'version': version,
        'dataset_size': dataset_size,
        'holdout_error': holdout_error if math.isfinite(holdout_error) else None,
    }
    tensors = {name: tensor.contiguous() for name, tensor in ensemble.weights.named.items()}
    for label, normalizer in (('input', ensemble.inputs), ('target', ensemble.targets)):
        tensors[f'{label}_mean'] = torch.tensor(normalizer.mean, dtype=torch.float64)
        tensors[f'{label}_std'] = torch.tensor(normalizer.std, dtype=torch.float64)
    for label in _BOUNDS:
        bounds = getattr(ensemble.limits, label)
        if bounds:
            tensors[label] = torch.tensor(bounds, dtype=torch.float64)
    data = safetensors.torch.save(tensors, {_KEY: json.dumps(header, sort_keys=True)})
    return Snapshot(version, data, dataset_size, holdout_error, name)


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
    encoding = Encoding(**{key: _tuple(header[key]) for key in _ENCODING})
    architecture = Architecture(
        encoding,
        probabilistic=header['architecture'] == ARCHITECTURES[True],
        **{key: _tuple(header[key]) for key in _ARCHITECTURE},
    )
    expected: dict[str, tuple[tuple[int, ...], torch.dtype]] = {
        name: (shape, torch.float32) for name, shape in architecture.shapes().items()
    }
    for label, width in (('input', encoding.input_dim), ('target', architecture.targets)):
        expected[f'{label}_mean'] = expected[f'{label}_std'] = ((width,), torch.float64)
    for label in _BOUNDS:
        if label in tensors:
            expected[label] = ((encoding.state_dim,), torch.float64)
    _check_tensors(tensors, expected)
    names = architecture.shapes()
    weights = Weights(architecture, torch.cat([tensors[name].reshape(-1) for name in names]))
    bounds = {label: tuple(tensors[label].tolist()) for label in _BOUNDS if label in tensors}
    ensemble = TrainedEnsemble(
        weights,
        Normalizer(tensors['input_mean'].numpy(), tensors['input_std'].numpy()),
        Normalizer(tensors['target_mean'].numpy(), tensors['target_std'].numpy()),
        tuple(header['elites']),
        Limits(float(header['input_clip']), **bounds),
    )
    measured = header['holdout_error']
    snapshot = Snapshot(
        header['version'],
        data,
        header['dataset_size'],
        math.nan if measured is None else measured,
        header['architecture'],
    )
    return ensemble, snapshot


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
    if header.get('architecture') not in tuple(ARCHITECTURES.values()):
        raise SnapshotError(
            f'model snapshot has architecture {header.get("architecture")!r}; '
            f'known are {", ".join(map(repr, ARCHITECTURES.values()))}'
        )
    checks = {
        'state_dim': _is_size(header.get('state_dim')),
        'action_dim': _is_size(header.get('action_dim')),
        'history': _is_size(header.get('history')),
        'members': _is_size(header.get('members')),
        'hidden': _are_ints(header.get('hidden')) and all(map(_is_size, header['hidden'])),
        'activation': header.get('activation') in tuple(ACTIVATIONS),
        'learns_reward': isinstance(header.get('learns_reward'), bool),
        'learns_termination': isinstance(header.get('learns_termination'), bool),
        'input_clip': isinstance(header.get('input_clip'), (int, float))
        and 0 <= header['input_clip'] < math.inf,
        'version': _is_int(header.get('version')) and header['version'] >= 0,
        'dataset_size': _is_int(header.get('dataset_size')) and header['dataset_size'] >= 0,
        'holdout_error': header.get('holdout_error') is None
        or isinstance(header['holdout_error'], (int, float)),
    }
    for name in ('angles', 'inputs_left_out', 'targets_absolute', 'targets_left_out'):
        checks[name] = checks['state_dim'] and _are_indices(header.get(name), header['state_dim'])
    if checks['targets_left_out']:
        checks['targets_left_out'] = len(header['targets_left_out']) < header['state_dim']
    checks['elites'] = checks['members'] and _are_indices(header.get('elites'), header['members'])
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
        good = ~tensor.isnan() if name in _BOUNDS else torch.isfinite(tensor)
        if not good.all():
            raise SnapshotError(
                f"tensor '{name}' of the model snapshot has NaN or infinite entries"
            )
        if name.endswith('_std') and not (tensor > 0).all():
            raise SnapshotError(f"tensor '{name}' of the model snapshot must be positive")


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


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
