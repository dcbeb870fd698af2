"""Models on disk."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from mbrl_dynamics.ensemble import Architecture, Weights
from mbrl_dynamics.model_store import ModelStore
from mbrl_dynamics.normalizer import Normalizer
from mbrl_dynamics.snapshot import Snapshot, TrainedEnsemble, encode


def make_snapshot(architecture: Architecture, version: int) -> Snapshot:
    weights = Weights.initial(architecture, torch.Generator().manual_seed(version))
    one = torch.ones(6).double().numpy()
    ensemble = TrainedEnsemble(weights, Normalizer(one, one), Normalizer(one[:4], one[:4]))
    return encode(ensemble, version, 10 * version, 0.5)


def test_the_newest_is_found_again(tmp_path: Path, architecture: Architecture) -> None:
    store = ModelStore(tmp_path / 'models', keep=20)
    assert store.newest() is None
    for version in (1, 2, 3):
        store.save(make_snapshot(architecture, version))
    assert ModelStore(tmp_path / 'models', keep=20).newest() == make_snapshot(architecture, 3)
    names = sorted(path.name for path in (tmp_path / 'models').iterdir())
    assert names == [f'model_0000{version}.safetensors' for version in (1, 2, 3)]


def test_bad_ones_are_reported_and_the_one_before_is_used(
    tmp_path: Path, architecture: Architecture, caplog: pytest.LogCaptureFixture
) -> None:
    store = ModelStore(tmp_path, keep=20)
    for version in (1, 2, 3):
        store.save(make_snapshot(architecture, version))
    broken = tmp_path / 'model_00003.safetensors'
    broken.write_bytes(broken.read_bytes()[:-5])
    (tmp_path / 'model_00004.safetensors').write_bytes(b'')
    renamed = tmp_path / 'model_00005.safetensors'
    renamed.write_bytes(make_snapshot(architecture, 1).data)
    with caplog.at_level(logging.ERROR):
        newest = store.newest()
    assert newest is not None and newest.version == 2
    assert [record.args[0].name[6:11] for record in caplog.records] == ['00005', '00004', '00003']  # type: ignore[index,union-attr]
    assert max(store.versions()) == 5


def test_only_the_newest_are_kept(tmp_path: Path, architecture: Architecture) -> None:
    store = ModelStore(tmp_path, keep=2)
    for version in range(1, 6):
        store.save(make_snapshot(architecture, version))
    assert list(store.versions()) == [4, 5]


def test_a_half_written_file_is_no_model(tmp_path: Path, architecture: Architecture) -> None:
    (tmp_path / 'model_00009.safetensors.partial').write_bytes(b'half')
    assert ModelStore(tmp_path, keep=2).newest() is None
