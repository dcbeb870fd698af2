"""A measured model as tables."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip('mbrl_msgs')

from mbrl_bringup.evaluation_report import ENTRY_COLUMNS, STEP_COLUMNS, entry_rows, step_rows
from mbrl_msgs.msg import ModelEvaluation

LEVELS = [0.5, 0.9]


def message(horizon: int = 12, longest: int = 12) -> ModelEvaluation:
    """Two entries, the second of which does not change; k steps ahead the error is 0.1 k."""
    k = np.arange(1, horizon + 1)
    there = np.where(k <= longest, 1.0, math.nan)
    both = np.stack([k, k], axis=1) * there[:, None]
    covered = np.array([[0.45, 0.55], [0.8, math.nan]])
    return ModelEvaluation(
        state=['x.position', 'x.velocity'],
        relative_error=0.25,
        error=[0.1, 0.0],
        error_of_no_change=[0.4, 0.0],
        spread=[0.05, 0.02],
        disagreement=[0.01, 0.0],
        level=LEVELS,
        coverage=covered.flatten().tolist(),
        horizon=horizon,
        windows=[100 - each if each <= longest else 0 for each in k.tolist()],
        open_loop_relative_error=(there * 0.3).tolist(),
        open_loop_error=(both * 0.1).flatten().tolist(),
        open_loop_spread=(both * 0.05).flatten().tolist(),
        open_loop_coverage=np.tile(covered, (horizon, 1, 1)).flatten().tolist(),
    )


def test_each_entry_has_its_errors_and_what_is_not_known_is_a_dash() -> None:
    rows = list(entry_rows(message()))
    assert rows == [
        ('x.position', '0.1', '0.4', '0.25', '0.05', '0.01', '80 %'),
        ('x.velocity', '0', '0', '-', '0.02', '0', '-'),
        ('mean', '', '', '0.25', '', '', '80 %'),
    ]
    assert all(len(row) == len(ENTRY_COLUMNS) for row in rows)


def test_steps_go_as_far_as_there_are_windows() -> None:
    rows = list(step_rows(message()))
    assert [row[0] for row in rows] == ['1', '2', '3', '5', '10', '12']
    assert rows[-1] == ('12', '88', '0.3', '0.5', '80 %')
    assert all(len(row) == len(STEP_COLUMNS) for row in rows)
    assert [row[0] for row in step_rows(message(longest=4))] == ['1', '2', '3', '4']
    assert list(step_rows(message(longest=0))) == []
