"""Which held-out transitions follow each other, and which of them a model is measured on."""

from __future__ import annotations

import dataclasses

import numpy as np

from mbrl_dynamics.history import windows
from mbrl_dynamics.transitions import Transitions


@dataclasses.dataclass(frozen=True)
class Windows:
    """Stretches of transitions that follow each other, none of which was trained on.

    Attributes:
        index: [W, H] int64, places in the data; -1 beyond a window's end.
        length: [W] int64, 1 to H, longest first.
    """

    index: np.ndarray
    length: np.ndarray

    def __len__(self) -> int:
        return len(self.length)

    def counts(self) -> np.ndarray:
        """How many are at least k = 1, ..., H long, [H]."""
        steps = np.arange(1, self.index.shape[1] + 1)
        return np.asarray((self.length[:, None] >= steps).sum(0))


def choose_windows(data: Transitions, held_out: np.ndarray, horizon: int, limit: int) -> Windows:
    """The longest windows there are, up to ``horizon`` steps, up to ``limit`` of them.

    So of every length there are as many as there can be. Where more are equally long than are
    wanted, they are taken evenly from the whole of the data. Windows may overlap.

    Args:
        data: N transitions in any order.
        held_out: bool [N].
        horizon: H.
        limit: of their number.
    """
    places = np.flatnonzero(held_out)
    sender, episode, step = (getattr(data, n)[places] for n in ('sender', 'episode', 'step'))
    order = np.lexsort((step, episode, sender))
    places, sender, episode, step = places[order], sender[order], episode[order], step[order]
    follows = (np.diff(sender) == 0) & (np.diff(episode) == 0) & (np.diff(step) == 1)
    # The run that each belongs to ends where the next one does not follow.
    ends = np.append(np.flatnonzero(~follows), len(places) - 1)
    count = len(places)
    last = ends[np.searchsorted(ends, np.arange(count))] if count else ends[:0]
    length = np.minimum(last - np.arange(count) + 1, horizon)
    starts = _longest(length, limit)
    longest = int(length[starts].max(initial=0))
    steps = np.arange(longest)
    within = steps < length[starts][:, None]
    at = np.where(within, starts[:, None] + steps, 0)
    index = np.full((len(starts), horizon), -1, dtype=np.int64)
    index[:, :longest] = np.where(within, places[at] if count else -1, -1)
    return Windows(index, length[starts])


def evenly(values: np.ndarray, limit: int) -> np.ndarray:
    """At most ``limit`` of the values, evenly spread, in their order."""
    if len(values) <= limit:
        return values
    return values[np.linspace(0, len(values) - 1, limit).round().astype(np.int64)]


def windows_at(
    data: Transitions, places: np.ndarray, history: int
) -> tuple[np.ndarray, np.ndarray]:
    """The last ``history`` states [W, K * S] and actions [W, K * A] of some transitions."""
    if history == 1:
        return data.state[places], data.action[places]
    near = np.flatnonzero(np.isin(data.episode, np.unique(data.episode[places])))
    states, actions = windows(data[near], history)
    at = np.searchsorted(near, places)
    return states[at], actions[at]


def _longest(length: np.ndarray, limit: int) -> np.ndarray:
    """Places of the ``limit`` greatest lengths, greatest first, and then in order."""
    by_length = np.argsort(-length, kind='stable')
    if len(length) <= limit:
        return by_length
    border = length[by_length[limit - 1]]
    certain = by_length[length[by_length] > border]
    among = by_length[length[by_length] == border]
    return np.concatenate([certain, evenly(among, limit - len(certain))])
