"""Meshes of a model, made so coarse that they may be sent several times a second."""

from __future__ import annotations

import mujoco
import numpy as np


def coarse(vertices: np.ndarray, faces: np.ndarray, most: int) -> np.ndarray:
    """The triangles of a mesh, or of a coarser one with no more than ``most`` of them.

    Vertices in one cell of a grid become one, at their mean; the grid is as fine as it may be.

    Args:
        vertices: [V, 3].
        faces: [F, 3], indices of vertices.
        most: at least 12.

    Returns:
        Corners [T, 3, 3].
    """
    corners: np.ndarray = vertices[faces]
    low, size = vertices.min(0), float(np.ptp(vertices, axis=0).max())
    cells = 64
    while len(corners) > most:
        cell = np.floor((vertices - low) / size * cells * (1 - 1e-9)).astype(np.intp)
        _, joined = np.unique(cell, axis=0, return_inverse=True)
        joined = joined.reshape(-1)
        weight = np.bincount(joined)[:, None]
        means = np.stack([np.bincount(joined, column) for column in vertices.T], 1) / weight
        merged = joined[faces]
        a, b, c = merged.T
        merged = merged[(a != b) & (b != c) & (c != a)]
        _, first = np.unique(np.sort(merged, 1), axis=0, return_index=True)
        corners = means[merged[np.sort(first)]]
        cells = max(1, cells * 3 // 4)
    return corners


def mesh_of(model: mujoco.MjModel, mesh: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices [V, 3] in the frame of its geoms, and faces [F, 3]."""
    vertex, face = int(model.mesh_vertadr[mesh]), int(model.mesh_faceadr[mesh])
    return (
        model.mesh_vert[vertex : vertex + int(model.mesh_vertnum[mesh])].astype(np.float64),
        model.mesh_face[face : face + int(model.mesh_facenum[mesh])].astype(np.intp),
    )
