"""The bags of a run: one open file per sender, and what earlier processes left behind."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from mbrl_dynamics.bag import BagError, EpisodeBag, bags, read_parts, repair
from mbrl_dynamics.transition import Transition
from mbrl_dynamics.transitions import Transitions

log = logging.getLogger(__name__)

ANNOUNCE_EVERY = 5.0  # s; loading tells so often how far it is


def announced(paths: Sequence[Path]) -> Iterator[Path]:
    """The paths, one by one. If working on them takes long, the log says how far it is."""
    last = time.monotonic()
    for number, path in enumerate(paths):
        now = time.monotonic()
        if now - last >= ANNOUNCE_EVERY:
            log.info('reading bags: %d of %d, now %s', number, len(paths), path)
            last = now
        yield path


class Recorder:
    """Writes transitions into a folder of bags, one per episode.

    A bag whose episode has ended is finished by a thread of the recorder's own, one bag after the
    other: that waits for the disk, which may stall for seconds, and nobody else should. Until then
    it has no index, and is readable. All else is for one thread.

    The disk's errors are logged and counted in ``errors``, not raised.
    """

    def __init__(self, folder: Path) -> None:
        """Make the folder.

        Raises:
            OSError: if it cannot be made.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._failing = False
        self._closed = False
        self._open: dict[tuple[str, int], tuple[int, EpisodeBag]] = {}
        self._senders: set[tuple[str, int]] = set()
        self._finisher = ThreadPoolExecutor(1, 'finisher')  # begins with the first bag that ends
        self._last: Future[None] | None = None  # of what it was asked for
        self._unfinished: list[Path] = []  # for the finisher alone; ended while the disk was full
        # Each is counted by one thread alone.
        self._unstored = 0
        self._without_index = 0

    @property
    def errors(self) -> int:
        """Transitions and bags that could not be written or read."""
        return self._unstored + self._without_index

    def load(self) -> Iterator[tuple[Path, Transitions]]:
        """Yield all transitions on disk, bag by bag, many at a time, and where they come from.

        Files that a crash cut off are finished first. A bag that cannot be read is passed over.
        """
        for path in announced(bags(self.folder)):
            try:
                if repair(path):
                    log.info('%s: finished; its recording had been cut off', path)
                for part in read_parts(path):
                    yield path, part
            except (BagError, OSError) as error:
                self._unstored += 1
                log.error('%s: skipped: %s', path, error)

    def write(self, transition: Transition) -> bool:
        """Hand a transition to the disk; on return it survives the end of this process.

        Returns:
            false if it could not be written; then nothing of it is on disk, and it may come again.

        Raises:
            RuntimeError: after :meth:`close`.
        """
        if self._closed:
            raise RuntimeError(f'{self.folder}: its recorder is closed')
        sender = transition.robot, transition.session
        episode, bag = self._open.get(sender, (None, None))
        if bag is not None and episode != transition.episode:
            self._finish(sender)
            bag = None
        try:
            if bag is None:
                self._finish_those_before(sender)
                bag = EpisodeBag(self.folder, transition.episode)
                self._open[sender] = transition.episode, bag
            bag.write(transition)
        except OSError as error:
            self._unstored += 1
            if not self._failing:
                log.error('transitions are not stored, from %d on: %s', transition.sequence, error)
            self._failing = True
            return False
        if self._failing:
            log.warning('transitions are stored again, from %d on', transition.sequence)
        self._failing = False
        if transition.ends_episode:
            self._finish(sender)
        return True

    def wait_for_disk(self) -> None:
        """Wait until each bag whose episode has ended is finished, or the disk has refused it."""
        if self._last is not None:
            self._last.result()

    def close(self) -> None:
        """Finish all files, and wait for that."""
        if self._closed:
            return
        self._closed = True
        for sender in list(self._open):
            self._finish(sender)
        self._last = self._finisher.submit(self._finish_older_ones)
        self._finisher.shutdown()

    def _finish_those_before(self, sender: tuple[str, int]) -> None:
        """A robot's new session is its controller started again: the one before, which crashed,
        will end no episode any more. What it sent and comes late gets a bag of its own."""
        if sender in self._senders:
            return
        self._senders.add(sender)
        robot, _ = sender
        for other in [each for each in self._open if each[0] == robot]:
            self._finish(other, f'it was cut off, as {robot} was started again')

    def _finish(self, sender: tuple[str, int], why: str = '') -> None:
        _, bag = self._open.pop(sender)
        self._last = self._finisher.submit(self._finish_bag, bag, why)

    # In the finisher's thread --------------------------------------------------------------------

    def _finish_bag(self, bag: EpisodeBag, why: str) -> None:
        try:
            bag.finish()
        except Exception as error:  # of any kind: nobody else would hear of it in this thread
            self._without_index += 1
            self._unfinished.append(bag.path)  # it stays readable
            log.error('%s: has no index yet: %r', bag.path, error)
            return
        if why:
            log.info('%s: finished; %s', bag.path, why)
        self._finish_older_ones()

    def _finish_older_ones(self) -> None:
        """Finish the bags that could not be finished in their time, while there is room."""
        while self._unfinished:
            try:
                repair(self._unfinished[-1])
            except Exception:  # it has been told
                return
            self._unfinished.pop()
