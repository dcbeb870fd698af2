"""What is in a bag decides how it is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
import zstandard

from mbrl_common.settings import build
from mbrl_common.task import TaskSettings
from mbrl_dynamics.bag import BagError, EpisodeBag
from mbrl_dynamics.bag_schema import SCHEMA, SCHEMA_NAME, encode_cdr
from mbrl_dynamics.bag_source import recorded_transitions, transitions_of
from mbrl_dynamics.learner import FolderError, Learner
from mbrl_dynamics.ros_bag import RosBag
from mbrl_dynamics.settings import DataSettings, DynamicsSettings
from mbrl_dynamics.testing import RobotRecorder
from mbrl_dynamics.transition import Transition
from mbrl_dynamics.transitions import Transitions

MS = 1_000_000
TASK = build(
    TaskSettings,
    {
        'name': 'cartpole_swingup',
        'state': ['slider.position', 'hinge.position', 'slider.velocity', 'hinge.velocity'],
        'angles': ['hinge.position'],
        'action': ['slider'],
        'action_low': [-3.0],
        'action_high': [3.0],
        'control_period': 0.04,
        'max_steps': 200,
    },
)
Make = Callable[..., Transition]


def read(path: Path) -> Transitions:
    return transitions_of(path, TASK, build(DataSettings, {}))


def write_suite(folder: Path, make: Make, numbers: range, episode: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    bag = EpisodeBag(folder, episode)
    for number in numbers:
        bag.write(make(number))
    bag.finish()
    return bag.path


def write_robot(path: Path, shift: float = 0.0) -> Path:
    """Twenty steps."""
    with RobotRecorder(path) as recorder:
        for tick in range(201):
            joints = {'hinge': (tick * 0.01 + shift, 0.5), 'slider': (tick * 0.02, 1.0)}
            recorder.joints(10**12 + tick * 4 * MS, joints)
            if tick % 10 == 0:
                recorder.array(10**12 + tick * 4 * MS, [tick * 0.01])
    return path


def test_a_suites_bag_is_read_as_it_is_and_a_robots_is_resampled(
    tmp_path: Path, make_transition: Make, assert_same: Callable[..., None]
) -> None:
    suite = read(write_suite(tmp_path, make_transition, range(10)))
    for number, transition in enumerate(suite):
        assert_same(transition, make_transition(number))
    robot = read(write_robot(tmp_path / 'robot.mcap'))
    assert len(robot) == 20
    np.testing.assert_allclose(robot.state[:, 1], 0.1 * np.arange(20), atol=1e-12)


def test_a_bag_that_has_both_is_the_suites(tmp_path: Path, make_transition: Make) -> None:
    """As when all topics of a running graph are recorded."""
    path = tmp_path / 'graph.mcap'
    with RobotRecorder(path) as recorder:
        for tick in range(101):
            recorder.joints(10**12 + tick * 4 * MS, {'hinge': (0.1, 0.5), 'slider': (0.2, 1.0)})
        for number in range(3):
            data = encode_cdr(make_transition(number))
            recorder.write_bytes('/transition', SCHEMA_NAME, number, data, SCHEMA)
    np.testing.assert_array_equal(read(path).sequence, [0, 1, 2])


@pytest.mark.parametrize('packed', [False, True])
def test_a_recording_of_transitions_in_several_files_is_one(
    tmp_path: Path, make_transition: Make, packed: bool
) -> None:
    names = []
    for part in range(3):
        path = write_suite(tmp_path, make_transition, range(5 * part, 5 * part + 5), part)
        names.append(path.name)
        if packed:
            names[-1] += '.zstd'
            (tmp_path / names[-1]).write_bytes(zstandard.compress(path.read_bytes()))
            path.unlink()
    about = {'storage_identifier': 'mcap', 'relative_file_paths': names}
    (tmp_path / 'metadata.yaml').write_text(yaml.safe_dump({'rosbag2_bagfile_information': about}))
    np.testing.assert_array_equal(read(tmp_path).sequence, np.arange(15))


def test_a_bag_of_another_task_is_refused(tmp_path: Path, make_transition: Make) -> None:
    path = write_suite(
        tmp_path,
        lambda n: make_transition(n, state=np.ones(6), next_state=np.ones(6)),
        range(3),
    )
    with pytest.raises(BagError, match=r"have 6 and 1 entries; the task 'cartpole_swingup' has 4"):
        read(path)


def test_widths_that_change_are_refused(tmp_path: Path, make_transition: Make) -> None:
    path = write_suite(tmp_path, lambda n: make_transition(n, action=np.ones(1 + n // 2)), range(4))
    with pytest.raises(BagError, match='must all have the same widths'):
        recorded_transitions(RosBag(path))


def test_a_bag_without_transitions_says_what_it_has(tmp_path: Path) -> None:
    with pytest.raises(BagError, match=r'no transitions; there is /effort_controller/commands'):
        recorded_transitions(RosBag(write_robot(tmp_path / 'robot.mcap')))


def test_a_bag_with_damaged_bytes_is_read_or_refused_and_nothing_else(
    tmp_path: Path, make_transition: Make
) -> None:
    sources = [
        write_suite(tmp_path, make_transition, range(10)).read_bytes(),
        write_robot(tmp_path / 'robot.mcap').read_bytes(),
    ]
    generator = np.random.default_rng(0)
    path = tmp_path / 'damaged.mcap'
    refused = 0
    for number in range(300):
        data = bytearray(sources[number % 2])
        place = int(generator.integers(0, len(data)))
        if number % 3 == 0:
            del data[place:]
        elif number % 3 == 1:
            del data[place : place + int(generator.integers(1, 100))]
        else:
            data[place] = int(generator.integers(0, 256))
        path.write_bytes(bytes(data))
        try:
            read(path)
        except BagError as error:
            assert str(error).startswith(f'{path}: ')
            refused += 1
    assert 30 < refused < 270


def test_a_learner_learns_from_extra_bags_of_both_kinds_each_once(
    tmp_path: Path, make_transition: Make, make_settings: Callable[..., DynamicsSettings]
) -> None:
    write_suite(tmp_path / 'all', make_transition, range(10))
    write_robot(tmp_path / 'all' / 'walk.mcap')
    write_robot(tmp_path / 'all' / 'walk_copy.mcap')
    write_robot(tmp_path / 'all' / 'walk_2.mcap', shift=0.1)
    learner = Learner(make_settings(data__extra_bags=[str(tmp_path / 'all')]))
    assert learner.dataset_size == 10 + 20 + 20
    outcome = learner.train()
    assert outcome.snapshot is not None, outcome.message


def test_a_learner_refuses_an_extra_bag_that_is_no_robots_and_says_why(
    tmp_path: Path, make_settings: Callable[..., DynamicsSettings]
) -> None:
    write_robot(tmp_path / 'robot.mcap')
    settings = make_settings(
        data__extra_bags=[str(tmp_path / 'robot.mcap')], data__command_topic='commands_of_yours'
    )
    with pytest.raises((BagError, FolderError), match="no topic 'commands_of_yours'"):
        Learner(settings)


def test_a_learners_settings_of_robots_bags_count(
    tmp_path: Path, make_settings: Callable[..., DynamicsSettings]
) -> None:
    """Commands that come every 40 ms, of a task at 100 Hz, hold for 20 ms by default."""
    write_robot(tmp_path / 'robot.mcap')
    task: dict[str, Any] = {'task__control_period': 0.01}
    bags = {'data__extra_bags': [str(tmp_path / 'robot.mcap')]}
    assert Learner(make_settings(**task, **bags)).dataset_size == 40
    longer = make_settings(**task, **bags, data__command_timeout=0.04)
    assert Learner(longer).dataset_size == 80
