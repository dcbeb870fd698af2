"""Gradient updates of an ensemble: by the compiled kernels where they are built, else by torch."""

from __future__ import annotations

import heapq
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from mbrl_dynamics import native
from mbrl_dynamics.adam import Adam
from mbrl_dynamics.ensemble import Weights
from mbrl_dynamics.gradient import LossGradient
from mbrl_dynamics.settings import TrainingSettings
from mbrl_dynamics.training_data import TrainingData

SLICE = 10  # updates of one member before a thread looks for another


class Updates(Protocol):
    """Changes an ensemble's weights, batch after batch."""

    def run(self, indices: Tensor, rates: np.ndarray, given_up: Callable[[], bool]) -> np.ndarray:
        """Some updates.

        Args:
            indices: into the data, int64 [U, M, B].
            rates: step size of each update, float64 [U].
            given_up: asked every now and then, from the calling thread; if true, the rest is left.

        Returns:
            The loss of each batch before its update, float32 [U, M]; fewer rows if given up.
        """
        ...


def make_updates(weights: Weights, data: TrainingData, settings: TrainingSettings) -> Updates:
    """The fastest there are on this machine."""
    library = native.kernels()
    if library is None:
        return TorchUpdates(weights, data, settings)
    return NativeUpdates(
        native.MemberTraining(
            library, weights, data.inputs, data.targets, data.ends, settings.weight_decay
        ),
        settings.threads or len(os.sched_getaffinity(0)),
    )


class TorchUpdates:
    """All members at once, in one product per layer; on one thread."""

    def __init__(self, weights: Weights, data: TrainingData, settings: TrainingSettings) -> None:
        self._data = data
        self._loss_gradient = LossGradient(weights)
        self._adam = Adam(weights, self._loss_gradient.gradient, settings.weight_decay)

    def run(self, indices: Tensor, rates: np.ndarray, given_up: Callable[[], bool]) -> np.ndarray:
        """See :class:`Updates`."""
        data = self._data
        losses = []
        for batch, rate in zip(indices, rates):
            ends = None if data.ends is None else data.ends[batch]
            losses.append(self._loss_gradient(data.inputs[batch], data.targets[batch], ends))
            self._adam.step(float(rate))
            if given_up():
                break
        return np.asarray(torch.stack(losses))


class NativeUpdates:
    """Member by member, on several threads.

    The threads take turns with the members: whoever is free takes the one that is furthest behind
    for a few updates. So five members keep two threads busy to the end, and a thread that something
    else on the machine holds up is not waited for. The weights do not depend on who did what.
    """

    def __init__(self, training: native.MemberTraining, threads: int) -> None:
        self._training = training
        self._helpers = threads - 1
        self._pool = ThreadPoolExecutor(max(1, self._helpers), 'training')
        self._done = 0

    def run(self, indices: Tensor, rates: np.ndarray, given_up: Callable[[], bool]) -> np.ndarray:
        """See :class:`Updates`."""
        updates, members = indices.shape[:2]
        batches = indices.transpose(0, 1).contiguous()
        losses = np.empty((updates, members), np.float32)
        done = np.zeros(members, np.int64)
        behind = [(0, member) for member in range(members)]  # a heap: updates done, member
        lock = threading.Lock()
        stop = threading.Event()

        def work(look: Callable[[], bool]) -> None:
            while not stop.is_set():
                with lock:
                    if not behind:  # the others have the rest in hand
                        return
                    begin, member = heapq.heappop(behind)
                end = min(begin + SLICE, updates)
                losses[begin:end, member] = self._training.train(
                    member, batches[member, begin:end], rates[begin:end], self._done + begin
                )
                done[member] = end
                if end < updates:
                    with lock:
                        heapq.heappush(behind, (end, member))
                if look():
                    stop.set()

        helpers = [
            self._pool.submit(work, lambda: False) for _ in range(min(self._helpers, members - 1))
        ]
        try:
            work(given_up)
        except BaseException:
            stop.set()
            raise
        finally:
            for helper in helpers:
                helper.result()
        self._done += updates
        return losses[: done.min()]
