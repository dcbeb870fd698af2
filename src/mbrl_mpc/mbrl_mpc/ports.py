"""What a session says to the world around it: its ports, and the words that both use."""

from __future__ import annotations

import enum
from typing import Protocol

import numpy as np

from mbrl_dynamics.transition import Transition
from mbrl_mpc.series import Summary
from mbrl_planner.planner import PlanRequest


class Source(enum.IntEnum):
    """Where an action came from; the constants of ``mbrl_msgs/Command``."""

    PLAN = 0
    EXPLORATION = 1
    SAFE = 2


class End(enum.IntEnum):
    """How a session ended; the constants of ``mbrl_msgs/action/RunEpisodes``."""

    DONE = 0
    RESET_FAILED = 4
    CANCELLED = 5
    STATE_TIMEOUT = 6
    NO_MODEL = 7
    DEACTIVATED = 8
    INTERNAL_ERROR = 9
    NO_PLANNER = 10
    OTHER_COMMANDER = 11


class PlanFailure(enum.IntEnum):
    """Why there is no plan; the constants of ``mbrl_msgs/srv/PlanActions``."""

    NO_MODEL = 1
    MODEL_OUTDATED = 2
    INVALID_REQUEST = 3
    PLANNING_FAILED = 4


class Phase(enum.Enum):
    """What a session waits for."""

    RESET = 'the reset'
    PLAN = 'a plan'
    STATE = 'the next state'
    ENDING = 'the last transition of the episode to be stored'
    OVER = 'nothing'


class Ports(Protocol):
    """How a session reaches the rest of the graph. None of these may block."""

    def reset(self, episode: int, seed: int) -> None:
        """Ask for a new episode; answered by ``on_reset``."""

    def plan(self, plan_id: int, request: PlanRequest, stamp: int) -> None:
        """Ask for a plan that takes effect at ``stamp`` [ns]; answered by ``on_plan``."""

    def command(self, action: np.ndarray, source: Source, plan_id: int, state_stamp: int) -> None:
        """Send an action to the robot."""

    def transition(self, transition: Transition) -> None:
        """Send a transition to the dataset."""

    def progress(self, summary: Summary, ended: bool) -> None:
        """Tell how the episode goes."""

    def finish(self, end: End, text: str, target_reached: bool) -> None:
        """The session is over; nothing more will come from it."""

    def warn(self, text: str) -> None:
        """Tell a person."""
