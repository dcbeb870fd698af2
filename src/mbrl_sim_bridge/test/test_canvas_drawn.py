"""Outlines of all primitive shapes against their known pictures, without OpenGL."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from mbrl_sim_bridge.canvas_drawn import DrawnCanvas

SIDE = 200  # pixels
VIEW = 2.0  # metres across, orthographic


def covered_area(geom: str) -> float:
    """Area [m^2] that a red geom covers, seen along y by an orthographic camera."""
    model = mujoco.MjModel.from_xml_string(
        f"""<mujoco><worldbody>
            <camera name="c" pos="0 -5 0" xyaxes="1 0 0 0 0 1" {_orthographic()} fovy="{VIEW}"/>
            <geom rgba="1 0 0 1" {geom}/>
        </worldbody></mujoco>"""
    )
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    scene = mujoco.MjvScene(model, 10)
    camera = mujoco.MjvCamera()
    camera.type, camera.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, 0
    mujoco.mjv_updateScene(
        model,
        data,
        mujoco.MjvOption(),
        None,
        camera,
        mujoco.mjtCatBit.mjCAT_ALL.value,
        scene,
    )
    frame = DrawnCanvas(SIDE, SIDE).draw(scene).astype(float)
    return float((frame[..., 1] < 120).sum()) * (VIEW / SIDE) ** 2


def _orthographic() -> str:
    try:
        mujoco.MjModel.from_xml_string(
            '<mujoco><worldbody><camera projection="orthographic"/></worldbody></mujoco>'
        )
    except ValueError:  # MuJoCo before 3.4
        return 'orthographic="true"'
    return 'projection="orthographic"'


@pytest.mark.parametrize(
    ('geom', 'area'),
    [
        ('type="sphere" size="0.5"', np.pi * 0.25),
        ('type="box" size="0.5 0.2 0.3"', 0.6),
        ('type="box" size="0.5 0.5 0.5" euler="0 45 0"', 1.0),
        ('type="cylinder" size="0.3 0.4"', 0.48),
        ('type="cylinder" size="0.3 0.4" euler="90 0 0"', np.pi * 0.09),
        ('type="capsule" size="0.2 0.4"', 0.32 + np.pi * 0.04),
        ('type="capsule" size="0.2 0.4" euler="0 30 0"', 0.32 + np.pi * 0.04),
        ('type="ellipsoid" size="0.5 0.2 0.3"', np.pi * 0.15),
        ('type="plane" size="1 1 1"', 0.0),
    ],
)
def test_a_shape_covers_the_area_of_its_outline(geom, area):
    assert covered_area(geom) == pytest.approx(area, rel=0.06)  # an edge is a pixel wide
