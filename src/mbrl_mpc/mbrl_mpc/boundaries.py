"""Real time: the state at each boundary of the grid, and the transition that led to it.

States come when they come. The state at a boundary lies between two of them; once it is known, the
transition that led to it is: the action in force, from boundary to boundary. Where states are
missing, or the action was not in force all the time, there is none.
"""

from __future__ import annotations

from mbrl_mpc.periods import Periods
from mbrl_mpc.pilot import Pilot
from mbrl_mpc.state_buffer import StateBuffer
from mbrl_mpc.storage import Storage


class Boundaries:
    """Shows the pilot the states at the boundaries, and stores what leads from one to the next."""

    def __init__(
        self, pilot: Pilot, periods: Periods, buffer: StateBuffer, storage: Storage
    ) -> None:
        """
        Args:
            pilot: observes, and scores.
            periods: the grid, and what was commanded.
            buffer: the states of the last moments.
            storage: takes the transitions.
        """
        self._pilot = pilot
        self._periods = periods
        self._buffer = buffer
        self._storage = storage
        self.steps_lost = 0
        """Control periods without a transition."""

    def take_next(self) -> bool:
        """Take the next boundary, if there is a grid and the state there is known; returns whether
        that was so."""
        periods = self._periods
        index = periods.observed + 1
        # stamps may be a little ahead: a period is not over before the next is commanded
        if periods.begin is None or index > periods.current:
            return False
        if not self._buffer.covers(periods.boundary(index)):
            return False
        self._take(index)
        return True

    def _take(self, index: int) -> None:
        pilot, time = self._pilot, self._periods.boundary(index)
        state = self._buffer.at(time, self._periods.length // 2)
        period = self._periods.take(index)
        known = pilot.stamp == time - self._periods.length
        if index == 0:
            if state is not None:
                pilot.observe(state, time)
        elif state is None or period is None or not period.whole or not known:
            self.steps_lost += 1
            pilot.skip(state, time)
        else:
            predicted = None if period.change is None else pilot.state + period.change
            pilot.executed(period.action, predicted)
            pilot.observe(state, time)
            transition = pilot.take_transition()
            assert transition is not None
            self._storage.put(transition)
