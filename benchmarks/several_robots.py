"""How many control steps per second a graph makes of all its robots together.

Runs the real graph (``mbrl_bringup.graph``, in processes, over DDS) on simulated cart-poles in
lockstep, one robot and several, all of them planning in one planner with the same learned model.
Counted is between the moment in which all robots plan and the one in which the first has ended.

    python benchmarks/several_robots.py --robots 1 2 4

Prints a line per number of robots, and what the planner reports of its batches.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from mbrl_bringup.graph import GraphOptions, describe_graph
from mbrl_bringup.tasks import params_file_of
from mbrl_common.qos import LATCHED
from mbrl_common.testing import NodeProcess, Probe, isolated_domain
from mbrl_msgs.action import RunEpisodes
from mbrl_msgs.msg import Command, ModelSnapshot, Plan

TASK = 'cartpole_swingup'
WARM_UP = 20  # steps of each robot that are not counted


def measure(robots: int, steps: int) -> tuple[float, float, float]:
    """Steps per second of all robots, and median and 95th percentile of planning times [s]."""
    options = GraphOptions(params_file_of(TASK), robots=robots)
    # No training but the one after the first, random, episode: control alone is measured.
    training = {'training.every_steps': 0, 'training.every_episodes': 1}
    times: dict[str, list[float]] = {place: [] for place in options.places}
    planning: list[float] = []
    with (
        isolated_domain(),
        tempfile.TemporaryDirectory() as folder,
        contextlib.ExitStack() as nodes,
    ):
        for node in describe_graph(options):
            extra = training | {'data.folder': folder} if node.name == 'dynamics' else {}
            nodes.enter_context(
                NodeProcess(
                    node.package,
                    node.executable,
                    namespace=node.namespace,
                    params_file=options.params_file,
                    parameters=dict(node.parameters) | extra,
                    remaps=node.remappings,
                )
            )
        with Probe() as probe:
            models = probe.collect('model', ModelSnapshot, LATCHED)
            run(probe, options.places[:1], episode=0, steps=0, explore=True)
            probe.wait_until(lambda: models, 120.0, 'a model')
            for place in options.places:
                noting = note_into(times[place])
                probe.node.create_subscription(Command, join(place, 'command'), noting, 10)
                probe.node.create_subscription(
                    Plan, join(place, 'plan'), lambda m: planning.append(m.planning_time), 10
                )
            run(probe, options.places, episode=1, steps=steps, explore=False)
    begin = max(stamps[WARM_UP] for stamps in times.values())
    end = min(stamps[-2] for stamps in times.values())  # the last is the safe command
    counted = sum(begin <= stamp < end for stamps in times.values() for stamp in stamps)
    median, high = np.percentile(planning, (50, 95))
    return counted / (end - begin), float(median), float(high)


def note_into(stamps: list[float]) -> Callable[[Command], None]:
    """Notes when a planned command was heard."""

    def note(command: Command) -> None:
        if command.source == Command.SOURCE_PLAN:
            stamps.append(time.perf_counter())

    return note


def run(probe: Any, places: list[str], *, episode: int, steps: int, explore: bool) -> None:
    """An episode of each robot at the same time."""
    goals = [
        probe.send_goal(
            join(place, 'mpc_controller/run_episodes'),
            RunEpisodes,
            RunEpisodes.Goal(
                episodes=1,
                exploration_episodes=int(explore),
                seed=1,
                first_episode=episode + number,
                max_steps=steps,
                target_return=float('nan'),
            ),
            timeout=60.0,
        )
        for number, place in enumerate(places)
    ]
    for goal in goals:
        result = goal.result(300.0)
        if result.error_code:
            raise RuntimeError(result.error_msg)


def join(place: str, name: str) -> str:
    """A name in a robot's place."""
    return f'{place}/{name}' if place else name


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--robots', type=int, nargs='+', default=[1, 2, 4])
    parser.add_argument('--steps', type=int, default=200, help='of each robot')
    arguments = parser.parse_args()
    print('robots  steps/s  of each  planning [ms]: median, 95 %')
    for robots in arguments.robots:
        rate, median, high = measure(robots, arguments.steps)
        print(
            f'{robots:6d}  {rate:7.1f}  {rate / robots:7.1f}  {median * 1e3:.1f}, {high * 1e3:.1f}',
            flush=True,
        )


if __name__ == '__main__':
    main()
