from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mbrl_common import testing_warm
from mbrl_common.testing_warm import Copied

pytestmark = pytest.mark.skipif(sys.platform != 'linux', reason='only Linux has children adopted')

SOURCE = """
import json, os, sys, time
imported_by = os.getpid()
def main():
    print(json.dumps({
        'pid': os.getpid(), 'parent': os.getppid(), 'session': os.getsid(0),
        'imported by': imported_by, 'arguments': sys.argv, 'folder': os.getcwd(),
        'word': os.environ.get('ROS_WORD'), 'test': os.environ.get('PYTEST_CURRENT_TEST'),
        'files': [os.readlink(f'/proc/self/fd/{n}') for n in (0, 1, 2)],
        'sockets': sum('socket:' in os.readlink(e.path) for e in list(os.scandir('/proc/self/fd'))
                       if os.path.islink(e.path)),
    }))
    if sys.argv[1:] == ['wait']:
        time.sleep(60)
    if sys.argv[1:] == ['fail']:
        raise RuntimeError('as the test has it')
    return 3
"""
Start = Callable[..., Copied | None]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts the executable of a distribution that is there for this test alone."""
    library = tmp_path / 'library'
    about = library / 'example_package-1.0.dist-info'
    about.mkdir(parents=True)
    (about / 'METADATA').write_text('Metadata-Version: 2.1\nName: example-package\nVersion: 1.0\n')
    (about / 'entry_points.txt').write_text('[console_scripts]\nexample = warm_example:main\n')
    (library / 'warm_example.py').write_text(SOURCE)
    path = f'{library}{os.pathsep}{os.environ.get("PYTHONPATH", "")}'
    monkeypatch.setenv('PYTHONPATH', path)
    original = functools.cache(lambda: testing_warm._Original(os.environ))
    monkeypatch.setattr(testing_warm, '_original', original)
    output = tmp_path / 'output.txt'
    output.touch()

    def run(
        *arguments: str,
        package: str = 'example_package',
        executable: str = 'example',
        **environment: str,
    ) -> Copied | None:
        return testing_warm.start(
            package,
            [f'/somewhere/{executable}', *arguments],
            os.environ | {'PYTHONUNBUFFERED': '1'} | environment,
            output,
        )

    yield run
    original().close()


def facts(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / 'output.txt').read_text().splitlines()]


def test_a_copy_is_a_child_of_its_own_and_nothing_is_imported_twice(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for word in ('first', 'second'):
        process = start('an argument', ROS_WORD=word)
        assert process is not None and process.wait(30.0) == process.returncode == 3
    first, second = facts(tmp_path)
    assert first['imported by'] == second['imported by'] not in (first['pid'], os.getpid())
    assert first['pid'] != second['pid'] == process.pid
    assert second['parent'] == os.getpid()
    assert second['session'] == second['pid']
    assert second['arguments'] == ['/somewhere/example', 'an argument']
    assert second['folder'] == str(tmp_path)
    assert [first['word'], second['word']] == ['first', 'second']
    assert second['test'] == os.environ['PYTEST_CURRENT_TEST']
    assert second['files'] == ['/dev/null', *[str(tmp_path / 'output.txt')] * 2]
    assert second['sockets'] == 0  # not those of the original


def test_how_a_copy_ended_is_known(start: Start, tmp_path: Path) -> None:
    process = start('fail')
    assert process is not None and process.wait(30.0) == 1
    assert 'RuntimeError: as the test has it' in (tmp_path / 'output.txt').read_text()
    process = start('wait')
    assert process is not None and process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30.0) == process.poll() == -signal.SIGTERM
    process.kill()  # nobody: its number may be another's by now
    process = start('wait')
    assert process is not None
    process.kill()
    assert process.wait(30.0) == -signal.SIGKILL


def test_what_cannot_be_the_same_as_a_copy_is_left_to_the_usual_way(start: Start) -> None:
    assert start(OMP_NUM_THREADS='3') is None  # is read when a library is loaded
    assert start(executable='another') is None
    assert start(package='no_such_package') is None
    assert start() is not None


def test_afterwards_no_children_are_adopted(start: Start) -> None:
    process = start()
    assert process is not None
    process.wait(30.0)
    orphan = subprocess.run(
        ['sh', '-c', 'sleep 20 > /dev/null & echo $!'], stdout=subprocess.PIPE, check=True
    )
    pid = int(orphan.stdout)
    time.sleep(0.1)
    parent = int(Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[1])
    os.kill(pid, signal.SIGKILL)
    assert parent != os.getpid()


def test_an_original_that_hangs_is_done_without_and_the_next_copy_is_of_another(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = start()
    assert first is not None and first.wait(30.0) == 3
    original = testing_warm._original()
    monkeypatch.setattr(testing_warm, '_IMPORTED', 0.3)
    os.kill(original._process.pid, signal.SIGSTOP)
    assert start() is None
    monkeypatch.setattr(testing_warm, '_IMPORTED', 60.0)
    second = start()
    assert second is not None and second.wait(30.0) == 3
    assert testing_warm._original() is not original
