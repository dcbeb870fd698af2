"""How fast products of an ensemble's shapes can be on this machine, whoever calls them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import torch

ROWS = (2000, 1000, 500, 250, 125, 64)  # of each member, in a product
ACCURATE = 1e-4  # largest error, as a share of the largest entry, of what is called fp32
KNOBS = ('ieee', 'bf16')  # what oneDNN is told that fp32 may be made of


def ceiling(widths: tuple[int, ...], members: int, precision: str, seconds: float) -> float:
    """The fastest way to multiply through all layers, nothing between them [GFLOP/s].

    Ways: batched over members, or a product per member; so many rows at once; and for fp32 with
    either of oneDNN's kernels that is as accurate. Memory is used again.

    Args:
        widths: units of each layer.
        members: E.
        precision: 'fp32' or 'bf16'.
        seconds: how long each way is tried.
    """
    dtype = torch.bfloat16 if precision == 'bf16' else torch.float32
    before = torch.backends.mkldnn.matmul.fp32_precision  # type: ignore[attr-defined]
    best = 0.0
    try:
        for knob in KNOBS if dtype is torch.float32 else KNOBS[:1]:
            torch.backends.mkldnn.matmul.fp32_precision = knob  # type: ignore[attr-defined]
            if dtype is torch.float32 and not _accurate(widths[1]):
                continue
            for rows in ROWS:
                for batched in (True, False):
                    products = _products(widths, members, rows, dtype, batched)
                    flop = 2 * members * rows * sum(a * b for a, b in itertools.pairwise(widths))
                    best = max(best, flop / _fastest(products, seconds) / 1e9)
    finally:
        torch.backends.mkldnn.matmul.fp32_precision = before  # type: ignore[attr-defined]
    return best


def _accurate(width: int) -> bool:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(width, width, generator=generator) for _ in range(2))
    exact = a.double() @ b.double()
    return float(((a @ b).double() - exact).abs().max() / exact.abs().max()) < ACCURATE


def _products(
    widths: tuple[int, ...], members: int, rows: int, dtype: torch.dtype, batched: bool
) -> Callable[[], None]:
    weights = [torch.randn(members, a, b).to(dtype) for a, b in itertools.pairwise(widths)]
    values = [torch.randn(members, rows, a).to(dtype) for a in widths]

    def run() -> None:
        for weight, x, out in zip(weights, values, values[1:]):
            if batched:
                torch.bmm(x, weight, out=out)
            else:
                for one, its, to in zip(x, weight, out):
                    torch.mm(one, its, out=to)

    return run


def _fastest(run: Callable[[], None], seconds: float) -> float:
    run()
    times: list[float] = []
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline or len(times) < 3:
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return min(times)
