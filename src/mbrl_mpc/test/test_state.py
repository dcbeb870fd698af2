"""States are made by name, and doubtful messages are refused with a reason."""

import dataclasses

import numpy as np
import pytest

from mbrl_common.task import TaskSettings
from mbrl_mpc.state import StateAssembler, StateError


@pytest.fixture
def assembler(task: TaskSettings) -> StateAssembler:
    return StateAssembler(task)


def test_joints_are_matched_by_name_in_any_order_and_others_are_ignored(assembler):
    state = assembler.from_joints(
        ['hinge', 'gripper', 'slider'], [1.0, 9.0, 2.0], [3.0, 9.0, 4.0], []
    )
    np.testing.assert_array_equal(state, [2.0, 1.0, 4.0, 3.0])
    state = assembler.from_joints(['slider', 'hinge'], [5.0, 6.0], [7.0, 8.0], [])
    np.testing.assert_array_equal(state, [5.0, 6.0, 7.0, 8.0])


@pytest.mark.parametrize(
    ('names', 'position', 'velocity', 'complaint'),
    [
        (['slider', 'elbow'], [0.0, 0.0], [0.0, 0.0], 'lacks hinge; it has slider, elbow'),
        ([], [], [], 'lacks hinge, slider; it has no joints'),
        (['slider', 'slider'], [0.0, 0.0], [0.0, 0.0], 'twice'),
        (['slider', 'hinge'], [0.0], [0.0, 0.0], 'position must have 2 entries or none'),
        (['slider', 'hinge'], [0.0, 0.0], [0.0, 0.0, 0.0], 'velocity must have 2 entries'),
        (['slider', 'hinge'], [0.0, 0.0], [], "no velocity; the task needs 'slider.velocity'"),
        (['slider', 'hinge'], [0.0, np.nan], [0.0, 0.0], "'hinge.position' is nan"),
        (['slider', 'hinge'], [0.0, 0.0], [0.0, np.inf], "'hinge.velocity' is inf"),
    ],
)
def test_a_doubtful_joint_state_is_refused(assembler, names, position, velocity, complaint):
    with pytest.raises(StateError, match=complaint):
        assembler.from_joints(names, position, velocity, [])


def test_a_refused_message_does_not_spoil_the_next(assembler):
    with pytest.raises(StateError):
        assembler.from_joints(['slider'], [0.0], [0.0], [])
    state = assembler.from_joints(['slider', 'hinge'], [1.0, 2.0], [3.0, 4.0], [])
    np.testing.assert_array_equal(state, [1.0, 2.0, 3.0, 4.0])


def test_a_vector_of_the_wrong_length_is_refused(assembler):
    np.testing.assert_array_equal(assembler.from_vector([1, 2, 3, 4]), [1.0, 2.0, 3.0, 4.0])
    with pytest.raises(StateError, match=r'has 3 entries; the task has 4: slider\.position'):
        assembler.from_vector([1.0, 2.0, 3.0])
    with pytest.raises(StateError, match='must be finite'):
        assembler.from_vector([1.0, 2.0, 3.0, np.nan])


def test_a_joint_state_cannot_give_a_free_body_and_a_vector_can(task):
    body = StateAssembler(dataclasses.replace(task, state=('hinge.position', 'base.x'), angles=()))
    with pytest.raises(StateError, match=r'needs base\.x of a free body'):
        body.from_joints(['hinge'], [0.0], [0.0], [])
    np.testing.assert_array_equal(body.from_vector([1.0, 2.0]), [1.0, 2.0])
