"""Many rows in chunks that fit the processor's cache, on several threads.

Threads that each take a chunk through all layers meet once a step; torch's own meet in every
operation, and spin in between, in the way of others. So torch is kept to one thread.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Part = TypeVar('Part')


_threads = 1


def use_threads(count: int) -> None:
    """Work on chunks in ``count`` threads from now on, in this process; torch's own are one."""
    global _threads
    torch.set_num_threads(1)
    _threads = count


def in_chunks(work: Callable[[slice], Part], rows: int, largest: int) -> list[Part]:
    """``work`` of slices that together are ``range(rows)``, in order.

    How rows are split depends on their number alone, so that results do not depend on threads.

    Args:
        work: called once per slice, possibly on another thread, in the caller's mode of inference
            and without recording gradients.
        rows: how many there are.
        largest: most rows of a slice.
    """
    count = -(-rows // largest)
    if count > 1:
        count += count % 2  # two threads shall have equal shares
    size = -(-rows // count)
    slices = [slice(begin, min(begin + size, rows)) for begin in range(0, rows, size)]
    if _threads == 1 or len(slices) == 1:
        return [work(each) for each in slices]
    mode = torch.inference_mode if torch.is_inference_mode_enabled() else torch.no_grad

    def task(each: slice) -> Part:
        with mode():
            return work(each)

    return list(_pool(os.getpid(), _threads).map(task, slices))


@functools.lru_cache(maxsize=4)
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Threads that keep torch to one each; of this process, for a fork does not inherit them."""
    return ThreadPoolExecutor(threads, 'chunks', initializer=lambda: torch.set_num_threads(1))
