"""The dataset on disk: ROS bags (MCAP), a file per episode, readable by any ROS 2 bag tool.

While an episode runs, each transition is one unchunked record, handed to the operating system
before it is acknowledged: a killed process loses none. When the episode has ended, the file is
rewritten with chunks and an index, and replaces itself in one step: whoever reads it meanwhile has
the same transitions before and after. A file that a crash cut off is finished the same way at the
next start.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from mcap.reader import make_reader
from mcap.well_known import MessageEncoding, Profile, SchemaEncoding
from mcap.writer import CompressionType, Writer

from mbrl_common.files import replaced
from mbrl_dynamics.bag_blocks import MAGIC, UNREADABLE, Walk
from mbrl_dynamics.bag_columns import TransitionDecoder, widths
from mbrl_dynamics.bag_schema import SCHEMA, SCHEMA_NAME, TOPIC, encode_cdr
from mbrl_dynamics.transition import Transition
from mbrl_dynamics.transitions import Transitions

log = logging.getLogger(__name__)

DAMAGED = '.damaged'
_SMALLEST = 2 * len(MAGIC) + 9 + 20  # magic, footer, magic
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
                written += os.pwrite(self._file, data[written:], self._size + written)
        except OSError:
            with contextlib.suppress(OSError):  # what is left of it will be written over
                os.ftruncate(self._file, self._size)
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
    with replaced(path, durable=True) as partial:
        with partial.open('wb') as file:
            lost = _rewrite(path, file)
        if lost:
            damaged = path.with_name(path.name + DAMAGED)
            shutil.copyfile(path, damaged)
            log.warning('%s: %d bytes could not be read; kept as %s', path, lost, damaged)
    return True


def read_parts(path: Path) -> Iterator[Transitions]:
    """Yield the transitions in a bag as arrays, many at a time, in the order of their recording.

    Any MCAP file with messages of type ``mbrl_msgs/msg/Transition`` will do, on whatever topic,
    also one that is being recorded or was cut off. Within a part all have the same widths.

    Raises:
        BagError: if it is no MCAP file, or is damaged.
        OSError: if it cannot be read.
    """
    finished = _is_finished(path)
    if not finished and not _begins_as_mcap(path):
        raise BagError(f'{path}: is no MCAP file')
    walk = Walk(path, finished)
    decoder = TransitionDecoder(walk.schemas, walk.channels)
    try:
        for block in walk.blocks():
            yield from decoder.decode(block)
    except UNREADABLE as error:
        raise BagError(f'{path}: cannot be read as a bag of transitions: {error!r}') from error


def read_arrays(path: Path) -> Transitions:
    """All transitions in a bag as arrays; see :func:`read_parts`.

    Raises:
        BagError: also if their widths differ.
    """
    parts = list(read_parts(path))
    found = sorted({widths(part) for part in parts})
    if len(found) > 1:
        raise BagError(
            f'{path}: its transitions must all have the same widths of state, action and next '
            f'state; they have {found}'
        )
    return Transitions.concatenate(parts) if parts else Transitions.empty(0, 0)


def read(path: Path) -> Iterator[Transition]:
    """Yield the transitions in a bag one by one; see :func:`read_parts`."""
    for part in read_parts(path):
        yield from part


def read_folder(folder: Path) -> list[Transition]:
    """All transitions in a dataset's folder, episode by episode; see :func:`read_parts`."""
    return [transition for path in bags(folder) for transition in read(path)]


def bags(folder: Path) -> list[Path]:
    """The bags in a dataset's folder, in the order of their episodes."""

    def order(path: Path) -> tuple[int, int]:
        match = _NAME.fullmatch(path.name)
        assert match is not None
        return int(match[1]), int(match[2] or 0)

    return sorted((p for p in folder.glob('*.mcap') if _NAME.fullmatch(p.name)), key=order)


def _rewrite(path: Path, file: IO[bytes]) -> int:
    """Copy all messages that make sense; returns how many bytes made none."""
    writer = Writer(file, compression=CompressionType.NONE)
    writer.start(profile=Profile.ROS2)
    walk = Walk(path, finished=False)
    decoder = TransitionDecoder(walk.schemas, walk.channels)
    schemas: dict[int, int] = {}
    channels: dict[int, int] = {}

    def register() -> None:
        for old, s in walk.schemas.items():
            if old not in schemas:
                schemas[old] = writer.register_schema(s.name, s.encoding, s.data)
        for old, c in walk.channels.items():
            if old not in channels:
                schema = schemas.get(c.schema_id, 0)
                channels[old] = writer.register_channel(
                    c.topic, c.message_encoding, schema, c.metadata
                )

    lost = 0
    for block in walk.blocks():
        register()
        undecodable = set(decoder.undecodable(block))
        for place in range(len(block.begin)):
            channel, sequence, log_time, publish_time = block.header(place)
            data = block.message(place)
            if place in undecodable:
                lost += len(data)
            elif channel in channels:
                writer.add_message(channels[channel], log_time, data, publish_time, sequence)
    register()
    writer.finish()
    return lost + walk.lost


def _begins_as_mcap(path: Path) -> bool:
    """Also if it was cut off before it had really begun."""
    with path.open('rb') as file:
        return MAGIC.startswith(file.read(len(MAGIC)))


def _is_finished(path: Path) -> bool:
    size = path.stat().st_size
    if size < _SMALLEST:
        return False
    with path.open('rb') as file:
        file.seek(-len(MAGIC), os.SEEK_END)
        if file.read() != MAGIC:
            return False
        file.seek(0)
        try:
            return make_reader(file).get_summary() is not None
        except (*UNREADABLE, OSError):  # the footer may point to where there can be no file
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
