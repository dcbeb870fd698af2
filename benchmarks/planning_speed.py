"""How fast plans are made, beside mbrl-lib 0.2.0 and pytorch-mppi 0.9.1, and beside bare products.

The peers need an environment of their own, with a torch like ours:

    python3.11 -m venv peer
    peer/bin/pip install torch==2.13.0 numpy scipy gymnasium omegaconf hydra-core tqdm termcolor \\
        imageio matplotlib pytorch-seed
    peer/bin/pip install --no-deps mbrl==0.2.0 pytorch-mppi==0.9.1 arm-pytorch-utilities==0.5.0
    python benchmarks/planning_speed.py --peer-python peer/bin/python

Suites (``planning_plans`` has the sizes):

- ``reference``: PETS's CEM, 500 candidates x 5 x 30 steps, 20 particles, five members of 4x200:
  ours in fp32 and bf16 on one and two threads; mbrl-lib as it comes, and with glibc's malloc and
  torch's fp32 products tuned from outside, on two.
- ``latency``: PDDM's plan and the demo's, ours alone: median and 99th percentile of many plans.
- ``training``: the same while the demo's model is being trained in a process beside.
- ``mppi``: 1000 candidates x 20 steps in the same ensemble, ours and pytorch-mppi, likewise tuned.

All plan in the same networks (the mean return of doing nothing must agree), in processes of their
own, in turns. The ceiling is that of products alone, of the same shapes, with the best of several
layouts, measured in the same process as ours just before its plans. A measurement during which
others took more than a tenth of the machine is made again.

Appends a row per contender and repetition to benchmarks/results/planning_speed.csv. Prints medians:
time per plan, GFLOP/s, share of the ceiling of as many threads, and how often ours fits into a
peer's time in the same repetition. ``--quick`` is for seeing that it works.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from csv_rows import append, cpu_name
from endless_training import endless_training
from planning_plans import DEMO, MPPI_MEAN, MPPI_ONE, PDDM, REFERENCE, REFERENCE_SMALL, Plan
from quiet import quietly

from mbrl_common.settings import SettingsError

RESULTS = Path(__file__).parent / 'results' / 'planning_speed.csv'
TUNED = {
    'TUNED': '1',
    'MALLOC_MMAP_THRESHOLD_': '1073741824',
    'MALLOC_TRIM_THRESHOLD_': '4294967296',
    'MALLOC_TOP_PAD_': '268435456',
}
PEER_THREADS = 2
OURS = {  # name: threads, precision
    f'ours, {precision}, {threads} thread{"s" * (threads > 1)}': (threads, precision)
    for threads, precision in itertools.product((1, 2), ('fp32', 'bf16'))
}
SUITES: dict[str, tuple[Plan, ...]] = {
    'reference': (REFERENCE, REFERENCE_SMALL),
    'latency': (PDDM, DEMO),
    'training': (PDDM, DEMO),
    'mppi': (MPPI_MEAN, MPPI_ONE),
}
PEER_NAMES = {'reference': 'mbrl-lib', 'mppi': 'pytorch-mppi'}
PLANS = {'reference': 1, 'latency': 200, 'training': 200, 'mppi': 20}  # of a measurement
TOLERANCE = 0.05  # of the mean return of doing nothing, which is drawn


class Contender:
    """A script that answers requests, in a process that lives as long as the benchmark."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer; ends the benchmark if there is none."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + '\n')
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith('{'):  # else: what a library says when it is imported
                answer: dict[str, Any] = json.loads(line)
                return answer
        raise SystemExit(f'a contender ended; what it says is above: {self._process.args!r}')

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def start(suite: str, peer_python: Path | None) -> dict[str, Contender]:
    """The contenders of a suite, by name."""
    here = Path(__file__).parent
    contenders = {}
    for name, (threads, precision) in OURS.items():
        script = str(here / 'planning_speed_ours.py')
        command = [sys.executable, script, str(threads), precision]
        contenders[name] = Contender(command, dict(os.environ))
    if peer_python is not None and suite in PEER_NAMES:
        without = ('PYTHONPATH', 'AMENT_PREFIX_PATH')
        environment = {k: v for k, v in os.environ.items() if k not in without}
        script = str(here / 'planning_speed_peer.py')
        command = [str(peer_python), '-W', 'ignore', script, str(PEER_THREADS)]
        contenders[PEER_NAMES[suite]] = Contender(command, environment)
        contenders[f'{PEER_NAMES[suite]} tuned'] = Contender(command, environment | TUNED)
    return contenders


def request_of(plan: Plan, folder: Path) -> dict[str, Any]:
    """All that a peer must know of a plan; writes the weights."""
    settings = plan.settings()
    path = folder / f'{plan.name.replace("/", "_")}.npz'
    np.savez(path, **{name: each.numpy() for name, each in plan.weights().named.items()})
    return {
        'plan': plan.name,
        'weights': str(path),
        'states': plan.states,
        'actions': plan.actions,
        'members': plan.members,
        'hidden': plan.hidden,
        'bound': plan.bound,
        'optimizer': settings.optimizer.name,
        'candidates': settings.optimizer.candidates,
        'iterations': settings.optimizer.iterations,
        'elites': settings.optimizer.elites,
        'horizon': settings.planner.horizon,
        'propagation': settings.planner.propagation,
        'particles': settings.planner.particles,
    }


def measure(
    suite: str, request: dict[str, Any], contenders: dict[str, Contender], arguments: Any
) -> list[dict[str, Any]]:
    """The rows of one plan: each contender in turn, so many times."""
    settle = (lambda run: run() | {'others': -1.0}) if arguments.quick else quietly
    count = 2 if arguments.quick else PLANS[suite]
    rows: list[dict[str, Any]] = []
    gflop: dict[str, float] = {}  # a peer counts none: it need not compute what we do
    for repetition, (name, contender) in itertools.product(
        range(-1, arguments.repetitions), contenders.items()
    ):
        ceiling = 0.0
        if name in OURS and repetition >= 0 and suite != 'training':
            seconds = 0.02 if arguments.quick else 0.2
            ask: Callable[[], dict[str, Any]] = partial(
                contender.ask, {**request, 'what': 'ceiling', 'seconds': seconds}
            )
            ceiling = settle(ask)['gflop_s']
        run = partial(contender.ask, {**request, 'what': 'plan', 'count': count})
        if repetition < 0:  # warms up, all that is kept between plans
            gflop[name] = contender.ask(run.args[0] | {'count': 1}).get('gflop', 0.0)
            continue
        result = settle(run)
        median = statistics.median(result['seconds'])
        rows.append(
            {
                'plan': request['plan'],
                'contender': name,
                'repetition': repetition,
                'plans': len(result['seconds']),
                'seconds_p50': round(median, 6),
                'seconds_p99': round(float(np.percentile(result['seconds'], 99)), 6),
                'gflop': round(gflop[name], 4),
                'gflop_per_s': round(gflop[name] / median, 1),
                'ceiling_gflop_per_s': round(ceiling, 1),
                'others': result['others'],
            }
        )
        print(f'  {repetition}: {name} {median:.4f} s', flush=True)
    return rows


def check(request: dict[str, Any], contenders: dict[str, Contender]) -> None:
    """Ours and mbrl-lib must mean the same plan."""
    values = {
        name: contender.ask({**request, 'what': 'check'})['value']
        for name, contender in contenders.items()
        if 'tuned' not in name and OURS.get(name, (1, 'fp32')) == (1, 'fp32')
    }
    print('  mean return of doing nothing:', {n: round(v, 3) for n, v in values.items()})
    low, high = min(values.values()), max(values.values())
    if high - low > TOLERANCE * abs(high):
        raise SystemExit(f'the contenders do not plan the same: {values}')


def summarise(rows: list[dict[str, Any]]) -> None:
    """Print medians over the repetitions, and ratios within them."""
    peers = [name for name in dict.fromkeys(row['contender'] for row in rows) if name not in OURS]
    seconds: dict[str, list[float]] = {}
    for row in rows:
        seconds.setdefault(row['contender'], []).append(row['seconds_p50'])
    for name in seconds:
        own = [row for row in rows if row['contender'] == name]
        rate, ceiling, slow = (
            statistics.median(row[key] for row in own)
            for key in ('gflop_per_s', 'ceiling_gflop_per_s', 'seconds_p99')
        )
        share = (
            f', {rate:.0f} GFLOP/s, {rate / ceiling:.2f} of the ceiling {ceiling:.0f}'
            if ceiling
            else ''
        )
        ratios = ''.join(
            f', {statistics.median(t / o for t, o in zip(seconds[peer], seconds[name])):.2f} x '
            f'{peer}'
            for peer in peers
            if name in OURS
        )
        print(
            f'  {name:22s} {statistics.median(seconds[name]) * 1e3:9.2f} ms (p99 {slow * 1e3:.2f})'
            f'{share}{ratios}'
        )


def main() -> None:
    """Measure, print, and append to the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--peer-python', type=Path, help='python that has the peers; none: ours')
    parser.add_argument('--suites', nargs='+', choices=SUITES, default=list(SUITES))
    parser.add_argument('--repetitions', type=int, default=5, help='turns of all contenders')
    parser.add_argument('--quick', action='store_true', help='few plans, whoever else is busy')
    parser.add_argument('--csv', type=Path, default=RESULTS, help='where to append the results')
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.repetitions = 1
    under = {'cpu': cpu_name(), 'cpus': os.cpu_count(), 'torch': torch.__version__}
    for suite in arguments.suites:
        contenders = start(suite, arguments.peer_python)
        beside = endless_training() if suite == 'training' else contextlib.nullcontext()
        try:
            with beside, tempfile.TemporaryDirectory() as folder:
                for plan in SUITES[suite]:
                    print(f'{suite}: {plan.name}', flush=True)
                    try:
                        request = request_of(plan, Path(folder))
                    except SettingsError as error:
                        print(f'  left out: {error}')
                        continue
                    if suite == 'reference':
                        check(request, contenders)
                    rows = measure(suite, request, contenders, arguments)
                    append(arguments.csv, [under | {'suite': suite} | row for row in rows])
                    summarise(rows)
        finally:
            for contender in contenders.values():
                contender.close()


if __name__ == '__main__':
    main()
