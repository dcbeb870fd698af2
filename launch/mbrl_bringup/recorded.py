"""One recorded episode, found in a run folder, a folder of bags, or a bag."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mbrl_bringup import csv_table
from mbrl_bringup.episodes import EpisodeRow, best_of
from mbrl_bringup.run_folder import RunFolder
from mbrl_common.settings import SettingsError
from mbrl_dynamics.bag_collection import episodes_of
from mbrl_dynamics.bag_source import has_transitions, recorded_transitions
from mbrl_dynamics.ros_bag import RosBag, find_bags

_NUMBERED = re.compile(r'episode_(\d+)(_\d+)?\.mcap')


@dataclasses.dataclass(frozen=True)
class RecordedEpisode:
    """What was recorded of an episode.

    Attributes:
        bag: where.
        number: of the episode.
        states: [steps + 1, S], from the initial one to the last.
        episode_return: NaN if a reward is not known.
    """

    bag: Path
    number: int
    states: np.ndarray
    episode_return: float


def find_episode(place: Path, which: str) -> RecordedEpisode:
    """An episode.

    Args:
        place: a run folder, a folder with bags anywhere below it, or a bag.
        which: its number; or ``best``, the one with the highest return, of the planned ones where
            a run folder says which are; or ``last``.

    Raises:
        SettingsError: there is no such place or episode, or more than one of that number.
        BagError, OSError: a bag cannot be read, or there are none.
    """
    if not place.exists():
        raise SettingsError([f'there is no {place}'])
    if which not in ('best', 'last') and not which.isdecimal():
        raise SettingsError([f"--episode is '{which}'; it must be a number, best or last"])
    if which == 'best' and place.is_dir():
        table = RunFolder(place).episodes
        # not by EpisodeLog, which mends the file: the run may be writing it
        rows = csv_table.read(table, EpisodeRow, whole_lines=True) if table.exists() else []
        best = best_of(rows)
        which = which if best is None else str(best.episode)
    number = int(which) if which.isdecimal() else None
    found = list(_episodes(_data_of(place), number))
    if number is not None:
        return _only(place, number, [each for each in found if each.number == number])
    if not found:
        raise SettingsError([f'{place} has no episode'])
    if which == 'last':
        return found[-1]
    known = [each for each in found if not math.isnan(each.episode_return)]
    if not known:
        raise SettingsError([f'{place}: no return is known, so none is best; give --episode N'])
    return max(known, key=lambda each: each.episode_return)


def params_file_beside(place: Path) -> Path | None:
    """The parameter file of the run that a folder or a bag belongs to; None if there is none."""
    for folder in (place, *list(place.resolve().parents)[:2]):
        if (folder / 'run.yaml').is_file() and RunFolder(folder).parameters.is_file():
            return RunFolder(folder).parameters
    return None


def _data_of(place: Path) -> Path:
    data = RunFolder(place).data
    return data if data.is_dir() else place


def _only(place: Path, number: int, found: list[RecordedEpisode]) -> RecordedEpisode:
    if len(found) == 1:
        return found[0]
    if found:
        bags = ', '.join(str(each.bag) for each in found)
        raise SettingsError([f'{place} has episode {number} more than once, in {bags}: give a bag'])
    numbers = sorted({each.number for each in _episodes(_data_of(place))})
    there = 'none' if not numbers else ', '.join(map(str, numbers))
    raise SettingsError([f'{place} has no episode {number}; there is {there}'])


def _episodes(place: Path, number: int | None = None) -> Iterator[RecordedEpisode]:
    """All episodes; bags that say by their name that they have another than ``number`` are passed
    over."""
    for path in find_bags(place):
        match = _NUMBERED.fullmatch(path.name)
        if number is not None and match is not None and int(match[1]) != number:
            continue
        bag = RosBag(path)
        if not has_transitions(bag):
            continue
        all_of_them = recorded_transitions(bag)
        for rows in episodes_of(all_of_them):
            own = all_of_them[rows]
            yield RecordedEpisode(
                bag=path,
                number=int(own.episode[0]),
                states=np.concatenate([own.state[:1], own.next_state]),
                episode_return=float(own.reward.sum()),
            )
