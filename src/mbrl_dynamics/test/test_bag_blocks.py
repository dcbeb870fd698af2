"""Walking an MCAP file: what is in it, and what is passed over or refused."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer

from mbrl_dynamics import bag_blocks
from mbrl_dynamics.bag_blocks import MAGIC, UNREADABLE, Walk


def write(path: Path, messages: int, compression: CompressionType = CompressionType.NONE) -> Path:
    with path.open('wb') as file:
        writer = Writer(file, chunk_size=300, compression=compression)
        writer.start()
        schema = writer.register_schema('text', 'none', b'')
        channels = [writer.register_channel(name, 'text', schema) for name in 'ab']
        for number in range(messages):
            data = f'message {number}'.encode()
            writer.add_message(channels[number % 2], number, data, 2 * number, 3 * number)
        writer.add_attachment(0, 0, 'a picture', 'image/png', b'x' * 5000)
        writer.add_metadata('about', {'this': 'file'})
        writer.finish()
    return path


def found(walk: Walk) -> list[tuple[tuple[int, int, int, int], bytes]]:
    return [
        (block.header(place), block.message(place))
        for block in walk.blocks()
        for place in range(len(block.begin))
    ]


def record(opcode: int, content: bytes) -> bytes:
    return struct.pack('<BQ', opcode, len(content)) + content


@pytest.mark.parametrize('window', [1, 100, 1 << 24])
@pytest.mark.parametrize('compression', list(CompressionType))
def test_messages_come_as_the_library_finds_them(
    tmp_path: Path, compression: CompressionType, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bag_blocks, '_WINDOW', window)
    path = write(tmp_path / 'a.mcap', 100, compression)
    with path.open('rb') as file:
        expected = [
            ((m.channel_id, m.sequence, m.log_time, m.publish_time), m.data)
            for _, _, m in make_reader(file).iter_messages(log_time_order=False)
        ]
    assert len(expected) == 100
    for finished in (True, False):
        walk = Walk(path, finished)
        assert found(walk) == expected
        assert walk.lost == 0
        assert {channel.topic for channel in walk.channels.values()} == {'a', 'b'}
    numbers = [each for block in Walk(path, True).blocks() for each in block.channels().tolist()]
    assert numbers == [header[0] for header, _ in expected]


def test_records_that_others_invented_are_passed_over_in_a_finished_file(tmp_path: Path) -> None:
    path = write(tmp_path / 'a.mcap', 10)
    content = path.read_bytes()
    path.write_bytes(MAGIC + record(0x90, b'whatever') + content[len(MAGIC) :])
    assert len(found(Walk(path, finished=True))) == 10


MESSAGE = record(5, struct.pack('<HIQQ', 1, 0, 0, 0) + b'text')
SENSELESS: dict[str, Callable[[bytes], bytes]] = {
    'no end': lambda whole: whole[:-3000],
    'a message of no channel': lambda whole: MAGIC + MESSAGE + whole[8:],
    'a message shorter than its header': lambda whole: MAGIC + record(5, b'1') + whole[8:],
    'a schema that is cut off': lambda whole: MAGIC + record(3, b'\1\0\xff') + whole[8:],
    'a chunk of an unknown compression': lambda whole: (
        MAGIC + record(6, struct.pack('<QQQII5sQ', 0, 0, 3, 0, 5, b'magic', 3) + b'abc') + whole[8:]
    ),
    'a chunk with a record longer than it': lambda whole: (
        MAGIC
        + record(6, struct.pack('<QQQIIQ', 0, 0, 9, 0, 0, 9) + struct.pack('<BQ', 5, 99))
        + whole[8:]
    ),
    'zeros': lambda whole: MAGIC + bytes(2000) + whole[8:],
}


@pytest.mark.parametrize('case', SENSELESS)
def test_what_makes_no_sense_is_an_error_in_a_finished_file(tmp_path: Path, case: str) -> None:
    path = write(tmp_path / 'a.mcap', 10)
    path.write_bytes(SENSELESS[case](path.read_bytes()))
    with pytest.raises(UNREADABLE):
        found(Walk(path, finished=True))


@pytest.mark.parametrize('case', SENSELESS)
def test_and_is_passed_over_and_counted_in_one_without_an_end(tmp_path: Path, case: str) -> None:
    path = write(tmp_path / 'a.mcap', 10)
    path.write_bytes(SENSELESS[case](path.read_bytes()))
    walk = Walk(path, finished=False)
    messages = [data for _, data in found(walk)]
    whole = [f'message {number}'.encode() for number in range(10)]
    if case == 'no end':
        assert walk.lost == 0 and messages == whole[: len(messages)]
    elif case == 'zeros':  # nobody knows where records begin after them
        assert walk.lost == path.stat().st_size - len(MAGIC) and not messages
    elif case == 'a message of no channel':
        assert walk.lost == 0 and messages == [b'text', *whole]
    else:
        assert 0 < walk.lost < 60 and messages == whole


def test_what_is_no_such_file_is_lost_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / 'a.mcap'
    path.write_bytes(b'x' * 1000)
    walk = Walk(path, finished=False)
    assert found(walk) == [] and walk.lost == 1000
