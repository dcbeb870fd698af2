"""What the pilot tells the planner of the past, and what it makes of the model's predictions."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mbrl_mpc.pilot import EpisodeRecord, Pilot
from mbrl_mpc.settings import MpcSettings
from mbrl_planner.objectives import ObjectiveSettings
from mbrl_planner.planner import PlanRequest, PlanResult, WarmStart


def make_plan(action: float, history: int) -> PlanResult:
    actions, states = np.full((5, 1), action), np.zeros((6, 4))
    warm_start = WarmStart(actions, np.zeros((0, 5, 1)))
    return PlanResult(actions, states, states, 0.0, warm_start, 1, 100, 0.001, history)


def fly(pilot: Pilot, steps: int, history: int) -> list[PlanRequest]:
    """Requests of an episode whose states and actions are numbered."""
    requests = []
    for step in range(steps):
        pilot.observe(np.full(4, float(step)), step * 40_000_000)
        pilot.take_transition()
        requests.append(pilot.plan_request())
        pilot.take_plan(make_plan(0.1 * step, history))
        pilot.act()
    return requests


@pytest.fixture
def pilot(settings: MpcSettings) -> Pilot:
    pilot = Pilot(settings)
    pilot.begin(0, seed=0, explore=False)
    return pilot


def test_a_model_without_history_is_told_nothing_of_the_past(pilot: Pilot) -> None:
    for request in fly(pilot, 5, history=1):
        assert len(request.past_states) == len(request.past_actions) == 0


def test_as_many_steps_are_sent_as_the_model_looks_back_oldest_first(pilot: Pilot) -> None:
    requests = fly(pilot, 5, history=3)
    assert [len(each.past_states) for each in requests] == [0, 1, 2, 2, 2]
    last = requests[-1]
    np.testing.assert_array_equal(np.asarray(last.past_states)[:, 0], [2.0, 3.0])
    np.testing.assert_allclose(np.asarray(last.past_actions)[:, 0], [0.2, 0.3])
    np.testing.assert_array_equal(last.state, np.full(4, 4.0))


def test_random_actions_are_held_for_as_many_steps_as_asked_for(settings: MpcSettings) -> None:
    held = dataclasses.replace(settings.control, exploration_hold=3)
    pilot = Pilot(dataclasses.replace(settings, control=held))
    pilot.begin(0, seed=0, explore=True)
    actions = []
    for step in range(9):
        pilot.observe(np.zeros(4), step * 40_000_000)
        pilot.take_transition()
        actions.append(float(pilot.act()[0]))
    assert actions == [actions[0]] * 3 + [actions[3]] * 3 + [actions[6]] * 3
    assert len(set(actions)) == 3


def test_an_episode_knows_nothing_of_the_one_before(pilot: Pilot) -> None:
    fly(pilot, 5, history=3)
    pilot.begin(1, seed=0, explore=False)
    assert [len(each.past_states) for each in fly(pilot, 3, history=3)] == [0, 1, 2]


def test_the_past_actions_are_those_executed_not_those_asked_for(settings: MpcSettings) -> None:
    limited = dataclasses.replace(settings.control, max_action_rate=1.0)  # 0.04 per step
    pilot = Pilot(dataclasses.replace(settings, control=limited))
    pilot.begin(0, seed=0, explore=False)
    request = fly(pilot, 4, history=2)[-1]
    assert float(np.asarray(request.past_actions)[0, 0]) == pytest.approx(0.08)


def test_a_goal_that_moves_is_asked_for_and_scored_where_it_is_at_each_step(
    settings: MpcSettings,
) -> None:
    weights = ('control=0', 'hinge.position=0', 'slider.velocity=0', 'hinge.velocity=0')
    objective = ObjectiveSettings('tracking', weights)
    pilot = Pilot(dataclasses.replace(settings, objective=objective))
    frequency, phase = 1.25, 0.1
    pilot.set_goal(np.array([0.0, 1.0, frequency, phase, 0.0, 0.0, 0.0, 0.0]))
    for _ in range(2):  # each episode begins with the goal's own phase
        pilot.begin(0, seed=0, explore=False)
        for step in range(8):
            pilot.observe(np.zeros(4), step * 40_000_000)
            transition = pilot.take_transition()
            if transition is not None:  # into the state at this time
                wanted = np.sin(2 * np.pi * frequency * 0.04 * step + phase)
                assert transition.reward == pytest.approx(-(wanted**2))
            request = pilot.plan_request()
            turned = (phase + 2 * np.pi * frequency * 0.04 * step) % (2 * np.pi)
            np.testing.assert_allclose(request.goal, [0, 1, frequency, turned, 0, 0, 0, 0])
            pilot.take_plan(make_plan(0.0, 1))
            pilot.act()


def test_a_target_at_rest_says_nothing_of_the_model_whatever_rounding_makes_of_it() -> None:
    record = EpisodeRecord(0, explore=False)
    for step in range(3):
        state = np.array([float(step), 0.1])
        reached = state + np.array([1.0, 1.4e-17])  # interpolated between two equal measurements
        record.compare(
            state + np.array([1.5, 2e-9]), state, reached
        )  # a prediction in single precision
    assert record.model_error == pytest.approx(0.5)
