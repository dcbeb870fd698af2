"""``mbrl`` with a real graph: nodes in processes of their own, over real DDS."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from mbrl_bringup import csv_table
from mbrl_bringup.status_log import StatusRow, TrainingRow
from mbrl_bringup.tasks import params_file_of
from mbrl_bringup.testing_command import mbrl, processes_of, wait_for_none
from mbrl_bringup.testing_report import PageReader
from mbrl_common.testing import isolated_domain

NODES = ('sim_bridge', 'dynamics', 'planner', 'mpc_controller')


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A working folder, in a ROS domain of its own."""
    with isolated_domain():
        yield tmp_path


@pytest.fixture
def short_task(folder: Path) -> Path:
    """A parameter file with which trials are over soon, and nothing is learned."""
    document = yaml.safe_load(params_file_of('cartpole_swingup').read_text())
    document['/**']['ros__parameters']['task']['max_steps'] = 60
    training = document['/**/dynamics']['ros__parameters']['training']
    training |= {'updates_after_episode': 50, 'updates_within_episode': 20}
    path = folder / 'short.yaml'
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGHUP])  # and SIGINT below
def test_a_signal_ends_the_whole_graph(number: signal.Signals, folder: Path) -> None:
    with mbrl(folder, 'up', 'cartpole_swingup', '--namespace', 'r1') as command:
        command.wait_for('The graph is up')
        for name in NODES:
            assert any(f'__node:={name} ' in line for line in processes_of(folder).values()), name
        assert command.end(number) == 128 + number
    wait_for_none(folder)
    assert 'Traceback' not in command.output()


@pytest.mark.parametrize('delay', [0.0, 0.3, 1.0, 2.0, 3.0])
def test_a_signal_while_starting_leaves_nothing(delay: float, folder: Path) -> None:
    with mbrl(folder, 'up', 'cartpole_swingup') as command:
        time.sleep(delay)
        ended = command.end(signal.SIGINT)
        # Python itself was starting: then it ends by the signal, or gives up with 1
        gave_up = ended == 1 and 'Fatal Python error: init' in command.output()
        assert ended in (130, -signal.SIGINT) or gave_up, command.output()
    wait_for_none(folder)


def test_nothing_is_left_when_the_command_is_killed(folder: Path) -> None:
    with mbrl(folder, 'up', 'cartpole_swingup') as command:
        command.wait_for('The graph is up')
        command.process.kill()
    wait_for_none(folder)


def test_refused_parameters_end_the_command_with_the_reason(folder: Path, short_task: Path) -> None:
    document = yaml.safe_load(short_task.read_text())
    document['/**/planner']['ros__parameters']['planner']['horizn'] = 5
    short_task.write_text(yaml.safe_dump(document))
    with mbrl(folder, 'up', 'x', '--params-file', str(short_task)) as command:
        assert command.process.wait(60) == 1
    assert "unknown parameter 'planner.horizn'; did you mean 'planner.horizon'?" in command.output()
    wait_for_none(folder)


@pytest.mark.timeout(240)
def test_the_verbs_talk_to_the_graph_a_second_one_is_refused_and_sigint_ends_it(
    folder: Path,
) -> None:
    place = ('--namespace', 'r1')

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ['mbrl', *arguments], cwd=folder, capture_output=True, text=True, timeout=60
        )

    def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
        return run(*arguments, *place, '--timeout', '20')

    with mbrl(folder, 'up', 'cartpole_swingup', *place) as command:
        command.wait_for('The graph is up')
        second = run('up', 'cartpole_swingup', *place, '--run-folder', 'second')
        assert second.returncode == 1
        assert 'a graph is up already' in second.stderr
        for name in NODES:
            assert any(f'__node:={name} ' in line for line in processes_of(folder).values()), name
        status = ask('status')
        assert status.returncode == 0, status.stderr
        assert re.search(r'state +ready', status.stdout)
        assert re.search(r'dataset +0 steps', status.stdout)
        assert re.search(r'real time factor +(0|-)\s', status.stdout)  # no episode runs
        assert re.search(r'mode +closed_loop', status.stdout)
        assert ask('replan').returncode in (0, 1)
        for mode, text in (
            (('explore_walk',), 'explore_walk'),
            (('every', '--every', '3'), 'every, every 3 steps'),
            (('on_error', '--bound', '0.5'), 'on_error, bound 0.5'),
        ):
            answer = ask('mode', *mode)
            assert answer.returncode == 0, answer.stderr
            assert answer.stdout == f'from the next step on: {text}\n'
        retrain = ask('retrain')
        assert retrain.returncode == 1
        assert retrain.stderr.startswith('error: ')
        evaluate = ask('evaluate')
        assert evaluate.returncode == 1
        assert 'there is no model yet' in evaluate.stderr
        goal = ask('goal', '1', '2', '3', '4', '5', '6', '7')
        assert goal.returncode == 1
        assert goal.stderr.startswith('error: ')
        assert command.end(signal.SIGINT) == 130
    wait_for_none(folder)
    assert 'Traceback' not in command.output()


@pytest.mark.timeout(240)
def test_learning_leaves_a_run_that_can_be_gone_on_with(folder: Path, short_task: Path) -> None:
    params = ('--params-file', str(short_task))
    with mbrl(folder, 'up', 'cartpole_swingup', '--learn', '--trials', '2', '--run-folder', 'run',
              '--seed', '4', *params) as command:  # fmt: skip
        assert command.process.wait(120) == 3, command.output()
    wait_for_none(folder)
    run = folder / 'run'
    with (run / 'episodes.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert [(row['episode'], row['kind'], row['steps']) for row in rows] == [
        ('0', 'random', '60'),
        ('1', 'planned', '60'),
    ]
    assert (run / 'learning_curve.png').stat().st_size > 1000
    assert (run / 'best_trial.gif').read_bytes().startswith(b'GIF')
    assert len(list((run / 'data').rglob('*.mcap'))) == 2
    assert list((run / 'models').iterdir())
    assert (run / 'parameters.yaml').read_bytes() == short_task.read_bytes()
    assert {path.stem for path in (run / 'logs').glob('*.log')} >= set(NODES)

    with mbrl(folder, 'up', 'cartpole_swingup', '--learn', '--trials', '1', '--resume', 'run') as (
        command
    ):
        assert command.process.wait(120) == 3, command.output()
    with (run / 'episodes.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert [(row['episode'], row['kind'], row['total_steps']) for row in rows[2:]] == [
        ('2', 'planned', '180')
    ]
    assert len(list((run / 'data').rglob('*.mcap'))) == 3

    status = csv_table.read(run / 'status.csv', StatusRow)
    assert {row.episode for row in status} >= {0, 1, 2}
    trainings = csv_table.read(run / 'trainings.csv', TrainingRow)
    assert len(trainings) >= 3
    assert not any(row.failed for row in trainings)
    report = subprocess.run(['mbrl', 'report', 'run'], cwd=folder, capture_output=True, text=True)
    assert report.returncode == 0, report.stderr
    page = PageReader((run / 'report.html').read_text())
    assert {'Learning curve', 'Calibration', 'Planning time by episode'} <= set(page.drawings())

    with mbrl(folder, 'up', 'cartpole_swingup', '--resume', 'run') as command:
        command.wait_for('The graph is up')
        evaluate = subprocess.run(
            ['mbrl', 'evaluate', '--source', 'run/data', '--horizon', '30', '--plots'],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert evaluate.returncode == 0, evaluate.stderr
        assert re.search(r'hinge.velocity( +[0-9.e-]+){5} +\d+ %', evaluate.stdout)
        assert re.search(r'\n30 +93 ', evaluate.stdout), 'three times 31 windows of 30 steps'
        assert re.search(r'evaluation/model_\d+_data', evaluate.stdout)
        assert len(list((run / 'evaluation').glob('*_data/*.png'))) == 4
        assert command.end(signal.SIGINT) == 130


@pytest.mark.timeout(240)
def test_a_controller_killed_in_mid_trial_is_replaced_and_learning_goes_on(
    folder: Path, short_task: Path
) -> None:
    params = ('--params-file', str(short_task))
    with mbrl(folder, 'up', 'cartpole_swingup', '--learn', '--trials', '3', '--run-folder', 'run',
              *params) as command:  # fmt: skip
        command.wait_for('random')
        pid = re.search(r'mpc_controller +(\d+)', command.output())
        assert pid is not None
        os.kill(int(pid[1]), signal.SIGKILL)
        assert command.process.wait(150) == 3, command.output()
    assert 'mpc_controller ended and was started again' in command.output()
    with (folder / 'run' / 'episodes.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    assert len({row['episode'] for row in rows}) == 3
