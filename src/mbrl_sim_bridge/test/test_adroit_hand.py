"""The hand of PDDM's tasks: what is left of the file it comes from, and what is another."""

from __future__ import annotations

import importlib.util

import mujoco
import numpy as np
import pytest

from mbrl_sim_bridge.environments import adroit_hand
from mbrl_sim_bridge.environments.adroit_hand import (
    JOINTS,
    START,
    adroit_asset,
    make_hand,
    put_in_starting_pose,
)


@pytest.fixture
def model():
    return make_hand().compile()


def test_it_has_pddms_joints_and_position_controllers_and_nothing_else(model):
    assert tuple(model.joint(i).name for i in range(model.njnt)) == JOINTS
    assert tuple(model.actuator(i).name for i in range(model.nu)) == JOINTS
    assert (model.nq, model.ntendon, model.nsensor, model.na) == (24, 0, 0, 0)
    assert model.actuator_gainprm[:, 0].tolist() == [5.0, 5.0] + [1.0] * 22
    np.testing.assert_array_equal(model.actuator_biasprm[:, 1], -model.actuator_gainprm[:, 0])
    np.testing.assert_array_equal(model.actuator_ctrlrange, model.jnt_range)
    np.testing.assert_allclose(model.actuator_forcerange[:, 1], [3.0, 3.0] + [0.6] * 22)
    assert model.joint('WRJ0').range.tolist() == [-0.785, 0.611]
    assert model.dof_damping.tolist() == [0.5, 0.5] + [0.05] * 22
    assert (model.opt.timestep, model.opt.noslip_iterations) == (0.0025, 0)
    hand = [i for i in range(model.ngeom) if model.geom(i).name != 'floor']
    assert (model.geom_friction[hand] == [1.0, 0.005, 0.001]).all()


def test_the_palm_looks_up_where_pddm_has_it(model):
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    palm = data.body('palm')
    np.testing.assert_allclose(palm.xpos, [0.0, -0.11, 0.19], atol=1e-12)
    fingers_up = palm.xmat.reshape(3, 3) @ [[0.0, 0.0], [0.0, -1.0], [1.0, 0.0]]
    np.testing.assert_allclose(fingers_up.T, [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], atol=1e-12)


def test_it_holds_its_starting_pose(model):
    data = mujoco.MjData(model)
    put_in_starting_pose(data)
    wanted = np.array([START.get(name, 0.0) for name in JOINTS])
    np.testing.assert_array_equal(data.qpos, wanted)
    np.testing.assert_array_equal(data.ctrl, wanted)
    low, high = model.jnt_range.T
    assert ((wanted >= low) & (wanted <= high)).all() and set(START) <= set(JOINTS)
    mujoco.mj_step(model, data, nstep=400)
    np.testing.assert_allclose(data.qpos, wanted, atol=0.15)


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    assert adroit_asset('adroit_pen.xml').is_file()
    with pytest.raises(FileNotFoundError, match=r'no .*adroit_hand/nothing\.xml'):
        adroit_asset('nothing.xml')
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"install 'gymnasium-robotics==1\.4\.2'"):
        adroit_hand.make_hand()
