"""Warnings and errors in the nodes' output."""

from __future__ import annotations

import collections
import re
from pathlib import Path

from mbrl_bringup.report.run import LogLine

MOST = 20
_READ = 5_000_000  # bytes, from the end of each file
_LINE = re.compile(r'\[(WARN|ERROR|FATAL)\] \[[\d.]+\] \[([^\]]*)\]: (.*)')
_NUMBER = re.compile(r'-?\d+(\.\d+)?(e[-+]?\d+)?')


def read_logs(folder: Path) -> list[LogLine]:
    """The worst first, then those that came most often; lines that differ in numbers alone are one.

    Raises:
        OSError: if a file cannot be read.
    """
    first: dict[tuple[str, str, str], str] = {}
    counts: collections.Counter[tuple[str, str, str]] = collections.Counter()
    for path in sorted(folder.glob('*.log')) if folder.is_dir() else []:
        with path.open('rb') as file:
            file.seek(max(path.stat().st_size - _READ, 0))
            text = file.read().decode(errors='replace')
        for level, node, message in _LINE.findall(text):
            key = (level, node, without_numbers(message))
            first.setdefault(key, message)
            counts[key] += 1
    order = sorted(counts, key=lambda key: (('FATAL', 'ERROR', 'WARN').index(key[0]), -counts[key]))
    return [LogLine(key[0], key[1], first[key], counts[key]) for key in order[:MOST]]


def without_numbers(text: str) -> str:
    """The same for texts that differ in numbers alone."""
    return _NUMBER.sub('#', text)
