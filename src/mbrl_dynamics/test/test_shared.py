"""Transitions that another process reads in this one's memory."""

from __future__ import annotations

import gc
import hashlib
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from mbrl_dynamics.dataset import Dataset
from mbrl_dynamics.shared import SEGMENT, SharedMemoryError, SharedTransitions, row_type
from mbrl_dynamics.transition import Transition
from mbrl_dynamics.transitions import Transitions

READER = """
import hashlib, pickle, sys
loaded = pickle.load(sys.stdin.buffer).load()
for _ in sys.stdin.buffer:
    digest = hashlib.sha256(repr(loaded.senders).encode())
    for name, column in sorted(vars(loaded).items()):
        if name != 'senders':
            digest.update(column.tobytes())
    print(digest.hexdigest(), flush=True)
"""


class Reader:
    """Another process, which reads what a handle points to."""

    def __init__(self, shared: SharedTransitions) -> None:
        self.process = subprocess.Popen(
            [sys.executable, '-c', READER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdin is not None
        self.process.stdin.write(pickle.dumps(shared))
        self.process.stdin.flush()

    def digest(self) -> str:
        """What it sees in the columns that it loaded once."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(b'\n')
        self.process.stdin.flush()
        return self.process.stdout.readline().decode().strip()


@pytest.fixture
def read_elsewhere() -> Iterator[Callable[[SharedTransitions], Reader]]:
    """Starts a process that loads a handle."""
    readers: list[Reader] = []

    def start(shared: SharedTransitions) -> Reader:
        readers.append(Reader(shared))
        return readers[-1]

    yield start
    for reader in readers:
        reader.process.kill()
        reader.process.communicate()


def expected_digest(transitions: Transitions) -> str:
    digest = hashlib.sha256(repr(transitions.senders).encode())
    for name, column in sorted(vars(transitions).items()):
        if name != 'senders':
            digest.update(column.tobytes())
    return digest.hexdigest()


@pytest.fixture
def transitions() -> Transitions:
    """More than two segments of random ones."""
    generator = np.random.default_rng(0)
    count = 2 * SEGMENT + 100
    return Transitions.from_arrays(
        generator.normal(size=(count, 22)),
        generator.normal(size=(count, 6)),
        generator.normal(size=(count, 22)),
        reward=generator.normal(size=count),
        terminated=generator.random(count) < 0.1,
        episode=np.arange(count) // 100,
        senders=(('/a', 2**64 - 1), ('/b', 0)),
        sender=np.arange(count) % 2,
    )


def test_another_process_reads_the_very_bits_and_sees_no_change_while_more_are_added(
    transitions: Transitions, read_elsewhere: Callable[[SharedTransitions], Reader]
) -> None:
    dataset = Dataset(22, 6)
    dataset.extend(transitions[:10_001])
    reader = read_elsewhere(dataset.share())
    expected = expected_digest(transitions[:10_001])
    assert reader.digest() == expected
    dataset.extend(transitions)
    for transition in transitions[:300]:
        dataset.add(transition)
    assert reader.digest() == expected
    again = read_elsewhere(dataset.share())
    everything = Transitions.concatenate([transitions[:10_001], transitions, transitions[:300]])
    assert again.digest() == expected_digest(everything)


def test_a_handle_is_small_and_the_same_process_may_load_it_too(transitions: Transitions) -> None:
    dataset = Dataset(22, 6)
    dataset.extend(transitions)
    shared = dataset.share()
    assert len(pickle.dumps(shared)) < 500
    assert len(shared) == len(transitions)
    assert expected_digest(shared.load()) == expected_digest(transitions)


def test_what_was_loaded_cannot_be_changed_and_outlives_the_dataset(
    transitions: Transitions,
) -> None:
    dataset = Dataset(22, 6)
    dataset.extend(transitions)
    loaded = dataset.share().load()
    with pytest.raises(ValueError, match='read-only'):
        loaded.state[0, 0] = 1.0
    del dataset
    gc.collect()
    assert expected_digest(loaded) == expected_digest(transitions)


def own_memory() -> int:
    """Bytes that this process shares with none."""
    status = Path('/proc/self/status').read_text()
    return 1024 * int(re.search(r'RssAnon:\s+(\d+)', status)[1])  # type: ignore[index]


def test_loading_takes_no_memory_of_its_own(transitions: Transitions) -> None:
    dataset = Dataset(22, 6)
    for _ in range(3):
        dataset.extend(transitions)
    before = own_memory()
    loaded = [dataset.share().load() for _ in range(5)]
    seen = sum(float(each.state[i].sum()) for each in loaded for i in range(len(each)))
    assert np.isfinite(seen)
    size = len(dataset) * row_type(22, 6).itemsize
    assert own_memory() - before < size / 4  # of five times 23 MB


def test_a_dataset_that_is_gone_is_an_error_that_says_so(transitions: Transitions) -> None:
    dataset = Dataset(22, 6)
    dataset.extend(transitions)
    shared = dataset.share()
    del dataset
    gc.collect()
    others = [os.open('/dev/null', os.O_RDONLY) for _ in range(20)]  # the number is used again
    try:
        with pytest.raises(SharedMemoryError, match=f'dataset of process {os.getpid()} cannot'):
            shared.load()
    finally:
        for other in others:
            os.close(other)


def test_a_process_that_is_gone_is_an_error_that_says_so() -> None:
    code = (
        'import pickle, sys\n'
        'from mbrl_dynamics.dataset import Dataset\n'
        'from mbrl_dynamics.transitions import Transitions\n'
        'import numpy as np\n'
        'dataset = Dataset(1, 1)\n'
        'dataset.extend(Transitions.from_arrays(*[np.zeros((3, 1))] * 3))\n'
        'sys.stdout.buffer.write(pickle.dumps(dataset.share()))\n'
    )
    done = subprocess.run([sys.executable, '-c', code], stdout=subprocess.PIPE, check=True)
    with pytest.raises(SharedMemoryError, match='cannot be read'):
        pickle.loads(done.stdout).load()


def test_none_are_loaded_from_an_empty_dataset() -> None:
    loaded = Dataset(3, 2).share().load()
    assert loaded.state.shape == (0, 3) and loaded.action.shape == (0, 2)


def test_every_field_is_a_column_and_rows_fill_whole_pages(
    make_transition: Callable[..., Transition],
) -> None:
    for dims in ((1, 1), (4, 1), (22, 6), (43, 17)):
        kind = row_type(*dims)
        assert kind.names == tuple(name for name in vars(Transitions.empty(*dims)) if name
                                   != 'senders')  # fmt: skip
        assert SEGMENT * kind.itemsize % 65536 == 0
