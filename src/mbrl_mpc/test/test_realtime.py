"""Episodes in real time, in a world of scripted time: a robot, a network and a planner that take
their time. What is stored is compared with what the robot really did."""

import dataclasses
import heapq
import itertools

import numpy as np
import pytest

from mbrl_mpc.modes import Mode
from mbrl_mpc.outbox import Outbox
from mbrl_mpc.pilot import Pilot
from mbrl_mpc.ports import End, Phase, PlanFailure, Source
from mbrl_mpc.realtime import RealtimeSession
from mbrl_mpc.series import EpisodesGoal
from mbrl_mpc.storage import Training
from mbrl_planner.planner import PlanResult, WarmStart

PERIOD = 40_000_000
MS = 1_000_000
START = 1_700_000_000 * 1_000_000_000
HORIZON = 10


def moved(state, action, duration):
    """The robot: a mass on a line, and a clock beside it; exact for a constant action [s]."""
    x, v = state[0], state[2]
    return np.array(
        [x + v * duration + action * duration**2 / 2, state[1] + duration, v + action * duration, 0]
    )


class World:
    """Robot, network and planner as events in time, and the session's ports."""

    def __init__(
        self,
        settings,
        episodes=1,
        explore=0,
        *,
        max_steps=20,
        state_latency=10,
        plan_time=8,
        mode=None,
        changes=None,
    ):
        self.now = START
        self.set_ahead = 0  # of the clock that stamps, before the one of this world [ns]
        self._planner_free = START
        self._events = []
        self._number = itertools.count()
        self.state_latency, self.plan_time = state_latency * MS, plan_time * MS
        self.planner_alive = self.states_flow = True
        self.model = True
        self.position = np.zeros(4)
        self.applied = [(START, 0.0)]  # when which action began to act
        self.measured = {}
        self.requests, self.commands, self.sent, self.ended = [], [], [], []
        self.warnings = []
        self.end = None
        self.resets = 0
        self.text = ''
        self.outbox = Outbox()
        self.realtime = dataclasses.replace(settings.realtime, **(changes or {}))
        self.pilot = Pilot(settings, 'robot', 7)
        self.pilot.mode = mode or Mode()
        self.session = RealtimeSession(
            self.pilot,
            settings.control,
            self.realtime,
            dataclasses.replace(settings.robot, state_timeout=0.2),
            EpisodesGoal(episodes, explore, seed=3, max_steps=max_steps),
            self.outbox,
            self,
            clock=lambda: self.now * 1e-9,
            now=lambda: self.now + self.set_ahead,
        )
        self._every(round(1e9 / self.realtime.command_rate), self.session.control)
        self._every(50 * MS, self.session.tick)
        self._every(4 * MS, self._measure)
        self.session.start()

    # Time.

    def at(self, time, what):
        heapq.heappush(self._events, (time, next(self._number), what))

    def _every(self, period, what):
        def again():
            what()
            self.at(self.now + period, again)

        self.at(self.now + period, again)

    def run(self, seconds):
        until = self.now + round(seconds * 1e9)
        while self._events[0][0] <= until and self.end is None:
            self.now, _, what = heapq.heappop(self._events)
            what()
        self.now = max(self.now, until) if self.end is None else self.now

    # The robot.

    def _advance(self):
        begin, action = self.applied[-1]
        self.position = moved(self.position, action, (self.now - begin) * 1e-9)
        self.applied.append((self.now, action))

    def _measure(self):
        self._advance()
        state, stamp = self.position.copy(), self.now + self.set_ahead
        self.measured[stamp] = state
        if self.states_flow:
            self.at(self.now + self.state_latency, lambda: self._arrive(state, stamp))

    def _arrive(self, state, stamp):
        ahead = stamp - self.now - self.set_ahead
        if ahead <= 50 * MS:  # others are refused before they get to the session
            self.session.on_state(state, stamp)

    # Ports.

    def reset(self, episode, seed):
        self.position = np.zeros(4)
        self.applied.append((self.now, 0.0))
        self.resets += 1
        self.session.on_reset(True, '', self.now + self.set_ahead)

    def plan(self, plan_id, request, stamp):
        self.requests.append((plan_id, request, stamp, self.now))
        if not self.planner_alive:
            return
        answer = PlanFailure.NO_MODEL if not self.model else self.make_plan(request, plan_id)
        # one question after the other
        self._planner_free = max(self.now, self._planner_free) + self.plan_time
        self.at(self._planner_free, lambda: self.session.on_plan(plan_id, answer))

    def make_plan(self, request, plan_id):
        """Actions that tell which plan they are of, and what they do in the robot's own physics."""
        state = request.state
        for action, duration in zip(request.lead_actions, request.lead_durations):
            state = moved(state, action[0], duration * PERIOD * 1e-9)
        actions = np.full((HORIZON, 1), 0.001 * plan_id) + np.arange(HORIZON)[:, None] * 1e-5
        states = [state]
        for action in actions:
            states.append(moved(states[-1], action[0], PERIOD * 1e-9))
        states = np.array(states)
        warm = WarmStart(actions, np.zeros((0, HORIZON, 1)))
        return PlanResult(actions, states, 0 * states, 0.0, warm, 1, 100, self.plan_time * 1e-9)

    def command(self, action, source, plan_id, state_stamp):
        self.commands.append((self.now, float(action[0]), source, plan_id))
        self._advance()
        self.applied.append((self.now, float(action[0])))

    def transition(self, transition):
        self.sent.append(transition)
        self.session.on_ack(transition.sequence + 1, False, self.now)

    def progress(self, summary, ended):
        if ended:
            self.ended.append(dataclasses.replace(summary.record))

    def finish(self, end, text, target_reached):
        self.end, self.text = end, text

    def warn(self, text):
        self.warnings.append(text)


def check_transitions(world):
    """Each is what the robot really does from that state under that action, and states join up."""
    assert world.sent
    for each in world.sent:
        assert each.next_stamp - each.stamp == PERIOD
        wanted = moved(each.state, each.action[0], PERIOD * 1e-9)
        # states between two measurements are taken from a straight line
        np.testing.assert_allclose(each.next_state, wanted, atol=3e-5)
    for one, other in itertools.pairwise(world.sent):
        if other.step == one.step + 1:
            np.testing.assert_array_equal(one.next_state, other.state)


@pytest.mark.parametrize('state_latency', [0, 1, 10, 35, 90])
@pytest.mark.parametrize('plan_time', [1, 8, 30, 55, 130])
def test_whatever_is_late_what_is_stored_is_what_happened(settings, state_latency, plan_time):
    world = World(settings, state_latency=state_latency, plan_time=plan_time)
    world.run(3.0)
    assert world.end is End.DONE
    check_transitions(world)
    assert [each.step for each in world.sent] == list(range(20))
    assert world.sent[-1].truncated
    assert world.session.steps_lost == 0


def test_a_plan_takes_effect_at_its_moment_and_starts_where_the_robot_will_be(settings):
    world = World(settings)
    world.run(3.0)
    planned = [each for each in world.commands if each[2] is Source.PLAN]
    firsts = {plan_id: time for time, _, _, plan_id in reversed(planned)}
    by_number = {plan_id: (request, stamp) for plan_id, request, stamp, _ in world.requests}
    assert len(firsts) == 20
    for plan_id, time in firsts.items():
        request, stamp = by_number[plan_id]
        assert 0 <= time - stamp < 10 * MS  # the first command at or after its moment
        state = request.state
        for action, duration in zip(request.lead_actions, request.lead_durations):
            assert 0 < duration <= 1
            state = moved(state, action[0], duration * PERIOD * 1e-9)
        nearest = min(world.measured, key=lambda each, at=stamp: abs(each - at))
        true = moved(world.measured[nearest], 0.0, (stamp - nearest) * 1e-9)
        np.testing.assert_allclose(state, true, atol=1e-4)


def test_a_fast_planner_is_asked_late_from_a_fresh_state(settings):
    world = World(settings, plan_time=3, state_latency=5)
    world.run(3.0)
    for _, request, stamp, asked in world.requests[10:]:
        assert stamp - asked <= 20 * MS
        assert request.lead_durations.sum() * PERIOD <= 30 * MS


def test_commands_go_out_at_their_own_rate_and_change_only_at_the_grid(settings):
    world = World(settings, changes={'command_rate': 200.0})
    world.run(3.0)
    planned = [each for each in world.commands if each[2] is Source.PLAN]
    gaps = {later[0] - sooner[0] for sooner, later in itertools.pairwise(planned)}
    assert gaps == {5 * MS}
    begin = world.sent[0].stamp
    for sooner, later in itertools.pairwise(planned):
        if later[1] != sooner[1]:
            assert 0 <= (later[0] - begin) % PERIOD < 5 * MS


def test_a_slow_planner_is_followed_along_the_last_plan_and_counted(settings):
    world = World(settings, plan_time=95)
    world.run(3.0)
    assert world.end is End.DONE
    assert world.session.late_steps > 5
    actions = [round(each.action[0], 6) for each in world.sent]
    assert len(set(actions)) == len(actions)  # the plan goes on step by step, also the old one


def test_a_planner_that_dies_leaves_the_plan_and_then_the_safe_command_until_it_is_back(settings):
    world = World(settings, max_steps=100)
    world.run(1.0)
    assert world.session.phase is Phase.STATE
    world.planner_alive = False
    world.run(1.0)
    after = [each for each in world.commands if each[0] > START + 1_900 * MS]
    assert {each[1] for each in after} == {0.0} and {each[2] for each in after} == {Source.SAFE}
    assert world.session.waiting_for_planner
    world.planner_alive = True
    world.run(1.0)
    assert world.commands[-1][2] is Source.PLAN and not world.session.waiting_for_planner
    world.run(3.0)
    assert world.end is End.DONE
    check_transitions(world)


def test_without_states_the_safe_command_is_sent_at_once_and_control_resumes_by_itself(settings):
    world = World(settings, max_steps=60)
    world.run(0.8)
    world.states_flow = False
    world.run(0.5)
    late = [each for each in world.commands if each[0] > START + 1_050 * MS]
    assert {each[2] for each in late} == {Source.SAFE}
    assert world.session.waiting_for_state
    world.states_flow = True
    world.run(0.3)
    assert world.commands[-1][2] is Source.PLAN
    world.run(3.0)
    assert world.end is End.DONE
    check_transitions(world)
    assert world.session.steps_lost > 5
    steps = [each.step for each in world.sent]
    assert steps == sorted(set(steps)) and steps[-1] == 59  # numbers tell of the gap


def test_states_stamped_a_little_ahead_of_the_clock_do_no_harm(settings):
    world = World(settings, max_steps=40)
    real = world.session.on_state
    world.session.on_state = lambda state, stamp: real(state, stamp + 45 * MS)
    world.run(4.0)
    assert world.end is End.DONE
    assert [each.step for each in world.sent] == list(range(40))


def test_after_a_moment_of_safety_actions_go_no_faster_than_they_may(settings):
    rate = 0.02
    control = dataclasses.replace(settings.control, max_action_rate=rate)
    world = World(dataclasses.replace(settings, control=control), max_steps=60)
    world.run(1.2)
    before = world.commands[-1][1]
    assert before > 0.01
    world.session._inside = False
    world.session.control()
    assert world.commands[-1][1:3] == (0.0, Source.SAFE)
    count = len(world.commands)
    world.run(0.5)
    after = world.commands[count - 1 :]
    assert after[-1][1] > 0.005
    for sooner, later in itertools.pairwise(after):
        assert later[1] - sooner[1] <= rate * PERIOD * 1e-9 + 1e-12


def test_a_robot_that_wants_more_of_the_plan_is_told_what_follows(settings):
    world = World(settings, max_steps=60)
    world.run(0.8)
    _, action, source, plan_id = world.commands[-1]
    assert source is Source.PLAN
    place = round((action - 0.001 * plan_id) / 1e-5)
    wanted = 0.001 * plan_id + np.arange(place + 1, HORIZON)[:, None] * 1e-5
    np.testing.assert_allclose(world.session.following, wanted)


def test_nothing_is_planned_from_a_state_that_is_too_old(settings):
    world = World(settings, max_steps=60)
    world.run(0.8)
    world.states_flow = False
    world.run(1.5)
    last = world.requests[-1]
    assert last[3] < START + 1_050 * MS
    assert last[1].lead_durations.sum() < HORIZON
    assert world.end is None


def test_a_refused_request_is_no_reason_to_give_a_moving_robot_up(settings):
    world = World(settings, max_steps=60)
    world.run(0.8)
    world.make_plan = lambda request, plan_id: PlanFailure.INVALID_REQUEST
    world.run(0.2)
    assert world.end is None and 'planning afresh' in world.warnings[0]
    del world.make_plan
    world.run(0.2)
    assert world.commands[-1][2] is Source.PLAN


def test_states_that_never_come_back_end_the_episodes_with_a_reason(settings):
    world = World(settings, max_steps=60)
    world.run(0.8)
    world.states_flow = False
    world.run(settings.control.recovery_timeout + 1)
    assert world.end is End.STATE_TIMEOUT and 'is the robot running' in world.text


def test_outside_of_its_region_the_robot_gets_the_safe_command_at_once(settings):
    world = World(settings, max_steps=60)
    world.run(0.8)
    state, stamp = world.session._buffer.newest
    world.session.on_state(state, stamp + 1, inside=False)
    world.session.control()
    assert world.commands[-1][2] is Source.SAFE


def test_exploring_needs_no_planner_and_is_the_same_as_in_lockstep(settings):
    world = World(settings, explore=1)
    world.run(3.0)
    assert world.end is End.DONE and not world.requests
    check_transitions(world)
    pilot = Pilot(settings)
    pilot.begin(0, 3, explore=True)
    wanted = [float(pilot.explore_at(step)[0]) for step in range(20)]
    assert [float(each.action[0]) for each in world.sent] == wanted


def test_without_a_model_the_episode_waits_and_begins_when_there_is_one(settings):
    world = World(settings)
    world.model = False
    world.run(2.0)
    assert world.session.phase is Phase.PLAN and world.session.waiting_for_model
    assert {each[2] for each in world.commands} == {Source.SAFE}
    world.model = True
    world.run(3.0)
    assert world.end is End.DONE
    assert [each.step for each in world.sent] == list(range(20))


@pytest.mark.parametrize(
    ('mode', 'plans'), [(Mode('open_loop'), 2), (Mode('every', every=4), 5), (Mode(), 20)]
)
def test_a_mode_says_how_often_is_planned(settings, mode, plans):
    world = World(settings, mode=mode)
    world.run(3.0)
    assert world.end is End.DONE
    used = {each[3] for each in world.commands if each[2] is Source.PLAN}
    assert len(used) == plans
    check_transitions(world)


def test_the_mode_may_change_while_the_robot_moves(settings):
    world = World(settings, max_steps=80)
    world.run(0.6)
    world.pilot.mode = Mode('hold')
    world.run(0.6)
    assert world.commands[-1][1:3] == (0.0, Source.SAFE)
    world.pilot.mode = Mode('explore')
    world.run(0.6)
    assert world.commands[-1][2] is Source.EXPLORATION
    world.pilot.mode = Mode()
    world.run(0.6)
    assert world.commands[-1][2] is Source.PLAN
    world.run(3.0)
    check_transitions(world)


def test_an_error_beyond_the_bound_makes_a_new_plan(settings):
    world = World(settings, mode=Mode('on_error', bound=0.5))
    world.run(0.25)
    assert len(world.requests) == 1
    world._advance()
    world.position = world.position + np.array([0, 0, 2.0, 0])  # somebody pushes
    world.run(0.15)
    assert len(world.requests) == 2


def test_replanning_on_request_is_cold_and_soon(settings):
    world = World(settings, mode=Mode('open_loop'))
    world.run(0.3)
    before = len(world.requests)
    number = world.session.replan()
    world.run(0.1)
    plan_id, request, _, _ = world.requests[before]
    assert plan_id == number and request.warm_start is None
    assert world.commands[-1][3] == number


def test_warm_starts_are_shifted_by_the_steps_in_between(settings):
    world = World(settings, plan_time=95)
    world.run(3.0)
    plans = {plan_id: stamp for plan_id, _, stamp, _ in world.requests}
    for plan_id, request, stamp, _ in world.requests[3:]:
        assert request.warm_start is not None
        first = request.warm_start.mean[0, 0]
        source = round(first / 0.001 - 0.005)
        steps = round((first - 0.001 * source) / 1e-5)
        assert source < plan_id
        assert (stamp - plans[source]) // PERIOD == steps


def test_stopping_sends_the_safe_command_last(settings):
    world = World(settings, max_steps=60)
    world.run(0.8)
    world.session.stop(End.CANCELLED, 'enough')
    assert world.end is End.CANCELLED and world.commands[-1][2] is Source.SAFE
    count = len(world.commands)
    world.session.control()
    assert len(world.commands) == count


def test_a_training_that_is_due_is_waited_for_between_episodes_alone(settings):
    world = World(settings, episodes=2, max_steps=10)
    real = world.transition

    def transition(each):
        real(each)
        world.session.on_ack(each.sequence + 1, True, world.now, 1)

    world.transition = transition
    world.session._storage._send = transition
    world.run(3.0)
    assert world.session.phase is Phase.ENDING and len(world.sent) == 10
    world.session.on_training(Training(world.now, 1, False, 2, 0.1, 0.5))
    assert world.session.phase in (Phase.RESET, Phase.PLAN)
    before = len(world.requests)
    world.run(0.1)
    assert world.requests[before][1].min_model_version == 2


@pytest.mark.parametrize('explore', [0, 1])
def test_the_first_action_is_no_further_from_the_safe_command_than_the_rate_allows(
    settings, explore
):
    rate = 0.02
    control = dataclasses.replace(settings.control, max_action_rate=rate)
    world = World(dataclasses.replace(settings, control=control), 2, 2 * explore, max_steps=5)
    world.run(3.0)
    assert world.end is End.DONE
    acting = [each for each in world.commands if each[2] is not Source.SAFE]
    assert len({each[1] for each in acting}) >= 5
    for sooner, later in itertools.pairwise([(0, 0.0, Source.SAFE, 0), *world.commands]):
        if later[2] is not Source.SAFE:
            assert abs(later[1] - sooner[1]) <= rate * PERIOD * 1e-9 + 1e-12


def test_a_state_that_is_told_again_and_again_is_no_sign_of_life(settings):
    world = World(settings, max_steps=60)
    world.run(0.8)
    state, stamp = world.session._buffer.newest
    stored = len(world.sent)
    world.states_flow = False
    world._every(4 * MS, lambda: world.session.on_state(state, stamp))
    world.run(0.5)
    assert world.commands[-1][2] is Source.SAFE and world.session.waiting_for_state
    assert len(world.sent) <= stored + 2  # what was under way
    world.run(settings.control.recovery_timeout)
    assert world.end is End.STATE_TIMEOUT


@pytest.mark.parametrize('back', [60, 1_000, 3_600_000])
@pytest.mark.parametrize('told_by', ['the clock', 'the states'])
def test_a_clock_that_is_set_back_cuts_the_episode_off_and_the_next_one_begins(
    settings, back, told_by
):
    world = World(settings, episodes=3, max_steps=20)
    world.run(0.5)
    assert world.session.phase is Phase.STATE
    world.set_ahead = -back * MS
    if told_by == 'the states':
        state = world.session._buffer.newest[0]
        world.session.on_state(
            state, world.now + world.set_ahead - 10 * MS, inside=True, continuous=False
        )
    count = len(world.commands)
    world.session.control()
    world.run(0.02)
    assert {each[2] for each in world.commands[count:]} <= {Source.SAFE}
    assert len(world.ended) == 1 and world.ended[0].truncated and world.ended[0].steps < 20
    assert 'set back' in world.warnings[0] and len(world.warnings) == 1
    world.run(5.0)
    assert world.end is End.DONE
    assert [record.steps for record in world.ended[1:]] == [20, 20]
    assert world.resets == 3
    for each in world.sent:
        assert each.next_stamp - each.stamp == PERIOD
    low, high = world.pilot.guard.low[0], world.pilot.guard.high[0]
    assert all(low <= each[1] <= high for each in world.commands)


def test_a_clock_set_back_between_reset_and_first_state_does_not_keep_the_episode_waiting(
    settings,
):
    world = World(settings, max_steps=20)
    assert world.session.phase is Phase.RESET
    world.session.control()
    world.set_ahead = -10_000 * MS
    world.run(3.0)
    assert world.end is End.DONE and world.resets == 1
    assert world.ended[0].steps == 20


@pytest.mark.parametrize('plan_time', [450, 700, 3_000])
def test_a_planner_slower_than_its_horizon_leaves_the_safe_command_in_between(settings, plan_time):
    world = World(settings, plan_time=plan_time, max_steps=400)
    world.run(0.045 * 400 + 40 * plan_time * 1e-3)
    assert world.end is End.DONE and world.ended[0].steps == 400
    check_transitions(world)
    begin = world.sent[0].stamp
    sources = {each[2] for each in world.commands if each[0] >= begin}
    assert sources == {Source.PLAN, Source.SAFE}
    assert world.session.late_steps > 0
    assert f'plans take {plan_time // 100}' in world.session.slowness


def test_a_planner_that_becomes_too_slow_is_followed_as_far_as_it_goes(settings):
    world = World(settings, max_steps=400)
    world.run(1.0)
    assert world.session.phase is Phase.STATE
    world.plan_time = 800 * MS
    world.run(10.0)
    late = [each for each in world.commands if each[0] > START + 4_000 * MS]
    assert {each[2] for each in late} == {Source.PLAN, Source.SAFE}
    assert world.session.late_plans > 0 and 'plans take 8' in world.session.slowness
    world.plan_time = 8 * MS
    world.run(10.0)
    assert world.end is End.DONE
    check_transitions(world)


def test_plans_that_are_all_late_keep_the_beginning_waiting_but_do_not_end_it(settings):
    world = World(settings)

    def ever_slower(request, plan_id):
        world.plan_time += 200 * MS
        return World.make_plan(world, request, plan_id)

    world.make_plan = ever_slower
    world.run(settings.control.recovery_timeout + 60.0)
    assert world.end is None and world.session.phase is Phase.PLAN
    assert {each[2] for each in world.commands} == {Source.SAFE}
    assert world.session.late_plans > 5 and 'plans take' in world.session.slowness
    del world.make_plan
    world.plan_time = 8 * MS
    world.run(60.0)
    assert world.end is End.DONE


def test_a_planner_that_never_answers_ends_the_episodes_with_a_reason(settings):
    world = World(settings)
    world.planner_alive = False
    world.run(settings.control.recovery_timeout + 1.0)
    assert world.end is End.NO_PLANNER and 'is it running' in world.text
    asked = [each[3] for each in world.requests]
    gaps = {round((later - sooner) * 1e-9, 2) for sooner, later in itertools.pairwise(asked)}
    assert max(gaps) <= 2.2 * world.realtime.plan_timeout  # asked soon after it is back


@pytest.mark.parametrize('alive', [False, True])
def test_a_training_is_waited_for_as_long_as_the_trainer_lives(settings, alive):
    world = World(settings, episodes=2, max_steps=10)
    world.session._storage._send = lambda each: world.session.on_ack(
        each.sequence + 1, True, world.now, 1
    )
    if alive:
        world._every(
            1_000 * MS,
            lambda: world.session.on_training(Training(world.now, 1, True, 1, 0.1, 0.5)),
        )
    world.run(20.0)
    if alive:
        assert world.session.phase is Phase.ENDING and world.end is None
    else:
        assert world.end is End.DONE and len(world.ended) == 2
        assert 'nothing was heard of dynamics' in world.warnings[0]


def test_states_whose_stamps_go_back_cut_the_episode_off_and_the_next_one_begins(settings):
    world = World(settings, episodes=2, max_steps=20)
    world.run(0.5)
    state, stamp = world.session._buffer.newest
    count = len(world.commands)
    world.session.on_state(state, stamp - 1_000 * MS, continuous=False)
    assert {each[2] for each in world.commands[count:]} == {Source.SAFE}
    assert len(world.ended) == 1 and world.ended[0].truncated and 'set back' in world.warnings[0]
    world.run(3.0)
    assert world.end is End.DONE and world.ended[1].steps == 20
    check_transitions(world)
