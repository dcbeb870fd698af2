from __future__ import annotations

import mujoco
import numpy as np
import pytest

from mbrl_sim_bridge.markers import poses_of, shapes_of


def test_capsule_is_a_cylinder_with_a_sphere_at_each_end():
    model = mujoco.MjModel.from_xml_string(
        '<mujoco><worldbody><body><joint type="slide" axis="1 0 0"/>'
        '<geom name="rod" type="capsule" size="0.1" fromto="0 0 0 0 1 0" rgba="1 0.5 0 1"/>'
        '</body></worldbody></mujoco>'
    )
    data = mujoco.MjData(model)
    data.qpos[0] = 3.0
    mujoco.mj_kinematics(model, data)
    shapes = shapes_of(model)
    positions, quaternions = poses_of(shapes, data)
    assert [shape.kind for shape in shapes] == ['cylinder', 'sphere', 'sphere']
    np.testing.assert_allclose(shapes[0].size, [0.2, 0.2, 1.0])
    np.testing.assert_allclose(shapes[1].size, [0.2, 0.2, 0.2])
    np.testing.assert_allclose(shapes[0].rgba, [1.0, 0.5, 0.0, 1.0])
    np.testing.assert_allclose(positions[0], [3.0, 0.5, 0.0], atol=1e-12)
    np.testing.assert_allclose(sorted(positions[1:].tolist()), [[3, 0, 0], [3, 1, 0]], atol=1e-12)
    x, y, z, w = quaternions[0]  # turns the z axis to +-y
    axis = [2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)]
    np.testing.assert_allclose(np.abs(axis), [0, 1, 0], atol=1e-12)


@pytest.mark.parametrize(
    ('geom', 'kind', 'size'),
    [
        ('type="box" size="1 2 3"', 'box', (2, 4, 6)),
        ('type="sphere" size="1"', 'sphere', (2, 2, 2)),
        ('type="ellipsoid" size="1 2 3"', 'sphere', (2, 4, 6)),
        ('type="cylinder" size="1 2"', 'cylinder', (2, 2, 4)),
    ],
)
def test_sizes_are_full_extents(geom, kind, size):
    model = mujoco.MjModel.from_xml_string(
        f'<mujoco><worldbody><geom {geom}/></worldbody></mujoco>'
    )
    (shape,) = shapes_of(model)
    assert (shape.kind, shape.size) == (kind, size)


def test_invisible_geoms_and_planes_are_left_out():
    model = mujoco.MjModel.from_xml_string(
        '<mujoco><worldbody><geom type="plane" size="1 1 1"/>'
        '<geom size="1" rgba="1 1 1 0"/></worldbody></mujoco>'
    )
    assert shapes_of(model) == []
