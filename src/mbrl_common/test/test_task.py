from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from mbrl_common.settings import SettingsError
from mbrl_common.task import TaskSettings, split_entry


def make(**changes: Any) -> TaskSettings:
    values: dict[str, Any] = {
        'name': 'arm',
        'state': ('a.position', 'b.position', 'a.velocity', 'left/b.effort'),
        'angles': ('b.position',),
        'action': ('a', 'left/b'),
        'action_low': (-1.0, -2.0),
        'action_high': (1.0, 2.0),
        'control_period': 0.05,
        'max_steps': 100,
    }
    return TaskSettings(**{**values, **changes})


def test_dimensions_bounds_and_angles_follow_from_the_names():
    task = make()
    assert (task.state_dim, task.action_dim, task.angle_indices) == (4, 2, (1,))
    low, high = task.bounds
    np.testing.assert_array_equal(low, [-1.0, -2.0])
    np.testing.assert_array_equal(high, [1.0, 2.0])
    assert low.dtype == high.dtype == np.float64


def test_a_free_body_is_named_by_its_frame_and_told_from_joints():
    task = make(state=('a.position', 'robot1/base_link.x', 'robot1/base_link.wz'), angles=())
    assert task.body_entries == ('robot1/base_link.x', 'robot1/base_link.wz')
    assert split_entry('robot1/base_link.wz') == ('robot1/base_link', 'wz')
    assert make().body_entries == ()


@pytest.mark.parametrize(
    ('changes', 'complaint'),
    [
        ({'state': (), 'angles': ()}, "'task.state' is empty"),
        ({'action': (), 'action_low': (), 'action_high': ()}, "'task.action' is empty"),
        ({'state': ('a.pos',), 'angles': ()}, "'a.pos'; an entry must be <joint>.<field>"),
        ({'state': ('.position',), 'angles': ()}, "'.position'; an entry must be"),
        ({'state': ('a.position', 'a.position'), 'angles': ()}, 'names an entry twice'),
        ({'state': ('a.qq',), 'angles': ()}, "'a.qq'; an entry must be"),
        ({'state': ('a.position', 'a.vx'), 'angles': ()}, "'a' both as a joint and as a body"),
        ({'state': ('a.qw',), 'angles': ('a.qw',)}, 'its attitude is a quaternion'),
        ({'action': ('a', 'a')}, "'task.action' names an entry twice"),
        ({'angles': ('c.position',)}, "'c.position', which 'task.state' lacks"),
        ({'action_low': (-1.0,)}, "have 1 and 2 entries; 'task.action' has 2"),
        ({'action_low': (1.0, -2.0)}, "must be below 'task.action_high'"),
        ({'action_high': (1.0, math.inf)}, 'must be finite'),
    ],
)
def test_contradictions_are_refused(changes, complaint):
    with pytest.raises(SettingsError) as caught:
        make(**changes)
    assert complaint in str(caught.value)


def test_every_contradiction_is_said():
    with pytest.raises(SettingsError) as caught:
        make(state=('a.position', 'a.power'), action_low=(0.0,))
    assert len(caught.value.problems) == 3
