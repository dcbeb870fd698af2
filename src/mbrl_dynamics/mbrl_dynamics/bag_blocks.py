"""An MCAP file's messages in blocks: the bytes of many, and where in them each one lies.

The file is walked from its beginning, so that one without an end (being recorded, or cut off) is
read in the same way as one that was finished. Chunks are opened by the library ``mcap``.
"""

from __future__ import annotations

import dataclasses
import io
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, Schema
from mcap.stream_reader import get_chunk_data_stream

MAGIC = b'\x89MCAP0\r\n'
UNREADABLE = (
    McapError,
    ValueError,
    EOFError,
    struct.error,
    RuntimeError,  # of lz4
    zstandard.ZstdError,
    OverflowError,
    MemoryError,  # a damaged length
)
"""What reading bytes that make no sense may raise."""

_WINDOW = 1 << 24  # bytes read at once
_LARGEST_RECORD = 1 << 30  # in a file without an end
_END = (Opcode.DATA_END, Opcode.FOOTER)  # of the messages
_COMPRESSIONS = ('', 'none', 'lz4', 'zstd')
_HEAD = struct.Struct('<BQ')  # opcode and length of a record
_MESSAGE = struct.Struct('<HIQQ')  # channel, sequence, log time, publish time


@dataclasses.dataclass(frozen=True)
class Block:
    """Messages in one piece of memory, in the order in which they were recorded.

    Attributes:
        data: the memory.
        begin, end: [N] int64, where each message's own bytes begin and end.
    """

    data: bytes
    begin: np.ndarray
    end: np.ndarray

    def channels(self) -> np.ndarray:
        """The number of each message's channel, [N]."""
        data = np.frombuffer(self.data, np.uint8)
        place = self.begin - _MESSAGE.size
        return data[place] + 256 * data[place + 1].astype(np.int64)

    def header(self, index: int) -> tuple[int, int, int, int]:
        """A message's channel, sequence, log time and publish time."""
        channel, sequence, log_time, publish_time = _MESSAGE.unpack_from(
            self.data, self.begin[index] - _MESSAGE.size
        )
        return channel, sequence, log_time, publish_time

    def message(self, index: int) -> bytes:
        """A message's own bytes."""
        return self.data[self.begin[index] : self.end[index]]


class Walk:
    """One pass over a file. ``schemas`` and ``channels`` are those met so far, by their numbers."""

    def __init__(self, path: Path, finished: bool) -> None:
        """Nothing is read yet.

        Args:
            path: the file.
            finished: it has an end, so bytes that make no sense are an error. Otherwise they are
                passed over, and counted in ``lost``; a record cut off at the end is neither.
        """
        self.schemas: dict[int, Schema] = {}
        self.channels: dict[int, Channel] = {}
        self.lost = 0
        self._path = path
        self._finished = finished

    def blocks(self) -> Iterator[Block]:
        """Yield all messages, block by block.

        Raises:
            OSError: if the file cannot be read.
            one of ``UNREADABLE``: if it is ``finished`` and makes no sense.
        """
        with self._path.open('rb') as file:
            magic = file.read(len(MAGIC))
            if magic == MAGIC:
                for block in self._walk(file, self._path.stat().st_size):
                    if self._finished and not set(block.channels()) <= self.channels.keys():
                        raise ValueError('a message belongs to no channel')
                    yield block
            elif not MAGIC.startswith(magic):
                self.lost += self._path.stat().st_size

    def _walk(self, file: IO[bytes], size: int) -> Iterator[Block]:
        data, place = b'', len(MAGIC)  # what was read and not walked yet, and where it begins
        missing = 1
        while more := file.read(max(missing, _WINDOW)):
            data += more
            begins: list[int] = []
            ends: list[int] = []
            records, rest = _scan(data)
            for opcode, begin, end in records:
                if opcode == Opcode.MESSAGE and end - begin >= _MESSAGE.size:
                    begins.append(begin + _MESSAGE.size)
                    ends.append(end)
                    continue
                if opcode in _END or not self._is_sane(opcode, end - begin):
                    rest = begin - _HEAD.size
                    break
                if opcode == Opcode.CHUNK:
                    if begins:
                        yield _block(data, begins, ends)
                        begins, ends = [], []
                    yield from self._open_chunk(data[begin:end])
                else:
                    self._take(opcode, data[begin:end])
            if begins:
                yield _block(data, begins, ends)
            data, place = data[rest:], place + rest
            missing = 1
            if len(data) >= _HEAD.size:
                opcode, length = _HEAD.unpack_from(data)
                if opcode in _END:
                    return
                if not self._is_sane(opcode, length):
                    if self._finished:
                        raise ValueError('something in it is no record')
                    self.lost += size - place
                    return
                missing = _HEAD.size + length - len(data)
        if self._finished:
            raise ValueError('its end is missing')

    def _is_sane(self, opcode: int, length: int) -> bool:
        """Whether to believe in a record. In a finished file there may be some of others' kinds."""
        if self._finished:
            return opcode != 0
        return 1 <= opcode <= Opcode.DATA_END and length <= _LARGEST_RECORD

    def _open_chunk(self, content: bytes) -> Iterator[Block]:
        try:
            chunk = Chunk.read(ReadDataStream(io.BytesIO(content)))
            if chunk.compression not in _COMPRESSIONS:
                raise ValueError(f'compression {chunk.compression!r} is not known')
            stream, length = get_chunk_data_stream(chunk, validate_crc=True)
            data = stream.read(length)
            records, rest = _scan(data)
            if len(data) != chunk.uncompressed_size or rest != len(data):
                raise ValueError('a chunk is not as long as it says')
        except UNREADABLE:
            if self._finished:
                raise
            self.lost += len(content)
            return
        messages = [
            (begin + _MESSAGE.size, end)
            for opcode, begin, end in records
            if opcode == Opcode.MESSAGE and end - begin >= _MESSAGE.size
        ]
        if len(messages) < len(records):
            for opcode, begin, end in records:
                if opcode in (Opcode.SCHEMA, Opcode.CHANNEL):
                    self._take(opcode, data[begin:end])
        if messages:
            yield _block(data, *zip(*messages))

    def _take(self, opcode: int, content: bytes) -> None:
        """Remember a schema or channel; other records are of no interest."""
        stream = ReadDataStream(io.BytesIO(content))
        try:
            if opcode == Opcode.SCHEMA:
                schema = Schema.read(stream)
                self.schemas[schema.id] = schema
            elif opcode == Opcode.CHANNEL:
                channel = Channel.read(stream)
                self.channels[channel.id] = channel
            elif opcode == Opcode.MESSAGE:
                raise ValueError('a message is shorter than its header')
        except UNREADABLE:
            if self._finished:
                raise
            self.lost += len(content)


def _scan(data: bytes) -> tuple[list[tuple[int, int, int]], int]:
    """Opcode, begin and end of each whole record, and where the first one begins that is not."""
    records = []
    offset, size = 0, len(data)
    while offset + _HEAD.size <= size:
        opcode, length = _HEAD.unpack_from(data, offset)
        begin = offset + _HEAD.size
        if begin + length > size:
            break
        offset = begin + length
        records.append((opcode, begin, offset))
    return records, offset


def _block(data: bytes, begins: Sequence[int], ends: Sequence[int]) -> Block:
    return Block(data, np.array(begins, dtype=np.int64), np.array(ends, dtype=np.int64))
