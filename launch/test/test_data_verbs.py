"""``mbrl data`` on real bags: what it prints, what it writes, and how it ends."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mbrl_bringup import cli, data_verbs
from mbrl_bringup.display import Terminal
from mbrl_bringup.tasks import params_file_of
from mbrl_common.taskfile import node_settings
from mbrl_dynamics.bag import EpisodeBag, read_arrays, read_folder
from mbrl_dynamics.bag_tools import write
from mbrl_dynamics.learner import Learner
from mbrl_dynamics.settings import DynamicsSettings
from mbrl_dynamics.testing import RobotRecorder
from mbrl_dynamics.transitions import Transitions

MS = 1_000_000


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('MINARI_DATASETS_PATH', str(tmp_path / 'datasets'))


def mbrl(*arguments: str) -> int:
    """The command in this process, without its signal handlers; returns the exit code."""
    return data_verbs.run(cli.make_parser().parse_args(['data', *arguments]), Terminal())


def episodes(count: int, session: int = 1, length: int = 10) -> Transitions:
    """Unbroken ones; the last step of each at its time limit."""
    generator = np.random.default_rng(session)
    parts = []
    for episode in range(count):
        state = generator.normal(size=(length + 1, 4))
        number = np.arange(length) + episode * length
        parts.append(
            Transitions.from_arrays(
                state[:-1],
                generator.normal(size=(length, 1)),
                state[1:],
                senders=(('/mpc_controller', session),),
                episode=np.full(length, episode),
                sequence=number,
                stamp=40 * MS * number,
                next_stamp=40 * MS * (number + 1),
                reward=np.full(length, 0.25),
                truncated=np.arange(length) == length - 1,
            )
        )
    return Transitions.concatenate(parts)


def write_robot(path: Path, ticks: int = 501) -> Path:
    """A cart that drives, and commands that change every 40 ms."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with RobotRecorder(path) as recorder:
        for tick in range(ticks):
            joints = {'hinge': (0.01 * tick, 0.5), 'slider': (0.005 * tick, 1.0)}
            recorder.joints(10**12 + tick * 4 * MS, joints)
            if tick % 10 == 0:
                recorder.array(10**12 + tick * 4 * MS, [0.01 * tick])
    return path


def test_every_action_and_option_has_a_help_text() -> None:
    actions = subparsers(subparsers(cli.make_parser())['data'])
    assert set(actions) == {
        'list',
        'check',
        'merge',
        'split',
        'repair',
        'import',
        'export-minari',
        'import-minari',
    }
    for name, action in actions.items():
        assert action.description, name
        assert all(option.help for option in action._actions), name


def subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers below a parser, by name."""
    return next(
        dict(action.choices)
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
    )


def test_a_list_has_a_row_for_each_bag(capsys: pytest.CaptureFixture[str]) -> None:
    write(episodes(2), Path('run'))
    several = EpisodeBag(Path('run'), 2)
    for one in episodes(3, session=2, length=5)[:12]:
        several.write(one)
    write_robot(Path('run/walk.mcap'))
    assert mbrl('list', 'run') == 0
    lines = [' '.join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        'bag episode steps duration return state action end',
        'run/episode_00000.mcap 0 10 0.4 s 2.5 4 1 time limit',
        'run/episode_00001.mcap 1 10 0.4 s 2.5 4 1 time limit',
        'run/episode_00002.mcap 3 of them 12 0.5 s 3.0 4 1 2 time limit, 1 cut off, not finished',
        'run/walk.mcap: no transitions; topics: /effort_controller/commands '
        '(std_msgs/msg/Float64MultiArray, 51), /joint_states (sensor_msgs/msg/JointState, 501)',
        '4 bags, 5 episodes, 32 steps, 1.3 s',
    ]


def test_a_list_goes_on_past_what_cannot_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    write(episodes(1), Path('run'))
    Path('run/broken.mcap').write_text('no bag')
    assert mbrl('list', 'run') == 1
    said = capsys.readouterr()
    assert 'run/episode_00000.mcap' in said.out
    assert said.err == 'error: run/broken.mcap: is no MCAP file\n'


def test_a_check_ends_with_1_if_there_is_a_problem(capsys: pytest.CaptureFixture[str]) -> None:
    whole = episodes(3)
    write(whole, Path('good'))
    write(whole[np.delete(np.arange(30), [13, 14])], Path('bad'))
    assert mbrl('check', 'good') == 0
    assert capsys.readouterr().out == '    3 bags, 30 steps: no problems\n'
    assert mbrl('check', 'bad') == 1
    assert capsys.readouterr().out == (
        'bad/episode_00001.mcap: episode 1: steps 3 to 4 are missing\n'
        '    3 bags, 28 steps: 1 problem\n'
    )


def test_runs_are_merged_and_split_again(capsys: pytest.CaptureFixture[str]) -> None:
    write(episodes(2, session=1), Path('a'))
    write(episodes(3, session=2), Path('b'))
    assert mbrl('merge', 'a', 'b', 'a', '-o', 'all') == 0
    assert capsys.readouterr().out == 'all: 5 bags, 50 steps; 20 that were there twice left out\n'
    assert [each.episode for each in read_folder(Path('all'))] == np.repeat(range(5), 10).tolist()
    assert mbrl('split', 'all', '-o', 'parts') == 0
    assert sorted(path.name for path in Path('parts').iterdir()) == sorted(
        path.name for path in Path('all').iterdir()
    )
    assert mbrl('check', 'parts') == 0


def test_what_a_crash_left_is_repaired(capsys: pytest.CaptureFixture[str]) -> None:
    bag = EpisodeBag(Path(), 0)
    for one in episodes(1):
        bag.write(one)
    data = bag.path.read_bytes()
    bag.path.write_bytes(data[:-20])
    Path('episode_00001.mcap').write_bytes(data[:-500] + b'\xaa' * 500)
    assert mbrl('repair', '.') == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith('episode_00000.mcap: finished, 9 steps saved; but for the record')
    assert lines[1].startswith('episode_00001.mcap: finished, ')
    assert lines[1].endswith('the old file is episode_00001.mcap.damaged')
    assert lines[2] == '    2 bags finished'
    assert mbrl('repair', '.') == 0
    assert capsys.readouterr().out == '    all bags were finished\n'


def test_a_robots_bags_become_scored_bags_that_a_learner_takes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_robot(Path('recorded/one.mcap'))
    write_robot(Path('recorded/two.mcap'), ticks=201)
    assert mbrl('import', 'recorded', '--task', 'cartpole_swingup', '-o', 'bags') == 0
    said = capsys.readouterr().out
    assert 'bags: 2 bags, 70 steps\n' in said
    found = [read_arrays(path) for path in sorted(Path('bags').glob('*.mcap'))]
    assert [len(each) for each in found] == [50, 20]
    for number, each in enumerate(found):
        assert set(each.episode) == {number}
        tip = np.exp(
            -(
                (each.next_state[:, 0] - 0.6 * np.sin(each.next_state[:, 1])) ** 2
                + (0.6 * np.cos(each.next_state[:, 1]) + 0.6) ** 2
            )
            / 0.36
        )
        np.testing.assert_allclose(each.reward, tip - 0.01 * each.action[:, 0] ** 2, rtol=1e-12)
    assert mbrl('check', 'bags') == 0
    settings = node_settings(
        params_file_of('cartpole_swingup'),
        'dynamics',
        DynamicsSettings,
        {'data.extra_bags': ['bags']},
    )
    assert Learner(settings).dataset_size == 70


def test_topics_and_goal_may_be_given_on_the_command_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = Path('robot.mcap')
    with RobotRecorder(path) as recorder:
        for tick in range(101):
            stamp = 10**12 + tick * 4 * MS
            recorder.joints(stamp, {'hinge': (3.0, 0.0)}, topic='/pole')
            recorder.joints(stamp, {'slider': (1.0, 0.0)}, topic='/rail')
            if tick % 10 == 0:
                recorder.command(stamp, [0.0])
    given = ['import', 'robot.mcap', '--task', 'cartpole_swingup']
    assert mbrl(*given, '-o', 'bags') == 1
    assert "no topic 'joint_states'" in capsys.readouterr().err
    topics = ['--joint-state-topics', 'pole', 'rail', '--command-topic', 'command']
    assert mbrl(*given, *topics, '-o', 'far') == 0
    assert mbrl(*given, *topics, '--goal', '1.0', '-o', 'near') == 0
    far, near = (read_arrays(Path(name) / 'episode_00000.mcap') for name in ('far', 'near'))
    np.testing.assert_array_equal(far.state, near.state)
    assert (far.reward < near.reward).all()


def test_bags_go_to_minari_and_back(capsys: pytest.CaptureFixture[str]) -> None:
    minari = pytest.importorskip('minari')
    write(episodes(3), Path('run'))
    write_robot(Path('walk.mcap'))
    known = read_arrays(Path('run/episode_00002.mcap'))
    assert (
        mbrl('export-minari', 'run', 'walk.mcap', '--task', 'cartpole_swingup', '--id', 'cart/b-v0')
        == 0
    )
    assert capsys.readouterr().out.startswith('cart/b-v0: 4 episodes, 80 steps, ')
    dataset = minari.load_dataset('cart/b-v0')
    np.testing.assert_array_equal(dataset[2].rewards, known.reward)
    assert np.isfinite(dataset[3].rewards).all()
    assert mbrl('import-minari', 'cart/b-v0', '-o', 'back') == 0
    back = read_arrays(Path('back/episode_00002.mcap'))
    for name in ('state', 'action', 'next_state', 'reward', 'stamp', 'truncated'):
        np.testing.assert_array_equal(getattr(back, name), getattr(known, name))
    assert mbrl('check', 'back') == 0


@pytest.mark.parametrize(
    ('arguments', 'code', 'complaint'),
    [
        (('list', 'nowhere', 'run'), 2, 'error: there is no nowhere\n'),
        (('merge', 'run', '-o', 'run'), 2, 'error: run: holds bags already; choose a new folder\n'),
        (('merge', 'walk.mcap', '-o', 'new'), 1, 'error: walk.mcap: no transitions; there is'),
        (('split', 'run', '-o', 'walk.mcap'), 2, 'error: walk.mcap: is a file'),
        (('import', 'run', '--task', 'walk', '-o', 'new'), 2, "error: there is no task 'walk'"),
        (
            ('import', 'run', '--params-file', 'no.yaml', '-o', 'new'),
            2,
            'error: there is no parameter file no.yaml\n',
        ),
        (
            ('import', 'run', '--task', 'cartpole_swingup', '-o', 'new', '--goal', '1', '2'),
            2,
            'error: the goal has shape [2]',
        ),
        (
            ('import', 'walk.mcap', '--task', 'cartpole_swingup', '-o', 'run'),
            2,
            'error: run: holds bags already',
        ),
        (
            ('export-minari', 'run', '--task', 'cartpole_swingup', '--id', 'mine'),
            2,
            "error: 'mine' is no name of a Minari dataset",
        ),
        (
            ('import-minari', 'cart/b-v0', '-o', 'new'),
            2,
            'error: no dataset cart/b-v0 on this',
        ),
        (
            ('import-minari', 'cart/b-v0', '-o', 'new', '--control-period', '0'),
            2,
            'error: --control-period is 0; it must be from 1e-9 to 3600 s\n',
        ),
    ],
)
def test_what_cannot_be_done_is_refused_without_a_traceback(
    arguments: tuple[str, ...],
    code: int,
    complaint: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if 'minari' in arguments[0]:
        pytest.importorskip('minari')
    write(episodes(1), Path('run'))
    write_robot(Path('walk.mcap'))
    before = sorted(Path().rglob('*.mcap'))
    assert mbrl(*arguments) == code
    assert capsys.readouterr().err.startswith(complaint)
    assert sorted(Path().rglob('*.mcap')) == before


def command(*arguments: str, forbidden: str = '') -> list[str]:
    script = (
        'import sys\n'
        f'for name in {forbidden.split()}: sys.modules[name] = None\n'
        'from mbrl_bringup.cli import main\n'
        f'main({list(arguments)})\n'
    )
    return [sys.executable, '-c', script]


@pytest.mark.parametrize('action', ['list', 'check', 'merge', 'split', 'repair'])
def test_neither_ros_nor_torch_is_needed(action: str) -> None:
    write(episodes(1), Path('run'))
    target = ['-o', 'new'] if action in ('merge', 'split') else []
    done = subprocess.run(
        command(
            'data', action, 'run', *target, forbidden='rclpy mbrl_msgs ament_index_python torch'
        ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, '')


def test_a_robots_bag_is_imported_without_rclpy() -> None:
    write_robot(Path('walk.mcap'))
    arguments = ['data', 'import', 'walk.mcap', '--task', 'cartpole_swingup', '-o', 'new']
    done = subprocess.run(
        command(*arguments, forbidden='rclpy mbrl_msgs'),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, '')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_at_once(number: signal.Signals) -> None:
    """While it waits for a bag that never comes: a pipe."""
    os.mkfifo('pipe.mcap')
    process = subprocess.Popen(
        command('data', 'list', 'pipe.mcap'), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        with open('pipe.mcap', 'wb') as pipe:  # noqa: PTH123 (returns once the other end is open)
            process.send_signal(number)
            assert process.wait(30) == 128 + number
            del pipe
    finally:
        process.kill()
    assert process.stdout is not None
    assert b'Traceback' not in process.stdout.read()
