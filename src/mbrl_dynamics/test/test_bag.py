"""Bags: readable by others, safe from crashes, and mended when they are not whole."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer
from mcap_ros2.decoder import DecoderFactory

from mbrl_dynamics.bag import BagError, EpisodeBag, bags, read, read_folder, repair
from mbrl_dynamics.bag_schema import SCHEMA, SCHEMA_NAME, encode_cdr
from mbrl_dynamics.transition import Transition

Make = Callable[..., Transition]
Same = Callable[[Transition, Transition], None]


@pytest.fixture
def unfinished(tmp_path: Path, make_transition: Make) -> Path:
    """A bag of ten transitions as a crash leaves it."""
    bag = EpisodeBag(tmp_path, 0)
    for number in range(10):
        bag.write(make_transition(number))
    return bag.path


def test_a_finished_bag_has_an_index_and_is_read_by_others(
    tmp_path: Path, make_transition: Make
) -> None:
    bag = EpisodeBag(tmp_path, 7)
    for number in range(20):
        bag.write(make_transition(number))
    bag.finish()
    assert bag.path.name == 'episode_00007.mcap'
    with bag.path.open('rb') as file:
        summary = make_reader(file).get_summary()
        assert summary is not None and summary.statistics is not None
        assert summary.statistics.message_count == 20
        assert len(summary.chunk_indexes) == 1
        assert [c.topic for c in summary.channels.values()] == ['/transition']
        assert make_reader(file).get_header().profile == 'ros2'
        file.seek(0)
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        messages = [message for _, _, _, message in reader.iter_decoded_messages()]
    assert [message.sequence for message in messages] == list(range(20))
    assert list(messages[3].state) == list(make_transition(3).state)


def test_what_goes_in_comes_out_in_order(
    tmp_path: Path, make_transition: Make, assert_same: Same
) -> None:
    bag = EpisodeBag(tmp_path, 0)
    order = [5, 3, 4, 0]
    for number in order:
        bag.write(make_transition(number))
    for finished in (False, True):
        if finished:
            bag.finish()
        found = list(read(bag.path))
        assert len(found) == len(order)
        for ours, number in zip(found, order):
            assert_same(ours, make_transition(number))


def test_every_transition_is_with_the_operating_system_when_write_returns(
    unfinished: Path,
) -> None:
    assert len(list(read(unfinished))) == 10


def test_repair_finishes_a_bag_and_leaves_a_finished_one_alone(unfinished: Path) -> None:
    assert repair(unfinished)
    inode = unfinished.stat().st_ino
    assert not repair(unfinished)
    assert unfinished.stat().st_ino == inode
    with unfinished.open('rb') as file:
        assert make_reader(file).get_summary() is not None
    assert len(list(read(unfinished))) == 10
    assert list(unfinished.parent.iterdir()) == [unfinished]


def test_cut_off_at_any_byte_only_the_record_in_flight_is_missing(
    unfinished: Path, tmp_path: Path
) -> None:
    whole = unfinished.read_bytes()
    sizes = []
    for length in range(0, len(whole) + 1, 11):
        cut = tmp_path / 'cut.mcap'
        cut.write_bytes(whole[:length])
        assert repair(cut)
        sizes.append(len(list(read(cut))))
    assert sizes == sorted(sizes)
    assert sizes[0] == 0 and set(sizes) >= set(range(10))
    assert not list(tmp_path.glob('*.damaged'))


def test_unreadable_bytes_are_kept_aside_and_the_rest_is_saved(
    unfinished: Path, make_transition: Make, assert_same: Same
) -> None:
    damaged = bytearray(unfinished.read_bytes())
    damaged[-900:] = b'\xaa' * 900
    unfinished.write_bytes(bytes(damaged))
    assert repair(unfinished)
    found = list(read(unfinished))
    assert 3 <= len(found) < 10
    for number, ours in enumerate(found):
        assert_same(ours, make_transition(number))
    aside = unfinished.with_name(unfinished.name + '.damaged')
    assert aside.read_bytes() == bytes(damaged)


def test_a_killed_process_loses_nothing_that_it_was_told_is_written(tmp_path: Path) -> None:
    script = tmp_path / 'record.py'
    script.write_text(
        'import sys, numpy as np, pathlib\n'
        'from mbrl_dynamics.bag import EpisodeBag\n'
        'from mbrl_dynamics.transition import Transition\n'
        f'bag = EpisodeBag(pathlib.Path({str(tmp_path)!r}), 0)\n'
        'for n in range(10**9):\n'
        "    bag.write(Transition(n, n + 1, 'r', 1, n, 0, n, np.ones(4), np.ones(1), np.ones(4),\n"
        '                         0.0, False, False))\n'
        '    print(n, flush=True)\n'
    )
    for attempt in range(3):
        process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(50 + 37 * attempt):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        said = [line for line in process.stdout.read().split('\n')[:-1] if line]
        process.wait()
        acknowledged = int(said[-1]) + 1 if said else 50 + 37 * attempt
        newest = bags(tmp_path)[-1]
        repair(newest)
        sequences = [transition.sequence for transition in read(newest)]
        assert sequences == list(range(len(sequences)))
        assert len(sequences) in (acknowledged, acknowledged + 1)


def test_the_same_episode_again_gets_a_file_beside_the_first(
    tmp_path: Path, make_transition: Make
) -> None:
    for number in range(12):
        bag = EpisodeBag(tmp_path, 3)
        bag.write(make_transition(number, episode=3))
        bag.finish()
    later = EpisodeBag(tmp_path, 4)
    later.write(make_transition(12, episode=4))
    names = [path.name for path in bags(tmp_path)]
    assert names[:3] == ['episode_00003.mcap', 'episode_00003_1.mcap', 'episode_00003_2.mcap']
    assert names[-2:] == ['episode_00003_11.mcap', 'episode_00004.mcap']
    assert [transition.sequence for transition in read_folder(tmp_path)] == list(range(13))


def test_a_write_that_fails_leaves_the_bag_as_it_was(
    unfinished: Path, tmp_path: Path, make_transition: Make, small_disk: Callable[[int], None]
) -> None:
    bag = EpisodeBag(tmp_path, 1)
    bag.write(make_transition(0))
    size = bag.path.stat().st_size
    small_disk(size + 50)
    with pytest.raises(OSError):
        bag.write(make_transition(1))
    assert bag.path.stat().st_size == size
    small_disk(-1)
    bag.write(make_transition(2))
    assert [transition.sequence for transition in read(bag.path)] == [0, 2]


def test_a_repair_without_room_leaves_the_old_file(
    unfinished: Path, small_disk: Callable[[int], None]
) -> None:
    before = unfinished.read_bytes()
    small_disk(1000)
    with pytest.raises(OSError):
        repair(unfinished)
    small_disk(-1)
    assert unfinished.read_bytes() == before
    assert list(unfinished.parent.iterdir()) == [unfinished]


@pytest.mark.parametrize('compression', [CompressionType.NONE, CompressionType.ZSTD])
def test_bags_recorded_elsewhere_are_read_whatever_else_is_in_them(
    tmp_path: Path, make_transition: Make, assert_same: Same, compression: CompressionType
) -> None:
    path = tmp_path / 'rosbag2_0.mcap'
    with path.open('wb') as file:
        writer = Writer(file, compression=compression)
        writer.start(profile='ros2')
        text = writer.register_schema('std_msgs/msg/String', 'ros2msg', b'string data\n')
        ours = writer.register_schema(SCHEMA_NAME, 'ros2msg', SCHEMA.encode())
        channels = [
            writer.register_channel('/chatter', 'cdr', text),
            writer.register_channel('/robot1/transition', 'cdr', ours),
        ]
        for number in range(5):
            writer.add_message(channels[0], number, b'\0\1\0\0\2\0\0\0a\0', number)
            data = encode_cdr(make_transition(number))
            writer.add_message(channels[1], 100 - number, data, 100 - number)
        writer.finish()
    found = list(read(path))
    assert len(found) == 5
    for number, transition in enumerate(found):
        assert_same(transition, make_transition(number))


@pytest.mark.parametrize('content', [b'\0', b'no bag at all', b'x' * 1000])
def test_what_is_no_bag_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / 'other.mcap'
    path.write_bytes(content)
    with pytest.raises(BagError, match=r'other\.mcap: is no MCAP file'):
        list(read(path))
