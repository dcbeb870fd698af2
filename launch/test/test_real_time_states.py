"""The whole graph in real time, and a robot whose states cannot be believed: no command goes by
them, and control resumes by itself when they can."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from sensor_msgs.msg import JointState

from mbrl_bringup.testing_real_time import (
    MAX_RATE,
    PERIOD,
    RATE,
    Flight,
    answers_to,
    assert_safe,
    assert_within_bounds,
    assert_within_rate,
    in_flight_through,
    overridden,
)
from mbrl_bringup.testing_wire import (
    Change,
    Relay,
    backwards,
    changed,
    frozen,
    joint_state_relay,
    moved,
    now_and_then,
    repeated,
    set_stamp,
    silent,
    stamped,
)
from mbrl_common.messages import nanoseconds
from mbrl_msgs.msg import Command, ControllerStatus

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TIMEOUT = 0.3  # [s]
FAR = 25.0  # m: no rail is so long
EDGE = 10.0  # m: beyond, the robot must not be
STATE_PERIOD = 8_000_000  # [ns]
OVERRIDES = overridden(
    sim_bridge={'sim.state_rate': 1e9 / STATE_PERIOD},
    mpc_controller={
        'control.max_action_rate': MAX_RATE,
        'robot.state_timeout': TIMEOUT,
        'robot.max_state_rate': [20.0, 100.0, 2000.0, 8000.0],
        'robot.state_low': [-EDGE, -1e9, -1e9, -1e9],
        'robot.state_high': [EDGE, 1e9, 1e9, 1e9],
        'robot.max_frozen': 0.2,
    },
)
RAW = {'sim_bridge': [('joint_states', 'joint_states_raw')]}


@pytest.fixture(scope='module')
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Flight, Relay]]:
    folder = tmp_path_factory.mktemp('run')
    with in_flight_through(joint_state_relay, folder, OVERRIDES, RAW) as both:
        yield both


@pytest.fixture
def flight(shared: tuple[Flight, Relay]) -> Iterator[Flight]:
    flight, _ = shared
    if not flight.flying:  # one flight outlives many a lie
        flight.fly()
    yield flight
    print(flight.graph.output()[-20_000:])


@pytest.fixture
def relay(shared: tuple[Flight, Relay]) -> Relay:
    return shared[1]


def put(field: str, values: list[float] | list[str]) -> Change:
    """Replace a field of each joint state."""
    return changed(lambda message: setattr(message, field, values))


def not_filled_in(message: JointState) -> None:
    set_stamp(message.header.stamp, 0)


@dataclasses.dataclass(frozen=True)
class Lie:
    """What the robot says, and what is said of it."""

    change: Callable[[], Change]
    complaint: str = ''  # in what the controller prints; empty: none is due
    counted: bool = True  # as refused
    patience: float = 0.0  # so much longer than the timeout it may be believed [s]


LIES = {
    'nothing': Lie(lambda: silent, counted=False),
    'the same message again and again': Lie(repeated, counted=False),
    'the same values with new stamps': Lie(frozen, 'the same to the last bit', patience=0.2),
    'time runs backwards': Lie(backwards, 'older than the last one'),
    'of long ago': Lie(lambda: stamped(-2.0), 'old on arrival'),
    'of the future': Lie(lambda: stamped(2.0), 'are the clocks of robot and controller'),
    'of no time': Lie(lambda: changed(not_filled_in), counted=False),
    'not a number': Lie(lambda: put('position', [0.0, np.nan]), "'hinge.position' is nan"),
    'infinite': Lie(lambda: put('velocity', [-np.inf, 0.0]), "'slider.velocity' is -inf"),
    'too short': Lie(lambda: put('position', [0.0]), 'position must have 2 entries'),
    'too long': Lie(lambda: put('velocity', [0.0] * 3), 'velocity must have 2 entries'),
    'without velocities': Lie(lambda: put('velocity', []), 'has no velocity'),
    'of other joints': Lie(lambda: put('name', ['elbow', 'wrist']), 'elbow'),
    'of one joint twice': Lie(lambda: put('name', ['hinge', 'hinge']), 'names a joint twice'),
    'of one joint alone': Lie(lambda: put('name', ['slider', 'wrist']), counted=False),
}


@pytest.mark.parametrize('name', LIES)
def test_of_states_that_cannot_be_none_is_acted_on_and_control_resumes_without_them(
    name: str, flight: Flight, relay: Relay
) -> None:
    lie = LIES[name]
    controller = flight.graph.nodes['mpc_controller']
    flight.wait_for_source(Command.SOURCE_PLAN, 10)
    status = flight.wait_for_status(lambda _: True, 'a status')
    refused, printed = status.refused_states, len(controller.output())
    with relay.lying(lie.change()):
        last = nanoseconds(relay.last_honest.header.stamp)
        flight.wait_for_source(Command.SOURCE_SAFE)
        assert_safe(flight.commands[-20:])
        waiting = flight.wait_for_status(
            lambda s: s.state == ControllerStatus.WAITING_FOR_STATE, 'waiting for a state'
        )
        assert waiting.text
        if lie.complaint:
            flight.probe.wait_until(
                lambda: lie.complaint in controller.output()[printed:], 10.0, lie.complaint
            )
        if lie.counted:
            flight.wait_for_status(
                lambda s: s.refused_states >= refused + 5, 'refused states to be counted'
            )
        flight.wait_for_source(Command.SOURCE_SAFE, 5)  # and it still is
        # of states that are later than the last true one, none but what patience believed; and of
        # the last one believed, no more commands than the limit lets through
        answers = answers_to(flight.commands, last)
        believed = max(nanoseconds(answer.state_stamp) for answer in answers)
        assert believed - last <= lie.patience * 1e9 + 3 * STATE_PERIOD
        assert len(answers_to(flight.commands, believed)) <= TIMEOUT * RATE + 3
    flight.wait_for_source(Command.SOURCE_PLAN)
    assert flight.flying
    assert not any(np.isnan(t.next_state).any() for t in flight.transitions)


LAPSES: dict[str, tuple[Callable[[], Change], str]] = {
    'not a number': (lambda: put('position', [np.nan, 0.0]), "'slider.position' is nan"),
    'a jump': (lambda: moved(0, FAR), "'slider.position' jumped by"),
    'late': (lambda: stamped(-0.1), 'older than the last one'),
    'of the future': (lambda: stamped(0.2), 'are the clocks of robot and controller'),
}


@pytest.mark.parametrize('name', LAPSES)
def test_a_lapse_now_and_then_is_refused_and_the_plan_goes_on(
    name: str, flight: Flight, relay: Relay
) -> None:
    lapse, complaint = LAPSES[name]
    controller = flight.graph.nodes['mpc_controller']
    flight.wait_for_source(Command.SOURCE_PLAN, 10)
    status = flight.wait_for_status(lambda _: True, 'a status')
    refused, printed = status.refused_states, len(controller.output())
    with relay.lying(now_and_then(lapse(), 40)):
        flight.wait_for_source(Command.SOURCE_PLAN, 60, 40.0)
        flight.wait_for_status(lambda s: s.refused_states >= refused + 3, 'lapses to be counted')
        flight.probe.wait_until(lambda: complaint in controller.output()[printed:], 10.0, complaint)
        flight.wait_for_source(Command.SOURCE_PLAN)
    assert flight.flying
    assert_stored_are_motions(flight)


def assert_stored_are_motions(flight: Flight) -> None:
    """Of what is stored, each is a step that a robot can make, and of a control period."""
    for each in list(flight.transitions):
        assert nanoseconds(each.next_stamp) - nanoseconds(each.stamp) == PERIOD
        assert np.isfinite(each.next_state).all() and np.isfinite(each.state).all()
        assert abs(each.next_state[0] - each.state[0]) < 1.0, each


def test_outside_of_its_region_the_robot_gets_the_safe_command_at_once(
    flight: Flight, relay: Relay
) -> None:
    flight.wait_for_source(Command.SOURCE_PLAN, 10)
    controller = flight.graph.nodes['mpc_controller']
    printed = len(controller.output())
    with relay.lying(moved(0, FAR)):
        flight.wait_for_source(Command.SOURCE_SAFE)
        assert_safe(flight.commands[-20:])
        flight.probe.wait_until(
            lambda: 'above its limit 10' in controller.output()[printed:], 10.0, 'a complaint'
        )
        flight.wait_for_source(Command.SOURCE_SAFE, 50)
        outside = nanoseconds(relay.lies[0].header.stamp)
    # it was a jump at first: refused, until five in a row agreed
    assert len(answers_to(flight.commands, outside + 6 * STATE_PERIOD)) == len(
        answers_to(flight.commands, nanoseconds(relay.lies[-1].header.stamp) + 1)
    )
    flight.wait_for_source(Command.SOURCE_PLAN)
    assert flight.flying
    assert_stored_are_motions(flight)


def test_a_jump_that_lasts_is_believed_and_no_step_leads_over_it(
    flight: Flight, relay: Relay
) -> None:
    for _ in range(2):
        flight.wait_for_source(Command.SOURCE_PLAN, 10)
        begin = len(flight.transitions)
        with relay.lying(moved(0, 6.0)):
            flight.wait_for_source(Command.SOURCE_PLAN)
            flight.probe.wait_until(
                lambda b=begin: any(t.state[0] > 3.0 for t in flight.transitions[b:]),
                20.0,
                'a transition of where it is now',
            )
        there = next(t for t in flight.transitions[begin:] if t.state[0] > 3.0)
        # in less time than the robot, at 20 m/s, could have taken to get there
        moved_at = nanoseconds(relay.lies[0].header.stamp)
        assert nanoseconds(there.stamp) - moved_at < 0.25e9
    flight.wait_for_source(Command.SOURCE_PLAN)
    assert flight.flying
    assert_stored_are_motions(flight)


def test_through_all_this_commands_were_within_bounds_and_the_limit_of_their_rate(
    flight: Flight,
) -> None:
    assert len(flight.commands) > 100
    assert_within_bounds(flight.commands)
    assert_within_rate(flight.commands, MAX_RATE)
    flight.land()
