"""The dataset on disk: ROS bags (MCAP), a file per episode, readable by any ROS 2 bag tool.

While an episode runs, each transition is one unchunked record, handed to the operating system
before it is acknowledged: a killed process loses none. When the episode has ended, the file is
rewritten with chunks and an index, and replaces itself in one step. A file that a crash cut off is
finished the same way at the next start.
"""

from __future__ import annotations

import dataclasses
import io
import logging
import os
import re
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

from mcap.exceptions import McapError
from mcap.reader import make_reader
from mcap.records import Channel, Chunk, Message, Schema
from mcap.stream_reader import StreamReader, breakup_chunk
from mcap.well_known import MessageEncoding, Profile, SchemaEncoding
from mcap.writer import CompressionType, Writer
from mcap_ros2.decoder import DecoderFactory

from mbrl_dynamics.bag_schema import SCHEMA, SCHEMA_NAME, TOPIC, encode_cdr, from_message
from mbrl_dynamics.transition import Transition

log = logging.getLogger(__name__)

DAMAGED = '.damaged'
_PARTIAL = '.partial'
_MAGIC = b'\x89MCAP0\r\n'
_SMALLEST = 2 * len(_MAGIC) + 9 + 20  # magic, footer, magic
_LARGEST_RECORD = 1 << 30
_NAME = re.compile(r'episode_(\d{5,})(?:_(\d+))?\.mcap')


class BagError(ValueError):
    """A bag cannot be read; the text says which and why."""


class EpisodeBag:
    """One episode's file, while it is being recorded."""

    def __init__(self, folder: Path, episode: int) -> None:
        """Create the file, beside any that the same episode has already.

        Raises:
            OSError: if it cannot be created; then nothing is left of it.
        """
        self.path, self._file = _create(folder, episode)
        self._buffer = io.BytesIO()
        self._writer, self._channel = _start(self._buffer)
        self._size = 0  # of what is whole
        try:
            self._hand_over()
        except OSError:
            os.close(self._file)
            self.path.unlink(missing_ok=True)
            raise

    def write(self, transition: Transition) -> None:
        """Append a transition; on return the operating system has it.

        Raises:
            OSError: if it could not be written; the file is then as it was before.
        """
        _write(self._writer, self._channel, transition)
        self._hand_over()

    def finish(self) -> None:
        """Close the file, and give it chunks, an index and a summary.

        Raises:
            OSError: if it could not be rewritten; it then stays as it was, and readable.
        """
        os.close(self._file)
        repair(self.path)

    def _hand_over(self) -> None:
        data = memoryview(self._buffer.getvalue())
        self._buffer.seek(0)
        self._buffer.truncate()
        written = 0
        try:
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError:
            os.ftruncate(self._file, self._size)
            os.lseek(self._file, self._size, os.SEEK_SET)
            raise
        self._size += len(data)


def repair(path: Path) -> bool:
    """Finish a bag that has no end: read what is whole of it and write that properly.

    The file is replaced in one step. Bytes that could not be read are not thrown away: if there
    are more of them than one record cut off at the end, the old file is kept as ``*.damaged``.

    Returns:
        whether anything had to be done.

    Raises:
        OSError: if it could not be read or written; the file is then as it was.
    """
    if _is_finished(path):
        return False
    records, lost = _salvage(path.read_bytes())
    lost += _drop_undecodable(records)
    partial = path.with_name(path.name + _PARTIAL)
    try:
        with partial.open('wb') as file:
            writer = Writer(file, compression=CompressionType.NONE)
            writer.start(profile=Profile.ROS2)
            _copy(records, writer)
            writer.finish()
            file.flush()
            os.fsync(file.fileno())
        if lost:
            damaged = path.with_name(path.name + DAMAGED)
            shutil.copyfile(path, damaged)
            log.warning('%s: %d bytes could not be read; kept as %s', path, lost, damaged)
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    return True


def read(path: Path) -> Iterator[Transition]:
    """Yield the transitions in a bag, in the order in which they were recorded.

    Any MCAP file with messages of type ``mbrl_msgs/msg/Transition`` will do, on whatever topic,
    also one that is being recorded or was cut off.

    Raises:
        BagError: if it is no MCAP file, or is damaged.
        OSError: if it cannot be read.
    """
    factory = DecoderFactory()
    try:
        for schema, encoding, data in _messages(path):
            if schema.name == SCHEMA_NAME:
                decode = factory.decoder_for(encoding, schema)
                if decode is None:
                    raise BagError(f'{path}: {schema.encoding} and {encoding} are not understood')
                yield from_message(decode(data))
    except BagError:
        raise
    except (McapError, ValueError, AttributeError, EOFError, struct.error) as error:
        raise BagError(f'{path}: cannot be read as a bag of transitions: {error!r}') from error


def bags(folder: Path) -> list[Path]:
    """The bags in a dataset's folder, in the order of their episodes."""

    def order(path: Path) -> tuple[int, int]:
        match = _NAME.fullmatch(path.name)
        assert match is not None
        return int(match[1]), int(match[2] or 0)

    return sorted((p for p in folder.glob('*.mcap') if _NAME.fullmatch(p.name)), key=order)


def read_folder(folder: Path) -> list[Transition]:
    """All transitions in a dataset's folder, episode by episode; see :func:`read`."""
    return [transition for path in bags(folder) for transition in read(path)]


def _messages(path: Path) -> Iterator[tuple[Schema, str, bytes]]:
    """Schema, encoding and bytes of each message that has a schema."""
    if _is_finished(path):
        with path.open('rb') as file:
            for schema, channel, message in make_reader(file).iter_messages(log_time_order=False):
                if schema is not None:
                    yield schema, channel.message_encoding, message.data
        return
    data = path.read_bytes()
    if not data.startswith(_MAGIC):
        raise BagError(f'{path}: is no MCAP file')
    records, _ = _salvage(data)
    for message in records.messages:
        channel = records.channels.get(message.channel_id)
        if channel is not None and channel.schema_id in records.schemas:
            yield records.schemas[channel.schema_id], channel.message_encoding, message.data


@dataclasses.dataclass
class _Records:
    schemas: dict[int, Schema] = dataclasses.field(default_factory=dict)
    channels: dict[int, Channel] = dataclasses.field(default_factory=dict)
    messages: list[Message] = dataclasses.field(default_factory=list)

    def add(self, record: object) -> None:
        if isinstance(record, Schema):
            self.schemas[record.id] = record
        elif isinstance(record, Channel):
            self.channels[record.id] = record
        elif isinstance(record, Message):
            self.messages.append(record)
        elif isinstance(record, Chunk):
            for inner in breakup_chunk(record, validate_crc=True):
                self.add(inner)


def _salvage(data: bytes) -> tuple[_Records, int]:
    """All whole records, and the number of bytes between or after them that make no sense."""
    records = _Records()
    offset, lost = len(_MAGIC), 0
    if not data.startswith(_MAGIC[: len(data)]):
        return records, len(data)
    while offset + 9 <= len(data):
        opcode, length = data[offset], int.from_bytes(data[offset + 1 : offset + 9], 'little')
        end = offset + 9 + length
        if not 1 <= opcode <= 0x0F or length > _LARGEST_RECORD:
            lost = len(data) - offset
            break
        if end > len(data):  # the record in flight
            break
        try:
            for record in StreamReader(
                io.BytesIO(data[offset:end]), skip_magic=True, emit_chunks=True
            ).records:
                records.add(record)
                break
        except (McapError, ValueError, EOFError):
            lost += end - offset
        offset = end
    return records, lost


def _drop_undecodable(records: _Records) -> int:
    """Drop the transitions whose bytes make no sense; returns how many bytes that were."""
    factory = DecoderFactory()
    whole, lost = [], 0
    for message in records.messages:
        channel = records.channels.get(message.channel_id)
        schema = None if channel is None else records.schemas.get(channel.schema_id)
        if channel is not None and schema is not None and schema.name == SCHEMA_NAME:
            try:
                decode = factory.decoder_for(channel.message_encoding, schema)
                if decode is not None:
                    from_message(decode(message.data))
            except (McapError, ValueError, EOFError, struct.error):
                lost += len(message.data)
                continue
        whole.append(message)
    records.messages = whole
    return lost


def _copy(records: _Records, writer: Writer) -> None:
    schemas = {
        old: writer.register_schema(s.name, s.encoding, s.data)
        for old, s in records.schemas.items()
    }
    channels = {
        old: writer.register_channel(
            c.topic, c.message_encoding, schemas.get(c.schema_id, 0), c.metadata
        )
        for old, c in records.channels.items()
    }
    for m in records.messages:
        if m.channel_id in channels:
            writer.add_message(
                channels[m.channel_id], m.log_time, m.data, m.publish_time, m.sequence
            )


def _is_finished(path: Path) -> bool:
    size = path.stat().st_size
    if size < _SMALLEST:
        return False
    with path.open('rb') as file:
        file.seek(-len(_MAGIC), os.SEEK_END)
        if file.read() != _MAGIC:
            return False
        file.seek(0)
        try:
            return make_reader(file).get_summary() is not None
        except (McapError, ValueError, EOFError):
            return False


def _create(folder: Path, episode: int) -> tuple[Path, int]:
    attempt = 0
    while True:
        suffix = f'_{attempt}' if attempt else ''
        path = folder / f'episode_{episode:05d}{suffix}.mcap'
        try:
            return path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except FileExistsError:
            attempt += 1


def _start(stream: io.BytesIO) -> tuple[Writer, int]:
    writer = Writer(stream, use_chunking=False, compression=CompressionType.NONE)
    writer.start(profile=Profile.ROS2)
    schema = writer.register_schema(SCHEMA_NAME, SchemaEncoding.ROS2, SCHEMA.encode())
    channel = writer.register_channel(TOPIC, MessageEncoding.CDR, schema)
    return writer, channel


def _write(writer: Writer, channel: int, transition: Transition) -> None:
    writer.add_message(
        channel,
        log_time=transition.next_stamp,
        data=encode_cdr(transition),
        publish_time=transition.next_stamp,
        sequence=transition.sequence & 0xFFFFFFFF,
    )
