"""How large a dataset may become: memory, loading, sampling, sharing, up to a million transitions.

For each size, bags of that many transitions are recorded as the node does it, and a new process
starts a learner on them. Measured are the start, the memory, an ``add`` while another process reads
everything there is, what it takes to hand the data to a training process (beside copying and
pickling it, which the handle saves), and random batches. In the same run, on the same files:
``mcap_ros2``'s decoder, which reads messages one by one.

    python benchmarks/dataset_scale.py --sizes 10000 100000 1000000

Prints, and writes one row per size to benchmarks/results/dataset_scale.csv. A million transitions
of 50 numbers take 0.6 GB of disk while it runs, and some two minutes.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import pickle
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory

from mbrl_common.settings import build
from mbrl_dynamics.bag import bags, read_arrays
from mbrl_dynamics.learner import Learner
from mbrl_dynamics.recorder import Recorder
from mbrl_dynamics.settings import DynamicsSettings
from mbrl_dynamics.shared import SharedTransitions
from mbrl_dynamics.transition import Transition

RESULTS = Path(__file__).parent / 'results' / 'dataset_scale.csv'
PEER_TRANSITIONS = 20_000  # read by the other decoder, which is slow
ADDED = 5000  # while another process reads
REPEATS = 3  # of reading
BATCH = (5, 256)  # members, rows


def settings(state_dim: int, action_dim: int) -> DynamicsSettings:
    """Of a task of these widths."""
    return build(
        DynamicsSettings,
        {
            'task.name': 'scale',
            'task.state': [f'joint_{i}.position' for i in range(state_dim)],
            'task.angles': [],
            'task.action': [f'motor_{i}' for i in range(action_dim)],
            'task.action_low': [-1.0] * action_dim,
            'task.action_high': [1.0] * action_dim,
            'task.control_period': 0.02,
            'task.max_steps': 1000,
        },
    )


def transitions(first: int, count: int, steps: int, dims: tuple[int, int]) -> Iterator[Transition]:
    """Random ones, in episodes of ``steps``."""
    generator = np.random.default_rng(first)
    for number in range(first, first + count):
        yield Transition(
            stamp=number * 20_000_000,
            next_stamp=(number + 1) * 20_000_000,
            robot='/mpc_controller',
            session=1,
            sequence=number,
            episode=number // steps,
            step=number % steps,
            state=generator.normal(size=dims[0]),
            action=generator.normal(size=dims[1]),
            next_state=generator.normal(size=dims[0]),
            reward=0.0,
            terminated=False,
            truncated=number % steps == steps - 1,
        )


def record(folder: Path, size: int, steps: int, dims: tuple[int, int]) -> float:
    """Record ``size`` transitions; returns how many per second."""
    recorder = Recorder(folder)
    spent = 0.0
    for number, transition in enumerate(transitions(0, size, steps, dims)):
        began = time.perf_counter()
        recorder.write(transition)
        if transition.truncated:
            recorder.wait_for_disk()  # finishing the bag counts, too
        spent += time.perf_counter() - began
        if number % 50_000 == 0:
            print(f'  recording: {number} of {size}', flush=True)
    recorder.close()
    return size / spent


def memory(kind: str) -> float:
    """Memory of this process [MB]: ``VmRSS`` all that is resident, ``RssAnon`` its own."""
    found = re.search(rf'{kind}:\s+(\d+)', Path('/proc/self/status').read_text())
    assert found is not None
    return round(int(found[1]) / 1024, 1)


def seconds(action: Any, repeats: int = 1) -> float:
    """Median time of an action."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def read_all(folder: Path) -> float:
    """Transitions per second that are read into arrays."""
    began = time.perf_counter()
    count = sum(len(read_arrays(path)) for path in bags(folder))
    return count / (time.perf_counter() - began)


def read_by_peer(folder: Path) -> float:
    """Transitions per second of ``mcap_ros2``."""
    count, began = 0, time.perf_counter()
    for path in bags(folder):
        with path.open('rb') as file:
            reader = make_reader(file, decoder_factories=[DecoderFactory()])
            count += sum(1 for _ in reader.iter_decoded_messages(log_time_order=False))
        if count >= PEER_TRANSITIONS:
            break
    return count / (time.perf_counter() - began)


def measure_here(folder: Path, steps: int, dims: tuple[int, int]) -> dict[str, Any]:
    """Everything that is measured in a process of its own, which holds nothing else."""
    of_task = settings(*dims)
    row: dict[str, Any] = {'rss_before_mb': memory('VmRSS'), 'own_before_mb': memory('RssAnon')}
    began = time.perf_counter()
    learner = Learner(of_task, folder)
    size = learner.dataset_size
    row['start_per_s'] = round(size / (time.perf_counter() - began))
    row |= {'rss_mb': memory('VmRSS'), 'own_mb': memory('RssAnon')}
    shared = learner.job().data
    assert isinstance(shared, SharedTransitions)
    table = os.stat(f'/proc/{shared.pid}/fd/{shared.descriptor}')  # noqa: PTH116
    row['table_mb'] = round(table.st_blocks * 512 / 2**20, 1)
    row['share_us'] = round(seconds(lambda: pickle.dumps(learner.job()), 101) * 1e6, 1)

    command = [sys.executable, __file__, '--reader']
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as reader:
        assert reader.stdin is not None and reader.stdout is not None
        reader.stdout.readline()  # it is there
        reader.stdin.write(pickle.dumps(shared))
        reader.stdin.close()
        times = []
        for number, transition in enumerate(transitions(size, ADDED, steps, dims)):
            began = time.perf_counter()
            learner.add(transition)
            if number % 1000 == 0:
                learner.job()
            times.append((time.perf_counter() - began) * 1e6)
        row |= json.loads(reader.stdout.readline())
    for name, share in (('p50', 50), ('p99', 99), ('max', 100)):
        row[f'add_us_{name}'] = round(float(np.percentile(times, share)), 1)

    loaded = shared.load()
    generator = np.random.default_rng(0)

    def draw() -> None:
        rows = generator.integers(size, size=BATCH)
        for column in (loaded.state, loaded.action, loaded.next_state):
            column[rows]

    row['batch_us'] = round(seconds(draw, 1001) * 1e6, 1)

    def send() -> None:
        columns = (loaded.state, loaded.action, loaded.next_state)
        pickle.dumps([np.array(column) for column in columns])

    row['copy_and_pickle_ms'] = round(seconds(send) * 1e3, 1)
    return row


def read_elsewhere() -> dict[str, float]:
    """As the training process: load what is shared, and make arrays of one's own of it."""
    shared = pickle.load(sys.stdin.buffer)
    began = time.perf_counter()
    loaded = shared.load()
    row = {'other_load_us': round((time.perf_counter() - began) * 1e6, 1)}
    began = time.perf_counter()
    for column in (loaded.state, loaded.action, loaded.next_state):
        np.ascontiguousarray(column)
    return row | {'other_copy_ms': round((time.perf_counter() - began) * 1e3, 1)}


def measure(folder: Path, size: int, steps: int, dims: tuple[int, int]) -> dict[str, Any]:
    """The row of results for one size."""
    row: dict[str, Any] = {
        'transitions': size,
        'numbers': 2 * dims[0] + dims[1],
        'steps_per_bag': steps,
        'record_per_s': round(record(folder / 'data', size, steps, dims)),
    }
    print('  reading', flush=True)
    # In turns, and the best of each: others may use the machine as well.
    rates = [(read_all(folder / 'data'), read_by_peer(folder / 'data')) for _ in range(REPEATS)]
    row['read_per_s'], row['mcap_ros2_per_s'] = (round(max(each)) for each in zip(*rates))
    row['ratio'] = round(row['read_per_s'] / row['mcap_ros2_per_s'], 1)
    print('  starting a learner', flush=True)
    arguments = [str(folder), str(steps), *map(str, dims)]
    command = [sys.executable, __file__, '--here', *arguments]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    row |= json.loads(output.splitlines()[-1])
    return row | {
        'cpu': platform.processor() or platform.machine(),
        'cores': os.cpu_count(),
        'load': round(os.getloadavg()[0], 2),
    }


def main() -> None:
    """Measure, print, and append to the results."""
    description = __doc__.split('\n\n', 1)[0] if __doc__ else ''
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        '--sizes', type=int, nargs='+', default=[10_000, 100_000, 1_000_000], help='transitions'
    )
    parser.add_argument('--state-dim', type=int, default=22, help='numbers in a state')
    parser.add_argument('--action-dim', type=int, default=6, help='numbers in an action')
    parser.add_argument('--steps', type=int, default=1000, help='steps of an episode, and a bag')
    parser.add_argument('--folder', help='where to record; default: the folder for temporary files')
    parser.add_argument('--csv', type=Path, default=RESULTS, help='where to append the results')
    parser.add_argument('--here', nargs=4, help=argparse.SUPPRESS)
    parser.add_argument('--reader', action='store_true', help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.reader:
        print('ready', flush=True)
        print(json.dumps(read_elsewhere()), flush=True)
        return
    if arguments.here:
        folder, *numbers = arguments.here
        steps, state_dim, action_dim = map(int, numbers)
        print(json.dumps(measure_here(Path(folder), steps, (state_dim, action_dim))))
        return
    for size in arguments.sizes:
        print(f'{size} transitions', flush=True)
        with tempfile.TemporaryDirectory(dir=arguments.folder, prefix='mbrl_scale_') as folder:
            dims = arguments.state_dim, arguments.action_dim
            row = measure(Path(folder), size, arguments.steps, dims)
        print(', '.join(f'{key} {value}' for key, value in row.items()), flush=True)
        arguments.csv.parent.mkdir(parents=True, exist_ok=True)
        new = not arguments.csv.exists()
        with arguments.csv.open('a', newline='') as file:
            writer = csv.DictWriter(file, row)
            if new:
                writer.writeheader()
            writer.writerow(row)


if __name__ == '__main__':
    main()
