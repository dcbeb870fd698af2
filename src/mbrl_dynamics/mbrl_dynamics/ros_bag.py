"""Any ROS 2 bag in MCAP: a file, or the folder that ``ros2 bag record`` makes.

Read without ROS: the files say themselves what their messages look like.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
import os
import re
import struct
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import IO, Any

import yaml
import zstandard
from mcap.exceptions import McapError
from mcap.reader import make_reader
from mcap.records import Channel, Message, Schema
from mcap.stream_reader import StreamReader
from mcap_ros2.decoder import DecoderFactory

from mbrl_dynamics.bag import BagError

log = logging.getLogger(__name__)

SUFFIXES = ('.mcap', '.mcap.zstd')
METADATA = 'metadata.yaml'
_MAGIC = b'\x89MCAP0\r\n'
_UNREADABLE = (
    McapError,
    zstandard.ZstdError,
    ValueError,
    AttributeError,
    LookupError,
    EOFError,
    RuntimeError,  # of lz4
    struct.error,
    OverflowError,
    MemoryError,  # a damaged length
)
_Record = tuple[Schema | None, Channel, Message]


@dataclasses.dataclass(frozen=True)
class Topic:
    """A topic of a bag: ``type`` as in ``sensor_msgs/msg/JointState``, and how many messages."""

    name: str
    type: str
    count: int


@dataclasses.dataclass(frozen=True)
class BagMessage:
    """A decoded message, with attributes named as its fields, and when it was recorded [ns]."""

    topic: Topic
    log_time: int
    message: Any


class RosBag:
    """A bag's topics and messages."""

    def __init__(self, path: Path) -> None:
        """Find its files and topics.

        Args:
            path: an MCAP file, also one compressed as a whole or cut off, or a folder with
                ``metadata.yaml``.

        Raises:
            BagError: if it is no bag, or not one in MCAP.
            OSError: if it cannot be read.
        """
        self.path = path
        self.files = _files_of(path) if path.is_dir() else [path]
        self.topics = self._find_topics()

    @property
    def finished(self) -> bool:
        """Whether every file has an end; a file without one is being recorded, or was cut off."""
        for path in self.files:
            with _open(path) as stream:
                if not _is_finished(stream):
                    return False
        return True

    @property
    def empty(self) -> bool:
        """Whether it has no message at all."""
        return not any(topic.count for topic in self.topics.values())

    def topics_of(self, kinds: Collection[str]) -> list[Topic]:
        """The topics of these types that have messages."""
        return [t for t in self.topics.values() if t.type in kinds and t.count]

    def messages(self, topics: Collection[str]) -> Iterator[BagMessage]:
        """The messages of some topics, file by file, in the order of their recording times.

        Raises:
            BagError: if the file is damaged or a message cannot be decoded.
            OSError: if it cannot be read.
        """
        for path in self.files:
            factory = DecoderFactory()  # it knows schemas by numbers, which are a file's own
            decoders: dict[int, Callable[[bytes], Any]] = {}
            for schema, channel, record in _records(path, topics):
                try:
                    if channel.id not in decoders:
                        decoders[channel.id] = _decoder(factory, schema, channel)
                    message = decoders[channel.id](record.data)
                except Exception as error:  # the parser of types has many, of no common kind
                    kind = schema.name if schema is not None else 'without a type'
                    raise BagError(
                        f'{path}: a message on {channel.topic} ({kind}) cannot be decoded: {error}'
                    ) from error
                yield BagMessage(self.topics[channel.topic], record.log_time, message)

    def describe_topics(self) -> str:
        """Name and type of each topic, for people."""
        return ', '.join(f'{t.name} ({t.type}, {t.count})' for t in self.topics.values()) or 'none'

    def _find_topics(self) -> dict[str, Topic]:
        topics: dict[str, Topic] = {}
        for path in self.files:
            for found in _topics_in(path):
                before = topics.get(found.name)
                count = found.count + (before.count if before is not None else 0)
                topics[found.name] = dataclasses.replace(found, count=count)
        return dict(sorted(topics.items()))


def find_bags(path: Path) -> list[Path]:
    """The bags at a place: the file itself, or all in a folder and below, in natural order.

    A folder that ``ros2 bag record`` made is one bag, whatever number of files it has.

    Raises:
        BagError: if there are none.
        OSError: if the folder cannot be read, or there is no such file.
    """
    if not path.is_dir():
        path.stat()
        return [path]
    found = list(_bags_below(path))
    if not found:
        raise BagError(f'{path}: has no bags (files *.mcap), so no transitions')
    return found


def _bags_below(folder: Path) -> Iterator[Path]:
    if (folder / METADATA).is_file():
        yield folder
        return
    for path in sorted(folder.iterdir(), key=_natural):
        if path.is_dir():
            yield from _bags_below(path)
        elif path.name.endswith(SUFFIXES):
            yield path


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sorts 2 before 10, and ``a.mcap`` before ``a_1.mcap``."""
    parts = re.findall(r'\d+|\D+', path.name.removesuffix('.zstd').removesuffix('.mcap'))
    return [(int(part), '') if part.isdigit() else (-1, part) for part in parts]


def _files_of(folder: Path) -> list[Path]:
    """The files of a rosbag2 folder, in the order in which they were recorded."""
    path = folder / METADATA
    try:
        about = yaml.safe_load(path.read_text())['rosbag2_bagfile_information']
        names = list(about['relative_file_paths'])
        storage = about['storage_identifier']
        compression = about.get('compression_mode') or 'none'
    except FileNotFoundError as error:
        raise BagError(f'{folder}: is no bag: it has no {METADATA}') from error
    except (yaml.YAMLError, TypeError, LookupError, AttributeError, ValueError) as error:
        raise BagError(f'{path}: is no description of a ROS 2 bag: {error!r}') from error
    if storage != 'mcap':
        raise BagError(
            f"{folder}: is stored as {storage!r}; it must be 'mcap': `ros2 bag convert` makes it so"
        )
    if str(compression).lower() == 'message':
        raise BagError(
            f"{folder}: each message is compressed on its own ('compression_mode: MESSAGE'), which "
            'is not understood; `ros2 bag convert` without it, MCAP compresses by itself'
        )
    files = [folder / Path(name).name for name in names]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise BagError(f'{folder}: {METADATA} names {", ".join(missing)}, which is not there')
    return files


def _topics_in(path: Path) -> Iterator[Topic]:
    with _open(path) as stream:
        if _is_finished(stream):
            try:
                summary = make_reader(stream).get_summary()
            except _UNREADABLE as error:
                raise BagError(f'{path}: is damaged: {error}') from error
            if summary is not None and summary.statistics is not None:
                counts = summary.statistics.channel_message_counts
                for channel in summary.channels.values():
                    schema = summary.schemas.get(channel.schema_id)
                    kind = '' if schema is None else schema.name
                    yield Topic(channel.topic, kind, counts.get(channel.id, 0))
                return
    for schema, channel, _ in _records(path, None, quiet=True):
        yield Topic(channel.topic, '' if schema is None else schema.name, 1)


def _records(path: Path, topics: Collection[str] | None, quiet: bool = False) -> Iterator[_Record]:
    """Messages of some topics, by recording time; of a file that was cut off, what is whole."""
    with _open(path) as stream:
        try:
            if _is_finished(stream):
                yield from make_reader(stream, validate_crcs=True).iter_messages(topics)
                return
        except _UNREADABLE as error:
            raise BagError(f'{path}: is damaged: {error}') from error
        found = list(_whole_records(stream, topics))
    if not quiet:
        log.warning('%s: has no end (being recorded, or cut off); read as far as it goes', path)
    yield from sorted(found, key=lambda record: record[2].log_time)


def _whole_records(stream: IO[bytes], topics: Collection[str] | None) -> Iterator[_Record]:
    schemas: dict[int, Schema] = {}
    channels: dict[int, Channel] = {}
    stream.seek(0)
    with contextlib.suppress(*_UNREADABLE):
        for record in StreamReader(stream).records:
            if isinstance(record, Schema):
                schemas[record.id] = record
            elif isinstance(record, Channel):
                channels[record.id] = record
            elif isinstance(record, Message) and record.channel_id in channels:
                channel = channels[record.channel_id]
                if topics is None or channel.topic in topics:
                    yield schemas.get(channel.schema_id), channel, record


def _open(path: Path) -> IO[bytes]:
    """A seekable stream of a file that starts as MCAP files do."""
    if path.name.endswith('.zstd'):
        try:
            with zstandard.open(path, 'rb') as packed:
                stream: IO[bytes] = io.BytesIO(packed.read())
        except (zstandard.ZstdError, EOFError) as error:
            raise BagError(f'{path}: cannot be decompressed: {error}') from error
    else:
        stream = path.open('rb')
    if stream.read(len(_MAGIC)) != _MAGIC:
        stream.close()
        raise BagError(f'{path}: is no MCAP file')
    stream.seek(0)
    return stream


def _is_finished(stream: IO[bytes]) -> bool:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(size - len(_MAGIC), len(_MAGIC)))
    finished = stream.read() == _MAGIC
    stream.seek(0)
    return finished


def _decoder(
    factory: DecoderFactory, schema: Schema | None, channel: Channel
) -> Callable[[bytes], Any]:
    decode = factory.decoder_for(channel.message_encoding, schema)
    if decode is None:
        language = 'nothing' if schema is None else schema.encoding
        raise ValueError(
            f'it is encoded as {channel.message_encoding!r} and described by {language!r}; '
            "it must be 'cdr' and 'ros2msg'"
        )
    return decode
