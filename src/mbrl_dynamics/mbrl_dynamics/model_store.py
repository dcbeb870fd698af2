"""Models on disk: a file per version, written in one step; the newest good one is found again."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

from mbrl_dynamics.snapshot import Snapshot, SnapshotError, decode

log = logging.getLogger(__name__)

_NAME = re.compile(r'model_(\d{5,})\.safetensors')


class ModelStore:
    """The folder of a run's models."""

    def __init__(self, folder: Path, keep: int) -> None:
        """Make the folder, in which the newest ``keep`` models stay.

        Raises:
            OSError: if it cannot be made.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._keep = keep

    def versions(self) -> dict[int, Path]:
        """Version to file, oldest first."""
        found = {}
        for path in self.folder.iterdir():
            match = _NAME.fullmatch(path.name)
            if match is not None:
                found[int(match[1])] = path
        return dict(sorted(found.items()))

    def save(self, snapshot: Snapshot) -> None:
        """Write a model; a crash leaves it whole or not at all.

        Raises:
            OSError: if it could not be written.
        """
        path = self.folder / f'model_{snapshot.version:05d}.safetensors'
        partial = path.with_name(path.name + '.partial')
        try:
            with partial.open('wb') as file:
                file.write(snapshot.data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        for old in list(self.versions().values())[: -self._keep]:
            old.unlink(missing_ok=True)

    def newest(self) -> Snapshot | None:
        """The newest model that can be used; bad ones are reported and passed over."""
        for version, path in reversed(self.versions().items()):
            try:
                snapshot = decode(path.read_bytes())[1]
                if snapshot.version != version:
                    raise SnapshotError(f'it says that it is version {snapshot.version}')
                return snapshot
            except (SnapshotError, OSError) as error:
                log.error('%s: not used: %s', path, error)
        return None
