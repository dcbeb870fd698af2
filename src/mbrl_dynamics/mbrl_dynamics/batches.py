"""Which transitions each member sees in each update.

Every member goes through its transitions in epochs, each in a new random order; batches are cut
from that stream, so no size has to divide another. ``bootstrap``: a member's transitions are its
own draw with replacement (PETS); ``shuffled``: all of them, in an order of its own; ``shared``: all
of them, the same for every member (PDDM, whose members differ by their initial weights alone).
"""

from __future__ import annotations

import torch

KINDS = ('bootstrap', 'shuffled', 'shared')


class Batches:
    """An endless stream of indices into N transitions."""

    def __init__(
        self, size: int, members: int, batch_size: int, kind: str, generator: torch.Generator
    ) -> None:
        """
        Args:
            size: N, at least 1.
            members: M.
            batch_size: B; where N is smaller, a batch has N.
            kind: one of ``KINDS``.
            generator: of all that is drawn.
        """
        self.batch_size = min(batch_size, size)
        self._size = size
        self._members = members
        self._generator = generator
        self._streams = 1 if kind == 'shared' else members
        self._own: torch.Tensor | None = None
        if kind == 'bootstrap':
            self._own = torch.randint(size, (members, size), generator=generator)
        self._left = torch.empty(self._streams, 0, dtype=torch.int64)

    def draw(self, updates: int) -> torch.Tensor:
        """Indices for the next updates, [updates, M, B]."""
        wanted = updates * self.batch_size
        parts, there = [self._left], self._left.shape[1]
        while there < wanted:
            parts.append(self._epoch())
            there += self._size
        stream = torch.cat(parts, dim=1)
        self._left = stream[:, wanted:].clone()
        drawn = stream[:, :wanted].view(self._streams, updates, self.batch_size)
        return drawn.transpose(0, 1).expand(-1, self._members, -1)

    def _epoch(self) -> torch.Tensor:
        """One pass: [streams, N]."""
        order = torch.stack(
            [torch.randperm(self._size, generator=self._generator) for _ in range(self._streams)]
        )
        return order if self._own is None else self._own.gather(1, order)
