"""Minari datasets: there and back bit for bit, and read by Minari itself."""

from __future__ import annotations

import builtins
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from mbrl_common.settings import build
from mbrl_common.task import TaskSettings
from mbrl_dynamics.bag import read_arrays
from mbrl_dynamics.bag_collection import renumbered
from mbrl_dynamics.bag_tools import merge, write
from mbrl_dynamics.minari_io import MinariError, export_dataset, import_dataset, room_needed
from mbrl_dynamics.transitions import Transitions

minari = pytest.importorskip('minari')
EpisodeBuffer = pytest.importorskip('minari.data_collector.episode_buffer').EpisodeBuffer

TASK = build(
    TaskSettings,
    {
        'name': 'reach',
        'state': ['a.position', 'b.position', 'a.velocity'],
        'action': ['a', 'b'],
        'action_low': [-1.0, -2.0],
        'action_high': [1.0, 2.0],
        'control_period': 0.05,
        'max_steps': 100,
    },
)


@pytest.fixture(autouse=True)
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where Minari keeps its datasets, in these tests."""
    folder = tmp_path / 'datasets'
    monkeypatch.setenv('MINARI_DATASETS_PATH', str(folder))
    return folder


def random_episodes(*lengths: int) -> Transitions:
    """Of random bits: every number that float64 has but infinities and NaN."""
    generator = np.random.default_rng(5)

    def numbers(*shape: int) -> np.ndarray:
        bits = generator.integers(0, 2**64, shape, dtype=np.uint64)
        values = bits.view(np.float64)
        return np.where(np.isfinite(values), values, 0.5)

    parts = []
    for episode, length in enumerate(lengths):
        states = numbers(length + 1, 3)
        stamp = 10**18 + np.cumsum(generator.integers(1, 10**8, length + 1))
        parts.append(
            Transitions.from_arrays(
                states[:-1],
                numbers(length, 2),
                states[1:],
                senders=(('/mpc_controller', 77),),
                stamp=stamp[:-1],
                next_stamp=stamp[1:],
                episode=np.full(length, 3 + episode),
                sequence=np.arange(length) + 1000 * episode,
                reward=numbers(length),
                terminated=(np.arange(length) == length - 1) & (episode == 0),
                truncated=(np.arange(length) == length - 1) & (episode == 1),
            )
        )
    return Transitions.concatenate(parts)


def test_bags_to_minari_to_bags_is_the_same_bit_for_bit(tmp_path: Path) -> None:
    original = random_episodes(7, 1, 12)
    first = write(renumbered(original), tmp_path / 'first')
    collected = Transitions.concatenate([read_arrays(path) for path in first.paths])
    assert export_dataset(collected, 'reach/mine-v0', TASK, 'A test.')[0] == 3
    back, stamps = import_dataset('reach/mine-v0')
    assert stamps == 'stamps as recorded'
    second = write(back, tmp_path / 'second')
    for one, other in zip(first.paths, second.paths, strict=True):
        ours, theirs = read_arrays(one), read_arrays(other)
        for name in ('state', 'action', 'next_state', 'reward'):
            mine, yours = (getattr(each, name).view(np.uint64) for each in (ours, theirs))
            np.testing.assert_array_equal(mine, yours, err_msg=name)
        for name in ('terminated', 'truncated', 'step', 'stamp', 'next_stamp', 'episode'):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)


def test_minari_itself_reads_what_was_exported(datasets: Path) -> None:
    original = random_episodes(7, 4)
    episodes, size = export_dataset(original, 'reach/mine-v3', TASK, 'Reaching, by hand.')
    assert (datasets / 'reach' / 'mine-v3' / 'data' / 'main_data.hdf5').is_file()
    assert size > 500
    assert list(minari.list_local_datasets()) == ['reach/mine-v3']
    dataset = minari.load_dataset('reach/mine-v3')
    assert (dataset.total_episodes, dataset.total_steps) == (episodes, 11) == (2, 11)
    assert dataset.observation_space == spaces.Box(-np.inf, np.inf, (3,), np.float64)
    assert dataset.action_space.dtype == np.float64
    assert dataset.storage.metadata['description'] == 'Reaching, by hand.'
    assert dataset.storage.metadata['state'] == list(TASK.state)
    for number, episode in enumerate(dataset.iterate_episodes()):
        part = original[original.episode == 3 + number]
        assert episode.observations.dtype == np.float64
        np.testing.assert_array_equal(episode.observations[:-1], part.state)
        np.testing.assert_array_equal(episode.observations[1:], part.next_state)
        np.testing.assert_array_equal(episode.actions, part.action)
        np.testing.assert_array_equal(episode.rewards, part.reward)
        np.testing.assert_array_equal(episode.terminations, part.terminated)
        np.testing.assert_array_equal(episode.truncations, part.truncated)


def test_the_action_space_is_the_tasks_bounds_and_whatever_was_executed_beyond() -> None:
    actions = np.array([[0.5, 0.0], [-1.5, 0.0]])
    small = Transitions.from_arrays(np.zeros((2, 3)), actions, np.zeros((2, 3)), reward=np.ones(2))
    export_dataset(small, 'small-v0', TASK, '')
    space = minari.load_dataset('small-v0').action_space
    assert space.low.tolist() == [-1.5, -2.0]
    assert space.high.tolist() == [1.0, 2.0]


def test_an_episode_with_missing_steps_becomes_several() -> None:
    whole = random_episodes(10)
    export_dataset(whole[np.array([0, 1, 2, 5, 6, 7, 8, 9])], 'torn-v0', TASK, '')
    lengths = [len(episode) for episode in minari.load_dataset('torn-v0')]
    assert lengths == [3, 5]


def test_the_same_dataset_has_the_same_sender_each_time(tmp_path: Path) -> None:
    export_dataset(random_episodes(5), 'a-v0', TASK, '')
    for name in ('one', 'two'):
        write(import_dataset('a-v0')[0], tmp_path / name)
    report = merge([tmp_path / 'one', tmp_path / 'two'], tmp_path / 'all')
    assert (report.transitions, report.duplicates) == (5, 5)


def make_foreign(dataset_id: str, observation_space: Any, action_space: Any, steps: int) -> Any:
    """A dataset by Minari's own means, of random observations; returns its episode."""
    observations = [observation_space.sample() for _ in range(steps + 1)]

    def columns(space: Any, samples: list[Any]) -> Any:
        if isinstance(space, spaces.Dict):
            return {k: columns(s, [each[k] for each in samples]) for k, s in space.spaces.items()}
        if isinstance(space, spaces.Tuple):
            return tuple(
                columns(s, [each[i] for each in samples]) for i, s in enumerate(space.spaces)
            )
        return np.array(samples)

    buffer = EpisodeBuffer(
        observations=columns(observation_space, observations),
        actions=columns(action_space, [action_space.sample() for _ in range(steps)]),
        rewards=[0.5] * steps,
        terminations=[False] * steps,
        truncations=[False] * (steps - 1) + [True],
    )
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        minari.create_dataset_from_buffers(
            dataset_id,
            [buffer, buffer],
            observation_space=observation_space,
            action_space=action_space,
        )
    return observations


def box(*shape: int) -> spaces.Box:
    return spaces.Box(-1, 1, shape, np.float32)


@pytest.mark.parametrize(
    'space',
    [
        box(4),
        box(2, 3),
        spaces.Dict({'observation': box(3), 'goal': spaces.Dict({'z': box(2), 'a': box(1)})}),
        spaces.Tuple([box(2), box(1)]),
    ],
)
def test_datasets_of_others_are_laid_out_as_gymnasium_does(space: Any) -> None:
    observations = make_foreign('others/walk-v0', space, box(2), 6)
    found, stamps = import_dataset('others/walk-v0', control_period=0.02)
    expected = np.array([spaces.utils.flatten(space, each) for each in observations], np.float64)
    np.testing.assert_array_equal(found.state[:6], expected[:-1])
    np.testing.assert_array_equal(found.next_state[:6], expected[1:])
    assert found.episode.tolist() == [0] * 6 + [1] * 6
    assert found.truncated.tolist() == ([False] * 5 + [True]) * 2
    assert stamps == 'steps dated 0.02 s apart'
    np.testing.assert_array_equal(found.stamp, 20_000_000 * np.arange(12))
    assert import_dataset('others/walk-v0')[1] == 'steps dated 1 s apart'


def test_what_is_no_numbers_is_refused() -> None:
    make_foreign('others/choose-v0', box(2), spaces.Discrete(3), 4)
    with pytest.raises(MinariError, match=r'others/choose-v0: Discrete\(3\) cannot be learned'):
        import_dataset('others/choose-v0')


@pytest.mark.parametrize(
    'name', ['mine', 'mine-v', '../mine-v0', '/mine-v0', 'a b-v0', 'x//y-v0', '']
)
def test_a_name_that_is_none_is_refused(name: str, datasets: Path) -> None:
    with pytest.raises(MinariError, match='is no name of a Minari dataset'):
        export_dataset(random_episodes(2), name, TASK, '')
    with pytest.raises(MinariError, match='is no name of a Minari dataset'):
        import_dataset(name)
    assert not datasets.exists()


def test_a_dataset_that_exists_is_left_alone() -> None:
    export_dataset(random_episodes(4), 'mine-v0', TASK, 'first')
    with pytest.raises(MinariError, match='mine-v0 exists already, in '):
        export_dataset(random_episodes(6), 'mine-v0', TASK, 'second')
    assert minari.load_dataset('mine-v0').total_steps == 4


def test_a_dataset_that_is_not_there_is_refused_with_those_that_are() -> None:
    export_dataset(random_episodes(4), 'mine-v0', TASK, '')
    with pytest.raises(MinariError, match='no dataset mine-v1 on this machine; there is mine-v0'):
        import_dataset('mine-v1')


def test_rewards_that_are_not_known_are_refused() -> None:
    unknown = Transitions.from_arrays(np.zeros((2, 3)), np.zeros((2, 2)), np.zeros((2, 3)))
    with pytest.raises(MinariError, match='some rewards are not known'):
        export_dataset(unknown, 'mine-v0', TASK, '')


def test_an_export_for_which_there_is_no_room_is_not_begun(
    tiny_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('MINARI_DATASETS_PATH', str(tiny_disk))
    with pytest.raises(OSError, match=r'there are 0\.1 MB left, and up to 3\.\d MB needed'):
        export_dataset(random_episodes(20_000), 'group/mine-v0', TASK, '')
    assert list(tiny_disk.iterdir()) == []
    small = export_dataset(random_episodes(2), 'group/mine-v0', TASK, '')
    assert small[0] == 1


@pytest.mark.parametrize('lengths', [(1,), (2, 2, 2), (200,) * 20, (20_000,)])
def test_the_room_that_is_asked_for_is_enough(lengths: tuple[int, ...]) -> None:
    transitions = random_episodes(*lengths)
    _, size = export_dataset(transitions, 'mine-v0', TASK, '')
    assert 0.2 * room_needed(transitions) < size < room_needed(transitions)


def test_without_minari_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without(name: str, *others: Any) -> Any:
        if name == 'h5py':
            raise ModuleNotFoundError("No module named 'h5py'")
        return original(name, *others)

    monkeypatch.setattr(builtins, '__import__', without)
    with pytest.raises(MinariError, match=r"No module named 'h5py'; .* pip install minari h5py"):
        import_dataset('mine-v0')
