"""A bag as ``ros2 bag record -s mcap`` makes it: a folder with an MCAP file and a description."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import yaml
from mcap.well_known import MessageEncoding, Profile, SchemaEncoding
from mcap.writer import CompressionType, Writer

from mbrl_common.files import replaced

_VERSION = 9  # of the description, in ROS 2 Jazzy: rosbag2_storage/bag_metadata.hpp
_CHUNK = 256 * 1024  # [bytes]; what a crash may lose


@dataclasses.dataclass
class _Topic:
    name: str
    type: str
    channel: int
    qos: list[dict[str, Any]]
    type_hash: str
    count: int = 0


class _Plain(yaml.SafeDumper):
    """Says again what is there twice, as rosbag2 does, instead of pointing at it."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


class BagFolder:
    """A new bag; ``close`` makes it whole."""

    def __init__(self, folder: Path) -> None:
        """Create the folder.

        Raises:
            OSError: if it cannot be created, or is there already.
        """
        folder.mkdir(parents=True)
        self.folder = folder
        self._path = folder / f'{folder.name}_0.mcap'
        self._file = self._path.open('wb')
        self._writer = Writer(self._file, chunk_size=_CHUNK, compression=CompressionType.ZSTD)
        self._writer.start(profile=Profile.ROS2, library='mbrl record')
        self._schemas: dict[str, int] = {}
        self._topics: dict[str, _Topic] = {}
        self._first: int | None = None
        self._last = 0

    @property
    def topics(self) -> dict[str, int]:
        """How many messages of each topic there are."""
        return {topic.name: topic.count for topic in self._topics.values()}

    def add_topic(
        self, name: str, kind: str, definition: str, qos: list[dict[str, Any]], type_hash: str
    ) -> None:
        """Say what a topic is, before its first message.

        Args:
            name: of the topic.
            kind: its type, as 'sensor_msgs/msg/JointState'.
            definition: of the type, ``ros2msg``.
            qos: of each publisher, as in ``metadata.yaml``.
            type_hash: of the type, 'RIHS01_...'; empty: not known.
        """
        if kind not in self._schemas:
            self._schemas[kind] = self._writer.register_schema(
                kind, SchemaEncoding.ROS2, definition.encode()
            )
        channel = self._writer.register_channel(
            name,
            MessageEncoding.CDR,
            self._schemas[kind],
            {'offered_qos_profiles': _yaml(qos), 'topic_type_hash': type_hash},
        )
        self._topics[name] = _Topic(name, kind, channel, qos, type_hash)

    def write(self, topic: str, data: bytes, log_time: int, publish_time: int) -> None:
        """Add a message.

        Args:
            topic: that was added.
            data: the message in CDR.
            log_time: when it came [ns since 1970].
            publish_time: when it was sent [ns].

        Raises:
            OSError: if it cannot be written.
        """
        entry = self._topics[topic]
        self._writer.add_message(
            entry.channel, log_time, data, publish_time, sequence=entry.count & 0xFFFFFFFF
        )
        entry.count += 1
        self._first = log_time if self._first is None else min(self._first, log_time)
        self._last = max(self._last, log_time)

    def flush(self) -> None:
        """Have on disk what is whole, so that a crash loses little.

        Raises:
            OSError: if it cannot be written.
        """
        self._file.flush()
        self._describe()

    def close(self) -> None:
        """Finish the file, and describe it.

        Raises:
            OSError: if it cannot be written.
        """
        try:
            self._writer.add_metadata(
                'rosbag2', {'serialized_metadata': _yaml(self._description())}
            )
            self._writer.finish()
        finally:
            self._file.close()
        self._describe()

    def _describe(self) -> None:
        with replaced(self.folder / 'metadata.yaml') as partial:
            content = {'rosbag2_bagfile_information': self._description()}
            partial.write_text(_yaml(content))

    def _description(self) -> dict[str, Any]:
        begin = self._first or 0
        time = {
            'duration': {'nanoseconds': max(self._last - begin, 0)},
            'starting_time': {'nanoseconds_since_epoch': begin},
        }
        count = sum(topic.count for topic in self._topics.values())
        return {
            'version': _VERSION,
            'storage_identifier': 'mcap',
            **time,
            'message_count': count,
            'topics_with_message_count': [
                {
                    'topic_metadata': {
                        'name': topic.name,
                        'type': topic.type,
                        'serialization_format': 'cdr',
                        'offered_qos_profiles': topic.qos,
                        'type_description_hash': topic.type_hash,
                    },
                    'message_count': topic.count,
                }
                for topic in self._topics.values()
            ],
            'compression_format': '',
            'compression_mode': '',
            'relative_file_paths': [self._path.name],
            'files': [{'path': self._path.name, **time, 'message_count': count}],
            'custom_data': {},
            'ros_distro': os.environ.get('ROS_DISTRO', 'jazzy'),
        }


def _yaml(content: Any) -> str:
    return yaml.dump(content, Dumper=_Plain, sort_keys=False)
