"""Files that are whole at every moment."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replaced(path: Path, durable: bool = False) -> Iterator[Path]:
    """Write a file anew: the block writes to the path it is given, which at its end takes the place
    of ``path`` in one step. If the block fails, Ctrl-C included, nothing of it stays.

    Args:
        path: the file; its folder must be there.
        durable: wait until the disk has it, so that a power cut leaves the old or the new file.

    Raises:
        OSError: if it cannot be written; ``path`` is then what it was.
    """
    partial = path.with_name(path.name + '.partial')
    try:
        yield partial
        if durable:
            with partial.open('rb') as file:
                os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
