"""What benchmarks write: rows of a CSV file, and what they were measured on."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any


def append(path: Path, rows: list[dict[str, Any]]) -> None:
    """Add rows to a CSV file."""
    new = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('a', newline='') as file:
        writer = csv.DictWriter(file, rows[0])
        if new:
            writer.writeheader()
        writer.writerows(rows)


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a CSV file; none if there is no such file."""
    if not path.exists():
        return []
    with path.open(newline='') as file:
        return list(csv.DictReader(file))


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write a CSV file anew."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('w', newline='') as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def cpu_name() -> str:
    """As Linux calls it."""
    lines = Path('/proc/cpuinfo').read_text().splitlines()
    return next(line.split(': ')[1] for line in lines if line.startswith('model name'))
