"""Models on disk: a file per version, written in one step; the newest good one is found again."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from mbrl_common.files import replaced
from mbrl_dynamics.snapshot import Snapshot, SnapshotError, decode

log = logging.getLogger(__name__)

_NAME = re.compile(r'model_(\d{5,})\.safetensors')


def versions_in(folder: Path) -> dict[int, Path]:
    """The models in a folder, which nothing is done to: version to file, oldest first."""
    found = {}
    for path in folder.iterdir():
        match = _NAME.fullmatch(path.name)
        if match is not None:
            found[int(match[1])] = path
    return dict(sorted(found.items()))


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
        return versions_in(self.folder)

    def save(self, snapshot: Snapshot) -> None:
        """Write a model; a crash leaves it whole or not at all.

        Raises:
            OSError: if it could not be written.
        """
        path = self.folder / f'model_{snapshot.version:05d}.safetensors'
        with replaced(path, durable=True) as partial:
            partial.write_bytes(snapshot.data)
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
