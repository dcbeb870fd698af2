"""Which sequence numbers of a sender are stored: duplicates, gaps, and what to acknowledge."""

from __future__ import annotations


class Sequences:
    """The sequence numbers of one sender's session.

    A sender sends in order, keeps what is not acknowledged, and after a while sends it all again,
    oldest first. So when a number comes a second time, the sender has nothing older left: what is
    missing below it will never come, is counted as lost, and no longer holds up acknowledgement.
    """

    def __init__(self) -> None:
        self.next = 0  # all numbers below it are stored, or lost
        self.lost = 0
        self._beyond: set[int] = set()  # stored numbers above it

    def __contains__(self, sequence: int) -> bool:
        return sequence < self.next or sequence in self._beyond

    def add(self, sequence: int) -> None:
        """A number has been stored."""
        self._beyond.add(sequence)
        self._advance()

    def repeated(self, sequence: int) -> None:
        """A number that is stored has come again."""
        if sequence >= self.next:
            below = {n for n in self._beyond if n < sequence}
            self.lost += sequence - self.next - len(below)
            self._beyond -= below
            self.next = sequence
            self._advance()

    def _advance(self) -> None:
        while self.next in self._beyond:
            self._beyond.remove(self.next)
            self.next += 1
