"""The bags of a run: one open file per sender, and what earlier processes left behind."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from mbrl_dynamics.bag import BagError, EpisodeBag, bags, read, repair
from mbrl_dynamics.transition import Transition

log = logging.getLogger(__name__)


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

    def load(self) -> Iterator[Transition]:
        """Yield every transition on disk, after finishing the files that a crash cut off."""
        for path in bags(self.folder):
            try:
                if repair(path):
                    log.info('%s: finished; its recording had been cut off', path)
                yield from read(path)
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

    def _finish(self, sender: tuple[str, int]) -> None:
        _, bag = self._open.pop(sender)
        try:
            bag.finish()
        except OSError as error:  # it stays readable, and is finished at the next start
            self.errors += 1
            log.error('%s: has no index yet: %s', bag.path, error)
