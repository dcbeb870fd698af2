"""For tests: a robot's bag, as a recorder next to any ROS 2 robot writes it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from mcap.records import Schema
from mcap_ros2.writer import CompressionType, Writer

_STAMP = """\
================================================================================
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
================================================================================
MSG: builtin_interfaces/Time
int32 sec
uint32 nanosec
"""
TYPES = {
    'sensor_msgs/msg/JointState': 'std_msgs/Header header\nstring[] name\nfloat64[] position\n'
    'float64[] velocity\nfloat64[] effort\n' + _STAMP,
    'std_msgs/msg/Float64MultiArray': """\
MultiArrayLayout layout
float64[] data
================================================================================
MSG: std_msgs/MultiArrayLayout
MultiArrayDimension[] dim
uint32 data_offset
================================================================================
MSG: std_msgs/MultiArrayDimension
string label
uint32 size
uint32 stride
""",
    'mbrl_msgs/msg/Command': 'std_msgs/Header header\nbuiltin_interfaces/Time state_stamp\n'
    'float64[] action\nuint8 source\nuint64 plan_id\n' + _STAMP,
    'trajectory_msgs/msg/JointTrajectory': 'std_msgs/Header header\nstring[] joint_names\n'
    'JointTrajectoryPoint[] points\n'
    + '='
    * 80
    + '\nMSG: trajectory_msgs/JointTrajectoryPoint\nfloat64[] positions\nfloat64[] velocities\n'
    'float64[] accelerations\nfloat64[] effort\nbuiltin_interfaces/Duration time_from_start\n'
    + '=' * 80
    + '\nMSG: builtin_interfaces/Duration\nint32 sec\nuint32 nanosec\n'
    + _STAMP,
    'std_msgs/msg/String': 'string data\n',
}


def time(stamp: int) -> dict[str, int]:
    """A stamp [ns] as a message."""
    return {'sec': stamp // 10**9, 'nanosec': stamp % 10**9}


class RobotRecorder:
    """Writes messages of a robot into an MCAP file. Times in nanoseconds."""

    def __init__(
        self,
        path: Path,
        compression: CompressionType = CompressionType.ZSTD,
        chunk_size: int = 1 << 16,
    ) -> None:
        self.path = path
        self._file = path.open('wb')
        self._writer = Writer(self._file, compression=compression, chunk_size=chunk_size)
        self._schemas: dict[str, Schema] = {}
        self._raw: dict[str, int] = {}

    def __enter__(self) -> RobotRecorder:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.finish()
        self._file.close()

    def write_bytes(
        self, topic: str, kind: str, log_time: int, data: bytes, text: str | None = None
    ) -> None:
        """A message as it comes over DDS; ``text``: the type's definition, if not in ``TYPES``."""
        writer = self._writer._writer
        if topic not in self._raw:
            schema = writer.register_schema(kind, 'ros2msg', (text or TYPES[kind]).encode())
            self._raw[topic] = writer.register_channel(topic, 'cdr', schema)
        writer.add_message(self._raw[topic], log_time, data, log_time)

    def write(self, topic: str, kind: str, log_time: int, **fields: Any) -> None:
        """Any message of the ``TYPES``."""
        if kind not in self._schemas:
            self._schemas[kind] = self._writer.register_msgdef(kind, TYPES[kind])
        self._writer.write_message(topic, self._schemas[kind], fields, log_time, log_time)

    def joints(
        self,
        stamp: int,
        values: dict[str, tuple[float, ...]],
        *,
        topic: str = '/joint_states',
        log_time: int | None = None,
        unstamped: bool = False,
    ) -> None:
        """A joint state; ``values``: position, velocity, effort by joint, or the first of them."""
        columns = list(zip(*values.values()))
        self.write(
            topic,
            'sensor_msgs/msg/JointState',
            stamp if log_time is None else log_time,
            header={'stamp': time(0 if unstamped else stamp), 'frame_id': ''},
            name=list(values),
            **{
                field: [float(v) for v in columns[i]] if i < len(columns) else []
                for i, field in enumerate(('position', 'velocity', 'effort'))
            },
        )

    def array(self, log_time: int, action: Any, topic: str = '/effort_controller/commands') -> None:
        """A command to a forward command controller."""
        self.write(
            topic,
            'std_msgs/msg/Float64MultiArray',
            log_time,
            layout={'dim': [], 'data_offset': 0},
            data=np.asarray(action, dtype=float).tolist(),
        )

    def command(self, stamp: int, action: Any, *, log_time: int | None = None) -> None:
        """A command of the suite's controller."""
        self.write(
            '/command',
            'mbrl_msgs/msg/Command',
            stamp if log_time is None else log_time,
            header={'stamp': time(stamp), 'frame_id': ''},
            state_stamp=time(stamp),
            action=np.asarray(action, dtype=float).tolist(),
            source=0,
            plan_id=0,
        )

    def trajectory(
        self,
        log_time: int,
        joints: list[str],
        points: list[tuple[int, dict[str, list[float]]]],
        stamp: int = 0,
    ) -> None:
        """A joint trajectory; points: time from start [ns], and fields by name."""
        empty: dict[str, Any] = {
            'positions': [],
            'velocities': [],
            'accelerations': [],
            'effort': [],
        }
        self.write(
            '/joint_trajectory',
            'trajectory_msgs/msg/JointTrajectory',
            log_time,
            header={'stamp': time(stamp), 'frame_id': ''},
            joint_names=joints,
            points=[
                SimpleNamespace(**(empty | fields), time_from_start=SimpleNamespace(**time(since)))
                for since, fields in points
            ],
        )
