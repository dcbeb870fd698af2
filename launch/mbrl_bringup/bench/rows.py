"""What ``mbrl bench`` writes: a CSV file, one row per episode, whole at every moment."""

from __future__ import annotations

import csv
import dataclasses
import importlib.metadata
import io
import os
import platform
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from mbrl_bringup.csv_table import PARSERS, texts
from mbrl_common.files import replaced
from mbrl_common.settings import SettingsError

_PACKAGES = ('mbrl_bringup', 'torch', 'numpy', 'mujoco', 'gymnasium')


@dataclasses.dataclass(frozen=True)
class Row:
    """One episode. Times in seconds, errors relative to predicting no change, NaN for none."""

    task: str
    recipe: str
    settings: str
    """Digest of all parameters (``recipes.digest``)."""
    unchanged: bool
    """By the task's own parameter file, with episodes as long as it says: to be compared with
    others' figures."""
    seed: int
    episode: int
    kind: str
    """``random``, ``planned``, or ``policy`` for a model-free one."""
    steps: int
    environment_steps: int
    """Control steps of the run up to the episode's end."""
    episode_return: float
    """What the task's objective paid."""
    score: float
    """What the environment itself paid; NaN if it pays nothing."""
    terminated: bool
    model_error: float
    """One-step prediction error within the episode."""
    holdout_error: float
    """One-step prediction error on held-out data, of the newest model after the episode."""
    model_version: int
    """Of that model; 0: none."""
    model_steps: int
    """Model steps of each plan."""
    plan_time_p50: float
    plan_time_p95: float
    training_time: float
    wall_time: float
    """Of the whole episode, training included."""
    versions: str
    machine: str

    @property
    def key(self) -> tuple[int, int]:
        """Seed and episode: what there is one row of."""
        return self.seed, self.episode


class Rows:
    """The file, and the rows in it. Each change replaces the file in one step."""

    def __init__(self, path: Path) -> None:
        """Go on with the file if there is one.

        Raises:
            SettingsError: if it is not such a file, or something in it is wrong. It is left alone.
        """
        self.path = path
        self.cut_off = False
        """Whether the last line was a part of a row; it counts as not there."""
        self._rows: dict[tuple[int, int], Row] = {}
        if path.exists():
            rows, self.cut_off = _parse(path)
            for row in rows:
                if row.key in self._rows:
                    raise SettingsError(
                        [f'{path} has seed {row.seed}, episode {row.episode} twice']
                    )
                self._rows[row.key] = row

    @property
    def rows(self) -> list[Row]:
        """All rows, by seed and episode."""
        return [self._rows[key] for key in sorted(self._rows)]

    def check(self, task: str, recipe: str, settings: str) -> None:
        """Whether rows of these belong into the file.

        Raises:
            SettingsError: it has rows of others.
        """
        for row in self.rows:
            if (row.task, row.recipe) != (task, recipe):
                raise SettingsError(
                    [
                        f"{self.path} has rows of task '{row.task}', recipe '{row.recipe}', not of "
                        f"'{task}', '{recipe}'; give another --out"
                    ]
                )
            if row.settings != settings:
                raise SettingsError(
                    [
                        f'{self.path} has rows of other settings ({row.settings}; now they are '
                        f'{settings}): a parameter file, a recipe or --max-steps is not what it '
                        'was. Give another --out, or move the file away'
                    ]
                )

    def of_seed(self, seed: int) -> list[Row]:
        """The rows of a seed, from its first episode on, as far as none is missing."""
        found: list[Row] = []
        while (row := self._rows.get((seed, len(found)))) is not None:
            found.append(row)
        return found

    def put(self, row: Row) -> None:
        """Write a row, down to the disk; one of the same episode is replaced.

        Raises:
            OSError: if it cannot be written; the file is then what it was.
        """
        rows = self._rows | {row.key: row}
        _write(self.path, [rows[key] for key in sorted(rows)])
        self._rows = rows


def read(path: Path) -> list[Row]:
    """The rows of a file, without changing it.

    Raises:
        SettingsError: as :class:`Rows`.
    """
    return Rows(path).rows


@cache
def versions() -> str:
    """Of what the numbers depend on."""
    found = [f'python={platform.python_version()}']
    for package in _PACKAGES:
        try:
            found.append(f'{package}={importlib.metadata.version(package)}')
        except importlib.metadata.PackageNotFoundError:
            found.append(f'{package}=unknown')
    return ' '.join(found)


@cache
def machine() -> str:
    """The processor, and how many there are."""
    name = platform.processor() or platform.machine()
    info = Path('/proc/cpuinfo')
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith('model name'):
                name = line.partition(': ')[2]
                break
    return f'{len(os.sched_getaffinity(0))} x {name}'


_FIELDS = {field.name: str(field.type) for field in dataclasses.fields(Row)}


def _parse(path: Path) -> tuple[list[Row], bool]:
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f'{path} cannot be read: {error}']) from error
    whole = text.endswith('\n')
    lines = list(csv.reader(io.StringIO(text)))
    if not lines:
        return [], False
    if lines[0] != list(_FIELDS):
        if len(lines) == 1 and not whole:
            return [], True
        raise SettingsError([f'{path} is no file of mbrl bench: its first line is another'])
    cut_off = not whole
    body = lines[1:-1] if cut_off else lines[1:]
    rows = []
    for number, line in enumerate(body, start=2):
        try:
            if len(line) != len(_FIELDS):
                raise ValueError(f'{len(line)} values, not {len(_FIELDS)}')
            values = {
                name: PARSERS[kind](value) for (name, kind), value in zip(_FIELDS.items(), line)
            }
            rows.append(Row(**values))
        except ValueError as error:
            raise SettingsError([f'{path}, row {number} is damaged: {error}']) from error
    return rows, cut_off


def _write(path: Path, rows: Sequence[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced(path, durable=True) as partial, partial.open('w', newline='') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(_FIELDS)
        writer.writerows(map(texts, rows))
