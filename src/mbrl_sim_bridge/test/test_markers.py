from __future__ import annotations

import mujoco
import numpy as np
import pytest

from mbrl_sim_bridge.markers import poses_of, shapes_of
from mbrl_sim_bridge.meshes import coarse


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


def test_invisible_geoms_are_left_out():
    model = mujoco.MjModel.from_xml_string(
        '<mujoco><worldbody><geom size="1" group="3"/>'
        '<geom size="1" rgba="1 1 1 0"/></worldbody></mujoco>'
    )
    assert shapes_of(model) == []


@pytest.mark.parametrize(('size', 'sides'), [('1 2 1', (2, 4)), ('0 0 1', (20, 20))])
def test_a_plane_is_a_thin_box_below_its_surface(size, sides):
    model = mujoco.MjModel.from_xml_string(
        f'<mujoco><worldbody><geom type="plane" size="{size}" pos="0 0 3"/></worldbody></mujoco>'
    )
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    (shape,) = shapes_of(model)
    (position,), _ = poses_of([shape], data)
    assert (shape.kind, shape.size[:2]) == ('box', sides)
    assert position[2] + shape.size[2] / 2 == pytest.approx(3.0)
    assert 0 < shape.size[2] < 0.01


def test_a_geom_without_a_colour_of_its_own_has_its_materials():
    model = mujoco.MjModel.from_xml_string(
        '<mujoco><asset><material name="red" rgba="1 0 0 1"/></asset><worldbody>'
        '<geom size="1" material="red"/><geom size="1" material="red" rgba="0 1 0 1"/>'
        '</worldbody></mujoco>'
    )
    assert [shape.rgba for shape in shapes_of(model)] == [(1, 0, 0, 1), (0, 1, 0, 1)]


def ball(rings: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of a ball of radius 1."""
    up, around = np.meshgrid(np.linspace(0.01, np.pi - 0.01, rings), np.arange(rings))
    turn = 2 * np.pi * around / rings
    places = np.stack([np.sin(up) * np.cos(turn), np.sin(up) * np.sin(turn), np.cos(up)], -1)
    column, row = np.meshgrid(np.arange(rings), np.arange(rings - 1), indexing='ij')
    here, beside = column * rings + row, (column + 1) % rings * rings + row
    first = np.stack([here, beside, here + 1], -1).reshape(-1, 3)
    second = np.stack([beside, beside + 1, here + 1], -1).reshape(-1, 3)
    return places.reshape(-1, 3), np.concatenate([first, second])


def test_a_mesh_is_triangles_where_mujoco_has_them():
    vertices = np.array([[0, 0, 0], [0.3, 0, 0], [0, 0.6, 0], [0, 0, 0.9]])
    text = ' '.join(map(str, vertices.ravel()))
    model = mujoco.MjModel.from_xml_string(
        f'<mujoco><asset><mesh name="wedge" vertex="{text}"/></asset><worldbody>'
        '<body pos="1 2 3" euler="0 0 90"><geom type="mesh" mesh="wedge"/></body>'
        '</worldbody></mujoco>'
    )
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    (shape,) = shapes_of(model)
    (position,), (quaternion,) = poses_of([shape], data)
    assert (shape.kind, shape.size) == ('mesh', (1, 1, 1))
    assert shape.triangles.shape == (4, 3, 3)
    rotation = np.empty(9)
    mujoco.mju_quat2Mat(rotation, quaternion[[3, 0, 1, 2]])
    corners = shape.triangles.reshape(-1, 3) @ rotation.reshape(3, 3).T + position
    expected = [[1 - y, 2 + x, 3 + z] for x, y, z in vertices]  # a quarter turn about z
    for place in expected:
        assert np.linalg.norm(corners - place, axis=1).min() < 1e-6
    for corner in corners:
        assert np.linalg.norm(np.array(expected) - corner, axis=1).min() < 1e-6


def test_a_fine_mesh_is_made_coarser_and_keeps_its_form():
    vertices, faces = ball(60)
    assert coarse(vertices, faces, len(faces)).shape == (len(faces), 3, 3)
    for most in (1500, 100, 12):
        triangles = coarse(vertices, faces, most)
        assert 0 < len(triangles) <= most
        assert np.isfinite(triangles).all()
        corners = triangles.reshape(-1, 3)
        if most > 12:
            assert np.linalg.norm(corners, axis=1).min() > 0.6
            assert (np.ptp(corners, axis=0) > 1.5).all()


def test_many_meshes_share_a_budget(tmp_path):
    vertices, faces = ball(60)
    text = ' '.join(f'{number:.6f}' for number in vertices.ravel())
    indices = ' '.join(map(str, faces.ravel()))
    geoms = '<geom type="mesh" mesh="ball"/>' * 5
    model = mujoco.MjModel.from_xml_string(
        f'<mujoco><asset><mesh name="ball" vertex="{text}" face="{indices}"/></asset>'
        f'<worldbody>{geoms}</worldbody></mujoco>'
    )
    triangles = [len(shape.triangles) for shape in shapes_of(model)]
    assert len(triangles) == 5 and 500 < sum(triangles) <= 1500
