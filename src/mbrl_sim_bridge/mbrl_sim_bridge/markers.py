"""What RViz is to draw: the model's geoms as boxes, spheres and cylinders."""

from __future__ import annotations

import dataclasses

import mujoco
import numpy as np


@dataclasses.dataclass(frozen=True)
class Shape:
    """One body to draw, fixed to a geom; RViz knows no capsule, so that one is three of these."""

    name: str
    kind: str  # 'box', 'sphere' or 'cylinder' (along its z axis)
    geom: int  # index of the geom it belongs to
    offset: np.ndarray  # of its centre, in the geom's frame [m]; [3]
    size: tuple[float, float, float]  # full extents along its axes [m]
    rgba: tuple[float, float, float, float]


def shapes_of(model: mujoco.MjModel) -> list[Shape]:
    """Shapes of all visible primitive geoms; meshes, planes and height fields are left out."""
    shapes = []
    for index in range(model.ngeom):
        geom = model.geom(index)
        red, green, blue, alpha = (float(value) for value in model.geom_rgba[index])
        if alpha == 0.0:
            continue
        a, b, c = (2.0 * float(value) for value in model.geom_size[index])
        kind = mujoco.mjtGeom(int(model.geom_type[index]))
        parts: list[tuple[str, float, tuple[float, float, float]]] = []  # kind, offset in z, size
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
        for part, offset, size in parts:
            centre = np.array([0.0, 0.0, offset])
            rgba = (red, green, blue, alpha)
            shapes.append(Shape(geom.name, part, index, centre, size, rgba))
    return shapes


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
