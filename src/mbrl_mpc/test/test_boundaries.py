"""Which boundaries are taken when, and which of them have a transition that leads there."""

import numpy as np
import pytest

from mbrl_mpc.boundaries import Boundaries
from mbrl_mpc.outbox import Outbox
from mbrl_mpc.periods import Period, Periods
from mbrl_mpc.pilot import Pilot
from mbrl_mpc.ports import Source
from mbrl_mpc.state_buffer import StateBuffer
from mbrl_mpc.storage import Storage

MS = 1_000_000
BEGIN = 10**12


class Rig:
    """An episode that is under way, and all that was stored of it."""

    def __init__(self, settings):
        self.sent = []
        self.pilot = Pilot(settings)
        self.pilot.begin(0, 3, explore=True, max_steps=20)
        self.periods = Periods(40 * MS, 10 * MS)
        self.periods.begin = BEGIN
        self.buffer = StateBuffer()
        storage = Storage(Outbox(), self.sent.append, lambda _: None, lambda: 0.0)
        self.boundaries = Boundaries(self.pilot, self.periods, self.buffer, storage)

    def command(self, index, action, late=0):
        effect = self.periods.boundary(index) + late * MS
        self.periods.enter(index, effect, Period(np.array([action]), Source.EXPLORATION))

    def measure(self, *milliseconds):
        """States that say when they were measured."""
        for each in milliseconds:
            self.buffer.put(np.full(4, each * 1e-3), BEGIN + each * MS)

    def take(self):
        """How many boundaries are taken now."""
        count = 0
        while self.boundaries.take_next():
            count += 1
        return count


@pytest.fixture
def rig(settings):
    return Rig(settings)


def test_a_boundary_is_taken_once_its_state_is_known_and_its_period_commanded(rig):
    assert rig.take() == 0
    rig.measure(-10, 10)
    assert rig.take() == 0  # nothing is commanded yet
    rig.command(0, 0.5)
    assert rig.take() == 1 and not rig.sent  # the first state of the episode
    rig.measure(30, 50)
    assert rig.take() == 0  # the period goes on
    rig.command(1, 0.7)
    assert rig.take() == 1
    (transition,) = rig.sent
    assert (transition.stamp, transition.next_stamp) == (BEGIN, BEGIN + 40 * MS)
    assert transition.action[0] == 0.5
    np.testing.assert_allclose(transition.state, 0.0, atol=1e-12)
    np.testing.assert_allclose(transition.next_state, 0.04)


def test_before_there_is_a_grid_no_boundary_is_taken(rig):
    rig.periods.clear()
    rig.measure(0, 50)
    assert rig.take() == 0


def test_a_period_whose_action_came_late_or_was_replaced_has_no_transition(rig):
    rig.measure(*range(-10, 200, 10))
    rig.command(0, 0.5, late=15)
    rig.command(1, 0.6)
    rig.periods.replace(Period(np.array([0.0]), Source.SAFE))
    rig.command(2, 0.7)
    rig.command(3, 0.8)
    assert rig.take() == 4
    assert [(each.step, each.action[0]) for each in rig.sent] == [(2, 0.7)]
    assert rig.boundaries.steps_lost == 2


def test_a_gap_in_the_states_takes_the_steps_on_both_of_its_sides(rig):
    rig.measure(*range(-10, 60, 10), *range(90, 200, 10))  # none around 80 ms
    for index in range(5):
        rig.command(index, 0.1 * index)
    assert rig.take() == 5
    assert [each.step for each in rig.sent] == [0, 3]
    assert rig.boundaries.steps_lost == 2
    assert rig.pilot.record.steps == 4
