"""Updates on several threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from mbrl_dynamics.updates import SLICE, NativeUpdates


class Slow:
    """Stands where the kernels' training does, and notes what it is asked for."""

    def __init__(self, wait: Callable[[int], Any] = lambda member: None) -> None:
        self.calls: list[tuple[int, int, int]] = []
        self._wait = wait
        self._busy: set[int] = set()

    def train(self, member: int, indices: torch.Tensor, rates: np.ndarray, done: int) -> np.ndarray:
        assert member not in self._busy
        self._busy.add(member)
        self._wait(member)
        assert indices.shape == (len(rates), 4) and indices.is_contiguous()
        self.calls.append((member, done, len(rates)))
        self._busy.remove(member)
        return np.asarray(100 * member + rates, np.float32)


def run(training: Any, threads: int, updates: int = 35, members: int = 5) -> np.ndarray:
    indices = torch.zeros(updates, members, 4, dtype=torch.int64)
    rates = np.arange(float(updates))
    return NativeUpdates(training, threads).run(indices, rates, lambda: False)


@pytest.mark.parametrize('threads', [1, 2, 7])
def test_each_member_has_each_update_once_and_in_order(threads: int) -> None:
    slow = Slow()
    losses = run(slow, threads)
    np.testing.assert_array_equal(losses, np.arange(35)[:, None] + 100 * np.arange(5))
    for member in range(5):
        mine = [call[1:] for call in slow.calls if call[0] == member]
        assert mine == [(0, SLICE), (SLICE, SLICE), (2 * SLICE, SLICE), (3 * SLICE, 5)]


def test_a_thread_that_is_held_up_is_not_waited_for() -> None:
    free = threading.Event()
    slow = Slow(lambda member: None if member else free.wait(60))

    def free_when_the_others_are_done() -> None:
        while sum(call[2] for call in slow.calls) < 2 * 35:
            time.sleep(0.001)
        free.set()

    watcher = threading.Thread(target=free_when_the_others_are_done)
    watcher.start()
    run(slow, threads=2, members=3)
    watcher.join()
    assert [member for member, _, _ in slow.calls[-4:]] == [0, 0, 0, 0]


def test_giving_up_leaves_the_rest_and_tells_how_far_it_came() -> None:
    slow = Slow()
    updates = NativeUpdates(slow, 1)  # type: ignore[arg-type]
    indices = torch.zeros(100, 2, 4, dtype=torch.int64)
    losses = updates.run(indices, np.zeros(100), lambda: len(slow.calls) == 5)
    assert len(losses) == 2 * SLICE  # three slices of one member, two of the other


def test_what_goes_wrong_in_another_thread_goes_wrong_here() -> None:
    failed = threading.Event()

    def fail(member: int) -> None:
        if threading.current_thread() is threading.main_thread():
            failed.wait(60)
        else:
            failed.set()
            raise RuntimeError('no luck')

    with pytest.raises(RuntimeError, match='no luck'):
        run(Slow(fail), threads=2)
