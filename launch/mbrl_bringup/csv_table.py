"""Rows of a dataclass as a CSV file: each on disk as soon as it is there, and read back alike."""

from __future__ import annotations

import csv
import dataclasses
import io
import os
from pathlib import Path
from typing import Any, TypeVar

from mbrl_common.settings import SettingsError

Row = TypeVar('Row')


def _flag(text: str) -> bool:
    if text not in ('True', 'False'):
        raise ValueError(f'{text!r} is neither True nor False')
    return text == 'True'


PARSERS: dict[str, Any] = {'int': int, 'float': float, 'str': str, 'bool': _flag}
"""Name of a field's type to what reads one of :func:`texts`; raises ValueError."""


def append(path: Path, row: Any, sync: bool = True) -> None:
    """Write a row, and the names of its fields before the first.

    Args:
        path: the file.
        row: an instance of a dataclass.
        sync: wait until the disk has it; otherwise the operating system has.

    Raises:
        OSError: if it cannot be written.
    """
    new = not path.exists()
    with path.open('a', newline='') as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(field.name for field in dataclasses.fields(row))
        writer.writerow(texts(row))
        file.flush()
        if sync:
            os.fsync(file.fileno())


def read(path: Path, kind: type[Row], whole_lines: bool = False) -> list[Row]:
    """The rows, up to one that lacks fields: its write was cut off, or goes on now.

    Args:
        path: a file that :func:`append` has written.
        kind: the dataclass; its fields are int, float, str or bool, without line breaks.
        whole_lines: pass over a last line that has no end, though it may have all fields.

    Raises:
        SettingsError: if it is not such a file.
        OSError: if it cannot be read.
    """
    kinds = {
        str(field.name): PARSERS[str(field.type)]
        for field in dataclasses.fields(kind)  # type: ignore[arg-type]
    }
    rows: list[Row] = []
    place = f'{path}, line 1'
    try:
        text = path.read_bytes().decode()
        if whole_lines:
            text = text[: text.rfind('\n') + 1]
        for line, entry in enumerate(csv.DictReader(io.StringIO(text, newline='')), start=2):
            place = f'{path}, line {line}'
            if None in entry.values():
                break
            rows.append(kind(**{name: kinds[name](value) for name, value in entry.items()}))
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise SettingsError([f'{place}: {error!r}']) from error
    return rows


def texts(row: Any) -> list[str]:
    """The values of a dataclass as they are in a file, numbers to their last bit."""
    values = (getattr(row, field.name) for field in dataclasses.fields(row))
    return [repr(value) if isinstance(value, float) else str(value) for value in values]
