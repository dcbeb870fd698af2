"""From messages' bytes to transitions as arrays, many at once.

The transitions of one sender lie in their bytes all in the same way, so a block of them is a table,
and numpy takes out its columns in one go. That they do is checked, not assumed. What lies otherwise
is decoded one by one by ``mcap_ros2``, and so is every message with another schema or encoding.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import struct
from collections import defaultdict
from collections.abc import Iterable

import numpy as np
from mcap.records import Channel, Schema
from mcap.well_known import MessageEncoding, SchemaEncoding
from mcap_ros2.decoder import DecoderFactory

from mbrl_dynamics.bag_blocks import Block
from mbrl_dynamics.bag_schema import SCHEMA, SCHEMA_NAME, from_message
from mbrl_dynamics.transition import Transition
from mbrl_dynamics.transitions import Transitions

_Part = tuple[np.ndarray, Transitions]  # places in a block, and what lies there
_MOST_LAYOUTS = 64  # in a block; what lies in yet other ways is decoded one by one


class TransitionDecoder:
    """Takes the transitions out of the blocks of one file."""

    def __init__(self, schemas: dict[int, Schema], channels: dict[int, Channel]) -> None:
        """The file's schemas and channels by their numbers; more may be added later."""
        self._schemas = schemas
        self._channels = channels
        self._factory = DecoderFactory()

    def decode(self, block: Block) -> list[Transitions]:
        """All transitions in a block in their order, cut where their widths change.

        Raises:
            ValueError: if a message cannot be decoded.
        """
        parts, others = self._take_apart(block)
        return _in_order(parts + _arrays(others, [self._decode_one(block, i) for i in others]))

    def undecodable(self, block: Block) -> list[int]:
        """Places in the block of transitions whose bytes make no sense."""
        found = []
        for place in self._take_apart(block)[1]:
            try:
                self._decode_one(block, place)
            except ValueError:
                found.append(place)
        return found

    def _take_apart(self, block: Block) -> tuple[list[_Part], list[int]]:
        """What could be decoded at once, and the places of the transitions that could not."""
        numbers = block.channels()
        parts: list[_Part] = []
        others: list[int] = []
        for number in np.unique(numbers).tolist():
            schema = self._schema(number)
            if schema is None or schema.name != SCHEMA_NAME:
                continue
            places = np.flatnonzero(numbers == number)
            if (
                self._channels[number].message_encoding == MessageEncoding.CDR
                and schema.encoding == SchemaEncoding.ROS2
                and _fields(schema.data) == _fields(SCHEMA.encode())
            ):
                found, places = _columns(block, places)
                parts += found
            others += places.tolist()
        return parts, sorted(others)

    def _schema(self, number: int) -> Schema | None:
        channel = self._channels.get(number)
        return None if channel is None else self._schemas.get(channel.schema_id)

    def _decode_one(self, block: Block, place: int) -> Transition:
        channel = self._channels[block.header(place)[0]]
        schema = self._schemas[channel.schema_id]
        transition = None
        try:
            decode = self._factory.decoder_for(channel.message_encoding, schema)
            if decode is not None:
                transition = from_message(decode(block.message(place)))
        except Exception as error:  # whatever a damaged schema or message leads to
            raise ValueError(f'a message on {channel.topic} makes no sense: {error!r}') from error
        if transition is None:
            raise ValueError(f'{schema.encoding} and {channel.message_encoding} are not understood')
        if transition.sequence >= 2**63:
            raise ValueError(
                f'a message on {channel.topic} has the sequence number {transition.sequence}; '
                'it must be below 2**63'
            )
        return transition


@dataclasses.dataclass(frozen=True)
class _Layout:
    """How a sender's transitions lie in little-endian CDR: ``kind`` is that of a table's row."""

    kind: np.dtype
    first: np.ndarray  # one row
    robot: str

    @classmethod
    def of(cls, message: bytes) -> _Layout | None:
        """The layout of a message; None if it is none that is known here."""
        fields: list[tuple[str, object]] = [('encoding', '<u2'), ('options', '<u2')]
        offset = 4  # alignment counts from here

        def add(name: str, code: str, count: int | None = None) -> None:
            nonlocal offset
            size = np.dtype(code).itemsize
            padding = -(offset - 4) % size
            if padding:
                fields.append((f'before {name}', f'V{padding}'))
            fields.append((name, code if count is None else (code, (count,))))
            offset += padding + size * (1 if count is None else count)

        def add_counted(name: str, code: str) -> None:
            add(f'{name} length', '<u4')
            (count,) = struct.unpack_from('<I', message, offset - 4)
            if not 1 <= count <= len(message):
                raise struct.error
            add(name, code, count)

        try:
            for name in ('stamp', 'next_stamp'):
                add(f'{name} sec', '<i4')
                add(f'{name} nanosec', '<u4')
            add_counted('robot', '<u1')
            for name, code in {
                'session': '<u8',
                'sequence': '<u8',
                'episode': '<u4',
                'step': '<u4',
            }.items():
                add(name, code)
            for name in ('state', 'action', 'next_state'):
                add_counted(name, '<f8')
            add('reward', '<f8')
            add('terminated', '<u1')
            add('truncated', '<u1')
        except struct.error:
            return None
        if message[:2] != b'\0\1' or offset > len(message):
            return None
        if offset < len(message):
            fields.append(('after', f'V{len(message) - offset}'))
        kind = np.dtype(fields)
        first = np.frombuffer(message, kind)
        try:
            robot = first['robot'][0][:-1].tobytes().decode()
        except UnicodeDecodeError:
            return None
        return cls(kind, first, robot)

    def fits(self, rows: np.ndarray) -> np.ndarray:
        """Which rows have this layout and this name of the robot, and are within range; [N]."""
        same = rows['encoding'] == self.first['encoding']
        same &= rows['sequence'] < 2**63
        for name in ('robot length', 'state length', 'action length', 'next_state length'):
            same &= rows[name] == self.first[name]
        return np.asarray(same & (rows['robot'] == self.first['robot']).all(axis=1))

    def transitions(self, rows: np.ndarray) -> Transitions:
        """The rows' transitions."""
        sessions, sender = np.unique(rows['session'], return_inverse=True)
        return Transitions(
            senders=tuple((self.robot, session) for session in sessions.tolist()),
            sender=sender.astype(np.int64),
            **{
                name: rows[f'{name} sec'] * np.int64(10**9) + rows[f'{name} nanosec']
                for name in ('stamp', 'next_stamp')
            },
            **{name: rows[name].astype(np.int64) for name in ('sequence', 'episode', 'step')},
            **{
                name: np.ascontiguousarray(rows[name], dtype=np.float64)
                for name in ('state', 'action', 'next_state', 'reward')
            },
            **{name: rows[name] != 0 for name in ('terminated', 'truncated')},
        )


def _columns(block: Block, places: np.ndarray) -> tuple[list[_Part], np.ndarray]:
    """What could be decoded at once of a channel's messages, and the places of the others."""
    data = np.frombuffer(block.data, np.uint8)
    lengths = block.end - block.begin
    parts: list[_Part] = []
    others = []
    for _ in range(_MOST_LAYOUTS):
        if len(places) == 0:
            break
        alike = places[:1]  # at least the first is done with
        layout = _Layout.of(block.message(places[0]))
        if layout is None:
            others.append(alike)
        else:
            alike = places[lengths[places] == layout.kind.itemsize]
            windows = np.lib.stride_tricks.sliding_window_view(data, layout.kind.itemsize)
            rows = windows[block.begin[alike]].view(layout.kind)[:, 0]
            fits = layout.fits(rows)
            if fits.all():
                parts.append((alike, layout.transitions(rows)))
            elif fits[0]:
                alike = alike[fits]
                parts.append((alike, layout.transitions(rows[fits])))
            else:
                alike = alike[:1]
                others.append(alike)
        places = np.setdiff1d(places, alike, assume_unique=True)
    return parts, np.concatenate([*others, places])


def _arrays(places: list[int], transitions: list[Transition]) -> list[_Part]:
    """Single transitions as arrays, those of equal widths together."""
    groups = defaultdict(list)
    for place, each in zip(places, transitions):
        groups[each.state.size, each.action.size, each.next_state.size].append((place, each))
    return [
        (np.array([place for place, _ in group]), Transitions.from_list(each for _, each in group))
        for group in groups.values()
    ]


def _in_order(parts: list[_Part]) -> list[Transitions]:
    """One after the other, in the order of their places; cut where the widths change."""
    groups = defaultdict(list)
    for places, transitions in parts:
        groups[widths(transitions)].append((places, transitions))
    merged = []
    for group in groups.values():
        if len(group) == 1:
            merged.append(group[0])
            continue
        places = np.concatenate([each for each, _ in group])
        order = np.argsort(places)
        merged.append((places[order], Transitions.concatenate(each for _, each in group)[order]))
    if len(merged) <= 1:
        return [transitions for _, transitions in merged]
    places = np.concatenate([each for each, _ in merged])
    owners = np.repeat(np.arange(len(merged)), [len(each) for each, _ in merged])
    owners = owners[np.argsort(places)]
    cuts = [0, *(np.flatnonzero(np.diff(owners)) + 1).tolist(), len(owners)]
    taken = [0] * len(merged)
    ordered = []
    for begin, end in itertools.pairwise(cuts):
        owner = int(owners[begin])
        ordered.append(merged[owner][1][taken[owner] : taken[owner] + end - begin])
        taken[owner] += end - begin
    return ordered


def widths(transitions: Transitions) -> tuple[int, int, int]:
    """Widths of state, action and next state."""
    columns: Iterable[np.ndarray] = (
        transitions.state,
        transitions.action,
        transitions.next_state,
    )
    state, action, next_state = (column.shape[1] for column in columns)
    return state, action, next_state


@functools.lru_cache(maxsize=16)
def _fields(text: bytes) -> list[list[str]]:
    """The words of each line of a schema, without comments and what else changes no bytes."""
    lines = [line.split('#')[0].split() for line in text.decode(errors='replace').splitlines()]
    return [['='] if set(line[0]) == {'='} else line for line in lines if line]
