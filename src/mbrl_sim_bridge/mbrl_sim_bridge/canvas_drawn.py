"""A plain picture of a scene, where there is no OpenGL: its geoms' outlines, back to front."""

from __future__ import annotations

import mujoco
import numpy as np
from PIL import Image, ImageDraw

_OVERSAMPLING = 2  # drawn larger and reduced, for smooth edges
_BACKGROUND = (232, 238, 244)


class DrawnCanvas:
    """Draws scenes with Pillow, through the scene's own camera.

    Spheres, capsules, cylinders, boxes and ellipsoids are convex, and so are their pictures: the
    convex hull of points on the surface. Meshes, planes and height fields are left out.
    """

    name = 'drawn'

    def __init__(self, width: int, height: int) -> None:
        self._size = (width, height)

    def draw(self, scene: mujoco.MjvScene) -> np.ndarray:
        """A frame, uint8 [height, width, 3]."""
        width, height = (side * _OVERSAMPLING for side in self._size)
        image = Image.new('RGB', (width, height), _BACKGROUND)
        brush = ImageDraw.Draw(image)
        outlines = []
        for geom in scene.geoms[: scene.ngeom]:
            points = _surface(geom)
            if points is None or geom.rgba[3] == 0.0:
                continue
            pixels, depth = _project(points @ geom.mat.T + geom.pos, scene, width, height)
            if depth.min() > 0.0:  # wholly before the camera
                outlines.append((depth.mean(), _outline(pixels), geom.rgba))
        for _, corners, rgba in sorted(outlines, key=lambda outline: -outline[0]):
            colour = tuple(int(255 * value) for value in rgba[:3])
            edge = tuple(value * 6 // 10 for value in colour)
            brush.polygon(corners.ravel().tolist(), fill=colour, outline=edge, width=_OVERSAMPLING)
        return np.asarray(image.resize(self._size, Image.Resampling.BOX))

    def close(self) -> None:
        """Nothing to give back."""


def _sphere_points(count: int = 16) -> np.ndarray:
    """Points on the unit sphere, [count * (count + 1), 3]."""
    around, down = np.meshgrid(
        np.linspace(0.0, 2.0 * np.pi, count, endpoint=False), np.linspace(0.0, np.pi, count + 1)
    )
    return np.stack(
        [np.sin(down) * np.cos(around), np.sin(down) * np.sin(around), np.cos(down)], axis=-1
    ).reshape(-1, 3)


_SPHERE = _sphere_points()
_CUBE = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float64)
_ANGLES = np.linspace(0.0, 2.0 * np.pi, 90, endpoint=False)
_DIRECTIONS = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)])
_CIRCLE = _SPHERE[np.abs(_SPHERE[:, 2]) < 1e-9]


def _surface(geom: mujoco.MjvGeom) -> np.ndarray | None:
    """Points on the surface whose convex hull is the geom, in its frame [points, 3]."""
    kind = mujoco.mjtGeom(int(geom.type))
    size = np.asarray(geom.size, dtype=np.float64)
    if kind in (mujoco.mjtGeom.mjGEOM_SPHERE, mujoco.mjtGeom.mjGEOM_ELLIPSOID):
        return _SPHERE * size
    if kind == mujoco.mjtGeom.mjGEOM_BOX:
        return _CUBE * size
    shift = np.array([0.0, 0.0, size[2]])  # half the length, along z, in a scene
    if kind == mujoco.mjtGeom.mjGEOM_CYLINDER:
        rim = _CIRCLE * [size[0], size[1], 0.0]
        return np.concatenate([rim - shift, rim + shift])
    if kind == mujoco.mjtGeom.mjGEOM_CAPSULE:
        cap = _SPHERE * size[0]
        return np.concatenate([cap - shift, cap + shift])
    return None


def _project(
    points: np.ndarray, scene: mujoco.MjvScene, width: int, height: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels [points, 2] and distances before the camera [points] of points in the world."""
    camera, other = scene.camera  # for two eyes; the picture is taken between them
    forward, up = np.asarray(camera.forward), np.asarray(camera.up)
    relative = points - (np.asarray(camera.pos) + np.asarray(other.pos)) / 2.0
    depth = relative @ forward
    scale = np.full(len(points), 1.0) if camera.orthographic else camera.frustum_near / depth
    half_height = (camera.frustum_top - camera.frustum_bottom) / 2.0
    middle = (camera.frustum_top + camera.frustum_bottom) / 2.0
    metres_per_pixel = 2.0 * half_height / height
    right = (relative @ np.cross(forward, up)) * scale / metres_per_pixel
    above = ((relative @ up) * scale - middle) / metres_per_pixel
    return np.stack([width / 2.0 + right, height / 2.0 - above], axis=-1), depth


def _outline(points: np.ndarray) -> np.ndarray:
    """Corners of the convex hull of points in the plane: the outermost in each direction."""
    return points[np.argmax(points @ _DIRECTIONS, axis=0)]
