"""What there is to see, against the simulation's own states."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from mbrl_common.taskfile import node_settings
from mbrl_mpc.pilot import Pilot
from mbrl_mpc.plan_view import TRAIL, PlanView, Prediction
from mbrl_mpc.settings import MpcSettings
from mbrl_planner.trace import Trace, make_trace
from mbrl_sim_bridge.settings import SimBridgeSettings
from mbrl_sim_bridge.simulation import Simulation

PARAMS = Path(__file__).parents[3] / 'launch' / 'config' / 'cartpole_swingup.yaml'
PERIOD = 40_000_000  # [ns]
BEGIN = 10**18


class Flight:
    """Random episodes of the real pilot in the real simulation."""

    def __init__(self, settings: MpcSettings) -> None:
        self.pilot = Pilot(settings)
        self.simulation = Simulation(node_settings(PARAMS, 'sim_bridge', SimBridgeSettings), BEGIN)
        self.states: list[np.ndarray] = []

    def begin(self, episode: int) -> None:
        self.pilot.begin(episode, seed=0, explore=True)
        self.states = []
        self._observe(self.simulation.reset(episode))

    def fly(self, steps: int) -> None:
        for _ in range(steps):
            self._observe(self.simulation.step(self.pilot.act()))

    def _observe(self, state: np.ndarray) -> None:
        self.states.append(state)
        self.pilot.observe(state, self.simulation.time_ns)
        self.pilot.take_transition()


def assert_same_places(seen: np.ndarray, expected: np.ndarray) -> None:
    """[..., 3] in m, but for rounding: a product of matrices is not rounded the same way however
    many states it is of, on every processor.
    """
    np.testing.assert_allclose(seen, expected, rtol=0.0, atol=1e-12)


@pytest.fixture
def flight(settings: MpcSettings) -> Flight:
    flight = Flight(settings)
    flight.begin(0)
    return flight


@pytest.fixture
def trace(settings: MpcSettings) -> Trace:
    trace = make_trace(settings.trace, settings.task)
    assert trace is not None
    return trace


def prediction(flight: Flight, steps: int = 20, std: float = 0.0) -> Prediction:
    """What a plan would say that foresees all: the robot goes on in a line of its own."""
    mean = flight.pilot.state + np.arange(steps + 1)[:, None] * [0.01, 0.02, 0.0, 0.0]
    return Prediction(flight.pilot.stamp, PERIOD, mean, np.full_like(mean, std))


def test_the_path_taken_is_all_of_the_episode_however_often_one_looks(
    flight: Flight, trace: Trace
) -> None:
    view = PlanView(trace)
    for steps in (0, 1, 1, 0, 20, 64, 3):
        flight.fly(steps)
        seen = view.look(flight.pilot, None)
        assert_same_places(seen.taken, trace(np.array(flight.states)))
        assert seen.stamp == flight.pilot.stamp
    flight.fly(60)
    view.look(flight.pilot, None)
    flight.fly(60)
    seen = view.look(flight.pilot, None)
    assert len(seen.taken) == TRAIL  # the newest of more
    assert_same_places(seen.taken, trace(np.array(flight.states[-TRAIL:])))


def test_a_look_that_comes_late_has_what_the_pilot_remembers(flight: Flight, trace: Trace) -> None:
    view = PlanView(trace)
    flight.fly(150)
    seen = view.look(flight.pilot, None).taken
    assert_same_places(seen, trace(np.array(flight.states[-len(seen) :])))
    assert len(seen) > 50


def test_another_episode_begins_without_the_last_ones_path_and_plan(
    flight: Flight, trace: Trace
) -> None:
    view = PlanView(trace)
    flight.fly(5)
    plan = prediction(flight)
    assert len(view.look(flight.pilot, plan).plan) == 21
    flight.begin(1)
    seen = view.look(flight.pilot, plan)  # it ends later than now, and is of the episode before
    assert len(seen.taken) == 1 and len(seen.plan) == len(seen.radius) == len(seen.predicted) == 0


def test_a_plan_is_where_its_states_are_and_as_wide_as_they_spread(
    flight: Flight, trace: Trace
) -> None:
    plan = prediction(flight, std=0.05)
    seen = PlanView(trace).look(flight.pilot, plan)
    radius = trace.foresee(plan.mean, plan.std, plan.mean[:0])[1]
    assert_same_places(seen.plan, trace(plan.mean))
    assert_same_places(seen.radius, radius)
    assert_same_places(seen.plan[0], seen.taken[-1])
    assert (seen.start, seen.step) == (flight.pilot.stamp, PERIOD)
    np.testing.assert_allclose(seen.goal, [[0.0, 0.0, 0.6]])


def test_what_an_earlier_plan_foresaw_stands_beside_what_came(flight: Flight, trace: Trace) -> None:
    view = PlanView(trace)
    first = prediction(flight)
    assert len(view.look(flight.pilot, first).predicted) == 0
    flight.fly(4)
    second = prediction(flight)
    predicted = view.look(flight.pilot, second).predicted
    assert_same_places(predicted, trace(first.mean[:5]))
    flight.fly(10)
    third = prediction(flight)
    # the first is not over yet, and goes back the furthest
    assert_same_places(view.look(flight.pilot, third).predicted, trace(first.mean[:15]))
    flight.fly(10)
    fourth = prediction(flight)
    assert_same_places(view.look(flight.pilot, fourth).predicted, trace(second.mean[: 10 + 10 + 1]))
    flight.fly(40)  # so late that none reaches until now: the newest, whole
    assert_same_places(view.look(flight.pilot, prediction(flight)).predicted, trace(fourth.mean))


def test_a_plan_long_past_is_not_drawn(flight: Flight, trace: Trace) -> None:
    view, plan = PlanView(trace), prediction(flight)
    flight.fly(20)
    assert len(view.look(flight.pilot, plan).plan) == 21
    flight.fly(1)
    assert len(view.look(flight.pilot, plan).plan) == 0


def test_a_plan_from_a_moment_ahead_is_drawn_from_there(flight: Flight, trace: Trace) -> None:
    plan = dataclasses.replace(prediction(flight), start=flight.pilot.stamp + PERIOD)
    view = PlanView(trace)
    seen = view.look(flight.pilot, plan)
    assert seen.start == flight.pilot.stamp + PERIOD and len(seen.plan) == 21
    flight.fly(1)
    assert len(view.look(flight.pilot, prediction(flight)).predicted) == 0  # not begun before now


def test_while_the_robot_is_reset_nothing_of_before_is_drawn(flight: Flight, trace: Trace) -> None:
    view = PlanView(trace)
    flight.fly(3)
    assert len(view.look(flight.pilot, None).taken) == 4
    flight.pilot.begin(1, seed=0, explore=True)  # and the reset takes a while
    assert len(view.look(flight.pilot, None).taken) == 0
    flight.begin(1)
    taken = view.look(flight.pilot, None).taken
    np.testing.assert_allclose(taken, trace(np.array(flight.states)))
