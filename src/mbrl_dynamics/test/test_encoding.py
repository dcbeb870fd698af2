"""Inputs and targets of the networks."""

from __future__ import annotations

import numpy as np

from mbrl_dynamics.encoding import Encoding


def test_angles_enter_as_sine_and_cosine_and_the_rest_as_it_is() -> None:
    encoding = Encoding(4, 1, (1,))
    inputs = encoding.inputs(np.array([[1.0, 0.3, 2.0, 3.0]]), np.array([[4.0]]))
    np.testing.assert_array_equal(inputs, [[1.0, 2.0, 3.0, np.sin(0.3), np.cos(0.3), 4.0]])
    assert encoding.input_dim == inputs.shape[1]


def test_a_whole_turn_makes_no_difference() -> None:
    encoding = Encoding(2, 1, (0,))
    state = np.array([[0.7, 1.0]])
    turned = state + np.array([[2 * np.pi, 0.0]])
    action = np.zeros((1, 1))
    np.testing.assert_allclose(
        encoding.inputs(turned, action), encoding.inputs(state, action), atol=1e-15
    )


def test_targets_are_plain_differences_also_of_angles() -> None:
    encoding = Encoding(2, 1, (0,))
    change = encoding.targets(np.array([[3.1, 1.0]]), np.array([[3.3, 0.5]]))
    np.testing.assert_allclose(change, [[0.2, -0.5]])


def test_a_state_without_angles_is_its_own_encoding() -> None:
    encoding = Encoding(2, 1, ())
    inputs = encoding.inputs(np.array([[1.0, 2.0]]), np.array([[3.0]]))
    np.testing.assert_array_equal(inputs, [[1.0, 2.0, 3.0]])


def test_what_is_left_out_does_not_enter_and_what_is_absolute_is_its_own_target() -> None:
    encoding = Encoding(4, 1, (1, 3), (0, 3), targets_absolute=(2,), targets_left_out=(1,))
    state, next_state = np.array([[1.0, 0.3, 2.0, 3.0]]), np.array([[1.5, 9.0, 7.0, 2.0]])
    inputs = encoding.inputs(state, np.array([[4.0]]))
    np.testing.assert_array_equal(inputs, [[2.0, np.sin(0.3), np.cos(0.3), 4.0]])
    assert encoding.input_dim == 4
    np.testing.assert_array_equal(encoding.targets(state, next_state), [[0.5, 7.0, -1.0]])
    assert encoding.predicted == (0, 2, 3)


def test_with_a_history_the_newest_comes_first_in_each_group() -> None:
    encoding = Encoding(2, 1, (1,), history=2)
    inputs = encoding.inputs(np.array([[1.0, 0.1, 3.0, 0.2]]), np.array([[5.0, 6.0]]))
    np.testing.assert_array_equal(
        inputs, [[1.0, 3.0, np.sin(0.1), np.sin(0.2), np.cos(0.1), np.cos(0.2), 5.0, 6.0]]
    )
    assert encoding.input_dim == inputs.shape[1]
