"""Sound bags pass; each kind of fault is found, and said where."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mbrl_dynamics.bag import EpisodeBag
from mbrl_dynamics.bag_check import check_bags
from mbrl_dynamics.testing import RobotRecorder
from mbrl_dynamics.transition import Transition

Make = Callable[..., Transition]


@pytest.fixture
def chain(make_transition: Make) -> Callable[..., list[Transition]]:
    """Transitions that follow each other, in episodes of twenty steps."""

    def make(count: int, **changes: Any) -> list[Transition]:
        every = [make_transition(n, **changes) for n in range(count)]
        return [
            dataclasses.replace(one, next_state=np.sin(n + 1 + np.arange(4.0)))
            for n, one in enumerate(every)
        ]

    return make


def record(folder: Path, transitions: list[Transition], finish: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    bag = EpisodeBag(folder, transitions[0].episode)
    for transition in transitions:
        bag.write(transition)
    if finish:
        bag.finish()
    return bag.path


def texts(*paths: Path) -> list[str]:
    return [f'{each.path.name}: {each.text}' for each in check_bags(paths).problems]


def test_sound_bags_have_no_problem(tmp_path: Path, chain: Callable[..., Any]) -> None:
    every = chain(60)
    record(tmp_path, every[:20])
    record(tmp_path, every[20:33])  # its recorder was started again
    record(tmp_path, every[33:40])
    record(tmp_path, [dataclasses.replace(one, reward=np.nan) for one in every[40:50]])
    visited: list[Path] = []
    found = check_bags([tmp_path], visited.append)
    assert found.problems == ()
    assert (found.bags, found.transitions) == (4, 50)
    assert len(visited) == 4


@pytest.mark.parametrize(
    ('place', 'changes', 'complaint'),
    [
        (3, {'state': np.array([0.0, np.nan, 0, 0])}, 'state is not finite in 1 of 20 .*step 3'),
        (3, {'action': np.array([np.inf])}, 'action is not finite in 1 of 20 transitions'),
        (3, {'next_state': np.full(4, np.nan)}, 'next_state is not finite'),
        (3, {'reward': np.inf}, 'reward is infinite in 1 of 20 transitions'),
        (3, {'next_stamp': 3 * 40_000_000}, 'next_stamp is not after stamp in 1 of 20'),
        (3, {'stamp': 10**9, 'next_stamp': 2 * 10**9}, 'the stamp of step 4 is not after that of'),
        (3, {'next_state': np.ones(4)}, 'episode 0: next_state of step 3 is not the state of step'),
        (3, {'terminated': True}, 'episode 0: goes on after step 3, its end'),
    ],
)
def test_a_wrong_value_is_found(
    tmp_path: Path,
    chain: Callable[..., Any],
    place: int,
    changes: dict[str, Any],
    complaint: str,
) -> None:
    every = chain(20)
    every[place] = dataclasses.replace(every[place], **changes)
    record(tmp_path, every)
    assert any(re.search(complaint, text) for text in texts(tmp_path)), texts(tmp_path)
    assert all(text.startswith('episode_00000.mcap: ') for text in texts(tmp_path))


def test_missing_steps_are_found_also_between_bags(
    tmp_path: Path, chain: Callable[..., Any]
) -> None:
    every = chain(20)
    record(tmp_path, every[2:8])
    record(tmp_path, every[8:10] + every[14:])
    assert texts(tmp_path) == [
        'episode_00000.mcap: episode 0: begins with step 2',
        'episode_00000.mcap: episode 0: steps 10 to 13 are missing',
    ]


def test_what_is_there_twice_is_found(tmp_path: Path, chain: Callable[..., Any]) -> None:
    every = chain(20)
    first = record(tmp_path / 'a', [*every, every[4]])
    record(tmp_path / 'b', every[:5])
    assert texts(tmp_path) == [
        'episode_00000.mcap: 1 transitions are there again, in the same bag',
        f'episode_00000.mcap: 5 transitions are there again, in {first}',
    ]


def test_different_transitions_of_one_number_are_found(
    tmp_path: Path, chain: Callable[..., Any]
) -> None:
    record(tmp_path / 'a', chain(20))
    record(tmp_path / 'b', chain(20, action=np.array([9.0])))
    (text,) = texts(tmp_path)
    assert '20 transitions have the sequence number of others of the same sender' in text


def test_widths_that_differ_between_bags_are_found(
    tmp_path: Path, chain: Callable[..., Any]
) -> None:
    record(tmp_path / 'a', chain(5))
    record(tmp_path / 'b', chain(5, action=np.ones(3), session=2))
    (text,) = texts(tmp_path)
    assert re.search(r'have \(4, 3, 4\) entries; those in .*a/.* have \(4, 1, 4\)', text)


def test_what_cannot_be_read_is_a_problem_and_the_rest_is_checked(
    tmp_path: Path, chain: Callable[..., Any]
) -> None:
    record(tmp_path, chain(20)[:10], finish=False)
    (tmp_path / 'noise.mcap').write_bytes(b'noise' * 100)
    with RobotRecorder(tmp_path / 'robot.mcap') as recorder:
        recorder.array(5, [1.0])
    bag = EpisodeBag(tmp_path, 7)
    bag.finish()
    found = check_bags([tmp_path, tmp_path / 'nowhere.mcap'])
    said = {each.path.name: each.text for each in found.problems}
    assert said['nowhere.mcap'] == 'No such file or directory'
    assert 'is not finished' in said['episode_00000.mcap']
    assert said['noise.mcap'] == 'is no MCAP file'
    assert said['robot.mcap'].startswith('no transitions; there is /effort_controller/commands')
    assert said['episode_00007.mcap'] == 'is empty'
    assert found.transitions == 10


def test_a_bag_with_a_flipped_bit_is_found(tmp_path: Path, chain: Callable[..., Any]) -> None:
    path = record(tmp_path, chain(20))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(bytes(data))
    assert texts(path)
