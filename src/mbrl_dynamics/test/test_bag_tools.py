"""What the tools write is read back by the reader of bags, and compared bit for bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mbrl_dynamics.bag import BagError, EpisodeBag, bags, read, read_arrays, read_folder
from mbrl_dynamics.bag_tools import (
    TargetError,
    merge,
    repair_bags,
    split,
    summarise,
)
from mbrl_dynamics.ros_bag import RosBag
from mbrl_dynamics.testing import RobotRecorder
from mbrl_dynamics.transition import Transition

Make = Callable[..., Transition]
Same = Callable[[Transition, Transition], None]


def record(folder: Path, *transitions: Transition, finish: bool = True) -> Path:
    """A bag, named after the first transition's episode."""
    folder.mkdir(parents=True, exist_ok=True)
    bag = EpisodeBag(folder, transitions[0].episode)
    for transition in transitions:
        bag.write(transition)
    if finish:
        bag.finish()
    return bag.path


def test_a_bag_is_summed_up(tmp_path: Path, make_transition: Make) -> None:
    episodes = [make_transition(n) for n in range(40)]
    episodes[39] = dataclasses.replace(episodes[39], truncated=False, terminated=True)
    unknown = dataclasses.replace(make_transition(40), reward=float('nan'))
    path = record(tmp_path, *episodes, *(make_transition(n) for n in (41, 42)))
    found = summarise(path)
    assert (found.episodes, found.transitions) == ((0, 1, 2), 42)
    assert found.duration == pytest.approx(42 * 0.04)
    assert found.episode_return == pytest.approx(42 * 0.5)
    assert (found.state_dim, found.action_dim) == (4, 1)
    assert (found.terminated, found.truncated) == (1, 1)
    assert found.finished
    cut_off = summarise(record(tmp_path, unknown, finish=False))
    assert np.isnan(cut_off.episode_return)
    assert not cut_off.finished


def test_of_a_bag_without_transitions_the_topics_are_named(tmp_path: Path) -> None:
    with RobotRecorder(tmp_path / 'a.mcap') as recorder:
        recorder.array(5, [1.0])
    found = summarise(tmp_path / 'a.mcap')
    assert found.transitions == 0
    assert found.topics == '/effort_controller/commands (std_msgs/msg/Float64MultiArray, 1)'
    assert summarise(record_nothing(tmp_path)).topics == ''


def record_nothing(folder: Path) -> Path:
    """A bag of an episode in which nothing happened."""
    bag = EpisodeBag(folder, 0)
    bag.finish()
    return bag.path


def test_merging_numbers_the_episodes_of_all_bags_anew(
    tmp_path: Path, make_transition: Make, assert_same: Same
) -> None:
    """The second run has the numbers of the first, from another session; one episode of it is in
    two bags, because its recorder was started again."""
    first = [make_transition(n, episode=n // 5, step=n % 5, session=1) for n in range(10)]
    second = [make_transition(n, episode=n // 5, step=n % 5, session=2) for n in range(10)]
    record(tmp_path / 'a', *first[:5])
    record(tmp_path / 'a', *first[5:])
    record(tmp_path / 'b', *second[:2])
    record(tmp_path / 'b', *second[2:5])
    record(tmp_path / 'b', *second[5:])
    record_nothing(tmp_path / 'b')
    visited: list[Path] = []
    report = merge([tmp_path / 'a', tmp_path / 'b'], tmp_path / 'new' / 'all', visited.append)
    assert [path.name for path in report.paths] == [f'episode_{e:05d}.mcap' for e in range(4)]
    assert (report.transitions, report.duplicates) == (20, 0)
    assert len(visited) == 6 + 4
    for number, path in enumerate(report.paths):
        expected = (first + second)[5 * number : 5 * number + 5]
        for ours, theirs in zip(read(path), expected, strict=True):
            assert_same(ours, dataclasses.replace(theirs, episode=number))


def test_merging_drops_what_is_there_twice_wherever_it_is(
    tmp_path: Path, make_transition: Make
) -> None:
    """A copy that was made while the episode was still running joins the whole one."""
    every = [make_transition(n) for n in range(20)]
    record(tmp_path / 'copy', *every[:7])
    record(tmp_path / 'run', *every, every[3])
    report = merge([tmp_path / 'copy', tmp_path / 'run'], tmp_path / 'all')
    assert (len(report.paths), report.transitions, report.duplicates) == (1, 20, 8)
    np.testing.assert_array_equal(read_arrays(report.paths[0]).step, np.arange(20))


def test_merging_keeps_different_transitions_of_one_number_apart(
    tmp_path: Path, make_transition: Make
) -> None:
    """Runs in one process have no name and no session: all of them count from 0."""
    for run in ('a', 'b', 'c'):
        record(
            tmp_path / run,
            *(make_transition(n, robot='', session=0, reward=ord(run)) for n in range(20)),
        )
    for run in ('b', 'c'):  # b differs, c is a with other rewards: the same steps
        changed = [
            make_transition(n, robot='', session=0, state=np.full(4, n + (run == 'b')))
            for n in range(20, 40)
        ]
        record(tmp_path / run, *changed)
    record(
        tmp_path / 'd', *(make_transition(n, robot='', session=0, state=np.ones(4)) for n in (0, 1))
    )
    report = merge([tmp_path / run for run in 'abcd'], tmp_path / 'all')
    assert report.duplicates == 40
    everything = [(t.robot, t.session, t.sequence) for t in read_folder(tmp_path / 'all')]
    assert len(everything) == len(set(everything)) == 20 + 20 + 20 + 2


def test_an_episode_number_that_is_used_again_is_another_episode(
    tmp_path: Path, make_transition: Make
) -> None:
    record(tmp_path / 'a', *(make_transition(n, episode=0, step=n % 4) for n in range(8)))
    report = merge([tmp_path / 'a'], tmp_path / 'all')
    steps = [read_arrays(path).step.tolist() for path in report.paths]
    assert steps == [[0, 1, 2, 3], [0, 1, 2, 3]]


def test_splitting_gives_each_episode_a_bag_of_its_own_and_its_number(
    tmp_path: Path, make_transition: Make, assert_same: Same
) -> None:
    every = [make_transition(n, episode=3 + n // 5, step=n % 5) for n in range(15)]
    other = make_transition(0, episode=4, session=8)
    path = record(tmp_path, *every, other)
    report = split([path], tmp_path / 'parts')
    names = [path.name for path in report.paths]
    assert names == [
        'episode_00003.mcap',
        'episode_00004.mcap',
        'episode_00005.mcap',
        'episode_00004_1.mcap',
    ]
    found = [transition for path in report.paths for transition in read(path)]
    for ours, theirs in zip(found, [*every, other], strict=True):
        assert_same(ours, theirs)
    assert len(list(read(path))) == 16


@pytest.mark.parametrize('tool', [merge, split])
def test_nothing_is_written_over(
    tmp_path: Path, make_transition: Make, tool: Callable[..., object]
) -> None:
    path = record(tmp_path / 'a', make_transition(0))
    before = path.read_bytes()
    with pytest.raises(TargetError, match='holds bags already; choose a new folder'):
        tool([path], tmp_path / 'a')
    with pytest.raises(TargetError, match='is a file'):
        tool([path], path)
    assert path.read_bytes() == before
    assert bags(tmp_path / 'a') == [path]


def test_bags_of_different_widths_are_not_merged(tmp_path: Path, make_transition: Make) -> None:
    record(tmp_path / 'a', make_transition(0))
    record(tmp_path / 'b', make_transition(0, action=np.ones(2), session=3))
    with pytest.raises(BagError, match=r'b/episode_00000\.mcap: .*\(4, 2, 4\).*\(4, 1, 4\)'):
        merge([tmp_path / 'a', tmp_path / 'b'], tmp_path / 'all')
    assert not (tmp_path / 'all').exists()


def test_merging_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BagError, match='no transitions in what was given'):
        merge([record_nothing(tmp_path)], tmp_path / 'all')


def test_repairing_finishes_what_was_cut_off_and_tells_what_became_of_it(
    tmp_path: Path, make_transition: Make
) -> None:
    whole = record(tmp_path, *(make_transition(n) for n in range(4)))
    cut = record(tmp_path, *(make_transition(n) for n in range(20, 30)), finish=False)
    cut.write_bytes(cut.read_bytes()[:-40])
    damaged = record(tmp_path, *(make_transition(n) for n in range(40, 50)), finish=False)
    data = damaged.read_bytes()
    damaged.write_bytes(data[:-900] + b'\xaa' * 900)
    nothing = EpisodeBag(tmp_path, 9)
    inode = whole.stat().st_ino
    found = {each.path: each for each in repair_bags([tmp_path])}
    assert set(found) == {cut, damaged, nothing.path}
    assert (found[cut].saved, found[cut].damaged) == (9, None)
    assert 3 <= found[damaged].saved < 10
    kept = found[damaged].damaged
    assert kept is not None and kept.read_bytes() == data[:-900] + b'\xaa' * 900
    assert whole.stat().st_ino == inode
    assert all(RosBag(path).finished for path in (cut, damaged, nothing.path))
    assert list(repair_bags([tmp_path])) == []


def test_a_robots_bag_that_was_cut_off_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / 'robot.mcap'
    with RobotRecorder(path) as recorder:
        for number in range(10_000):
            recorder.array(number, [1.0])
    data = path.read_bytes()[:-100]
    path.write_bytes(data)
    assert list(repair_bags([tmp_path])) == []
    assert path.read_bytes() == data
