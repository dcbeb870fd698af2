"""Snapshots: what goes in comes out, and nothing bad gets through."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from mbrl_dynamics.encoding import Encoding
from mbrl_dynamics.ensemble import Architecture, Weights
from mbrl_dynamics.normalizer import Normalizer
from mbrl_dynamics.snapshot import Limits, Snapshot, SnapshotError, TrainedEnsemble, decode, encode


@pytest.fixture
def ensemble(architecture: Architecture) -> TrainedEnsemble:
    weights = Weights.initial(architecture, torch.Generator().manual_seed(3))
    return TrainedEnsemble(
        weights,
        Normalizer(np.arange(6.0), np.arange(1.0, 7.0)),
        Normalizer(np.arange(4.0), np.arange(1.0, 5.0) / 3),
    )


@pytest.fixture
def snapshot(ensemble: TrainedEnsemble) -> Snapshot:
    return encode(ensemble, version=7, dataset_size=123, holdout_error=0.25)


def changed(snapshot: Snapshot, tensors: dict[str, Any], **header: Any) -> bytes:
    """The snapshot's bytes with some tensors and some entries of the header changed."""
    length = int.from_bytes(snapshot.data[:8], 'little')
    metadata = json.loads(snapshot.data[8 : 8 + length])['__metadata__']
    new_header = json.loads(metadata['mbrl_dynamics']) | header
    new_tensors = safetensors.torch.load(snapshot.data) | tensors
    return safetensors.torch.save(
        {k: v for k, v in new_tensors.items() if v is not None},
        {'mbrl_dynamics': json.dumps(new_header)},
    )


def test_what_goes_in_comes_out(ensemble: TrainedEnsemble, snapshot: Snapshot) -> None:
    read, found = decode(snapshot.data)
    assert found == snapshot
    assert read.weights.architecture == ensemble.weights.architecture
    assert torch.equal(read.weights.flat, ensemble.weights.flat)
    for ours, theirs in ((read.inputs, ensemble.inputs), (read.targets, ensemble.targets)):
        np.testing.assert_array_equal(ours.mean, theirs.mean)
        np.testing.assert_array_equal(ours.std, theirs.std)


def test_the_same_model_gives_the_same_bytes(ensemble: TrainedEnsemble, snapshot: Snapshot) -> None:
    assert encode(ensemble, 7, 123, 0.25).data == snapshot.data
    assert encode(*_arguments(snapshot)).data == snapshot.data


def _arguments(snapshot: Snapshot) -> tuple[TrainedEnsemble, int, int, float]:
    return decode(snapshot.data)[0], snapshot.version, snapshot.dataset_size, snapshot.holdout_error


def test_an_error_that_was_not_measured_survives(ensemble: TrainedEnsemble) -> None:
    assert math.isnan(decode(encode(ensemble, 1, 2, math.nan).data)[1].holdout_error)


def test_cut_off_anywhere_it_is_refused(snapshot: Snapshot) -> None:
    for length in range(0, len(snapshot.data), 7):
        with pytest.raises(SnapshotError):
            decode(snapshot.data[:length])


def test_a_byte_too_many_is_refused(snapshot: Snapshot) -> None:
    with pytest.raises(SnapshotError):
        decode(snapshot.data + b'\0')


def test_a_flipped_byte_is_refused_or_read_but_never_breaks_out(snapshot: Snapshot) -> None:
    length = int.from_bytes(snapshot.data[:8], 'little')
    for position in range(0, 8 + length, 3):
        data = bytearray(snapshot.data)
        data[position] ^= 0xFF
        try:
            decode(bytes(data))
        except SnapshotError:
            continue


@pytest.mark.parametrize('bad', [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize('name', ['layer0.weight', 'layer2.bias', 'min_logvar', 'target_mean'])
def test_one_number_that_is_not_finite_is_refused(
    snapshot: Snapshot, name: str, bad: float
) -> None:
    tensor = safetensors.torch.load(snapshot.data)[name]
    tensor.view(-1)[-1] = bad
    with pytest.raises(SnapshotError, match=f"'{name}' of the model snapshot has NaN or infinite"):
        decode(changed(snapshot, {name: tensor}))


@pytest.mark.parametrize(
    ('tensors', 'text'),
    [
        ({'layer1.weight': torch.zeros(3, 16, 17)}, r'layer1.weight.*\(3, 16, 17\).*\(3, 16, 16\)'),
        ({'layer1.weight': torch.zeros(3, 16, 16).double()}, 'float64'),
        ({'layer1.weight': None}, "lacks the tensor 'layer1.weight'"),
        ({'extra': torch.zeros(1)}, "unknown tensor 'extra'"),
        ({'input_std': torch.zeros(6).double()}, "'input_std'.*must be positive"),
        ({'input_mean': torch.zeros(5).double()}, 'input_mean'),
    ],
)
def test_tensors_that_do_not_fit_the_architecture_are_refused(
    snapshot: Snapshot, tensors: dict[str, Any], text: str
) -> None:
    with pytest.raises(SnapshotError, match=text):
        decode(changed(snapshot, tensors))


@pytest.mark.parametrize(
    ('header', 'text'),
    [
        ({'format': 1}, 'format 1; this version reads 2'),
        ({'architecture': 'transformer'}, "'transformer'; known are 'probabilistic_ensemble'"),
        ({'activation': 'sine'}, "activation is 'sine'"),
        ({'members': 4}, r"'layer0.weight'.*\(4, 6, 16\)"),
        ({'members': 10**12}, 'members is 1000000000000'),
        ({'members': True}, 'members is True'),
        ({'hidden': []}, r'hidden is \[\]'),
        ({'hidden': [16, '16']}, 'hidden is'),
        ({'angles': [4]}, r'angles is \[4\]'),
        ({'angles': None}, 'angles is None'),
        ({'state_dim': -1}, 'state_dim is -1'),
        ({'elites': [3]}, r'elites is \[3\]'),
        ({'history': 0}, 'history is 0'),
        ({'learns_reward': 1}, 'learns_reward is 1'),
        ({'targets_left_out': [0, 1, 2, 3]}, 'targets_left_out is'),
        ({'input_clip': -1.0}, 'input_clip is -1.0'),
        ({'version': 'new'}, "version is 'new'"),
    ],
)
def test_metadata_that_make_no_sense_are_refused(
    snapshot: Snapshot, header: dict[str, Any], text: str
) -> None:
    with pytest.raises(SnapshotError, match=text):
        decode(changed(snapshot, {}, **header))


def test_other_files_are_refused() -> None:
    with pytest.raises(SnapshotError, match='no dynamics model'):
        decode(safetensors.torch.save({'x': torch.zeros(1)}))
    with pytest.raises(SnapshotError, match='no dynamics model'):
        decode(safetensors.torch.save({'x': torch.zeros(1)}, {'other': '{}'}))
    with pytest.raises(SnapshotError, match='no JSON'):
        decode(safetensors.torch.save({'x': torch.zeros(1)}, {'mbrl_dynamics': '{'}))


def test_every_choice_survives_the_round_trip_bit_for_bit() -> None:
    encoding = Encoding(4, 2, (1,), (0,), (3,), (2,), history=3)
    architecture = Architecture(encoding, 4, (8,), 'relu', False, True, True)
    weights = Weights.initial(architecture, torch.Generator().manual_seed(1))
    count = encoding.input_dim
    ensemble = TrainedEnsemble(
        weights,
        Normalizer(np.arange(count) / 3, np.arange(1.0, count + 1) / 7),
        Normalizer(np.arange(4.0) / 3, np.arange(1.0, 5.0) / 7),
        (2, 0),
        Limits(3.0, (-1.0, -math.inf, 0.1, -2.0), (math.inf, 1.0, 0.3, 2.0)),
    )
    sent = encode(ensemble, 3, 50, math.nan)
    received, snapshot = decode(sent.data)
    assert snapshot.architecture == sent.architecture == 'deterministic_ensemble'
    assert received.weights.architecture == architecture
    assert torch.equal(received.weights.flat, weights.flat)
    assert (received.elites, received.limits) == (ensemble.elites, ensemble.limits)
    for ours, theirs in ((ensemble.inputs, received.inputs), (ensemble.targets, received.targets)):
        np.testing.assert_array_equal(ours.mean, theirs.mean)
        np.testing.assert_array_equal(ours.std, theirs.std)
    assert encode(received, 3, 50, math.nan).data == sent.data
