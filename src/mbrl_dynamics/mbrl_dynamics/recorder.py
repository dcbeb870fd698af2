"""The bags of a run: one open file per sender, and what earlier processes left behind."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
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

    The disk's errors are logged and counted in ``errors``, not raised.
    """

    def __init__(self, folder: Path) -> None:
        """Make the folder.

        Raises:
            OSError: if it cannot be made.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.errors = 0
        self._failing = False
        self._open: dict[tuple[str, int], tuple[int, EpisodeBag]] = {}
        self._senders: set[tuple[str, int]] = set()
        self._unfinished: list[Path] = []  # ended while the disk was full

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
                self.errors += 1
                log.error('%s: skipped: %s', path, error)

    def write(self, transition: Transition) -> bool:
        """Hand a transition to the disk; on return it survives the end of this process.

        Returns:
            false if it could not be written; then nothing of it is on disk, and it may come again.
        """
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
            self.errors += 1
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

    def close(self) -> None:
        """Finish all files."""
        for sender in list(self._open):
            self._finish(sender)
        while self._finish_an_older_one():
            pass

    def _finish_those_before(self, sender: tuple[str, int]) -> None:
        """A robot's new session is its controller started again: the one before, which crashed,
        will end no episode any more. What it sent and comes late gets a bag of its own."""
        if sender in self._senders:
            return
        self._senders.add(sender)
        robot, _ = sender
        for other in [each for each in self._open if each[0] == robot]:
            path = self._open[other][1].path
            self._finish(other)
            if path not in self._unfinished:
                log.info('%s: finished; it was cut off, as %s was started again', path, robot)

    def _finish(self, sender: tuple[str, int]) -> None:
        _, bag = self._open.pop(sender)
        try:
            bag.finish()
        except OSError as error:  # it stays readable
            self.errors += 1
            self._unfinished.append(bag.path)
            log.error('%s: has no index yet: %s', bag.path, error)
        else:
            self._finish_an_older_one()  # one only, as control may be waiting

    def _finish_an_older_one(self) -> bool:
        """Give a bag its index that could not be finished in its time; false if none was."""
        if not self._unfinished:
            return False
        try:
            repair(self._unfinished[-1])
        except OSError:
            return False
        self._unfinished.pop()
        return True
