"""Quaternions against rotation matrices, which are made in another way."""

import numpy as np
import pytest

from mbrl_mpc.attitude import (
    conjugate,
    multiply,
    rotate_back,
    rotation_vector,
    unit_quaternion,
)


def quaternion(axis, angle):
    axis = np.asarray(axis) / np.linalg.norm(axis)
    return np.concatenate([[np.cos(angle / 2)], np.sin(angle / 2) * axis])


def matrix(axis, angle):
    """Rodrigues' formula."""
    x, y, z = np.asarray(axis) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def test_a_vector_is_turned_back_as_by_the_transposed_rotation_matrix():
    random = np.random.default_rng(0)
    for _ in range(20):
        axis, angle, vector = random.normal(size=3), random.uniform(-3, 3), random.normal(size=3)
        np.testing.assert_allclose(
            rotate_back(quaternion(axis, angle), vector), matrix(axis, angle).T @ vector, atol=1e-12
        )


def test_the_product_is_one_rotation_after_the_other():
    first, second = ([1.0, 2.0, 3.0], 0.7), ([-1.0, 0.5, 0.0], 1.9)
    product = multiply(quaternion(*first), quaternion(*second))
    vector = np.array([0.3, -1.0, 2.0])
    np.testing.assert_allclose(
        rotate_back(product, vector), (matrix(*first) @ matrix(*second)).T @ vector, atol=1e-12
    )
    np.testing.assert_allclose(multiply(product, conjugate(product)), [1, 0, 0, 0], atol=1e-12)


@pytest.mark.parametrize('angle', [0.0, 1e-14, 1e-6, 0.5, 3.0])
def test_the_rotation_vector_is_axis_times_angle(angle):
    axis = np.array([2.0, -1.0, 2.0]) / 3
    np.testing.assert_allclose(rotation_vector(quaternion(axis, angle)), angle * axis, rtol=1e-9)


def test_an_orientation_keeps_the_sign_nearer_to_the_last_and_begins_with_w_above_zero():
    w, x, y, z = quaternion([0, 0, 1], 3.0)
    first = unit_quaternion('base', [-x, -y, -z, -w], None)
    np.testing.assert_allclose(first, [w, x, y, z])
    beyond = quaternion([0, 0, 1], 3.3)  # w < 0, and the same sheet as before
    told = [-beyond[1], -beyond[2], -beyond[3], -beyond[0]]
    np.testing.assert_allclose(unit_quaternion('base', told, first), beyond)


def test_an_orientation_is_made_exactly_of_length_one():
    attitude = unit_quaternion('base', [0.0, 0.0, 0.0, 1.01], None)
    np.testing.assert_array_equal(attitude, [1.0, 0.0, 0.0, 0.0])


@pytest.mark.parametrize(
    'orientation', [[0, 0, 0, 0], [0, 0, 0, 1.1], [0, 0, np.nan, 1], [np.inf, 0, 0, 1]]
)
def test_what_is_no_orientation_is_refused(orientation):
    with pytest.raises(ValueError, match=r"orientation of 'base' .* must be a unit quaternion"):
        unit_quaternion('base', orientation, None)
