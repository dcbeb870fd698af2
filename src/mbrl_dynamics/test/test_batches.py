"""Which transitions each member sees."""

from __future__ import annotations

import pytest
import torch

from mbrl_dynamics.batches import Batches


def draw(kind: str, updates: int, size: int = 50, batch_size: int = 7) -> torch.Tensor:
    batches = Batches(size, 4, batch_size, kind, torch.Generator().manual_seed(0))
    return batches.draw(updates)


@pytest.mark.parametrize('kind', ['shuffled', 'shared'])
def test_every_transition_comes_once_per_epoch(kind: str) -> None:
    # 7 does not divide 50: batches reach from one epoch into the next.
    stream = draw(kind, 100).transpose(0, 1).reshape(4, -1)
    for member in stream:
        for epoch in member.split(50):
            assert sorted(epoch.tolist()) == list(range(50))


def test_bootstrapped_members_have_two_thirds_of_the_data_each_their_own() -> None:
    stream = draw('bootstrap', 100).transpose(0, 1).reshape(4, -1)
    own = [set(member.tolist()) for member in stream]
    assert all(0.5 < len(each) / 50 < 0.8 for each in own)  # 1 - 1/e in the mean
    assert len({frozenset(each) for each in own}) == 4
    for member in stream:  # and each epoch is the whole of it
        first, second = (sorted(epoch.tolist()) for epoch in member.split(50)[:2])
        assert first == second


@pytest.mark.parametrize('kind', ['bootstrap', 'shuffled'])
def test_members_never_share_their_minibatches_unless_asked_to(kind: str) -> None:
    for batch in draw(kind, 20):
        assert len({tuple(member.tolist()) for member in batch}) == 4
    for batch in draw('shared', 20):
        assert len({tuple(member.tolist()) for member in batch}) == 1


@pytest.mark.parametrize('kind', ['bootstrap', 'shuffled', 'shared'])
def test_how_the_stream_is_cut_makes_no_difference(kind: str) -> None:
    batches = Batches(50, 4, 7, kind, torch.Generator().manual_seed(0))
    parts = torch.cat([batches.draw(count) for count in (1, 30, 2, 67)])
    assert torch.equal(parts, draw(kind, 100))


def test_a_batch_is_never_larger_than_the_data() -> None:
    assert draw('shuffled', 3, size=5, batch_size=512).shape == (3, 4, 5)
