"""What there is to see of a plan and of how it came true: points, no messages."""

from __future__ import annotations

import dataclasses
from collections import deque

import numpy as np

from mbrl_mpc.pilot import Pilot
from mbrl_planner.trace import Trace

_REMEMBERED = 32  # plans whose predictions are held against what happened
TRAIL = 200  # control steps


@dataclasses.dataclass(frozen=True)
class Prediction:
    """A plan's states, in time.

    Attributes:
        start: when the first of them is [ns].
        step: time between two of them [ns].
        mean, std: [H + 1, S].
    """

    start: int
    step: int
    mean: np.ndarray
    std: np.ndarray

    @property
    def end(self) -> int:
        """When the last of them is [ns]."""
        return self.start + (len(self.mean) - 1) * self.step


@dataclasses.dataclass(frozen=True)
class View:
    """All in metres, in the world; P traced points.

    Attributes:
        stamp: of the robot's newest state [ns].
        plan: [H + 1, P, 3], where the newest plan is predicted to lead; [0, P, 3] without one.
        radius: [H + 1, P], how far that spreads.
        start, step: when the first of these is, and the time between two [ns].
        taken: [n, P, 3], where the points really were, at the last control steps.
        predicted: [m, P, 3], where an earlier plan had them by now, from its beginning.
        goal: [g, 3], the goal, where it is a place or a state.
    """

    stamp: int
    plan: np.ndarray
    radius: np.ndarray
    start: int
    step: int
    taken: np.ndarray
    predicted: np.ndarray
    goal: np.ndarray


class PlanView:
    """Follows an episode by looks at the pilot, as often as somebody draws."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._episode: tuple[int, int] | None = None  # its number, and its step at the last look
        self._taken: deque[np.ndarray] = deque(maxlen=TRAIL)
        self._earlier: deque[tuple[Prediction, np.ndarray]] = deque(maxlen=_REMEMBERED)

    def look(self, pilot: Pilot, prediction: Prediction | None) -> View:
        """What there is to see now.

        Args:
            pilot: knows the episode and the goal.
            prediction: of the newest plan; None: there was none yet.
        """
        path = self._follow(pilot)
        nothing = np.empty((0, self._trace.count, 3))
        period = round(pilot.task.control_period * 1e9)
        begin = pilot.stamp - pilot.record.steps * period  # of the episode
        if prediction is not None and not (
            begin - period // 2 <= prediction.start and pilot.stamp <= prediction.end
        ):
            prediction = None  # of an episode before, or long past
        goal = self._trace.goal(pilot.objective, pilot.goal_at(pilot.record.steps), pilot.state)
        if prediction is None:
            taken = self._go_on(self._trace(path))
            return View(pilot.stamp, nothing, nothing[..., 0], 0, period, taken, nothing, goal)
        plan, radius, there = self._trace.foresee(prediction.mean, prediction.std, path)
        taken = self._go_on(there)
        predicted = self._came_to_pass(pilot.stamp)
        if not self._earlier or self._earlier[-1][0].start < prediction.start:
            self._earlier.append((prediction, plan))
        return View(
            stamp=pilot.stamp,
            plan=plan,
            radius=radius,
            start=prediction.start,
            step=prediction.step,
            taken=taken,
            predicted=nothing if predicted is None else predicted,
            goal=goal,
        )

    def _follow(self, pilot: Pilot) -> np.ndarray:
        """The states since the last look, [n, S]."""
        if not pilot.observed:  # the robot is being reset, and what is known is of before
            self._episode = None
            self._taken.clear()
            self._earlier.clear()
            return np.empty((0, pilot.task.state_dim))
        episode, step = pilot.record.episode, pilot.record.steps
        before = self._episode
        self._episode = (episode, step)
        path = pilot.path
        if before is None or before[0] != episode or step < before[1]:
            self._taken.clear()
            self._earlier.clear()
        elif step - before[1] < len(path):
            path = path[len(path) - (step - before[1]) :]
        return path

    def _go_on(self, points: np.ndarray) -> np.ndarray:
        """The path taken [n, P, 3], with the points [m, P, 3] of the states since the last look."""
        self._taken.extend(points)
        return np.array(self._taken) if self._taken else points

    def _came_to_pass(self, now: int) -> np.ndarray | None:
        """The part of an earlier prediction that lies behind: of the oldest whose horizon is not
        over, or else of the newest there is."""
        ended = [entry for entry in self._earlier if entry[0].start < now]
        if not ended:
            return None
        prediction, points = next((entry for entry in ended if entry[0].end >= now), ended[-1])
        steps = (now - prediction.start + prediction.step // 2) // prediction.step
        past: np.ndarray = points[: steps + 1]
        return past
