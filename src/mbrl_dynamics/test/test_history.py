"""Windows of past steps."""

from __future__ import annotations

import numpy as np

from mbrl_dynamics.history import predecessors, windows
from mbrl_dynamics.transitions import Transitions


def make_data() -> Transitions:
    """Two robots' episodes, mixed as they arrive, with a gap in one of them."""
    #         sender, episode, step
    places = [(0, 0, 0), (1, 0, 0), (0, 0, 1), (1, 0, 1), (0, 0, 3), (0, 1, 0), (0, 1, 1)]
    sender, episode, step = (np.array(each) for each in zip(*places))
    numbers = np.arange(1.0, len(places) + 1)[:, None]
    return Transitions.from_arrays(
        np.hstack([numbers, -numbers]),
        10 * numbers,
        np.zeros((len(places), 2)),
        senders=(('a', 1), ('b', 1)),
        sender=sender,
        episode=episode,
        step=step,
    )


def test_only_the_step_before_of_the_same_robot_and_episode_comes_before() -> None:
    assert predecessors(make_data()).tolist() == [-1, -1, 0, 1, -1, -1, 5]


def test_windows_repeat_the_first_state_with_actions_of_zero() -> None:
    states, actions = windows(make_data(), 3)
    np.testing.assert_array_equal(states[0], [1, -1, 1, -1, 1, -1])
    np.testing.assert_array_equal(actions[0], [10, 0, 0])
    np.testing.assert_array_equal(states[2], [3, -3, 1, -1, 1, -1])
    np.testing.assert_array_equal(actions[2], [30, 10, 0])
    np.testing.assert_array_equal(states[4], [5, -5, 5, -5, 5, -5])  # after the gap
    np.testing.assert_array_equal(actions[4], [50, 0, 0])


def test_without_history_they_are_the_states_and_actions_themselves() -> None:
    data = make_data()
    states, actions = windows(data, 1)
    np.testing.assert_array_equal(states, data.state)
    np.testing.assert_array_equal(actions, data.action)
