"""How exactly, and where, products are computed: faster fp32, bf16, and other devices.

oneDNN's AVX-512 products are up to twice as fast as what MKL picks on some processors, and torch
uses them for fp32 only when it may compute in bf16. Without hardware for bf16 tiles (AMX) oneDNN
then computes in fp32 all the same; with it, it rounds. So whether that permission costs accuracy
depends on the machine, and is tried out there.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from mbrl_common.settings import SettingsError

ACCURATE = 1e-5
"""Largest error of a product, as a share of its largest entry, that counts as that of fp32."""
MARGIN = 1.2
"""How many times faster the other way must be: a close call would differ from run to run."""
MANY = 100
"""Rows of each member from which the faster way pays."""
_REPEATS = 7
_SHAPE = (5, 200, 200)  # members, rows, units

_log = logging.getLogger(__name__)


@functools.cache
def fast_fp32() -> bool:
    """Whether ``fast_products`` makes fp32 products faster and leaves them exact.

    Tried out once in a process, in about 20 ms: a product of an ensemble's usual size is compared
    with float64 and timed in both ways. The choice is logged.
    """
    if _knob() is None or not torch.backends.mkldnn.is_available():
        return False
    generator = torch.Generator().manual_seed(0)
    bias, x, weight = (torch.randn(_SHAPE, generator=generator) for _ in range(3))
    exact = torch.baddbmm(bias.double(), x.double(), weight.double())
    with _permitted():
        error = relative_error(torch.baddbmm(bias, x, weight), exact)
    if not error < ACCURATE:
        _log.info('fp32 products stay as they are: permitting bf16 makes an error of %.1e', error)
        return False
    plain = permitted = float('inf')
    for _ in range(_REPEATS):  # by turns and the best of each: other load disturbs both alike
        plain = min(plain, _duration(bias, x, weight))
        with _permitted():
            permitted = min(permitted, _duration(bias, x, weight))
    faster = plain / permitted
    chosen = faster >= MARGIN
    _log.info(
        'fp32 products %s: the other way is %.2f times as fast, with an error of %.1e',
        'go through oneDNN' if chosen else 'stay as they are',
        faster,
        error,
    )
    return chosen


@contextlib.contextmanager
def fast_products(rows: int) -> Iterator[None]:
    """fp32 products in the faster way while in here, if ``fast_fp32`` found it exact and faster.

    Products of fewer ``rows`` than ``MANY`` stay as they are: oneDNN takes longer to begin one.

    Only here, so that what is trained in the same process comes out as in any other.
    """
    if rows < MANY or not fast_fp32():
        yield
        return
    with _permitted():
        yield


def check_device(device: str) -> None:
    """Raise ``SettingsError`` if torch cannot compute on ``device`` here."""
    if torch.device(device).type == 'cuda' and not torch.cuda.is_available():
        raise SettingsError(
            [
                f"parameter 'planner.device' is {device!r}, and torch finds no CUDA device here: "
                "set it to 'cpu', or install the driver and a torch built for CUDA"
            ]
        )


def relative_error(found: Tensor, exact: Tensor) -> float:
    """The largest difference as a share of the largest entry of ``exact``."""
    return float((found.double() - exact).abs().max() / exact.abs().max())


def _duration(bias: Tensor, x: Tensor, weight: Tensor) -> float:
    began = time.perf_counter()
    torch.baddbmm(bias, x, weight)
    return time.perf_counter() - began


def _knob() -> Any:
    """torch's switch; None: this torch has none."""
    knob = getattr(torch.backends.mkldnn, 'matmul', None)
    return knob if hasattr(knob, 'fp32_precision') else None


@contextlib.contextmanager
def _permitted() -> Iterator[None]:
    knob = _knob()
    before = knob.fp32_precision
    knob.fp32_precision = 'bf16'
    try:
        yield
    finally:
        knob.fp32_precision = before
