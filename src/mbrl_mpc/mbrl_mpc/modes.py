"""What decides the actions, and when a plan is made anew. Changeable while the robot moves."""

from __future__ import annotations

import dataclasses
import math

from mbrl_mpc.exploration_kinds import KINDS

MEANINGS = {
    'closed_loop': 'a new plan for every control step',
    'open_loop': 'a plan is followed to its end before the next is made',
    'every': 'a new plan after `every` steps of the last',
    'on_error': 'a new plan when a state is not what was expected, and at the end of a plan',
    'explore': 'random actions, of the kind that robot.exploration names',
    **{f'explore_{kind}': f'random actions, {text}' for kind, text in KINDS.items()},
    'hold': 'the safe action',
}
"""Every mode, and what it does, for people."""
NAMES = tuple(MEANINGS)


class ModeError(ValueError):
    """There is no such mode, or a number of it is out of range; the text says what would be."""


@dataclasses.dataclass(frozen=True)
class Mode:
    """
    Attributes:
        name: one of

            - ``closed_loop``: a new plan for every control step;
            - ``open_loop``: a plan is followed to its end before the next is made;
            - ``every``: a new plan after ``every`` steps of the last;
            - ``on_error``: a new plan when a state differs from what was expected by more than
              ``bound``, and at the end of a plan;
            - ``explore``: random actions, of the kind that the settings name;
            - ``explore_held``, ``explore_white``, ``explore_coloured``, ``explore_walk``: random
              actions of that kind (see ``exploration``);
            - ``hold``: the safe action.
        every: steps, at least 1.
        bound: of the one-step error, relative to the change expected; above 0.
    """

    name: str = 'closed_loop'
    every: int = 1
    bound: float = math.inf

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise ModeError(f'there is no mode {self.name!r}; there are {", ".join(NAMES)}')
        if self.every < 1:
            raise ModeError(f"'every' is {self.every}; it must be at least 1 step")
        if not self.bound > 0:
            raise ModeError(f"'bound' is {self.bound}; it must be above 0")

    @classmethod
    def of(cls, replan_every: int) -> Mode:
        """Closed loop, or a new plan after so many steps of the last."""
        return cls() if replan_every == 1 else cls('every', replan_every)

    @property
    def text(self) -> str:
        """For people."""
        details = {'every': f', every {self.every} steps', 'on_error': f', bound {self.bound:g}'}
        return self.name + details.get(self.name, '')

    @property
    def plans(self) -> bool:
        """Whether actions come from plans."""
        return not self.explores and self.name != 'hold'

    @property
    def explores(self) -> bool:
        """Whether actions are drawn at random."""
        return self.name == 'explore' or self.kind is not None

    @property
    def kind(self) -> str | None:
        """The kind of random actions that it names; None: it names none."""
        kind = self.name.removeprefix('explore_')
        return kind if kind in KINDS and kind != self.name else None

    def due(self, steps: int, horizon: int, error: float) -> bool:
        """Whether the next plan should take effect now.

        Args:
            steps: of the last plan that are executed by then.
            horizon: its length.
            error: the last one-step error, relative to the change expected; NaN: not known.
        """
        if not self.plans:
            return False
        if steps >= horizon or self.name == 'closed_loop':
            return True
        if self.name == 'every':
            return steps >= self.every
        return self.name == 'on_error' and error > self.bound
