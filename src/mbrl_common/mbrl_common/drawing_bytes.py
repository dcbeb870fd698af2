"""Shapes and paths as bytes of a ``MarkerArray`` and a ``Path``, which a publisher takes as well.

They are those of ROS's own serialisation (CDR, little endian; held against it by a test), without
the message: arrays are copied as they are, so that a drawing of a thousand points takes 0.1 ms.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Time

from mbrl_common.drawing import FRAME, Shape

_BEGIN = b'\x00\x01\x00\x00'  # plain CDR, little endian
_EMPTY_TEXT = b'\x01\x00\x00\x00\x00\x00\x00\x00'  # its length with the 0, that, and alignment
_NO_ELEMENTS = bytes(4)
_REST = (  # of a marker after its colours, all of it empty
    _EMPTY_TEXT  # texture_resource
    + bytes(8)  # texture.header.stamp
    + _EMPTY_TEXT  # texture.header.frame_id
    + _EMPTY_TEXT  # texture.format
    + _NO_ELEMENTS  # texture.data
    + _NO_ELEMENTS  # uv_coordinates
    + _EMPTY_TEXT  # text
    + _EMPTY_TEXT  # mesh_resource
    + _EMPTY_TEXT  # mesh_file.filename
    + _NO_ELEMENTS  # mesh_file.data
    + b'\x00'  # mesh_use_embedded_materials
)
_STAMP, _COUNT, _WHAT = struct.Struct('<iI'), struct.Struct('<I'), struct.Struct('<iii')
_BODY = struct.Struct('<10d4fiI?')  # pose, scale, color, lifetime, frame_locked
_POSE = np.dtype(  # of a path; its frame's name has five letters, which is why this has no gaps
    [
        ('sec', '<i4'),
        ('nanosec', '<u4'),
        ('length', '<u4'),
        ('frame', 'S12'),
        ('position', '<f8', 3),
        ('orientation', '<f8', 4),
    ]
)


class _Writer:
    """Bytes one after the other, each number where a multiple of its size is."""

    def __init__(self) -> None:
        self._parts = [_BEGIN]
        self._size = 0

    def add(self, alignment: int, data: bytes) -> None:
        gap = -self._size % alignment
        self._parts.append(bytes(gap) + data)
        self._size += gap + len(data)

    def text(self, text: str) -> None:
        data = text.encode() + b'\x00'
        self.add(4, _COUNT.pack(len(data)) + data)

    def array(self, array: np.ndarray, kind: str, size: int) -> None:
        """A sequence of rows of numbers of one kind and size in bytes."""
        self.add(4, _COUNT.pack(len(array)))
        if len(array):
            self.add(size, array.astype(kind, copy=False).tobytes())

    def written(self) -> bytes:
        return b''.join(self._parts)


def marker_bytes(shapes: Sequence[Shape], stamp: Time) -> bytes:
    """A ``visualization_msgs/MarkerArray`` of shapes, all of one time."""
    writer = _Writer()
    writer.add(4, _COUNT.pack(len(shapes)))
    time = _STAMP.pack(stamp.sec, stamp.nanosec)
    for shape in shapes:
        writer.add(4, time)
        writer.text(FRAME)
        writer.text(shape.name)
        writer.add(4, _WHAT.pack(shape.number, shape.kind, shape.action))
        where = (*shape.position, *shape.quaternion, *shape.scale, *shape.colour)
        writer.add(8, _BODY.pack(*where, 0, 0, False))
        writer.array(shape.points, '<f8', 8)
        writer.array(shape.colours, '<f4', 4)
        writer.add(4, _REST)
    return writer.written()


def path_bytes(places: np.ndarray, times: np.ndarray, stamp: Time) -> bytes:
    """A ``nav_msgs/Path`` through places, not turned.

    Args:
        places: [n, 3], in the world [m].
        times: [n], integers, when each is reached [ns].
        stamp: of the whole.
    """
    poses = np.zeros(len(places), _POSE)
    poses['sec'], poses['nanosec'] = times // 1_000_000_000, times % 1_000_000_000
    poses['length'], poses['frame'] = len(FRAME) + 1, FRAME.encode()
    poses['position'], poses['orientation'][:, 3] = places, 1.0
    writer = _Writer()
    writer.add(4, _STAMP.pack(stamp.sec, stamp.nanosec))
    writer.text(FRAME)
    writer.add(4, _COUNT.pack(len(poses)))
    writer.add(1, poses.tobytes())
    return writer.written()
