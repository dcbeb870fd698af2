"""Windows of past steps: which transitions of a dataset follow each other.

Before the start of an episode (or of what is known of it) a window repeats the first state, with
actions of zero. Whoever plans with a history fills it in the same way.
"""

from __future__ import annotations

import numpy as np

from mbrl_dynamics.transitions import Transitions


def predecessors(data: Transitions) -> np.ndarray:
    """Index of the transition one step before each, of the same sender and episode; [N] int64.

    -1 where there is none. Transitions may lie in any order, those of several robots mixed.
    """
    order = np.lexsort((data.step, data.episode, data.sender))
    before, after = order[:-1], order[1:]
    follows = (
        (data.sender[before] == data.sender[after])
        & (data.episode[before] == data.episode[after])
        & (data.step[before] + 1 == data.step[after])
    )
    found = np.full(len(data), -1, dtype=np.int64)
    found[after[follows]] = before[follows]
    return found


def windows(data: Transitions, history: int) -> tuple[np.ndarray, np.ndarray]:
    """The last ``history`` states and actions of each transition, the newest first.

    Returns:
        states [N, K * S] and actions [N, K * A].
    """
    states, actions = [data.state], [data.action]
    if history > 1:
        previous = predecessors(data)
        at = np.arange(len(data))
        inside = np.ones(len(data), dtype=bool)
        for _ in range(history - 1):
            inside &= previous[at] >= 0
            at = np.where(inside, previous[at], at)
            states.append(data.state[at])
            actions.append(np.where(inside[:, None], data.action[at], 0.0))
    return np.concatenate(states, axis=1), np.concatenate(actions, axis=1)
