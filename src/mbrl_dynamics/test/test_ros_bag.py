"""Bags of any robot: files, folders of ``ros2 bag record``, compressed, cut off, damaged."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import yaml
import zstandard
from mcap.reader import make_reader
from mcap.writer import Writer
from mcap_ros2.writer import CompressionType

from mbrl_dynamics.bag import BagError
from mbrl_dynamics.ros_bag import RosBag, find_bags
from mbrl_dynamics.testing import RobotRecorder

COMPRESSIONS = [CompressionType.NONE, CompressionType.ZSTD, CompressionType.LZ4]


def write(
    path: Path, numbers: range, compression: CompressionType = CompressionType.ZSTD
) -> list[str]:
    """Strings of these numbers, on two topics by turns; returns those on ``/even``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with RobotRecorder(path, compression, chunk_size=500) as recorder:
        for number in numbers:
            topic = '/odd' if number % 2 else '/even'
            recorder.write(topic, 'std_msgs/msg/String', number, data=f'{number:020}')
    return [f'{number:020}' for number in numbers if number % 2 == 0]


def describe(folder: Path, files: list[str], **changes: Any) -> Path:
    """The ``metadata.yaml`` that rosbag2 writes."""
    about = {
        'version': 9,
        'storage_identifier': 'mcap',
        'relative_file_paths': files,
        'compression_format': '',
        'compression_mode': '',
    }
    folder.mkdir(exist_ok=True)
    text = yaml.safe_dump({'rosbag2_bagfile_information': about | changes})
    (folder / 'metadata.yaml').write_text(text)
    return folder


def strings(path: Path, topic: str = '/even') -> list[str]:
    return [each.message.data for each in RosBag(path).messages([topic])]


@pytest.mark.parametrize('compression', COMPRESSIONS)
def test_messages_of_the_topics_wanted_come_as_they_were_recorded(
    tmp_path: Path, compression: CompressionType
) -> None:
    even = write(tmp_path / 'a.mcap', range(101), compression)
    bag = RosBag(tmp_path / 'a.mcap')
    assert [(t.name, t.type, t.count) for t in bag.topics.values()] == [
        ('/even', 'std_msgs/msg/String', 51),
        ('/odd', 'std_msgs/msg/String', 50),
    ]
    found = list(bag.messages(['/even']))
    assert [each.message.data for each in found] == even
    assert [each.log_time for each in found] == list(range(0, 101, 2))
    assert {each.topic.name for each in found} == {'/even'}


def test_messages_come_by_their_recording_times(tmp_path: Path) -> None:
    with RobotRecorder(tmp_path / 'a.mcap', chunk_size=200) as recorder:
        for number in (3, 1, 2, 9, 8, 7, 0):
            recorder.write('/even', 'std_msgs/msg/String', number, data=str(number))
    assert strings(tmp_path / 'a.mcap') == ['0', '1', '2', '3', '7', '8', '9']


def test_the_files_of_a_folder_come_in_the_order_in_which_they_were_recorded(
    tmp_path: Path,
) -> None:
    folder = tmp_path / 'walk'
    expected = []
    names = []
    for part in range(12):
        names.append(f'walk_{part}.mcap')
        expected += write(folder / names[-1], range(20 * part, 20 * part + 20))
    describe(folder, names)
    bag = RosBag(folder)
    assert [path.name for path in bag.files] == names
    assert strings(folder) == expected
    assert bag.topics['/even'].count == len(expected)


def test_schemas_may_be_numbered_differently_in_each_file(tmp_path: Path) -> None:
    folder = describe(tmp_path / 'b', ['b_0.mcap', 'b_1.mcap'])
    write(folder / 'b_0.mcap', range(2))
    with RobotRecorder(folder / 'b_1.mcap') as recorder:
        recorder.array(5, [1.0])
        recorder.write('/even', 'std_msgs/msg/String', 6, data='later')
    assert strings(folder) == ['0' * 20, 'later']


def test_files_that_are_compressed_as_a_whole_are_read(tmp_path: Path) -> None:
    even = write(tmp_path / 'a.mcap', range(30), CompressionType.NONE)
    packed = zstandard.compress((tmp_path / 'a.mcap').read_bytes())
    folder = describe(tmp_path / 'b', ['b_0.mcap.zstd'], compression_mode='FILE')
    (folder / 'b_0.mcap.zstd').write_bytes(packed)
    assert strings(folder) == even
    (folder / 'b_0.mcap.zstd').write_bytes(packed[: len(packed) // 2])
    with pytest.raises(BagError, match=r'b_0\.mcap\.zstd'):
        strings(folder)


@pytest.mark.parametrize('compression', COMPRESSIONS)
def test_of_a_file_that_was_cut_off_all_whole_chunks_are_read(
    tmp_path: Path, compression: CompressionType, caplog: pytest.LogCaptureFixture
) -> None:
    even = write(tmp_path / 'a.mcap', range(200), compression)
    whole = (tmp_path / 'a.mcap').read_bytes()
    counts = []
    for share in (0.2, 0.5, 0.7):
        path = tmp_path / 'cut.mcap'
        path.write_bytes(whole[: int(share * len(whole))])
        found = strings(path)
        assert found == even[: len(found)]
        counts.append(len(found))
    assert 0 < counts[0] < counts[1] < len(even)
    assert 'cut.mcap: has no end' in caplog.text


def test_a_file_without_chunks_and_index_is_read(tmp_path: Path) -> None:
    with (tmp_path / 'a.mcap').open('wb') as file:
        writer = Writer(file, use_chunking=False)
        writer.start(profile='ros2')
        kind = writer.register_schema('std_msgs/msg/String', 'ros2msg', b'string data\n')
        channel = writer.register_channel('/even', 'cdr', kind)
        for number in range(5):
            writer.add_message(channel, number, b'\0\1\0\0\2\0\0\0a\0', number)
        writer.finish()
    assert strings(tmp_path / 'a.mcap') == ['a'] * 5


def test_bags_are_found_in_natural_order_and_a_recorded_folder_is_one(tmp_path: Path) -> None:
    for name in ('run/e_2.mcap', 'run/e_10.mcap', 'run/e.mcap', 'a.mcap', 'walk/walk_0.mcap'):
        write(tmp_path / name, range(2))
    (tmp_path / 'a.mcap.damaged').write_bytes(b'')
    (tmp_path / 'notes.txt').write_text('no bag')
    describe(tmp_path / 'walk', ['walk_0.mcap'])
    found = [str(path.relative_to(tmp_path)) for path in find_bags(tmp_path)]
    assert found == ['a.mcap', 'run/e.mcap', 'run/e_2.mcap', 'run/e_10.mcap', 'walk']
    assert find_bags(tmp_path / 'a.mcap') == [tmp_path / 'a.mcap']


def test_where_there_is_no_bag_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(BagError, match='has no bags'):
        find_bags(tmp_path)
    with pytest.raises(FileNotFoundError):
        find_bags(tmp_path / 'nowhere.mcap')
    with pytest.raises(BagError, match=r'is no bag: it has no metadata\.yaml'):
        RosBag(tmp_path)


@pytest.mark.parametrize(
    ('changes', 'complaint'),
    [
        ({'storage_identifier': 'sqlite3'}, r"stored as 'sqlite3'; it must be 'mcap'"),
        ({'compression_mode': 'MESSAGE'}, 'compressed on its own'),
        ({'relative_file_paths': ['b_0.mcap', 'b_1.mcap']}, r'names b_1\.mcap, which is not there'),
        ({'relative_file_paths': None}, r'metadata\.yaml: is no description of a ROS 2 bag'),
    ],
)
def test_a_folder_that_cannot_be_read_is_refused_with_what_is_wrong(
    tmp_path: Path, changes: dict[str, Any], complaint: str
) -> None:
    write(tmp_path / 'b' / 'b_0.mcap', range(2))
    describe(tmp_path / 'b', ['b_0.mcap'], **changes)
    with pytest.raises(BagError, match=complaint):
        RosBag(tmp_path / 'b')


@pytest.mark.parametrize('text', ['', '- a list', 'a: {b', 'rosbag2_bagfile_information: 3'])
def test_a_description_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / 'metadata.yaml').write_text(text)
    with pytest.raises(BagError, match=r'metadata\.yaml: is no description'):
        RosBag(tmp_path)


@pytest.mark.parametrize('content', [b'', b'no bag at all', b'x' * 1000])
def test_what_is_no_mcap_file_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / 'other.mcap').write_bytes(content)
    with pytest.raises(BagError, match=r'other\.mcap: is no MCAP file'):
        RosBag(tmp_path / 'other.mcap')


@pytest.mark.parametrize('compression', COMPRESSIONS)
def test_damaged_bytes_of_a_finished_file_are_noticed(
    tmp_path: Path, compression: CompressionType
) -> None:
    write(tmp_path / 'a.mcap', range(200), compression)
    data = bytearray((tmp_path / 'a.mcap').read_bytes())
    summary = make_reader(io.BytesIO(data)).get_summary()
    assert summary is not None
    chunk = summary.chunk_indexes[3]
    data[chunk.chunk_start_offset + chunk.chunk_length - chunk.compressed_size // 2] ^= 0x55
    (tmp_path / 'a.mcap').write_bytes(bytes(data))
    with pytest.raises(BagError, match=r'a\.mcap: (is damaged|a message on /even)'):
        strings(tmp_path / 'a.mcap')


@pytest.mark.parametrize(
    ('encoding', 'schema', 'text', 'data', 'complaint'),
    [
        ('cdr', 'ros2idl', b'module std_msgs', b'', r"'ros2idl'; it must be 'cdr' and 'ros2msg'"),
        ('json', 'ros2msg', b'string data\n', b'{}', r"encoded as 'json'"),
        ('cdr', 'ros2msg', b'float64 data\n', b'\0\1\0\0\0\0', 'cannot be decoded'),
    ],
)
def test_a_message_that_cannot_be_decoded_is_named(
    tmp_path: Path, encoding: str, schema: str, text: bytes, data: bytes, complaint: str
) -> None:
    with (tmp_path / 'a.mcap').open('wb') as file:
        writer = Writer(file)
        writer.start(profile='ros2')
        kind = writer.register_schema('std_msgs/msg/String', schema, text)
        writer.add_message(writer.register_channel('/even', encoding, kind), 0, data, 0)
        writer.finish()
    with pytest.raises(BagError, match=r'a\.mcap: a message on /even \(std_msgs/msg/String\).*'):
        strings(tmp_path / 'a.mcap')
    with pytest.raises(BagError, match=complaint):
        strings(tmp_path / 'a.mcap')
