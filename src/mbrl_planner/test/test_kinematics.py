"""Forward kinematics against MuJoCo's, for every kind of joint."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
import torch

from mbrl_common.settings import build
from mbrl_common.task import TaskSettings
from mbrl_planner.kinematics import Point

ROBOT = """
<mujoco><worldbody>
  <body name="base" pos="1 2 3"><freejoint/><geom size="0.1"/>
    <body name="arm" pos="0.1 -0.2 0.3" euler="20 30 40">
      <joint name="a" axis="1 2 -0.5" pos="0.05 0.1 -0.2" ref="20"/>
      <joint name="b" type="slide" axis="0 1 1" ref="0.3"/><geom size="0.1"/>
      <body name="plate" pos="0 0 0.2" euler="0 -50 10"><geom size="0.1"/>
        <body name="hand" pos="0.3 0 0"><joint name="c" axis="0 0 1" pos="0 0.1 0"/>
          <geom size="0.1"/><site name="tip" pos="0.1 0.2 0.3" euler="30 0 60"/></body>
      </body>
    </body>
  </body>
  <body name="ball" pos="1 1 1"><joint name="d" type="ball"/><geom size="0.1"/></body>
  <site name="post" pos="4 5 6"/>
</worldbody></mujoco>"""
POSE = ['base.x', 'base.y', 'base.z', 'base.qw', 'base.qx', 'base.qy', 'base.qz']


def make_task(state: list[str]) -> TaskSettings:
    return build(
        TaskSettings,
        {
            'name': 'robot', 'state': state, 'action': ['a'], 'action_low': [-1.0],
            'action_high': [1.0], 'control_period': 0.1, 'max_steps': 10,
        },
    )  # fmt: skip


@pytest.fixture(scope='module')
def model():
    return mujoco.MjModel.from_xml_string(ROBOT)


@pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
@pytest.mark.parametrize('part', ['base', 'arm', 'plate', 'hand', 'tip', 'post'])
def test_points_are_where_mujoco_has_them(model, part, dtype, tolerance):
    task = make_task(['c.position', *POSE, 'b.position', 'a.position', 'a.velocity'])
    data, generator = mujoco.MjData(model), np.random.default_rng(0)
    states, expected = [], []
    for _ in range(20):
        data.qpos[:] = generator.normal(0.0, 2.0, model.nq)  # quaternions of any length
        mujoco.mj_forward(model, data)
        *pose, a, b, c = data.qpos[:10]
        states.append([c, *pose, b, a, 9.0])
        place = data.body(part) if part in ('base', 'arm', 'plate', 'hand') else data.site(part)
        expected.append(place.xpos.copy())
    batch = torch.tensor(np.array(states), dtype=dtype).view(4, 5, -1)
    found = Point(model, task, part)(batch)
    assert found.dtype == dtype
    np.testing.assert_allclose(found.view(20, 3), expected, atol=tolerance)


def test_what_the_robot_or_the_state_lacks_is_named(model):
    with pytest.raises(ValueError, match="no site or body 'hnad'; it has post, tip, base, arm"):
        Point(model, make_task(['a.position']), 'hnad')
    with pytest.raises(
        ValueError, match=r"needs c\.position in 'task.state' to know where 'tip' is"
    ):
        Point(model, make_task(['a.position', 'b.position', *POSE]), 'tip')
    with pytest.raises(ValueError, match=r'base\.qz'):
        Point(model, make_task(['a.position', 'b.position', *POSE[:-1]]), 'arm')
    with pytest.raises(ValueError, match="'ball' hangs on the ball joint 'd'"):
        Point(model, make_task(['a.position']), 'ball', (0.1, 0.0, 0.0))


def test_a_point_may_lie_in_the_frame_of_a_part(model):
    task = make_task(['c.position', *POSE, 'b.position', 'a.position', 'other.position'])
    data = mujoco.MjData(model)
    data.qpos[:] = np.random.default_rng(1).normal(0.0, 1.0, model.nq)
    mujoco.mj_forward(model, data)
    *pose, a, b, c = data.qpos[:10]
    state = torch.tensor([c, *pose, b, a, 9.0], dtype=torch.float64)
    offset = np.array([0.4, -0.5, 0.6])
    for name, frame in (('hand', data.body('hand')), ('tip', data.site('tip'))):
        point = Point(model, task, name, offset)
        expected = frame.xpos + frame.xmat.reshape(3, 3) @ offset
        np.testing.assert_allclose(point(state), expected, atol=1e-12)
        assert point.entries == tuple(range(10))
    assert Point(model, task, 'base').entries == tuple(range(1, 8))
    assert Point(model, task, 'post').entries == ()


def test_a_ball_joint_does_not_move_its_own_centre() -> None:
    model = mujoco.MjModel.from_xml_string(ROBOT)
    centre = Point(model, make_task(['a.position']), 'ball')
    assert centre(torch.zeros(1)).tolist() == [1.0, 1.0, 1.0]
