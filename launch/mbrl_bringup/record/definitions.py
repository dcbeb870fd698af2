"""What a message type looks like, as bags say it: its definition and those of all it is made of."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from ament_index_python import PackageNotFoundError, get_package_share_directory

_FIELD = re.compile(r'^\s*([A-Za-z][\w/]*)(?:<=\d+)?(?:\[.*?\])?\s+[A-Za-z]\w*')
_SEPARATOR = '=' * 80
_PRIMITIVES = frozenset(
    [
        'bool',
        'byte',
        'char',
        'float32',
        'float64',
        'int8',
        'uint8',
        'int16',
        'uint16',
        'int32',
        'uint32',
        'int64',
        'uint64',
        'string',
        'wstring',
    ]
)


class UnknownType(LookupError):
    """There is no definition of a type on this machine."""


@functools.cache
def definition_of(kind: str) -> str:
    """The definition in the form ``ros2msg``, as rosbag2 writes it into MCAP.

    Args:
        kind: as 'sensor_msgs/msg/JointState'.

    Raises:
        UnknownType: if it, or a type within it, has no file here.
    """
    parts: dict[str, str] = {}
    waiting = [kind]
    while waiting:
        each = waiting.pop(0)
        if each in parts:
            continue
        parts[each] = _text_of(each)
        waiting += _types_in(parts[each], each.split('/')[0])
    own, *others = parts
    return '\n'.join(
        [
            parts[own],
            *(f'{_SEPARATOR}\nMSG: {_short(each)}\n{parts[each]}' for each in others),
        ]
    )


def _text_of(kind: str) -> str:
    package, _, name = kind.partition('/')
    try:
        return (Path(get_package_share_directory(package)) / f'{name}.msg').read_text()
    except (PackageNotFoundError, OSError) as error:
        raise UnknownType(f'there is no definition of {kind} here') from error


def _types_in(text: str, package: str) -> list[str]:
    found = []
    for line in text.splitlines():
        match = _FIELD.match(line.partition('#')[0])
        if match is None or match[1] in _PRIMITIVES:
            continue
        parts = match[1].split('/')
        found.append(f'{parts[0] if len(parts) > 1 else package}/msg/{parts[-1]}')
    return found


def _short(kind: str) -> str:
    """'sensor_msgs/JointState', as types are called within definitions."""
    package, _, name = kind.split('/')
    return f'{package}/{name}'
