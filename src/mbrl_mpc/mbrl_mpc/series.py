"""Episodes, one after the other: which one it is, how it went, whether another follows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from mbrl_mpc.pilot import EpisodeRecord, Pilot
from mbrl_mpc.storage import Storage


@dataclasses.dataclass(frozen=True)
class EpisodesGoal:
    """What to do; see ``mbrl_msgs/action/RunEpisodes``."""

    episodes: int
    exploration_episodes: int
    seed: int
    first_episode: int = 0
    max_steps: int = 0
    target_return: float = math.nan


@dataclasses.dataclass
class Summary:
    """An episode, in progress or ended."""

    record: EpisodeRecord
    total_steps: int
    holdout_error: float
    training_time: float
    wall_time: float


class Series:
    """The episodes of a goal; what the sessions in lockstep and in real time have in common."""

    def __init__(
        self, pilot: Pilot, goal: EpisodesGoal, storage: Storage, clock: Callable[[], float]
    ) -> None:
        """
        Args:
            pilot: flies them.
            goal: how many of which kind.
            storage: knows what trainings took, and how good the model is.
            clock: monotonic time [s].
        """
        self._pilot = pilot
        self._goal = goal
        self._storage = storage
        self._clock = clock
        self._index = 0
        self._began = clock()
        self.target_reached = False
        """A planned episode returned what the goal asks for."""

    def begin(self) -> None:
        """Begin the next episode."""
        goal = self._goal
        self._pilot.begin(
            goal.first_episode + self._index,
            goal.seed,
            explore=self._index < goal.exploration_episodes,
            max_steps=goal.max_steps or None,
        )
        self._storage.forget_training_time()
        self._began = self._clock()

    def summary(self) -> Summary:
        """Of the episode as it is now."""
        return Summary(
            record=self._pilot.record,
            total_steps=self._pilot.total_steps,
            holdout_error=self._storage.holdout_error,
            training_time=self._storage.training_time,
            wall_time=self._clock() - self._began,
        )

    def end(self) -> bool:
        """End the episode; returns whether another is to follow."""
        self._index += 1
        record = self._pilot.record
        if not record.explore and record.episode_return >= self._goal.target_return:
            self.target_reached = True
        return not self.target_reached and self._index < self._goal.episodes
