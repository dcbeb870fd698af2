"""The lockstep protocol, against a graph of scripted answers whose messages can go missing."""

import dataclasses
import math

import numpy as np
import pytest

from mbrl_mpc.outbox import Outbox
from mbrl_mpc.pilot import Pilot
from mbrl_mpc.ports import End, Phase, PlanFailure, Source
from mbrl_mpc.series import EpisodesGoal
from mbrl_mpc.session import Session
from mbrl_mpc.storage import Training
from mbrl_planner.planner import PlanResult, WarmStart

PERIOD = 40_000_000


def make_plan(version: int = 1) -> PlanResult:
    actions = np.full((5, 1), 0.5)
    states = np.zeros((6, 4))
    warm_start = WarmStart(actions, np.zeros((0, 5, 1)))
    return PlanResult(actions, states, states, 0.0, warm_start, version, 100, 0.001)


class Graph:
    """The other nodes, as ports: notes what it is asked, answers when the test says so."""

    def __init__(self, settings, episodes: int = 1, explore: int = 0, **goal: float) -> None:
        self.limits = settings.control
        self.now = 0.0
        self.stamp = 1_000_000_000
        self.resets: list[tuple[int, int]] = []
        self.requests: list = []
        self.commands: list[tuple] = []
        self.sent: list = []
        self.ended: list = []
        self.warnings: list[str] = []
        self.end: End | None = None
        self.text = ''
        self.target_reached = False
        self.outbox = Outbox()
        self.session = Session(
            Pilot(settings, 'robot', 7),
            settings.control,
            EpisodesGoal(episodes, explore, seed=3, max_steps=3, **goal),
            self.outbox,
            self,
            clock=lambda: self.now,
        )
        self.session.start()

    def reset(self, episode, seed):
        self.resets.append((episode, seed))

    def plan(self, plan_id, request, stamp):
        self.requests.append((plan_id, request))

    def command(self, action, source, plan_id, state_stamp):
        self.commands.append((float(action[0]), source, plan_id, state_stamp))

    def transition(self, transition):
        self.sent.append(transition)

    def progress(self, summary, ended):
        if ended:
            self.ended.append(dataclasses.replace(summary.record))

    def finish(self, end, text, target_reached):
        self.end, self.text, self.target_reached = end, text, target_reached

    def warn(self, text):
        self.warnings.append(text)

    # The answers.

    def answer_reset(self):
        self.session.on_reset(True, '', self.stamp)
        self.session.on_state(np.zeros(4), self.stamp)

    def answer_plan(self, **kwargs):
        self.session.on_plan(self.requests[-1][0], make_plan(**kwargs))

    def answer_command(self):
        self.stamp += PERIOD
        self.session.on_state(np.full(4, 0.01 * len(self.sent)), self.stamp)

    def answer_transition(self, due: bool = False, stamp: int = 0):
        self.session.on_ack(self.sent[-1].sequence + 1, due, stamp, training_job=2)

    def wait(self, seconds: float):
        self.now += seconds
        self.session.tick()


def test_a_planned_episode_runs_to_its_end_and_answers_every_state_once(settings):
    graph = Graph(settings)
    graph.answer_reset()
    for step in range(3):
        assert len(graph.requests) == step + 1
        graph.answer_plan()
        graph.answer_command()
        graph.answer_transition()
    assert graph.end is End.DONE
    sources = [source for _, source, _, _ in graph.commands]
    assert sources == [Source.PLAN] * 3 + [Source.SAFE]
    assert [t.sequence for t in graph.sent] == [0, 1, 2]
    assert [t.truncated for t in graph.sent] == [False, False, True]
    assert all(t.action[0] == 0.5 for t in graph.sent)
    assert len(graph.outbox) == 0


def test_exploration_needs_no_planner_and_differs_by_step_but_not_by_run(settings):
    actions = []
    for _ in range(2):
        graph = Graph(settings, explore=1)
        graph.answer_reset()
        for _ in range(3):
            graph.answer_command()
            graph.answer_transition()
        assert graph.end is End.DONE and not graph.requests
        actions.append([action for action, source, _, _ in graph.commands[:3]])
        assert graph.commands[0][1] is Source.EXPLORATION
    assert actions[0] == actions[1]
    assert len(set(actions[0])) == 3


def test_a_plan_is_not_executed_before_the_last_transition_is_stored(settings):
    graph = Graph(settings)
    graph.answer_reset()
    graph.answer_plan()
    graph.answer_command()
    graph.answer_plan()
    assert len(graph.commands) == 1
    graph.answer_transition()
    assert len(graph.commands) == 2


def test_a_training_that_became_due_is_waited_for_and_planned_with(settings):
    graph = Graph(settings)
    graph.answer_reset()
    graph.answer_plan()
    graph.answer_command()
    first = graph.requests[-1]
    graph.session.on_training(Training(5, 1, True, 1, 0.5, 0.0))
    graph.answer_transition(due=True, stamp=10)
    graph.session.on_plan(first[0], make_plan())  # made with the old model
    assert len(graph.commands) == 1 and graph.session.waiting_for_model
    graph.session.on_training(Training(15, 2, True, 1, 0.5, 0.0))
    assert len(graph.requests) == 2
    graph.session.on_training(Training(20, 2, False, 2, 0.4, 1.5))
    again = graph.requests[-1]
    assert again[0] > first[0]
    assert again[1].min_model_version == 2
    assert again[1].seed == first[1].seed
    np.testing.assert_array_equal(again[1].warm_start.mean, first[1].warm_start.mean)
    graph.answer_plan(version=2)
    assert len(graph.commands) == 2


def test_a_training_that_ended_before_its_announcement_arrived_is_not_waited_for(settings):
    graph = Graph(settings)
    graph.answer_reset()
    graph.answer_plan()
    graph.answer_command()
    graph.session.on_training(Training(20, 2, False, 2, 0.4, 1.5))
    graph.answer_transition(due=True, stamp=10)
    assert not graph.session.waiting_for_model


def test_the_last_training_of_an_episode_is_waited_for_before_the_next_begins(settings):
    graph = Graph(settings, episodes=2, explore=1)
    graph.answer_reset()
    for _ in range(2):
        graph.answer_command()
        graph.answer_transition()
    graph.answer_command()
    graph.answer_transition(due=True, stamp=10)
    assert len(graph.resets) == 1
    graph.session.on_training(Training(20, 2, False, 1, 0.4, 1.5))
    assert len(graph.resets) == 2
    assert graph.ended[0].steps == 3


def test_a_planner_without_the_model_is_asked_again_until_the_limit(settings):
    graph = Graph(settings)
    graph.answer_reset()
    for failure in (PlanFailure.NO_MODEL, PlanFailure.MODEL_OUTDATED):
        before = len(graph.requests)
        graph.session.on_plan(graph.requests[-1][0], failure, 'no model')
        graph.wait(0.05)
        assert len(graph.requests) == before + 1
    graph.session.on_plan(graph.requests[-1][0], PlanFailure.NO_MODEL, 'no model')
    graph.wait(graph.limits.model_timeout + 1)
    assert graph.end is End.NO_MODEL and 'is dynamics running' in graph.text


def test_a_silent_planner_is_asked_the_same_again_ever_more_rarely_and_given_up(settings):
    graph = Graph(settings)
    graph.answer_reset()
    for _ in range(600):
        graph.wait(0.1)
        if graph.end is not None:
            break
    assert graph.end is End.NO_PLANNER
    assert len({plan_id for plan_id, _ in graph.requests}) == 1
    assert 3 <= len(graph.requests) <= 7 and graph.session.late_plans == len(graph.requests) - 1


def test_a_planner_that_is_only_slow_is_waited_for(settings):
    graph = Graph(settings)
    graph.answer_reset()
    graph.wait(graph.limits.plan_timeout + 0.1)
    assert len(graph.requests) == 2 and graph.session.waiting_for_planner
    graph.session.on_plan(graph.requests[0][0], make_plan())
    assert len(graph.commands) == 1
    assert not graph.session.waiting_for_planner


def test_a_plan_for_a_question_that_was_dropped_is_ignored(settings):
    graph = Graph(settings)
    graph.answer_reset()
    first = graph.requests[-1][0]
    graph.session.replan()
    graph.session.on_plan(first, make_plan())
    assert not graph.commands
    graph.answer_plan()
    assert len(graph.commands) == 1


def test_a_warm_start_that_the_planner_refuses_is_dropped(settings):
    graph = Graph(settings)
    graph.answer_reset()
    graph.answer_plan()
    graph.answer_command()
    graph.session.on_plan(graph.requests[-1][0], PlanFailure.INVALID_REQUEST, 'horizon is 30')
    assert graph.requests[-1][1].warm_start is None
    graph.session.on_plan(graph.requests[-1][0], PlanFailure.INVALID_REQUEST, 'horizon is 30')
    assert graph.end is End.INTERNAL_ERROR


def test_a_failed_plan_waits_for_storage_and_training_as_any_plan_does(settings):
    graph = Graph(settings)
    graph.answer_reset()
    graph.answer_plan()
    graph.answer_command()
    graph.session.on_plan(graph.requests[-1][0], PlanFailure.PLANNING_FAILED, 'all NaN')
    assert len(graph.commands) == 1
    graph.answer_transition(due=True, stamp=10)
    graph.session.on_training(Training(20, 2, False, 2, 0.4, 1.5))
    graph.answer_plan(version=2)
    assert [source for _, source, _, _ in graph.commands] == [Source.PLAN] * 2


def test_a_trainer_that_was_started_again_counts_from_the_beginning(settings):
    graph = Graph(settings)
    graph.answer_reset()
    graph.answer_plan()
    graph.answer_command()
    graph.answer_transition(due=True, stamp=10)
    graph.session.on_training(Training(9, 1, False, 1, 0.5, 0.0))  # a late one, from before
    assert graph.session.waiting_for_model
    graph.session.on_training(Training(30, 1, False, 2, 0.5, 0.0))
    assert not graph.session.waiting_for_model


def test_a_plan_that_failed_becomes_the_safe_command(settings):
    graph = Graph(settings)
    graph.answer_reset()
    graph.session.on_plan(graph.requests[-1][0], PlanFailure.PLANNING_FAILED, 'all NaN')
    assert graph.commands == [(0.0, Source.SAFE, 0, graph.stamp)]
    graph.answer_command()
    assert graph.sent[0].action[0] == 0.0


def test_a_request_that_the_planner_refuses_ends_the_episodes_with_its_reason(settings):
    graph = Graph(settings)
    graph.answer_reset()
    graph.session.on_plan(graph.requests[-1][0], PlanFailure.INVALID_REQUEST, 'state has 3')
    assert graph.end is End.INTERNAL_ERROR and 'state has 3' in graph.text


def test_a_repeated_state_gets_the_same_answer_again_and_is_not_a_step(settings):
    graph = Graph(settings, explore=1)
    graph.answer_reset()
    graph.session.on_state(np.zeros(4), graph.stamp)
    assert graph.commands[0] == graph.commands[1]
    assert not graph.sent


def test_a_state_out_of_time_cuts_the_episode_off_and_the_next_one_begins(settings):
    graph = Graph(settings, episodes=2, explore=2)
    graph.answer_reset()
    graph.answer_command()
    graph.answer_transition()
    graph.stamp += 100 * PERIOD  # the simulation was started again
    graph.session.on_state(np.ones(4), graph.stamp)
    assert len(graph.resets) == 2 and 'cut off after 1 steps' in graph.warnings[0]
    assert graph.ended[0].truncated and graph.ended[0].steps == 1
    assert len(graph.sent) == 1  # a step over the gap would be a lie


def test_a_reset_is_asked_again_and_given_up_with_a_reason(settings):
    graph = Graph(settings)
    graph.wait(graph.limits.state_timeout + 0.1)
    assert len(graph.resets) == 2 and graph.resets[0] == graph.resets[1]
    graph.wait(graph.limits.recovery_timeout)
    assert graph.end is End.RESET_FAILED and 'sim_bridge' in graph.text
    graph = Graph(settings)
    graph.session.on_reset(False, 'no such environment', 0)
    assert graph.end is End.RESET_FAILED and graph.text == 'no such environment'


@pytest.mark.parametrize('state_first', [True, False])
def test_the_first_state_may_come_before_or_after_the_answer_to_the_reset(settings, state_first):
    graph = Graph(settings, explore=1)
    graph.session.on_state(np.ones(4), 5)  # a late one, of the episode before
    if state_first:
        graph.session.on_state(np.zeros(4), graph.stamp)
        graph.session.on_reset(True, '', graph.stamp)
    else:
        graph.session.on_reset(True, '', graph.stamp)
        assert not graph.commands
        graph.session.on_state(np.zeros(4), graph.stamp)
    assert [stamp for *_, stamp in graph.commands] == [graph.stamp]


def test_without_a_trainer_control_goes_on_and_transitions_are_kept_and_sent_again(settings):
    graph = Graph(settings)
    graph.answer_reset()
    graph.answer_plan()
    graph.answer_command()
    graph.answer_plan()
    graph.wait(graph.limits.ack_timeout + 0.1)
    assert len(graph.commands) == 2 and len(graph.outbox) == 1
    assert [t.sequence for t in graph.sent] == [0, 0]
    graph.answer_transition()
    assert len(graph.outbox) == 0


def test_stopping_sends_the_safe_command_last(settings):
    graph = Graph(settings)
    graph.answer_reset()
    graph.answer_plan()
    graph.session.stop(End.CANCELLED, 'cancelled on request')
    assert graph.commands[-1][1] is Source.SAFE
    assert graph.end is End.CANCELLED and graph.session.phase is Phase.OVER
    before = len(graph.commands)
    graph.answer_command()
    graph.wait(1000.0)
    assert len(graph.commands) == before


def test_the_target_ends_the_session_early_but_exploration_never_does(settings):
    graph = Graph(settings, episodes=3, explore=1, target_return=-1e9)
    for _ in range(2):
        graph.answer_reset()
        for _ in range(3):
            if graph.session.phase is Phase.PLAN:
                graph.answer_plan()
            graph.answer_command()
            graph.answer_transition()
    assert graph.end is End.DONE and graph.target_reached
    assert len(graph.ended) == 2


def test_replanning_drops_the_warm_start(settings):
    graph = Graph(settings)
    graph.answer_reset()
    graph.answer_plan()
    graph.answer_command()
    assert graph.requests[-1][1].warm_start is not None
    graph.session.replan()
    assert graph.requests[-1][1].warm_start is None


def test_the_models_error_is_zero_for_a_perfect_prediction_and_one_for_none(settings):
    graph = Graph(settings)
    graph.answer_reset()
    assert math.isnan(graph.session.pilot.record.model_error)
    for predicted, expected in ((np.full(4, 0.5), 0.0), (np.zeros(4), 1.0)):
        graph = Graph(settings)
        graph.answer_reset()
        plan = make_plan()
        plan.state_mean[1] = predicted
        graph.session.on_plan(graph.requests[-1][0], plan)
        graph.stamp += PERIOD
        graph.session.on_state(np.full(4, 0.5), graph.stamp)
        assert graph.session.pilot.record.model_error == pytest.approx(expected)
