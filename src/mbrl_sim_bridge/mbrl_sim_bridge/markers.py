"""What RViz is to draw: the model's geoms as boxes, spheres, cylinders and triangles."""

from __future__ import annotations

import dataclasses

import mujoco
import numpy as np

from mbrl_sim_bridge.meshes import coarse, mesh_of


@dataclasses.dataclass(frozen=True)
class Shape:
    """One body to draw, fixed to a geom; RViz knows no capsule, so that one is three of these."""

    name: str
    kind: str  # 'box', 'sphere', 'cylinder' (along its z axis) or 'mesh'
    geom: int  # index of the geom it belongs to
    offset: np.ndarray  # of its centre, in the geom's frame [m]; [3]
    size: tuple[float, float, float]  # full extents along its axes [m]; of a mesh 1, 1, 1
    rgba: tuple[float, float, float, float]
    triangles: np.ndarray | None = None  # of a mesh: corners in the geom's frame [m]; [T, 3, 3]


_VISIBLE = 3  # groups of geoms that MuJoCo's own viewer shows: 0, 1 and 2
_MESHES = 1500  # triangles of all meshes together
_INFINITE = 20.0  # side of a plane that has no end [m]
_THICKNESS = 0.002  # of a plane [m], below its surface
_DEFAULT_RGBA = (0.5, 0.5, 0.5, 1.0)


def shapes_of(model: mujoco.MjModel) -> list[Shape]:
    """Shapes of all geoms that MuJoCo's viewer shows; height fields are left out.

    Meshes are made coarser, so that all of them together have no more than 1500 triangles, or 100
    each.
    """
    shapes = []
    meshes = int((model.geom_type == int(mujoco.mjtGeom.mjGEOM_MESH)).sum())
    for index in range(model.ngeom):
        geom = model.geom(index)
        rgba = _colour(model, index)
        if rgba[3] == 0.0 or model.geom_group[index] >= _VISIBLE:
            continue
        a, b, c = (2.0 * float(value) for value in model.geom_size[index])
        kind = mujoco.mjtGeom(int(model.geom_type[index]))
        parts: list[tuple[str, float, tuple[float, float, float]]] = []  # kind, offset in z, size
        triangles = None
        if kind == mujoco.mjtGeom.mjGEOM_SPHERE:
            parts = [('sphere', 0.0, (a, a, a))]
        elif kind == mujoco.mjtGeom.mjGEOM_ELLIPSOID:
            parts = [('sphere', 0.0, (a, b, c))]
        elif kind == mujoco.mjtGeom.mjGEOM_BOX:
            parts = [('box', 0.0, (a, b, c))]
        elif kind == mujoco.mjtGeom.mjGEOM_CYLINDER:
            parts = [('cylinder', 0.0, (a, a, b))]
        elif kind == mujoco.mjtGeom.mjGEOM_CAPSULE:
            ends = [('sphere', end, (a, a, a)) for end in (-b / 2, b / 2)]
            parts = [('cylinder', 0.0, (a, a, b)), *ends]
        elif kind == mujoco.mjtGeom.mjGEOM_PLANE:
            parts = [('box', -_THICKNESS / 2, (a or _INFINITE, b or _INFINITE, _THICKNESS))]
        elif kind == mujoco.mjtGeom.mjGEOM_MESH:
            parts = [('mesh', 0.0, (1.0, 1.0, 1.0))]
            mesh = int(model.geom_dataid[index])
            triangles = coarse(*mesh_of(model, mesh), max(100, _MESHES // meshes))
        for part, offset, size in parts:
            centre = np.array([0.0, 0.0, offset])
            shapes.append(Shape(geom.name, part, index, centre, size, rgba, triangles))
    return shapes


def _colour(model: mujoco.MjModel, geom: int) -> tuple[float, float, float, float]:
    """The geom's own colour; its material's where it has none of its own."""
    rgba, material = model.geom_rgba[geom], int(model.geom_matid[geom])
    if material >= 0 and np.allclose(rgba, _DEFAULT_RGBA):
        rgba = model.mat_rgba[material]
    red, green, blue, alpha = (float(value) for value in rgba)
    return red, green, blue, alpha


def poses_of(shapes: list[Shape], data: mujoco.MjData) -> tuple[np.ndarray, np.ndarray]:
    """Where the shapes are, for a state whose kinematics MuJoCo has computed.

    Returns:
        Positions [shapes, 3] in metres and quaternions [shapes, 4] as (x, y, z, w), world frame.
    """
    positions = np.empty((len(shapes), 3))
    quaternions = np.empty((len(shapes), 4))
    wxyz = np.empty(4)
    for row, shape in enumerate(shapes):
        rotation = data.geom_xmat[shape.geom]
        positions[row] = data.geom_xpos[shape.geom] + rotation.reshape(3, 3) @ shape.offset
        mujoco.mju_mat2Quat(wxyz, rotation)
        quaternions[row] = wxyz[[1, 2, 3, 0]]
    return positions, quaternions
