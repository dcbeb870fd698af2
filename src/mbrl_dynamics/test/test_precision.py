"""Faster fp32 products: kept where they are exact and faster, and nowhere else."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import pytest
import torch

from mbrl_common.settings import SettingsError
from mbrl_dynamics import precision


@pytest.fixture(autouse=True)
def untried() -> Iterator[None]:
    """Nothing tried out before, and nothing kept after."""
    precision.fast_fp32.cache_clear()
    yield
    precision.fast_fp32.cache_clear()


def rounds() -> torch.Tensor:
    """A product whose fp32 result differs from that in bf16 by a half."""
    bias = torch.zeros(1, 64, 64)
    return torch.baddbmm(bias, torch.full((1, 64, 64), 1 + 2**-9), torch.ones(1, 64, 64))


def test_products_are_exact_in_there_and_as_before_after() -> None:
    before = torch.backends.mkldnn.matmul.fp32_precision
    with precision.fast_products(precision.MANY - 1):
        assert torch.backends.mkldnn.matmul.fp32_precision == before
    with precision.fast_products(precision.MANY):
        assert (torch.backends.mkldnn.matmul.fp32_precision == 'bf16') is precision.fast_fp32()
        inside = rounds()
    assert torch.backends.mkldnn.matmul.fp32_precision == before
    torch.testing.assert_close(inside, torch.full_like(inside, 64 * (1 + 2**-9)))


@pytest.mark.parametrize(
    ('plain', 'other', 'kept'), [(2.0, 1.0, True), (1.1, 1.0, False), (1.0, 2.0, False)]
)
def test_the_other_way_must_be_clearly_faster(
    plain: float, other: float, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    knob = torch.backends.mkldnn.matmul
    monkeypatch.setattr(
        precision, '_duration', lambda *_: other if knob.fp32_precision == 'bf16' else plain
    )
    monkeypatch.setattr(precision, 'relative_error', lambda *_: 1e-6)
    assert precision.fast_fp32() is kept


def test_what_rounds_is_refused_and_said_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    @contextlib.contextmanager
    def rounding() -> Iterator[None]:
        real = torch.baddbmm
        with monkeypatch.context() as patch:
            patch.setattr(
                torch, 'baddbmm', lambda *x: real(*(each.bfloat16() for each in x)).float()
            )
            yield

    monkeypatch.setattr(precision, '_permitted', rounding)
    monkeypatch.setattr(precision, '_duration', lambda *_: 1.0)
    with caplog.at_level(logging.INFO):
        assert not precision.fast_fp32()
    assert 'error of' in caplog.text


def test_a_device_that_is_not_there_is_refused() -> None:
    precision.check_device('cpu')
    if torch.cuda.is_available():
        pytest.skip('CUDA is there')
    with pytest.raises(SettingsError, match=r"planner.device.*'cuda'.*'cpu'"):
        precision.check_device('cuda')
