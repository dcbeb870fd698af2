"""Episodes to and from Minari, the format of offline reinforcement learning (Farama Foundation).

Minari keeps, for an episode of T steps, T + 1 observations and T actions, rewards, terminations and
truncations; here as float64, bit for bit. The T + 1 stamps [ns] go into its ``infos`` under
``stamp``. Sender, sequence numbers and numbers of episodes it does not know: an imported episode
gets the number that it has in the dataset.

The packages ``minari`` and ``h5py`` are imported when they are needed. Datasets lie where the
environment variable ``MINARI_DATASETS_PATH`` says, or in ``~/.minari/datasets``.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import re
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mbrl_common.task import TaskSettings
from mbrl_dynamics.bag_collection import episodes_of
from mbrl_dynamics.transitions import Transitions

STAMP = 'stamp'
PERIOD = 'control_period'


class MinariError(ValueError):
    """A dataset cannot be written or read; the text says why, and what would be right."""


def export_dataset(
    transitions: Transitions, dataset_id: str, task: TaskSettings, description: str
) -> tuple[int, int]:
    """Write transitions as a new Minari dataset.

    An episode in which steps are missing becomes several.

    Args:
        transitions: at least one; all rewards known.
        dataset_id: as ``group/name-v0``.
        task: names and bounds of the action, kept with the dataset, and the control period.
        description: a sentence for people.

    Returns:
        How many episodes, and the size of the dataset's files in bytes.

    Raises:
        MinariError: if the dataset exists, its name is none, a reward is not known, or Minari is
            not installed.
        OSError: if it cannot be written; nothing of it is left then.
    """
    minari = _minari()
    from gymnasium.spaces import Box
    from minari.storage.datasets_root_dir import get_dataset_path

    _check_id(dataset_id)
    path = get_dataset_path(dataset_id)
    if path.exists():
        raise MinariError(f'{dataset_id} exists already, in {path}; choose another name or version')
    if np.isnan(transitions.reward).any():
        raise MinariError('some rewards are not known; `mbrl data import` scores transitions')
    _check_room(transitions, get_dataset_path())
    low, high = task.bounds
    try:
        with warnings.catch_warnings():  # of metadata that a dataset of one's own need not have
            warnings.simplefilter('ignore', UserWarning)
            dataset = minari.create_dataset_from_buffers(
                dataset_id,
                _buffers(transitions),
                observation_space=Box(-np.inf, np.inf, (task.state_dim,), np.float64),
                action_space=Box(
                    np.minimum(low, transitions.action.min(axis=0)),
                    np.maximum(high, transitions.action.max(axis=0)),
                    dtype=np.float64,
                ),
                algorithm_name='model-based control',
                description=description,
            )
        about = {'task': task.name, 'state': list(task.state), 'action': list(task.action)}
        dataset.storage.update_metadata({**about, PERIOD: task.control_period})
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise
    size = sum(file.stat().st_size for file in path.rglob('*') if file.is_file())
    return int(dataset.total_episodes), size


def import_dataset(dataset_id: str, control_period: float | None = None) -> tuple[Transitions, str]:
    """The transitions of a Minari dataset that is on this machine.

    Observations and actions must be numbers: boxes, or dictionaries and tuples of boxes, which are
    laid out one after the other as gymnasium's ``flatten`` does.

    Args:
        dataset_id: as ``group/name-v0``.
        control_period: time between two steps [s], where the dataset has no stamps; None: what it
            says of itself, and 1 s if it says nothing.

    Returns:
        The transitions, and where their stamps come from, for people.

    Raises:
        MinariError: if it is not there, of another kind, or Minari is not installed.
    """
    minari = _minari()
    _check_id(dataset_id)
    try:
        dataset = minari.load_dataset(dataset_id)
    except FileNotFoundError as error:
        local = ', '.join(minari.list_local_datasets()) or 'none'
        raise MinariError(f'no dataset {dataset_id} on this machine; there is {local}') from error
    except (ImportError, ValueError, OSError, KeyError) as error:
        raise MinariError(f'{dataset_id} cannot be read: {error}') from error
    period = control_period or float(dataset.storage.metadata.get(PERIOD, 1.0))
    parts: list[Transitions] = []
    stamped = True
    for number, episode in enumerate(dataset.iterate_episodes()):
        part, has_stamps = _transitions(dataset, episode, number, period, parts)
        stamped = stamped and has_stamps
        parts.append(part)
    parts = [part for part in parts if len(part)]
    if not parts:
        raise MinariError(f'{dataset_id} has no step')
    return _sent(Transitions.concatenate(parts), dataset_id), (
        'stamps as recorded' if stamped else f'steps dated {period:g} s apart'
    )


def _buffers(transitions: Transitions) -> Iterator[Any]:
    """An ``EpisodeBuffer`` for each episode, or part of one, that has all its steps."""
    from minari.data_collector.episode_buffer import EpisodeBuffer

    for indices in episodes_of(transitions):
        episode = transitions[indices]
        torn = (np.diff(episode.step) != 1) | (episode.next_state[:-1] != episode.state[1:]).any(1)
        for run in np.split(np.arange(len(episode)), np.flatnonzero(torn) + 1):
            part = episode[run]
            yield EpisodeBuffer(
                observations=np.concatenate([part.state, part.next_state[-1:]]),
                actions=part.action,
                rewards=part.reward,
                terminations=part.terminated,
                truncations=part.truncated,
                infos={STAMP: np.append(part.stamp, part.next_stamp[-1])},
            )


def _transitions(
    dataset: Any, episode: Any, number: int, period: float, before: list[Transitions]
) -> tuple[Transitions, bool]:
    """An episode's transitions, after those ``before`` it, and whether it had stamps."""
    count = len(episode.rewards)
    states = _flat(dataset.observation_space, episode.observations, count + 1, dataset.id)
    actions = _flat(dataset.action_space, episode.actions, count, dataset.id)
    stamps = np.asarray((episode.infos or {}).get(STAMP))
    has_stamps = stamps.shape == (count + 1,)
    if not has_stamps:
        begin = int(before[-1].next_stamp[-1]) if before and len(before[-1]) else 0
        stamps = begin + round(period * 1e9) * np.arange(count + 1, dtype=np.int64)
    part = Transitions.from_arrays(
        states[:-1],
        actions,
        states[1:],
        stamp=stamps[:-1].astype(np.int64),
        next_stamp=stamps[1:].astype(np.int64),
        episode=np.full(count, number, dtype=np.int64),
        reward=np.asarray(episode.rewards, dtype=np.float64),
        terminated=np.asarray(episode.terminations, dtype=bool),
        truncated=np.asarray(episode.truncations, dtype=bool),
    )
    return part, has_stamps


def _flat(space: Any, values: Any, count: int, dataset_id: str) -> np.ndarray:
    """Values of a space, [count, n] float64."""
    from gymnasium.spaces import Box, Dict, Tuple

    if isinstance(space, Box) and len(values) == count:
        return np.asarray(values, dtype=np.float64).reshape(count, -1)
    if isinstance(space, Dict):
        pairs = [(inner, values[name]) for name, inner in space.spaces.items()]
    elif isinstance(space, Tuple):
        pairs = list(zip(space.spaces, values))
    else:
        raise MinariError(
            f'{dataset_id}: {space} cannot be learned from; observations and actions must be boxes'
            f' of numbers, with {count} entries here'
        )
    return np.concatenate([_flat(*pair, count, dataset_id) for pair in pairs], axis=1)


def _sent(transitions: Transitions, dataset_id: str) -> Transitions:
    """As if the dataset had sent them; the same data always have the same sender."""
    content = transitions.state.tobytes() + transitions.action.tobytes()
    session = int.from_bytes(hashlib.sha256(content).digest()[:8], 'little')
    return dataclasses.replace(
        transitions,
        senders=((f'minari:{dataset_id}', session),),
        sender=np.zeros(len(transitions), dtype=np.int64),
        sequence=np.arange(len(transitions), dtype=np.int64),
    )


def room_needed(transitions: Transitions) -> int:
    """Bytes that a dataset of these transitions takes at most."""
    numbers = 2 * transitions.state.size + transitions.action.size + 3 * len(transitions)
    return 16 * numbers + 50_000 * sum(1 for _ in episodes_of(transitions))


def _check_room(transitions: Transitions, folder: Path) -> None:
    """Check that the disk has room. HDF5 does not survive a write that fails: it crashes later."""
    free, needed = shutil.disk_usage(folder).free, room_needed(transitions)
    if free < needed:
        raise OSError(
            errno.ENOSPC,
            f'there are {free / 1e6:.1f} MB left, and up to {needed / 1e6:.1f} MB needed',
            str(folder),
        )


def _check_id(dataset_id: str) -> None:
    from minari.dataset.minari_dataset import parse_dataset_id

    try:
        if not re.search(r'-v\d+$', dataset_id):
            raise ValueError('it has no version')
        parse_dataset_id(dataset_id)
    except ValueError as error:
        raise MinariError(
            f"{dataset_id!r} is no name of a Minari dataset; it must be like 'cartpole/mine-v0'"
        ) from error


def _minari() -> Any:
    try:
        import h5py  # noqa: F401
        import minari
    except ImportError as error:
        raise MinariError(
            f'{error}; Minari datasets need the packages minari and h5py: pip install minari h5py'
        ) from error
    return minari
