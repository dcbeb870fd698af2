"""Bags read into arrays, against the messages as ``mcap`` and ``mcap_ros2`` decode them."""

from __future__ import annotations

import contextlib
import dataclasses
import random
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcap.exceptions import McapError
from mcap.reader import NonSeekingReader, make_reader
from mcap.writer import CompressionType, Writer
from mcap_ros2.decoder import DecoderFactory

from mbrl_dynamics import bag_blocks
from mbrl_dynamics.bag import BagError, EpisodeBag, read, read_arrays, read_parts, repair
from mbrl_dynamics.bag_columns import TransitionDecoder, widths
from mbrl_dynamics.bag_schema import SCHEMA, SCHEMA_NAME, encode_cdr, from_message
from mbrl_dynamics.transition import Transition
from mbrl_dynamics.transitions import Transitions

Make = Callable[..., Transition]
ODD_NUMBERS = np.frombuffer(
    struct.pack('<6Q', 0x7FF8000000000123, 0x7FF0000000000000, 0xFFF0000000000000, 1 << 63, 1, 0)
)  # a NaN with something in it, both infinities, minus zero, the smallest number, zero


def read_slowly(path: Path) -> list[Transition]:
    """What others' readers find in a bag, up to where it is cut off."""
    found = []
    with path.open('rb') as file, contextlib.suppress(McapError, EOFError, struct.error):
        reader = NonSeekingReader(file, decoder_factories=[DecoderFactory()])
        for schema, _, _, message in reader.iter_decoded_messages(log_time_order=False):
            if schema is not None and schema.name == SCHEMA_NAME:
                found.append(from_message(message))
    return found


def assert_same_bits(ours: Sequence[Transition], theirs: Sequence[Transition]) -> None:
    assert len(ours) == len(theirs)
    for our, their in zip(ours, theirs):
        for field in dataclasses.fields(Transition):
            values = getattr(our, field.name), getattr(their, field.name)
            if isinstance(values[0], np.ndarray):
                values = values[0].tobytes(), values[1].tobytes()
            elif isinstance(values[0], float):
                values = struct.pack('<d', values[0]), struct.pack('<d', values[1])
            assert type(values[0]) is type(values[1])
            assert values[0] == values[1], field.name


def random_transitions(count: int, seed: int = 0, dims: tuple[int, int] = (5, 2)) -> list[Any]:
    """Of several senders, with numbers that are seldom seen."""
    generator = np.random.default_rng(seed)
    robots = ['/a/mpc_controller', '/b/mpc_controller', '', 'r', 'Zähler', '/robot']

    def vector(size: int) -> np.ndarray:
        values = generator.normal(size=size)
        odd = generator.random(size) < 0.1
        values[odd] = generator.choice(ODD_NUMBERS, size)[odd]
        return values

    return [
        Transition(
            stamp=int(generator.integers(2**60)) // 10**9,
            next_stamp=int(generator.integers(2**60)),
            robot=robots[generator.integers(len(robots))],
            session=int(generator.integers(3)) + 2**64 - 3,
            sequence=int(generator.integers(2**63)),
            episode=int(generator.integers(2**32)),
            step=int(generator.integers(2**32)),
            state=vector(dims[0]),
            action=vector(dims[1]),
            next_state=vector(dims[0]),
            reward=float(vector(1)[0]),
            terminated=bool(generator.integers(2)),
            truncated=bool(generator.integers(2)),
        )
        for _ in range(count)
    ]


def write_bag(
    path: Path,
    messages: Sequence[bytes],
    schema: str = SCHEMA,
    others: bool = False,
    **options: Any,
) -> Path:
    """A bag with these messages on two topics, and with strings among them if ``others``."""
    with path.open('wb') as file:
        writer = Writer(file, **({'compression': CompressionType.NONE} | options))
        writer.start(profile='ros2')
        text = writer.register_schema('std_msgs/msg/String', 'ros2msg', b'string data\n')
        chatter = writer.register_channel('/chatter', 'cdr', text)
        ours = writer.register_schema(SCHEMA_NAME, 'ros2msg', schema.encode())
        topics = [writer.register_channel(f'/{name}/transition', 'cdr', ours) for name in 'ab']
        for number, message in enumerate(messages):
            if others and number % 3 == 0:
                writer.add_message(chatter, number, b'\0\1\0\0\2\0\0\0a\0', number)
            writer.add_message(topics[number % 2], 10**6 - number, message, number)
        writer.finish()
    return path


def whole(parts: Sequence[Transitions]) -> list[Transition]:
    return [transition for part in parts for transition in part]


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be decoded one by one."""

    def refuse(*_: Any) -> None:
        raise AssertionError('decoded one by one')

    monkeypatch.setattr(TransitionDecoder, '_decode_one', refuse)


@pytest.mark.parametrize(
    'options',
    [
        {'use_chunking': False},
        {'chunk_size': 1000},
        {},
        {'compression': CompressionType.LZ4, 'chunk_size': 20_000},
        {'compression': CompressionType.ZSTD, 'chunk_size': 20_000},
        {'enable_crcs': False},
    ],
    ids=str,
)
def test_every_bit_is_as_others_read_it(tmp_path: Path, options: dict[str, Any]) -> None:
    transitions = random_transitions(500)
    path = write_bag(
        tmp_path / 'a.mcap', [encode_cdr(each) for each in transitions], others=True, **options
    )
    expected = read_slowly(path)
    assert_same_bits(expected, transitions)
    assert_same_bits(list(read_arrays(path)), expected)
    assert_same_bits(list(read(path)), expected)


@pytest.mark.usefixtures('at_once')
def test_senders_and_other_topics_between_are_no_reason_to_be_slow(tmp_path: Path) -> None:
    transitions = random_transitions(300)
    messages = [encode_cdr(each) for each in transitions]
    found = read_arrays(write_bag(tmp_path / 'a.mcap', messages, others=True))
    assert_same_bits(list(found), transitions)
    assert len(found.senders) == len(set(found.senders)) == 18


def test_more_senders_than_can_be_told_apart_at_once_are_read_as_well(tmp_path: Path) -> None:
    transitions = [
        dataclasses.replace(each, robot=f'/robot_{number % 200}')
        for number, each in enumerate(random_transitions(450))
    ]
    path = write_bag(tmp_path / 'a.mcap', [encode_cdr(each) for each in transitions])
    assert_same_bits(list(read_arrays(path)), transitions)


def test_widths_may_change_within_a_bag_but_not_within_arrays(tmp_path: Path) -> None:
    transitions = random_transitions(60) + random_transitions(1, 1, (3, 1))
    transitions += random_transitions(30, 2) + random_transitions(40, 3, (2, 2))
    path = write_bag(tmp_path / 'a.mcap', [encode_cdr(each) for each in transitions])
    parts = list(read_parts(path))
    assert [(len(part), widths(part)) for part in parts] == [
        (60, (5, 2, 5)),
        (1, (3, 1, 3)),
        (30, (5, 2, 5)),
        (40, (2, 2, 2)),
    ]
    assert_same_bits(whole(parts), read_slowly(path))
    with pytest.raises(BagError, match=r'a\.mcap: its transitions must all have the same widths'):
        read_arrays(path)


@pytest.mark.parametrize('window', [64, 1000, 1 << 24])
def test_cut_off_at_any_byte_it_gives_what_others_find_up_to_there(
    tmp_path: Path, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bag_blocks, '_WINDOW', window)
    bag = EpisodeBag(tmp_path, 0)
    for transition in random_transitions(12):
        bag.write(transition)
    content = bag.path.read_bytes()
    path = tmp_path / 'cut.mcap'
    lengths = []
    for length in [*range(0, len(content), 11), len(content)]:
        path.write_bytes(content[:length])
        expected = read_slowly(path)
        assert_same_bits(whole(list(read_parts(path))), expected)
        lengths.append(len(expected))
    assert set(lengths) == set(range(13))


def test_cut_off_within_a_compressed_chunk_it_gives_the_chunks_before(tmp_path: Path) -> None:
    messages = [encode_cdr(each) for each in random_transitions(200)]
    options = {'compression': CompressionType.ZSTD, 'chunk_size': 5000}
    content = write_bag(tmp_path / 'a.mcap', messages, **options).read_bytes()
    path = tmp_path / 'cut.mcap'
    found = set()
    for length in range(2000, len(content) - 2000, 997):
        path.write_bytes(content[:length])
        expected = read_slowly(path)
        assert_same_bits(list(read_arrays(path)), expected)
        found.add(len(expected))
    assert len(found) > 5


@pytest.mark.usefixtures('at_once')
@pytest.mark.parametrize('robot', ['a' * length for length in range(1, 18)])
def test_names_of_any_length_shift_what_follows_rightly(tmp_path: Path, robot: str) -> None:
    transitions = [dataclasses.replace(each, robot=robot) for each in random_transitions(5)]
    path = write_bag(tmp_path / 'a.mcap', [encode_cdr(each) for each in transitions])
    assert_same_bits(list(read_arrays(path)), transitions)


@pytest.mark.usefixtures('at_once')
def test_the_schema_as_ros2_bag_record_writes_it_is_understood_at_once(tmp_path: Path) -> None:
    message, separator, time = SCHEMA.partition('=' * 80)
    text = (
        message.replace('   ', ' ')
        + separator
        + time.replace('int32 sec\n', '# This message ...\n\n# The seconds\nint32 sec\n\n').replace(
            'uint32', '# and more\nuint32'
        )
    )
    assert text != SCHEMA
    transitions = random_transitions(50)
    path = write_bag(tmp_path / 'a.mcap', [encode_cdr(each) for each in transitions], text)
    assert_same_bits(list(read_arrays(path)), transitions)


def test_messages_with_fields_at_other_places_are_read_one_by_one(tmp_path: Path) -> None:
    stamp, next_stamp = 'builtin_interfaces/Time stamp ', 'builtin_interfaces/Time next_stamp '
    swapped = (
        SCHEMA.replace(stamp, 'X').replace(next_stamp, stamp).replace('X', next_stamp)
    )  # the same bytes, and another meaning
    transitions = random_transitions(50)
    path = write_bag(tmp_path / 'a.mcap', [encode_cdr(each) for each in transitions], swapped)
    found = list(read_arrays(path))
    assert_same_bits(found, read_slowly(path))
    assert found[3].stamp == transitions[3].next_stamp


def big_endian(transition: Transition) -> bytes:
    """The transition in big-endian CDR."""
    out = bytearray()

    def put(code: str, *values: Any) -> None:
        out.extend(b'\0' * (-len(out) % struct.calcsize(code)))
        out.extend(struct.pack(f'>{len(values)}{code}', *values))

    for stamp in (transition.stamp, transition.next_stamp):
        put('i', stamp // 10**9)
        put('I', stamp % 10**9)
    name = transition.robot.encode() + b'\0'
    put('I', len(name))
    out.extend(name)
    put('Q', transition.session, transition.sequence)
    put('I', transition.episode, transition.step)
    for values in (transition.state, transition.action, transition.next_state):
        put('I', len(values))
        put('d', *values)
    put('d', transition.reward)
    put('?', transition.terminated, transition.truncated)
    return b'\0\0\0\0' + bytes(out)


def test_big_endian_messages_and_padded_ones_are_read_among_the_others(tmp_path: Path) -> None:
    transitions = random_transitions(90)
    messages = [encode_cdr(each) for each in transitions]
    messages[::3] = [big_endian(each) for each in transitions[::3]]
    messages[1::3] = [message + b'\0' * (len(message) % 4) for message in messages[1::3]]
    path = write_bag(tmp_path / 'a.mcap', messages)
    assert_same_bits(list(read_arrays(path)), transitions)
    assert_same_bits(read_slowly(path), transitions)


@pytest.mark.parametrize(
    'compression', [CompressionType.NONE, CompressionType.LZ4, CompressionType.ZSTD]
)
def test_damage_in_a_finished_bag_is_an_error_that_names_it(
    tmp_path: Path, compression: CompressionType
) -> None:
    messages = [encode_cdr(each) for each in random_transitions(100)]
    path = write_bag(tmp_path / 'a.mcap', messages, compression=compression)
    content = path.read_bytes()
    with path.open('rb') as file:
        (chunk,) = make_reader(file).get_summary().chunk_indexes  # type: ignore[union-attr]
    end = chunk.chunk_start_offset + chunk.chunk_length
    for place in range(end - chunk.compressed_size, end, 1237):
        damaged = bytearray(content)
        damaged[place] ^= 0x10
        path.write_bytes(bytes(damaged))
        with pytest.raises(BagError, match=r'a\.mcap: cannot be read as a bag of transitions'):
            read_arrays(path)


def test_a_message_that_is_too_short_is_an_error_that_names_the_bag(tmp_path: Path) -> None:
    messages = [encode_cdr(each) for each in random_transitions(10)]
    messages[5] = messages[5][:100]
    path = write_bag(tmp_path / 'a.mcap', messages)
    with pytest.raises(BagError, match=r'a\.mcap: cannot be read'):
        read_arrays(path)


def test_a_length_beyond_the_message_is_an_error_and_takes_no_memory(tmp_path: Path) -> None:
    transition = dataclasses.replace(random_transitions(1)[0], robot='r')
    message = bytearray(encode_cdr(transition))
    place = message.index(struct.pack('<I', 5))
    message[place : place + 4] = b'\xff' * 4
    path = write_bag(tmp_path / 'a.mcap', [bytes(message)])
    with pytest.raises(BagError):
        read_arrays(path)


@pytest.mark.parametrize('encode', [encode_cdr, big_endian])
def test_a_sequence_number_that_is_too_large_is_refused(
    tmp_path: Path, encode: Callable[[Transition], bytes]
) -> None:
    transitions = random_transitions(10)
    transitions[7] = dataclasses.replace(transitions[7], sequence=2**63)
    path = write_bag(tmp_path / 'a.mcap', [encode(each) for each in transitions])
    with pytest.raises(BagError, match=r'9223372036854775808; it must be below 2\*\*63'):
        read_arrays(path)


def test_an_encoding_that_nobody_here_knows_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / 'a.mcap'
    with path.open('wb') as file:
        writer = Writer(file)
        writer.start(profile='ros2')
        schema = writer.register_schema(SCHEMA_NAME, 'ros2idl', b'module mbrl_msgs {}')
        channel = writer.register_channel('/transition', 'cdr', schema)
        writer.add_message(channel, 0, encode_cdr(random_transitions(1)[0]), 0)
        writer.finish()
    with pytest.raises(BagError, match='ros2idl and cdr are not understood'):
        read_arrays(path)


def test_a_bag_without_transitions_has_none(tmp_path: Path) -> None:
    assert len(read_arrays(write_bag(tmp_path / 'a.mcap', []))) == 0


def damaged(content: bytes, chance: random.Random) -> bytes:
    """A few bits turned, bytes gone or replaced, or the end cut off."""
    result = bytearray(content)
    for _ in range(chance.choice([1, 1, 3])):
        place, length = chance.randrange(len(result)), chance.randrange(1, 60)
        kind = chance.randrange(4)
        if kind == 0:
            result[place] ^= 1 << chance.randrange(8)
        elif kind == 1:
            result[place : place + length] = chance.randbytes(length)
        elif kind == 2:
            del result[place : place + length]
        else:
            del result[max(place, 1) :]
    return bytes(result)


@pytest.mark.parametrize('finished', [True, False])
def test_whatever_the_damage_reading_says_so_and_mending_leaves_a_bag_that_is_read(
    tmp_path: Path, finished: bool
) -> None:
    bag = EpisodeBag(tmp_path, 0)
    for transition in random_transitions(12):
        bag.write(transition)
    if finished:
        bag.finish()
    content = bag.path.read_bytes()
    footer = len(content) - 28
    path = tmp_path / 'damaged.mcap'
    chance = random.Random(0)
    cases = [damaged(content, chance) for _ in range(200)]
    cases.append(content[:footer] + b'\xff' * 20 + content[footer + 20 :])  # points to nowhere
    cases.append(content.replace(b'uint32 step', b'uint32 \xe9\xff=p'))
    for case in cases:
        path.write_bytes(case)
        with contextlib.suppress(BagError):
            read_arrays(path)
        if repair(path):
            list(read_parts(path))  # a damaged length may make widths differ


def test_mending_drops_a_number_out_of_range_and_keeps_the_rest(tmp_path: Path) -> None:
    bag = EpisodeBag(tmp_path, 0)
    transitions = random_transitions(10)
    bag.write(dataclasses.replace(transitions[0], sequence=2**64 - 1))
    for transition in transitions:
        bag.write(transition)
    assert repair(bag.path)
    assert_same_bits(list(read_arrays(bag.path)), transitions)
    assert len(list(tmp_path.glob('*.damaged'))) == 1
