"""Steps of one control period out of what a robot measured and was told, each at its own times.

The rules, in the order in which they apply:

1. A joint is known between two samples that are no further apart than ``max_gap``. A command is in
   force until the next one, at most for ``command_timeout``; one that is not finite ends the last.
   An episode is a stretch of time in which every entry of the state is known and a command is in
   force.
2. Its first state is at its first command, its others follow at the control period.
3. A state is interpolated linearly between the samples around it. Angles are unrolled first (less
   than half a turn lies between two samples) and go on unrolled through the episode.
4. The action of a step is the mean over its time of the commands in force: the command itself if
   there was one, and what the actuators got on average if it changed on the way.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Signal:
    """Samples of one entry of the state: time [N] int64 [ns], rising; value [N], finite."""

    time: np.ndarray
    value: np.ndarray

    @classmethod
    def sorted(cls, time: np.ndarray, value: np.ndarray) -> Signal:
        """From samples in any order; those that are not finite are left out, and of several at
        one time all but the first."""
        known = np.isfinite(value)
        time, index = np.unique(time[known], return_index=True)
        return cls(time, value[known][index])


@dataclasses.dataclass(frozen=True)
class Commands:
    """Commands: time from which each is in force [N] int64 [ns], not falling; value [N, A]."""

    time: np.ndarray
    value: np.ndarray


@dataclasses.dataclass(frozen=True)
class Steps:
    """An unbroken episode of K steps: time [K + 1] int64 [ns], state [K + 1, S], action [K, A]."""

    time: np.ndarray
    state: np.ndarray
    action: np.ndarray


def resample(
    signals: Sequence[Signal],
    angles: Sequence[int],
    commands: Commands,
    *,
    period: int,
    max_gap: int,
    command_timeout: int,
) -> list[Steps]:
    """The episodes in a recording.

    Args:
        signals: one per entry of the state.
        angles: indices of those that are angles without limits.
        commands: what the robot was told.
        period: the control period [ns].
        max_gap: longest time between two samples of a signal [ns].
        command_timeout: longest time that a command is in force [ns].
    """
    stretches = in_force(commands, command_timeout)
    for signal in signals:
        stretches = _overlap(stretches, known(signal, max_gap))
    finite = commands.time[np.isfinite(commands.value).all(axis=1)]
    episodes = []
    for begin, end in stretches:
        first = finite[np.searchsorted(finite, begin) :][:1]
        if len(first) and first[0] < begin + period:
            begin = int(first[0])
        count = (end - begin) // period
        if count >= 1:
            time = begin + period * np.arange(count + 1, dtype=np.int64)
            state = np.stack(
                [_interpolate(s, time, i in angles) for i, s in enumerate(signals)], axis=1
            )
            episodes.append(Steps(time, state, _mean_command(commands, time)))
    return episodes


def known(signal: Signal, max_gap: int) -> list[tuple[int, int]]:
    """The stretches of time [ns] in which a signal has no gap."""
    if not len(signal.time):
        return []
    breaks = np.flatnonzero(np.diff(signal.time) > max_gap)
    begins = signal.time[np.concatenate([[0], breaks + 1])]
    ends = signal.time[np.concatenate([breaks, [-1]])]
    return list(zip(begins.tolist(), ends.tolist()))


def in_force(commands: Commands, timeout: int) -> list[tuple[int, int]]:
    """The stretches of time [ns] in which some command is in force."""
    stretches: list[tuple[int, int]] = []
    finite = np.isfinite(commands.value).all(axis=1)
    until = np.append(commands.time[1:], np.iinfo(np.int64).max)
    for begin, follows, real in zip(commands.time.tolist(), until.tolist(), finite.tolist()):
        end = min(follows, begin + timeout)
        if not real or end == begin:
            continue
        if stretches and stretches[-1][1] == begin:
            stretches[-1] = stretches[-1][0], end
        else:
            stretches.append((begin, end))
    return stretches


def differentiate(signal: Signal, angle: bool, max_gap: int) -> Signal:
    """The rate of a signal at its samples, by central differences within each gapless stretch.

    Exact for a parabola, also on uneven samples; one-sided at both ends. Single samples are left
    out.
    """
    rates, times = [], []
    for begin, end in known(signal, max_gap):
        first, last = np.searchsorted(signal.time, [begin, end])
        if last > first:
            time = signal.time[first : last + 1]
            value = signal.value[first : last + 1]
            seconds = (time - time[0]) * 1e-9
            value = np.unwrap(value) if angle else value
            rates.append(np.gradient(value, seconds, edge_order=2 if len(time) > 2 else 1))
            times.append(time)
    if not times:
        return Signal(np.empty(0, np.int64), np.empty(0))
    return Signal(np.concatenate(times), np.concatenate(rates))


def _overlap(a: list[tuple[int, int]], b: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """What two rising lists of stretches have in common."""
    common, i, j = [], 0, 0
    while i < len(a) and j < len(b):
        begin, end = max(a[i][0], b[j][0]), min(a[i][1], b[j][1])
        if begin < end:
            common.append((begin, end))
        if a[i][1] < b[j][1]:
            i += 1
        else:
            j += 1
    return common


def _interpolate(signal: Signal, time: np.ndarray, angle: bool) -> np.ndarray:
    """The signal at some times within a gapless stretch, [K + 1]."""
    first = int(np.searchsorted(signal.time, time[0], side='right')) - 1
    last = int(np.searchsorted(signal.time, time[-1]))
    value = signal.value[first : last + 1]
    at = (time - time[0]).astype(np.float64)  # exact up to 104 days
    samples = (signal.time[first : last + 1] - time[0]).astype(np.float64)
    return np.interp(at, samples, np.unwrap(value) if angle else value)


def _mean_command(commands: Commands, time: np.ndarray) -> np.ndarray:
    """Mean command in force over each of K steps, [K, A]."""
    first = np.searchsorted(commands.time, time[:-1], side='right') - 1
    last = np.searchsorted(commands.time, time[1:], side='left') - 1
    action = commands.value[first].astype(np.float64)
    for step in np.flatnonzero(last > first):
        part = slice(first[step], last[step] + 1)
        edges = np.concatenate(
            [[time[step]], commands.time[first[step] + 1 : last[step] + 1], [time[step + 1]]]
        )
        action[step] = np.average(commands.value[part], axis=0, weights=np.diff(edges))
    return action
