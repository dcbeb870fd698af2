"""Transforms of the bodies against MuJoCo's own."""

from __future__ import annotations

import mujoco
import numpy as np

from mbrl_sim_bridge.transforms import transforms_of


def test_points_of_a_body_are_carried_to_where_mujoco_has_them():
    model = mujoco.MjModel.from_xml_string(
        '<mujoco><worldbody><body name="arm" pos="1 2 3" euler="10 20 30">'
        '<joint name="a" axis="1 2 3"/><geom size="0.1"/>'
        '<body pos="0 0 1"><geom size="0.1"/><body name="hand" pos="0.1 0 0"><joint axis="0 1 0"/>'
        '<geom name="tip" size="0.1" pos="0.3 0.2 0.1"/></body></body></body>'
        '</worldbody></mujoco>'
    )
    data = mujoco.MjData(model)
    data.qpos[:] = [0.7, -1.1]
    mujoco.mj_kinematics(model, data)
    transforms = transforms_of(model, data, 'robot0')
    assert [each.child_frame_id for each in transforms] == ['robot0/arm', 'robot0/hand']
    assert {each.header.frame_id for each in transforms} == {'world'}
    hand = transforms[1].transform
    turned, q = np.empty(3), hand.rotation
    mujoco.mju_rotVecQuat(turned, model.geom('tip').pos, np.array([q.w, q.x, q.y, q.z]))
    t = hand.translation
    np.testing.assert_allclose(
        turned + np.array([t.x, t.y, t.z]), data.geom('tip').xpos, atol=1e-12
    )
    assert [each.child_frame_id for each in transforms_of(model, data)] == ['arm', 'hand']
