"""``mbrl watch`` from outside: what it does with a graph, and when something is missing or ends."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('mbrl_msgs')
from geometry_msgs.msg import Point
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from mbrl_bringup.testing import run_episodes, running
from mbrl_bringup.testing_page import content
from mbrl_common.qos import LATCHED
from mbrl_common.testing import Probe, isolated_domain
from mbrl_msgs.msg import TrainingStatus

needs_rerun = pytest.mark.skipif(
    importlib.util.find_spec('rerun') is None, reason='Rerun is not installed: `make watch`'
)
COMMAND = [sys.executable, '-c', 'from mbrl_bringup.cli import main; main()', 'watch']


class Watch:
    """The command, in a process of its own."""

    def __init__(self, folder: Path, *arguments: str, path: str | None = None) -> None:
        self._file = folder / 'output'
        environment = {k: v for k, v in os.environ.items() if 'DISPLAY' not in k}
        if path is not None:
            environment['PYTHONPATH'] = f'{path}:{environment.get("PYTHONPATH", "")}'
        with self._file.open('wb') as output:
            self.process = subprocess.Popen(
                [*COMMAND, '--timeout', '30', *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
            )

    def output(self) -> str:
        """What it printed so far."""
        return self._file.read_text()

    def wait_for(self, text: str) -> None:
        """Until it has printed this."""
        deadline = time.monotonic() + 60.0
        while text not in self.output():
            assert self.process.poll() is None and time.monotonic() < deadline, self.output()
            time.sleep(0.05)

    def code(self, send: signal.Signals | None = None) -> int:
        """Its exit code, after a signal if one is to be sent."""
        if send is not None:
            self.process.send_signal(send)
        return self.process.wait(60.0)

    def viewer(self) -> int:
        """Process id of the viewer."""
        children = Path(f'/proc/{self.process.pid}/task/{self.process.pid}/children').read_text()
        (child,) = [
            int(pid) for pid in children.split() if 'rerun' in Path(f'/proc/{pid}/comm').read_text()
        ]
        return child


@contextlib.contextmanager
def watching(folder: Path, *arguments: str) -> Iterator[Watch]:
    watch = Watch(folder, *arguments)
    try:
        yield watch
    finally:
        watch.process.kill()
        watch.process.wait()


@contextlib.contextmanager
def small_graph(namespace: str = '') -> Iterator[Probe]:
    """Somebody who sends what a dynamics node sends, and nothing else."""
    with isolated_domain(), Probe(namespace=namespace) as probe:
        publisher = probe.node.create_publisher(TrainingStatus, 'training_status', LATCHED)
        publisher.publish(TrainingStatus(model_version=7))
        yield probe


def entities(file: Path) -> set[str]:
    """What is in the file, by name, once it was found to be whole."""
    import rerun_cli

    program = str(Path(rerun_cli.__file__).with_name('rerun'))
    for command in ('verify', 'print'):
        done = subprocess.run([program, 'rrd', command, str(file)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return {name.replace('\\', '') for name in re.findall(r' (/(?:\\ |\S)+)', done.stdout)}


def test_without_rerun_it_says_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / 'rerun').mkdir()  # no package, so nothing that could be imported
    hidden = tmp_path / 'sitecustomize.py'
    hidden.write_text(
        'import importlib.util\n'
        'find = importlib.util.find_spec\n'
        "importlib.util.find_spec = lambda n, *a: None if n.startswith('rerun') else find(n, *a)\n"
    )
    watch = Watch(tmp_path, path=str(tmp_path))
    assert watch.code() == 1
    assert 'Rerun is not installed here; `make watch`' in watch.output()


@pytest.mark.parametrize(
    ('arguments', 'complaint'),
    [
        (['--viewer', 'none'], '--viewer none needs --save'),
        (['--save', 'a.txt'], 'a.txt: a file of Rerun ends in .rrd, a page in .html'),
        (['--task', 'nothing', '--viewer', 'none', '--save', 'a.html'], "no task 'nothing'"),
        (['--save', 'nowhere/a.rrd'], 'there is no folder nowhere'),
        (['--save', '/dev/../dev/null.rrd/a.rrd'], 'there is no folder /dev'),
    ],
)
def test_what_is_given_wrongly_is_refused(
    tmp_path: Path, arguments: list[str], complaint: str
) -> None:
    watch = Watch(tmp_path, *arguments)
    assert watch.code() == 2
    assert complaint in watch.output()


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / 'a.rrd'
    file.write_text('mine')
    watch = Watch(tmp_path, '--save', str(file))
    assert watch.code() == 2 and 'nothing is written over' in watch.output()
    assert file.read_text() == 'mine'


@needs_rerun
def test_without_a_graph_it_ends_and_leaves_no_file(tmp_path: Path) -> None:
    file = tmp_path / 'a.rrd'
    with small_graph('/other'):
        watch = Watch(tmp_path, '--namespace', 'r1', '--timeout', '2', '--save', str(file))
        assert watch.code() == 1
    assert "error: no graph in namespace '/r1': nobody sends anything" in watch.output()
    assert not file.exists()


def test_a_page_needs_no_rerun(tmp_path: Path) -> None:
    file = tmp_path / 'a.html'
    with small_graph('/r1') as probe:
        options = ('--namespace', 'r1', '--viewer', 'none', '--save', str(file))
        with watching(tmp_path, *options) as watch:
            watch.wait_for('saved to')
            probe.publish('late_markers', MarkerArray, MarkerArray(markers=[Marker(type=1)]))
            deadline = time.monotonic() + 30.0
            while not probe.node.count_subscribers('late_markers'):
                assert time.monotonic() < deadline
                time.sleep(0.1)
            probe.publish('late_markers', MarkerArray, MarkerArray(markers=[Marker(type=1)]))
            time.sleep(1.0)
            assert watch.code(signal.SIGTERM) == 143
    found = content(file)
    assert [place['name'] for place in found['places']] == ['late_markers/unnamed/boxes']
    assert found['said'][0][1:3] == ['dynamics', 'dynamics: idle, job 0, model 7']


@needs_rerun
@pytest.mark.timeout(240)
def test_an_episode_of_a_real_graph_is_all_there(tmp_path: Path) -> None:
    file = tmp_path / 'a.rrd'
    with running(0, tmp_path / 'run') as (_graph, probe):
        with watching(tmp_path, '--viewer', 'none', '--save', str(file)) as watch:
            watch.wait_for('Watching the graph')
            probe.wait_until(lambda: probe.node.count_subscribers('transition') > 1, 30.0)
            for episode in range(2):
                run_episodes(
                    probe,
                    timeout=60.0,
                    episodes=1,
                    first_episode=episode,
                    exploration_episodes=1 - episode,
                ).result(120.0)
            assert watch.code(signal.SIGINT) == 130, watch.output()
        found = entities(file)
    expected = {
        '/scene/markers/cartpole_pets/cylinders',
        '/reward/step',
        '/return/episode so far',
        '/model/error in this episode',
        '/model/expected: held-out error',
        '/plan_time/each',
        '/late/plans',
        '/training/progress',
        '/terms/all',
        '/log/controller',
        '/log/dynamics',
    }
    assert expected <= found


@needs_rerun
def test_a_viewer_that_dies_ends_it_with_an_error(tmp_path: Path) -> None:
    with small_graph(), watching(tmp_path, '--viewer', 'web') as watch:
        watch.wait_for('in a browser: http://127.0.0.1:')
        os.kill(watch.viewer(), signal.SIGKILL)
        assert watch.code() == 1
    assert 'error: the viewer has ended (-9)' in watch.output()


@needs_rerun
def test_where_no_window_can_be_opened_the_other_way_is_named(tmp_path: Path) -> None:
    with small_graph(), watching(tmp_path, '--viewer', 'window') as watch:
        assert watch.code() == 1
    assert '(`--viewer web` needs no display)' in watch.output()


@needs_rerun
def test_with_a_file_it_goes_on_without_its_viewer(tmp_path: Path) -> None:
    file = tmp_path / 'a.rrd'
    with small_graph('/r1') as probe:
        options = ('--namespace', 'r1', '--viewer', 'web', '--save', str(file))
        with watching(tmp_path, *options) as watch:
            watch.wait_for('saved to')
            os.kill(watch.viewer(), signal.SIGKILL)
            watch.wait_for('a.rrd goes on')
            probe.publish('late_markers', MarkerArray, MarkerArray(markers=[Marker(type=1)]))
            assert watch.code(signal.SIGTERM) == 143
    assert {'/scene/late_markers/unnamed/boxes', '/training/dataset'} <= entities(file)


@needs_rerun
def test_a_full_disk_ends_it_with_an_error(tmp_path: Path, small_disk: Path) -> None:
    places = np.random.default_rng(0).normal(size=(20_000, 3))
    marker = Marker(type=Marker.POINTS, color=ColorRGBA(a=1.0))
    marker.points = [Point(x=x, y=y, z=z) for x, y, z in places.tolist()]
    options = ('--viewer', 'none', '--save', str(small_disk / 'a.rrd'))
    with small_graph() as probe, watching(tmp_path, *options) as watch:
        watch.wait_for('saved to')
        done = threading.Event()

        def send(*_: Any) -> None:
            while not done.wait(0.02):
                probe.publish('points', MarkerArray, MarkerArray(markers=[marker]))

        sender = threading.Thread(target=send)
        sender.start()
        try:
            assert watch.code() == 1, watch.output()
        finally:
            done.set()
            sender.join()
    assert re.search(r'error: \S+a\.rrd ends here: ', watch.output())
