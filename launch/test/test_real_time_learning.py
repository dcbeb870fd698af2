"""The whole graph in real time, and what is learned and planned goes wrong: plans that come late or
are none, models that are none, trainings that fail, and messages that are somebody else's."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mbrl_bringup.testing_real_time import (
    HIGH,
    LOW,
    MAX_RATE,
    Flight,
    assert_plans_end,
    assert_within_bounds,
    assert_within_rate,
    in_flight_through,
    overridden,
)
from mbrl_bringup.testing_wire import Answer, PlannerRelay
from mbrl_common.qos import LATCHED, RECORD
from mbrl_dynamics.bag import read_folder
from mbrl_msgs.action import Train
from mbrl_msgs.msg import (
    Command,
    ControllerStatus,
    ModelSnapshot,
    Plan,
    TrainingStatus,
    Transition,
    TransitionAck,
)
from mbrl_msgs.srv import Evaluate, PlanActions, Retrain

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

HORIZON = 20  # control periods: 0.8 s
OVERRIDES = overridden(
    planner={'planner.horizon': HORIZON},
    mpc_controller={'control.max_action_rate': MAX_RATE, 'control.recovery_timeout': 30.0},
    dynamics={'training.min_transitions': 50},
)


@pytest.fixture(scope='module')
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Flight, PlannerRelay]]:
    folder = tmp_path_factory.mktemp('run')
    with in_flight_through(
        PlannerRelay, folder, OVERRIDES, {'planner': [PlannerRelay.REMAP]}
    ) as both:
        yield both


@pytest.fixture
def flight(shared: tuple[Flight, PlannerRelay]) -> Iterator[Flight]:
    flight, _ = shared
    if not flight.flying:  # one flight outlives many a failure
        flight.fly()
    yield flight
    print(flight.graph.output()[-20_000:])
    assert_within_bounds(flight.commands)


@pytest.fixture
def relay(shared: tuple[Flight, PlannerRelay]) -> PlannerRelay:
    return shared[1]


def train(flight: Flight) -> Any:
    return flight.probe.send_goal('dynamics/train', Train, Train.Goal()).result(60.0)


def test_without_data_or_with_too_little_a_training_is_refused_with_a_code(
    shared: tuple[Flight, PlannerRelay],
) -> None:
    flight, _ = shared
    assert train(flight).error_code == Train.Result.NO_DATA
    flight.run(exploration_episodes=1, max_steps=20).result(30.0)
    for answer in (
        train(flight),
        flight.probe.call('dynamics/retrain', Retrain, Retrain.Request()),
    ):
        assert answer.error_code == Train.Result.DATASET_TOO_SMALL
    assert train(flight).model_version == 0


# Plans ---------------------------------------------------------------------------------------


def replaced(**fields: Any) -> Answer:
    """The planner's answer with other fields in its plan."""

    def change(answer: PlanActions.Response) -> PlanActions.Response:
        for name, value in fields.items():
            setattr(answer.plan, name, value)
        return answer

    return change


def sized(horizon: int = HORIZON, action_dim: int = 1) -> Answer:
    """A plan of other dimensions, which fits together in itself."""
    actions, states = [0.0] * horizon * action_dim, [0.0] * (horizon + 1) * 4
    return replaced(
        horizon=horizon,
        action_dim=action_dim,
        actions=actions,
        state_mean=states,
        state_std=states,
        warm_start_mean=actions,
        warm_start_elites=[],
    )


def refused(code: int) -> Answer:
    """An error in place of the plan."""
    return lambda _: PlanActions.Response(error_code=code, error_msg='as the test has it')


def another_id(answer: PlanActions.Response) -> PlanActions.Response:
    """The plan that somebody else asked for."""
    answer.plan.id += 1_000_000
    return answer


NO_PLANS: dict[str, Answer] = {
    'no answer': lambda _: None,
    'not numbers': replaced(actions=[np.nan] * HORIZON),
    'infinite': replaced(actions=[np.inf] * HORIZON),
    'too few actions': replaced(actions=[0.0] * (HORIZON - 1)),
    'no actions': sized(horizon=0),
    'of another robot': sized(action_dim=2),
    'of another rate': replaced(step=0.02),
    'of straight lines': replaced(interpolation=Plan.INTERPOLATION_LINEAR),
    'of another state': replaced(state_dim=3),
    'without states': replaced(state_mean=[]),
    'to nowhere': replaced(state_mean=[np.nan] * 4 * (HORIZON + 1)),
    "somebody else's": another_id,
    'planning failed': refused(PlanActions.Response.PLANNING_FAILED),
    'an error that is not known': refused(60_000),
    'no model': refused(PlanActions.Response.NO_MODEL),
}


@pytest.mark.parametrize('name', NO_PLANS)
def test_what_is_no_plan_is_not_followed_and_the_last_one_is_to_its_end(
    name: str, flight: Flight, relay: PlannerRelay
) -> None:
    flight.wait_for_source(Command.SOURCE_PLAN, 5)
    begin = len(flight.commands)
    with relay.lying(NO_PLANS[name]):
        # for longer than a plan: a busy machine may have let a state be late meanwhile
        flight.wait_for_source(Command.SOURCE_SAFE, HORIZON * 4 + 20)
        commands = list(flight.commands[begin:])
        assert_plans_end(commands, HORIZON)
        planned = [each.plan_id for each in commands if each.source == Command.SOURCE_PLAN]
        # not to a part of it alone; on a busy machine some commands are the safe one
        assert planned.count(planned[-1]) > HORIZON * 4 // 2
        flight.wait_for_source(Command.SOURCE_SAFE, 20)
    flight.wait_for_source(Command.SOURCE_PLAN)
    assert flight.flying


def test_a_planner_that_does_not_answer_is_said_to_be_waited_for(
    flight: Flight, relay: PlannerRelay
) -> None:
    late = flight.statuses[-1].late_plans
    with relay.lying(lambda _: None):
        status = flight.wait_for_status(
            lambda s: s.state == ControllerStatus.WAITING_FOR_PLANNER, 'waiting for the planner'
        )
        assert status.late_plans > late
    flight.wait_for_source(Command.SOURCE_PLAN)
    assert flight.flying


def test_plans_that_take_a_part_of_their_horizon_are_followed(
    flight: Flight, relay: PlannerRelay
) -> None:
    flight.wait_for_source(Command.SOURCE_PLAN, 5)
    with relay.lying(delay=0.25):
        before = relay.answers
        flight.probe.wait_until(lambda: relay.answers > before + 5, 20.0, 'slow plans')
        begin = len(flight.commands)
        flight.wait_for_planned(100)
        plans = {command.plan_id for command in flight.commands[begin:]}
        assert len(plans) < 12  # each of them is followed for six periods or more
    flight.wait_for_source(Command.SOURCE_PLAN)
    assert flight.flying


def test_plans_that_take_longer_than_their_horizon_leave_the_safe_command_and_end_nothing(
    flight: Flight, relay: PlannerRelay
) -> None:
    begin = len(flight.commands)
    with relay.lying(delay=1.2):
        before = relay.answers
        flight.wait_for_source(Command.SOURCE_SAFE)
        flight.probe.wait_until(lambda: relay.answers > before + 4, 20.0, 'very slow plans')
        assert flight.flying
    assert_plans_end(flight.commands[begin:], HORIZON)
    flight.wait_for_source(Command.SOURCE_PLAN, 20, 40.0)
    assert flight.flying


def test_plans_beyond_the_bounds_and_faster_than_the_limit_are_clamped_and_counted(
    flight: Flight, relay: PlannerRelay
) -> None:
    for wild, bound in ((50.0, HIGH), (-1e300, LOW)):
        clamped, begin = flight.statuses[-1].clamped_actions, len(flight.commands)
        with relay.lying(replaced(actions=[wild] * HORIZON)):
            flight.wait_for_status(
                lambda s, c=clamped: s.clamped_actions >= c + 10, 'clamped actions'
            )
            flight.wait_for_source(Command.SOURCE_PLAN, 10)
        commands = list(flight.commands[begin:])
        assert_within_bounds(commands)
        assert_within_rate(commands, MAX_RATE)
        assert bound in [command.action[0] for command in commands]
    flight.wait_for_source(Command.SOURCE_PLAN)
    stored = np.array([t.action[0] for t in flight.transitions])
    assert np.abs(stored).max() == HIGH  # as executed, not as planned


# Models --------------------------------------------------------------------------------------


def test_a_bad_model_is_refused_and_the_old_one_stays_in_use(flight: Flight) -> None:
    models = flight.probe.collect('model', ModelSnapshot, LATCHED)
    good = flight.probe.wait_until(lambda: models, 20.0, 'the model')[0]
    planner = flight.graph.nodes['planner']
    data = bytes(good.data)
    no_numbers = data[:-400] + b'\xff' * 400
    for number, bad in enumerate((b'', b'no model', data[: len(data) // 2], no_numbers), 900):
        message = copy.deepcopy(good)
        message.version, message.data = number, bad
        flight.probe.publish('model', ModelSnapshot, message, LATCHED, subscribers=2)
        planner.wait_for_output(f'refused model version {number}')
        flight.wait_for_source(Command.SOURCE_PLAN)
    status = flight.wait_for_status(lambda _: True, 'a status')
    assert status.model_version == good.version
    assert flight.flying


def test_a_bad_bag_is_refused_with_its_name(flight: Flight, tmp_path: Path) -> None:
    bag = tmp_path / 'bad.mcap'
    bag.write_bytes(b'\x89MCAP0\r\n' + b'no bag' * 100)
    for source in (bag, tmp_path / 'nowhere'):
        answer = flight.probe.call(
            'dynamics/evaluate', Evaluate, Evaluate.Request(source=str(source)), 60.0
        )
        assert answer.error_code == Evaluate.Response.INVALID_SOURCE
        assert source.name in answer.message
    flight.wait_for_source(Command.SOURCE_PLAN)
    assert flight.flying


# Of somebody else ----------------------------------------------------------------------------


def test_acknowledgements_of_another_session_acknowledge_nothing(flight: Flight) -> None:
    acks = flight.probe.collect('transition_ack', TransitionAck, RECORD)
    flight.probe.wait_until(lambda: acks, 20.0, 'an acknowledgement')
    flight.graph.crash('dynamics')
    try:
        flight.wait_for_status(lambda s: s.unacknowledged > 10, 'unacknowledged transitions')
        for _ in range(2):  # what was on its way has arrived
            before = flight.wait_for_status(lambda _: True, 'a status').unacknowledged
        foreign = copy.deepcopy(acks[-1])
        foreign.session ^= 1
        foreign.next_sequence, foreign.training_due = 2**40, True
        for _ in range(10):
            flight.probe.publish('transition_ack', TransitionAck, foreign, RECORD)
            time.sleep(0.05)
        for _ in range(2):
            status = flight.wait_for_status(lambda _: True, 'a status')
            assert status.unacknowledged >= before
        assert flight.flying
    finally:
        flight.graph.restart('dynamics')
    flight.wait_for_status(lambda s: s.unacknowledged < 10, 'acknowledged transitions', 60.0)
    flight.wait_for_source(Command.SOURCE_PLAN)
    sent = {t.sequence for t in flight.transitions}
    flight.probe.wait_until(
        lambda: (
            set(range(max(sent)))
            <= {t.sequence for t in read_folder(flight.folder / 'data') if t.robot}
        ),
        30.0,
        'all that was sent to be stored',
    )


# Trainings -----------------------------------------------------------------------------------


def test_a_training_that_diverges_fails_with_a_code_and_the_old_model_stays(flight: Flight) -> None:
    statuses = flight.probe.collect('training_status', TrainingStatus, LATCHED)
    flight.probe.wait_until(lambda: statuses, 20.0, 'a status')
    version = statuses[-1].model_version
    assert version > 0
    for sequence in range(60):  # numbers, but beyond all measure
        wild = copy.deepcopy(flight.transitions[-1])
        wild.robot, wild.session, wild.sequence = '/another_robot', 7, sequence
        wild.episode, wild.step, wild.terminated = 4_000_000, sequence, False
        wild.next_state[2] = 1e200
        flight.probe.publish('transition', Transition, wild, RECORD)
    flight.probe.wait_until(
        lambda: sum(t.robot == '/another_robot' for t in read_folder(flight.folder / 'data')) == 60,
        20.0,
        'the data',
    )
    result = train(flight)
    assert result.error_code == Train.Result.DIVERGED
    assert result.error_msg and result.model_version == version
    failed = flight.probe.wait_until(
        lambda: next((s for s in statuses if s.state == TrainingStatus.FAILED), None), 10.0
    )
    assert failed.model_version == version
    flight.wait_for_source(Command.SOURCE_PLAN)
    assert flight.flying


def test_through_all_this_commands_were_within_bounds_and_the_limit_of_their_rate(
    flight: Flight,
) -> None:
    assert len(flight.commands) > 100
    assert_within_bounds(flight.commands)
    assert_within_rate(flight.commands, MAX_RATE)
    assert_plans_end(flight.commands, HORIZON)
