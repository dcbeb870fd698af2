"""Where the parts of a robot are, for many states at once: forward kinematics from a MuJoCo model.

Only points are carried, from the part out to the world, so a hinge costs one product with a
constant matrix: ``R(q) x = x + sin(q) K x + (1 - cos(q)) K^2 x`` (Rodrigues).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import mujoco
import numpy as np
import torch

from mbrl_common.task import TaskSettings

_FREE, _HINGE, _SLIDE = (
    int(getattr(mujoco.mjtJoint, name)) for name in ('mjJNT_FREE', 'mjJNT_HINGE', 'mjJNT_SLIDE')
)


@dataclasses.dataclass(frozen=True)
class _Fixed:
    """A frame in the one that it is fixed to."""

    rotation: np.ndarray  # [3, 3]
    translation: np.ndarray  # [3]


@dataclasses.dataclass(frozen=True)
class _Joint:
    """A hinge or a slide; ``entry`` is its position's index in the state."""

    entry: int
    kind: int
    axis: np.ndarray  # [3]
    anchor: np.ndarray  # [3]
    rest: float  # position at which the frames before and after it are the same [m or rad]


@dataclasses.dataclass(frozen=True)
class _Float:
    """A free joint; ``entries`` are x, y, z, qw, qx, qy, qz in the state."""

    entries: tuple[int, ...]


class Point:
    """A body's origin or a site of a robot, as a function of a task's state."""

    def __init__(
        self,
        model: mujoco.MjModel,
        task: TaskSettings,
        name: str,
        offset: Sequence[float] = (0.0, 0.0, 0.0),
    ) -> None:
        """
        Args:
            model: of the robot.
            task: names the entries of the state.
            name: of the site, or else of the body.
            offset: [3], where the point is in the frame of that part [m].

        Raises:
            ValueError: the model has no such part, or the state lacks a joint that moves it.
        """
        site = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SITE, name)
        body = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, name)
        if site < 0 and body < 0:
            parts = [model.site(i).name for i in range(model.nsite)]
            parts += [model.body(i).name for i in range(1, model.nbody)]
            raise ValueError(
                f'the robot has no site or body {name!r}; it has '
                f'{", ".join(part for part in parts if part)}'
            )
        self._offset = np.array(offset, dtype=np.float64)
        if site >= 0:
            mujoco.mju_rotVecQuat(self._offset, self._offset.copy(), model.site_quat[site])
            self._offset += model.site_pos[site]
            body = int(model.site_bodyid[site])
        self._chain: list[_Fixed | _Joint | _Float] = []  # from the part to the world
        while body > 0:
            first = int(model.body_jntadr[body])
            for joint in reversed(range(first, first + int(model.body_jntnum[body]))):
                if not self._chain and _turns_about(model, joint, self._offset):
                    continue
                self._chain.append(_joint(model, task, name, joint))
            if not (self._chain and isinstance(self._chain[-1], _Float)):
                rotation = np.empty(9)
                mujoco.mju_quat2Mat(rotation, model.body_quat[body])
                self._chain.append(_Fixed(rotation.reshape(3, 3), model.body_pos[body].copy()))
            body = int(model.body_parentid[body])
        self._constants: dict[tuple[torch.dtype, torch.device], list[torch.Tensor]] = {}

    @property
    def entries(self) -> tuple[int, ...]:
        """Indices of the state's entries that move it."""
        found: set[int] = set()
        for link in self._chain:
            if isinstance(link, _Float):
                found.update(link.entries)
            elif isinstance(link, _Joint):
                found.add(link.entry)
        return tuple(sorted(found))

    def __call__(self, state: torch.Tensor) -> torch.Tensor:
        """Positions [..., 3] in the world [m], in states [..., S]."""
        key = (state.dtype, state.device)
        if key not in self._constants:
            self._constants[key] = [
                torch.as_tensor(each, dtype=state.dtype, device=state.device)
                for each in self._constant_parts()
            ]
        constants = iter(self._constants[key])
        point = next(constants).expand(*state.shape[:-1], 3)
        for link in self._chain:
            if isinstance(link, _Fixed):
                point = point @ next(constants) + next(constants)
            elif isinstance(link, _Float):
                point = _float(state[..., list(link.entries)], point)
            else:
                moved = state[..., link.entry, None] - link.rest
                if link.kind == _SLIDE:
                    point = point + moved * next(constants)
                    continue
                anchor = next(constants)
                turned = (point - anchor) @ next(constants)  # [..., 6]: K x and K^2 x
                point = point + moved.sin() * turned[..., :3] + (1 - moved.cos()) * turned[..., 3:]
        return point

    def _constant_parts(self) -> list[np.ndarray]:
        """What ``__call__`` takes in turn."""
        parts = [self._offset]
        for link in self._chain:
            if isinstance(link, _Fixed):
                parts += [link.rotation.T, link.translation]
            elif isinstance(link, _Joint) and link.kind == _SLIDE:
                parts.append(link.axis)
            elif isinstance(link, _Joint):
                x, y, z = link.axis
                cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
                parts += [link.anchor, np.concatenate([cross.T, (cross @ cross).T], axis=1)]
        return parts


def _turns_about(model: mujoco.MjModel, joint: int, point: np.ndarray) -> bool:
    """Whether a joint is a ball joint in this point [3] of its body, which it does not move."""
    is_ball = int(model.jnt_type[joint]) == int(mujoco.mjtJoint.mjJNT_BALL)
    return is_ball and bool(np.array_equal(point, model.jnt_pos[joint]))


def _joint(model: mujoco.MjModel, task: TaskSettings, part: str, joint: int) -> _Joint | _Float:
    kind, name = int(model.jnt_type[joint]), model.joint(joint).name
    if kind == _FREE:
        body = model.body(int(model.jnt_bodyid[joint])).name
        fields = ('x', 'y', 'z', 'qw', 'qx', 'qy', 'qz')
        wanted = [f'{body}.{field}' for field in fields]
    elif kind in (_HINGE, _SLIDE):
        wanted = [f'{name}.position']
    else:
        raise ValueError(f'{part!r} hangs on the ball joint {name!r}, which no state can name')
    missing = [entry for entry in wanted if entry not in task.state]
    if missing:
        raise ValueError(
            f"it needs {', '.join(missing)} in 'task.state' to know where {part!r} is; that is "
            f'{list(task.state)}'
        )
    entries = tuple(task.state.index(entry) for entry in wanted)
    if kind == _FREE:
        return _Float(entries)
    rest = float(model.qpos0[model.jnt_qposadr[joint]])
    axis, anchor = model.jnt_axis[joint].copy(), model.jnt_pos[joint].copy()
    return _Joint(entries[0], kind, axis, anchor, rest)


def _float(pose: torch.Tensor, point: torch.Tensor) -> torch.Tensor:
    """A point [..., 3] of a body with the pose [..., 7], in the world; the quaternion need not be
    of unit length, as a model predicts it."""
    quaternion = pose[..., 3:] / torch.linalg.vector_norm(pose[..., 3:], dim=-1, keepdim=True)
    vector = quaternion[..., 1:]
    twice = 2.0 * torch.linalg.cross(vector, point)
    turned = point + quaternion[..., :1] * twice + torch.linalg.cross(vector, twice)
    return pose[..., :3] + turned
