"""What the rows of a status come to."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

from mbrl_bringup.report import faults
from mbrl_bringup.status_log import StatusRow


def row(episode: int, **fields: Any) -> StatusRow:
    stamp = SimpleNamespace(sec=0, nanosec=0)
    message = {'stamp': stamp, 'state': 2, 'episode': episode, **fields}
    return StatusRow.from_message(SimpleNamespace(**message))


def test_counts_belong_to_the_episode_in_which_they_rose() -> None:
    rows = [row(0, late_plans=2), row(1, late_plans=2), row(1, late_plans=5), row(2, late_plans=6)]
    assert faults.by_episode(rows)['late_plans'] == {0: 2, 1: 3, 2: 1}
    assert faults.totals(rows)['late_plans'] == 6
    assert faults.totals(rows)['refused_states'] == 0


def test_a_controller_that_was_started_again_counts_from_the_beginning() -> None:
    rows = [row(0, clamped_actions=9), row(1, clamped_actions=4), row(1, clamped_actions=6)]
    assert faults.by_episode(rows)['clamped_actions'] == {0: 9, 1: 6}


def test_a_plan_that_is_told_of_again_counts_once() -> None:
    pairs = [(math.nan, math.nan), (3.0, 2.0), (3.0, 2.0), (4.0, 2.0), (math.nan, 2.0)]
    rows = [row(n // 2, predicted_return=p, received_return=r) for n, (p, r) in enumerate(pairs)]
    assert faults.predictions(rows) == [(0, 3.0, 2.0), (1, 4.0, 2.0)]


def test_waiting_is_told_by_what_is_waited_for() -> None:
    rows = [row(0, state=state) for state in (2, 4, 5, 5, 1)]
    assert faults.waiting(rows) == {'state': 1, 'planner': 2}


def test_nothing_comes_of_no_rows() -> None:
    assert faults.predictions([]) == faults.messages([]) == []
    assert faults.waiting([]) == {}
    assert sum(faults.totals([]).values()) == 0
