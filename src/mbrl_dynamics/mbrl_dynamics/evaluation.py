"""What is known of a model's quality: numbers, what they say, and how they are kept on disk.

Measured by ``mbrl_dynamics.evaluate``. S entries of the state, H steps, L levels of coverage; all
numbers are float64, in physical units. NaN: not measured.
"""

from __future__ import annotations

import dataclasses
import json
import math
import typing
import zipfile
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

LEVELS = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99])
"""Central intervals whose coverage is measured."""
QUANTILES = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
"""Those of the particles that are kept of a few windows."""
NUMBERS = 'evaluation.npz'
SUMMARY = 'evaluation.json'
FEWEST = 20  # transitions, for a verdict on the spread
OVERCONFIDENT = 0.7  # of the truth within intervals of 90 %; a spread of half the error gives 0.59
Record = TypeVar('Record')


@dataclasses.dataclass(frozen=True)
class About:
    """What was measured.

    Attributes:
        model_version: of the model.
        source: '' for held-out data of the dataset, otherwise the bag that was given.
        state: names of the state's entries.
        angles: those that are angles [rad].
        period: length of a step [s]; NaN: not known.
    """

    model_version: int = 0
    source: str = ''
    state: tuple[str, ...] = ()
    angles: tuple[str, ...] = ()
    period: float = math.nan


@dataclasses.dataclass(frozen=True)
class OneStep:
    """One step ahead, on N transitions.

    Attributes:
        transitions: N.
        relative_error: as ``mbrl_dynamics.relative_error``, of the mean of the members.
        error: [S], root mean square.
        trivial: [S], that of predicting no change.
        spread: [S], predicted standard deviation, root mean square: of the members' mixture, or of
            the means of deterministic ones.
        disagreement: [S], standard deviation of the members' means, root mean square.
        coverage: [L, S], share of the truth within central intervals.
        calibration_error: [S], mean distance of that from the levels.
        surprise: [S], mean negative log-likelihood of each entry [nats].
        joint_surprise: that of all entries together.
        binned_error, binned_spread: [B, S], root mean squares in bins of ever larger spread.
        reward_error, reward_deviation: of the learned reward, and of always guessing its mean.
        end_log_loss, end_accuracy, end_share: of the learned termination; how often there was one.
        change, predicted_change: [N, S], of the state.
        transform: [N, S], where the truth lies in the prediction, 0 to 1.
    """

    transitions: int
    relative_error: float
    error: np.ndarray
    trivial: np.ndarray
    spread: np.ndarray
    disagreement: np.ndarray
    coverage: np.ndarray
    calibration_error: np.ndarray
    surprise: np.ndarray
    joint_surprise: float
    binned_error: np.ndarray
    binned_spread: np.ndarray
    reward_error: float
    reward_deviation: float
    end_log_loss: float
    end_accuracy: float
    end_share: float
    change: np.ndarray
    predicted_change: np.ndarray
    transform: np.ndarray


@dataclasses.dataclass(frozen=True)
class OpenLoop:
    """k = 1, ..., H steps ahead along the recorded actions; row k - 1 of each array.

    Attributes:
        windows: [H] int64, how many there are.
        relative_error: [H], error over that of no change, mean over the entries.
        error: [H, S], of the mean of the particles, root mean square.
        trivial: [H, S], that of 'nothing changes since the window's start'.
        spread: [H, S], standard deviation over the particles, root mean square.
        disagreement: [H, S], that of the members' own mean trajectories.
        coverage: [H, L, S], share of the truth within the particles' central intervals.
        truth: [F, H + 1, S], a few windows as examples; NaN beyond a window's end.
        quantiles: [F, H + 1, 5, S], the particles' ``QUANTILES``.
    """

    windows: np.ndarray
    relative_error: np.ndarray
    error: np.ndarray
    trivial: np.ndarray
    spread: np.ndarray
    disagreement: np.ndarray
    coverage: np.ndarray
    truth: np.ndarray
    quantiles: np.ndarray

    @property
    def longest(self) -> int:
        """The largest k for which there are windows; 0: none."""
        return int(np.count_nonzero(self.windows))


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """All of it; ``counted`` [S] tells the entries that the model predicts, ``time`` is in s."""

    about: About
    counted: np.ndarray
    one_step: OneStep
    open_loop: OpenLoop
    time: float

    @property
    def coverage_90(self) -> float:
        """Share of the truth within one-step intervals of 90 %, mean over entries; or NaN."""
        row = self.one_step.coverage[int(np.flatnonzero(LEVELS == 0.9)[0])]
        known = row[~np.isnan(row)]
        return float(known.mean()) if len(known) else math.nan

    @property
    def complaints(self) -> list[str]:
        """What is wrong with the model; empty: nothing much."""
        found = []
        if self.one_step.relative_error >= 1:
            found.append("no better than 'nothing changes'")
        if self.one_step.transitions >= FEWEST and self.coverage_90 < OVERCONFIDENT:
            found.append('over-confident')
        return found

    def describe(self) -> str:
        """A sentence for people."""
        text = f'model version {self.about.model_version}: '
        text += ', '.join(self.complaints) + '; ' if self.complaints else ''
        text += f"error {self.one_step.relative_error:.2g} of 'nothing changes'"
        longest = self.open_loop.longest
        if longest > 1:
            text += f', {self.open_loop.relative_error[longest - 1]:.2g} after {longest} steps'
        if not math.isnan(self.coverage_90):
            text += f'; 90 % intervals hold {self.coverage_90 * 100:.0f} %'
        return text

    def without_samples(self) -> Evaluation:
        """The same without what only pictures need: small enough to be sent."""
        none = np.empty((0, 0))
        one_step = dataclasses.replace(
            self.one_step, change=none, predicted_change=none, transform=none
        )
        open_loop = dataclasses.replace(self.open_loop, truth=none, quantiles=none)
        return dataclasses.replace(self, one_step=one_step, open_loop=open_loop)


_SAMPLES = ('change', 'predicted_change', 'transform', 'truth', 'quantiles')


def save(evaluation: Evaluation, folder: Path) -> None:
    """Write all of it as ``evaluation.npz``, and what one reads as ``evaluation.json``.

    Raises:
        OSError: if that fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / NUMBERS).open('wb') as file:
        np.savez(file, allow_pickle=False, **_flatten(evaluation))
    summary = _plain(dataclasses.asdict(evaluation))
    (folder / SUMMARY).write_text(json.dumps({'levels': LEVELS.tolist(), **summary}, indent=1))


def load(folder: Path) -> Evaluation:
    """What :func:`save` has written.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is something else.
    """
    path = folder / NUMBERS
    try:
        with np.load(path, allow_pickle=False) as file:
            return _rebuild(Evaluation, dict(file))
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
        raise ValueError(f'{path} is no evaluation: {error}') from error


def _flatten(record: Any, prefix: str = '') -> dict[str, np.ndarray]:
    flat: dict[str, np.ndarray] = {}
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if dataclasses.is_dataclass(value):
            flat |= _flatten(value, f'{prefix}{field.name}.')
        else:
            text = isinstance(value, tuple)
            flat[prefix + field.name] = np.array(value, dtype=str) if text else np.asarray(value)
    return flat


def _rebuild(kind: type[Record], flat: dict[str, np.ndarray], prefix: str = '') -> Record:
    values: dict[str, Any] = {}
    for name, hint in typing.get_type_hints(kind).items():
        if dataclasses.is_dataclass(hint):
            values[name] = _rebuild(typing.cast(type, hint), flat, f'{prefix}{name}.')
            continue
        found = flat[prefix + name]
        if typing.get_origin(hint) is tuple:
            values[name] = tuple(found.tolist())
        else:
            values[name] = found if hint is np.ndarray else found.item()
    return kind(**values)


def _plain(value: Any) -> Any:
    """As JSON has it: lists, and null for what is not finite; without samples."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items() if key not in _SAMPLES}
    if isinstance(value, (np.ndarray, tuple, list)):
        return [_plain(each) for each in np.asarray(value).tolist()]
    return None if isinstance(value, float) and not math.isfinite(value) else value
