"""The recorder: what it says is stored is there, whatever happens to the process or the disk."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory

from mbrl_dynamics import recorder as module
from mbrl_dynamics.bag import EpisodeBag, bags, read_arrays
from mbrl_dynamics.recorder import Recorder, announced
from mbrl_dynamics.transition import Transition
from mbrl_dynamics.transitions import Transitions

Make = Callable[..., Transition]

RECORD = """
import itertools, os, sys, time
from pathlib import Path
import numpy as np
from mbrl_dynamics.recorder import Recorder
from mbrl_dynamics.transition import Transition

session = int(sys.argv[2])
os.write(1, b'loading\\n')
recorder = Recorder(Path(sys.argv[1]))
for _ in recorder.load():
    pass
os.write(1, b'recording\\n')
for n in itertools.count():
    state = np.full(4, n + 0.25)
    if recorder.write(
        Transition(n, n + 1, '/robot', session, n, 100 * session + n // 7, n % 7, state,
                   state[:1], state, 1.0, False, n % 7 == 6)
    ):
        os.write(1, b'%d\\n' % n)
    time.sleep(0.001)
"""


def stored_in(folder: Path) -> dict[int, set[int]]:
    """The sequence numbers of each session on disk, as our reader finds them."""
    found: dict[int, set[int]] = {}
    for path in bags(folder):
        part = read_arrays(path)
        if len(part) == 0:  # it was just begun
            continue
        np.testing.assert_array_equal(part.state[:, 0], part.sequence + 0.25)
        for (_, session), number in zip(part.senders, range(len(part.senders))):
            numbers = part.sequence[part.sender == number].tolist()
            assert not found.get(session, set()) & set(numbers), 'stored twice'
            found.setdefault(session, set()).update(numbers)
    return found


def stored_for_others(folder: Path) -> dict[int, set[int]]:
    """The same as others' readers find them, who need every file to be whole."""
    found: dict[int, set[int]] = {}
    for path in folder.iterdir():
        assert path.suffix == '.mcap', 'something is left over'
        with path.open('rb') as file:
            reader = make_reader(file, decoder_factories=[DecoderFactory()])
            assert reader.get_summary() is not None
            for *_, message in reader.iter_decoded_messages():
                found.setdefault(message.session, set()).add(message.sequence)
    return found


@pytest.mark.parametrize('seed', range(5))
def test_killed_at_any_moment_it_loses_nothing_that_it_said_is_stored(
    tmp_path: Path, seed: int
) -> None:
    script = tmp_path / 'record.py'
    script.write_text(RECORD)
    folder = tmp_path / 'data'
    moments = random.Random(seed)
    acknowledged: dict[int, int] = {}
    for session in range(1, 11):
        with subprocess.Popen(
            [sys.executable, str(script), str(folder), str(session)], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b'loading\n'
            if session % 3:  # else it may still be mending what the last kill left
                assert process.stdout.readline() == b'recording\n'
            time.sleep(moments.uniform(0.0, 0.15))
            process.send_signal(signal.SIGKILL)
            said = process.stdout.read().split(b'\n')[:-1]
        acknowledged[session] = sum(1 for line in said if line.isdigit())
        found = stored_in(folder)
        for each, count in acknowledged.items():
            assert found.get(each, set()) >= set(range(count))
            assert len(found.get(each, set())) <= count + 1  # the one in flight
    assert sum(acknowledged.values()) > 50
    assert sum(len(part) for _, part in Recorder(folder).load()) == sum(map(len, found.values()))
    assert stored_for_others(folder) == found


def is_whole(path: Path) -> bool:
    """Whether a bag has the summary that others' tools look for."""
    with path.open('rb') as file, contextlib.suppress(Exception):
        return make_reader(file).get_summary() is not None
    return False


def test_the_bag_of_a_session_that_crashed_is_finished_when_its_robot_begins_another(
    tmp_path: Path, make_transition: Make, caplog: pytest.LogCaptureFixture
) -> None:
    def write(robot: str, session: int, number: int) -> None:
        transition = make_transition(number)
        assert recorder.write(dataclasses.replace(transition, robot=robot, session=session))

    recorder = Recorder(tmp_path)
    for number in range(5):
        write('/a', 1, number)
        write('/b', 2, number)
    of_a, of_b = bags(tmp_path)
    with caplog.at_level(logging.INFO):
        write('/a', 3, 0)
        recorder.wait_for_disk()
        assert is_whole(of_a) and not is_whole(of_b)
        write('/a', 3, 1)
        write('/a', 1, 5)  # it was still under way
        write('/a', 3, 2)
    assert [record.getMessage() for record in caplog.records] == [
        f'{of_a}: finished; it was cut off, as /a was started again'
    ]
    recorder.close()
    assert all(map(is_whole, bags(tmp_path)))
    assert stored_for_others(tmp_path) == {1: {*range(6)}, 2: {*range(5)}, 3: {*range(3)}}


def test_a_disk_that_stalls_keeps_back_no_transition_but_the_end(
    tmp_path: Path, make_transition: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    stalls, goes_on = threading.Event(), threading.Event()
    real = os.fsync

    def fsync(descriptor: int) -> None:
        stalls.set()
        goes_on.wait(20.0)
        real(descriptor)

    monkeypatch.setattr(os, 'fsync', fsync)
    recorder = Recorder(tmp_path)
    for number in range(45):  # two episodes end
        assert recorder.write(make_transition(number))
    assert stalls.wait(20.0) and not goes_on.is_set()
    paths = bags(tmp_path)
    assert [is_whole(path) for path in paths] == [False, False, False]
    assert [len(read_arrays(path)) for path in paths] == [20, 20, 5]
    closing = threading.Thread(target=recorder.close)
    closing.start()
    closing.join(0.3)
    assert closing.is_alive() and not any(map(is_whole, paths))
    goes_on.set()
    closing.join(20.0)
    assert not closing.is_alive() and recorder.errors == 0
    assert stored_for_others(tmp_path) == {make_transition(0).session: set(range(45))}


def test_a_bag_can_be_read_at_every_moment_while_it_is_finished(
    tmp_path: Path, make_transition: Make
) -> None:
    recorder = Recorder(tmp_path)
    reads = 0
    for number in range(1000):
        assert recorder.write(make_transition(number))
        if number % 20 == 19:
            path = tmp_path / f'episode_{number // 20:05d}.mcap'
            whole = False
            while not whole:
                whole = is_whole(path)
                expected = list(range(number - 19, number + 1))
                assert read_arrays(path).sequence.tolist() == expected
                reads += 1
    assert reads > 50, 'it was read in both forms'
    recorder.close()
    assert stored_for_others(tmp_path) == {make_transition(0).session: set(range(1000))}


def test_what_ends_without_close_is_finished_all_the_same(tmp_path: Path) -> None:
    script = tmp_path / 'record.py'
    script.write_text(RECORD.replace('itertools.count()', 'range(14)'))
    folder = tmp_path / 'data'
    subprocess.run([sys.executable, str(script), str(folder), '1'], check=True, capture_output=True)
    assert [is_whole(path) for path in bags(folder)] == [True, True]
    assert stored_for_others(folder) == {1: set(range(14))}


def test_closed_it_takes_no_more(tmp_path: Path, make_transition: Make) -> None:
    recorder = Recorder(tmp_path)
    assert recorder.write(make_transition(0))
    recorder.close()
    with pytest.raises(RuntimeError, match='its recorder is closed'):
        recorder.write(make_transition(1))
    recorder.close()
    recorder.wait_for_disk()
    assert stored_for_others(tmp_path) == {make_transition(0).session: {0}}


def test_whatever_keeps_a_bag_from_being_finished_is_told_and_the_next_one_is_finished(
    tmp_path: Path,
    make_transition: Make,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_: EpisodeBag) -> None:
        raise MemoryError

    recorder = Recorder(tmp_path)
    with monkeypatch.context() as without_memory:
        without_memory.setattr(EpisodeBag, 'finish', fail)
        for number in range(20):
            assert recorder.write(make_transition(number))
        recorder.wait_for_disk()
    first = tmp_path / 'episode_00000.mcap'
    assert recorder.errors == 1 and f'{first}: has no index yet: MemoryError()' in caplog.text
    for number in range(20, 40):
        assert recorder.write(make_transition(number))
    recorder.close()
    assert recorder.errors == 1
    assert stored_for_others(tmp_path) == {make_transition(0).session: set(range(40))}


def test_all_is_loaded_in_order_with_the_place_it_comes_from(
    tmp_path: Path, make_transition: Make
) -> None:
    recorder = Recorder(tmp_path)
    for number in range(50):
        assert recorder.write(make_transition(number))
    recorder.wait_for_disk()
    loaded = list(Recorder(tmp_path).load())  # the third bag is still being written
    assert [path.name for path, _ in loaded] == [f'episode_0000{n}.mcap' for n in range(3)]
    everything = Transitions.concatenate(part for _, part in loaded)
    assert everything.sequence.tolist() == list(range(50))


def test_a_bag_that_cannot_be_read_is_passed_over_and_counted(
    tmp_path: Path, make_transition: Make, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(tmp_path)
    for number in range(60):
        recorder.write(make_transition(number))
    recorder.wait_for_disk()
    damaged = tmp_path / 'episode_00001.mcap'
    content = bytearray(damaged.read_bytes())
    content[3000] ^= 1
    damaged.write_bytes(bytes(content))
    again = Recorder(tmp_path)
    assert sum(len(part) for _, part in again.load()) == 40
    assert again.errors == 1
    assert 'episode_00001.mcap: skipped' in caplog.text
    assert damaged.read_bytes() == bytes(content)


def test_a_full_disk_loses_nothing_and_recording_goes_on_when_there_is_room(
    tiny_disk: Path, make_transition: Make, caplog: pytest.LogCaptureFixture
) -> None:
    ballast = tiny_disk / 'ballast'
    ballast.write_bytes(b'x' * 60_000)
    recorder = Recorder(tiny_disk / 'data')
    number = 0
    while recorder.write(make_transition(number, length=30)):
        recorder.wait_for_disk()  # a bag that is being finished takes room for a moment
        number += 1
        assert number < 10_000
    assert number > 30, 'an episode must have ended'
    errors = recorder.errors
    assert errors >= 1 and 'No space left on device' in caplog.text
    for _ in range(5):
        assert not recorder.write(make_transition(number, length=30))
    assert recorder.errors == errors + 5
    assert caplog.text.count('transitions are not stored') == 1

    def stored() -> list[int]:
        parts = [read_arrays(path) for path in bags(tiny_disk / 'data')]
        return [each for part in parts for each in part.sequence.tolist()]

    assert stored() == list(range(number))
    ballast.unlink()
    for each in range(number, number + 70):
        assert recorder.write(make_transition(each, length=30))
        recorder.wait_for_disk()
    assert caplog.text.count(f'stored again, from {number} on') == 1
    assert stored() == list(range(number + 70))
    recorder.close()
    assert stored_for_others(tiny_disk / 'data') == {
        make_transition(0).session: set(range(number + 70))
    }


def test_a_bag_that_ended_without_room_gets_its_index_when_there_is_some(
    tmp_path: Path, make_transition: Make, small_disk: Callable[[int], None]
) -> None:
    recorder = Recorder(tmp_path)
    first = tmp_path / 'episode_00000.mcap'
    for number in range(19):
        recorder.write(make_transition(number))
    small_disk(first.stat().st_size + 300)  # enough for a message, and not for an index
    assert recorder.write(make_transition(19))
    recorder.wait_for_disk()
    assert recorder.errors == 1
    assert len(read_arrays(first)) == 20
    with first.open('rb') as file, contextlib.suppress(Exception):
        assert make_reader(file).get_summary() is None
    small_disk(-1)
    for number in range(20, 40):
        recorder.write(make_transition(number))
    recorder.wait_for_disk()
    assert stored_for_others(tmp_path) == {make_transition(0).session: set(range(40))}
    assert recorder.errors == 1


def test_a_folder_that_cannot_be_written_is_counted_and_raises_nothing(
    tmp_path: Path, make_transition: Make
) -> None:
    recorder = Recorder(tmp_path / 'data')
    (tmp_path / 'data').rmdir()
    assert not recorder.write(make_transition(0))
    assert recorder.errors == 1
    (tmp_path / 'data').mkdir()
    assert recorder.write(make_transition(0))


def test_long_work_is_announced_and_short_work_is_not(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [Path(f'{number}.mcap') for number in range(10)]
    with caplog.at_level(logging.INFO):
        assert list(announced(paths)) == paths
        assert not caplog.records
        monkeypatch.setattr(module, 'ANNOUNCE_EVERY', 0.02)
        for _ in announced(paths):
            time.sleep(0.011)
    texts = [record.getMessage() for record in caplog.records]
    assert 3 <= len(texts) <= 5
    assert texts[0] == 'reading bags: 2 of 10, now 2.mcap'
