"""The whole graph in real time, on a clock of the simulation's that is set, stopped and wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mbrl_bringup.testing import run_episodes, running
from mbrl_bringup.testing_real_time import (
    MAX_RATE,
    PERIOD,
    Flight,
    assert_safe,
    assert_within_bounds,
    assert_within_rate,
    in_flight_through,
    overridden,
)
from mbrl_bringup.testing_real_time import OVERRIDES as SHIPPED
from mbrl_bringup.testing_wire import (
    clock_relay,
    honest,
    joint_state_relay,
    silent,
    stamped,
    told_the_time,
)
from mbrl_common.messages import nanoseconds
from mbrl_common.qos import LATCHED
from mbrl_dynamics.bag import read_folder
from mbrl_msgs.action import RunEpisodes
from mbrl_msgs.msg import Command, ControllerStatus

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

OVERRIDES = overridden(
    sim_bridge={'sim.state_rate': 125.0, 'sim.clock_rate': 200.0},
    mpc_controller={
        'use_sim_time': True,
        'realtime.command_rate': 50.0,  # no finer than the clock that is heard
        'robot.clock_tolerance': 0.2,
        'control.max_action_rate': MAX_RATE,
        'robot.state_timeout': 0.3,
        'control.recovery_timeout': 30.0,
    },
)
RAW = {'sim_bridge': [('joint_states', 'joint_states_raw'), ('/clock', '/clock_raw')]}


class Wires:
    """What the controller hears of the robot, and of the time."""

    def __init__(self) -> None:
        self.states, self.clock = joint_state_relay(), clock_relay()

    def shift(self, seconds: float) -> None:
        """Both say so much later, and agree."""
        self.states.lie(stamped(seconds) if seconds else honest)
        self.clock.lie(told_the_time(seconds) if seconds else honest)

    def close(self) -> None:
        """Leave the graph."""
        for relay in (self.states, self.clock):
            relay.close()


@pytest.fixture(scope='module')
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Flight, Wires]]:
    folder = tmp_path_factory.mktemp('run')
    with in_flight_through(Wires, folder, OVERRIDES, RAW) as both:
        yield both


@pytest.fixture
def flight(shared: tuple[Flight, Wires]) -> Iterator[Flight]:
    flight, wires = shared
    flight.fly()
    yield flight
    print(flight.graph.output()[-20_000:])
    wires.shift(0.0)
    flight.land()
    assert_within_bounds(flight.commands)
    for each in list(flight.transitions):  # none leads over the change
        assert nanoseconds(each.next_stamp) - nanoseconds(each.stamp) == PERIOD


@pytest.fixture
def wires(shared: tuple[Flight, Wires]) -> Wires:
    return shared[1]


def test_a_clock_that_stops_with_the_robot_leaves_the_safe_command(
    flight: Flight, wires: Wires
) -> None:
    with wires.states.lying(silent), wires.clock.lying(silent):
        flight.wait_for_source(Command.SOURCE_SAFE)
        assert_safe(flight.commands[-20:])
        flight.wait_for_status(
            lambda s: s.state == ControllerStatus.WAITING_FOR_STATE, 'waiting for a state'
        )
        flight.wait_for_source(Command.SOURCE_SAFE, 50)
    flight.wait_for_source(Command.SOURCE_PLAN)
    assert flight.flying


def test_a_clock_that_is_ahead_of_the_states_leaves_the_safe_command(
    flight: Flight, wires: Wires
) -> None:
    with wires.clock.lying(told_the_time(5.0)):
        flight.wait_for_source(Command.SOURCE_SAFE)
        assert_safe(flight.commands[-20:])
        flight.graph.nodes['mpc_controller'].wait_for_output('old on arrival')
        wires.states.lie(stamped(5.0))  # now they agree
        flight.wait_for_source(Command.SOURCE_PLAN)
        assert flight.flying
        wires.states.lie(honest)


def test_a_clock_that_is_set_back_against_the_states_leaves_the_safe_command(
    flight: Flight, wires: Wires
) -> None:
    with wires.clock.lying(told_the_time(-1.0)):
        flight.graph.nodes['mpc_controller'].wait_for_output('are the clocks of robot')
        flight.probe.wait_until(
            lambda: flight.commands[-1].source == Command.SOURCE_SAFE, 20.0, 'the safe command'
        )
        # or none at all, while a new episode waits for its first state
        begin = len(flight.commands)
        for _ in range(2):
            flight.wait_for_status(lambda _: True, 'a status')
        assert_safe(flight.commands[begin - 1 :])
    flight.wait_for_source(Command.SOURCE_PLAN)
    assert flight.flying


def test_robot_and_clock_set_back_cut_the_episode_off_and_control_resumes(
    flight: Flight, wires: Wires
) -> None:
    begin = len(flight.transitions)
    flight.probe.wait_until(lambda: len(flight.transitions) > begin + 10, 20.0, 'transitions')
    wires.shift(-1.0)
    flight.graph.nodes['mpc_controller'].wait_for_output('the clock was set back')
    flight.wait_for_source(Command.SOURCE_PLAN, 50, 40.0)
    assert flight.flying
    after = len(flight.transitions)
    flight.probe.wait_until(lambda: len(flight.transitions) > after + 10, 20.0, 'transitions')


def test_through_all_this_commands_were_within_the_limit_of_their_rate(flight: Flight) -> None:
    assert len(flight.commands) > 100
    assert_within_rate(flight.commands, MAX_RATE)


def test_a_controller_on_a_simulated_clock_runs_episodes_by_it_and_tells_its_pace(
    tmp_path: Path,
) -> None:
    overrides = {
        **SHIPPED,
        'sim_bridge': {**SHIPPED['sim_bridge'], 'sim.speed': 0.5},
        'mpc_controller': {**SHIPPED['mpc_controller'], 'use_sim_time': True},
    }
    with running(0, tmp_path, overrides) as (_, probe):
        statuses = probe.collect('controller_status', ControllerStatus, LATCHED)
        probe.wait_until(lambda: statuses, 60.0, 'the clock, without which there is no status')
        goal = run_episodes(probe, episodes=1, exploration_episodes=1, max_steps=100, seed=0)
        result = goal.result(60.0)
        assert result.error_code == RunEpisodes.Result.NONE, result.error_msg
        assert result.episodes[0].steps == 100
        recorded = read_folder(tmp_path / 'data')
        assert recorded and all(each.next_stamp - each.stamp == PERIOD for each in recorded)
        paces = [s.real_time_factor for s in statuses if not np.isnan(s.real_time_factor)]
        assert np.median(paces) == pytest.approx(0.5, rel=0.2)
