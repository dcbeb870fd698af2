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
