"""What is drawn of a task: points of the robot, as a function of the state."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from mbrl_common.plugins import make_plugin, plugin_names
from mbrl_common.settings import SettingsError
from mbrl_common.task import TaskSettings
from mbrl_planner.kinematics import Point
from mbrl_planner.objectives.base import Objective
from mbrl_planner.objectives.settings import ROBOTS
from mbrl_planner.trace_settings import TraceSettings


class Trace:
    """Points of a robot in states, and how far they spread where states do."""

    def __init__(self, points: Sequence[Point], task: TaskSettings) -> None:
        self._points = list(points)
        self._task = task
        self._entries = sorted({entry for point in points for entry in point.entries})

    @property
    def count(self) -> int:
        """Of points."""
        return len(self._points)

    def __call__(self, states: np.ndarray) -> np.ndarray:
        """Positions [..., P, 3] in the world [m], in states [..., S]; float64."""
        there = torch.from_numpy(np.asarray(states, dtype=np.float64))
        with _one_thread():
            return torch.stack([point(there) for point in self._points], -2).numpy()

    def foresee(
        self, mean: np.ndarray, std: np.ndarray, past: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The points in states that are foreseen, how far they spread, and the points in states
        that were; all in one pass, which costs hardly more than one for a single state.

        The spread is the points' standard deviation: the root of their mean squared distance from
        where they are in the mean state. Each entry of the state that moves a point is turned by
        its deviation, up and down, as if the entries were independent; exact where the motion is
        straight, and good while no angle spreads by more than about half a radian.

        Args:
            mean, std: [n, S], of the states.
            past: [m, S].

        Returns:
            [n, P, 3], [n, P] and [m, P, 3], in metres.
        """
        count, entries = len(mean), self._entries
        turned = np.repeat(mean[None], 1 + 2 * len(entries), axis=0)
        for row, entry in enumerate(entries):
            turned[1 + 2 * row, :, entry] += std[:, entry]
            turned[2 + 2 * row, :, entry] -= std[:, entry]
        points = self(np.concatenate([turned.reshape(-1, mean.shape[1]), past]))
        there = points[: len(turned) * count].reshape(len(turned), count, *points.shape[1:])
        half = 0.5 * (there[1::2] - there[2::2])  # [entries, n, P, 3]
        return there[0], np.sqrt(np.square(half).sum((0, -1))), points[len(turned) * count :]

    def goal(self, objective: Objective, goal: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Where the goal is: places, or the points of the robot where it is to be.

        Args:
            objective: says what the goal means.
            goal: [G].
            state: [S], of the robot: it may say where the goal is, and what of the goal does not
                matter stays as it is.

        Returns:
            [n, 3], in the world [m]; n is 0 where the goal is nothing that can be drawn.
        """
        there = torch.from_numpy(np.asarray(goal, dtype=np.float64))
        if objective.targets is not None:
            now = torch.from_numpy(np.asarray(state, dtype=np.float64))
            return objective.targets(now).numpy().reshape(-1, 3)
        if objective.place is not None:
            return objective.place(there).numpy().reshape(-1, 3)
        if objective.wanted is None:
            return np.empty((0, 3))
        free = [objective.weights.get(entry) == 0 for entry in self._task.state]
        return self(np.where(free, state, objective.wanted(there).numpy()))


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """So few numbers are not worth waiting for each other's threads, least of all on busy cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@functools.lru_cache(maxsize=4)
def make_trace(settings: TraceSettings, task: TaskSettings) -> Trace | None:
    """What the settings say is drawn of a task; None: nothing.

    Nothing either where no environment is installed at all: a robot's own computer may do without
    simulations, and without pictures.

    Raises:
        SettingsError: there is no such robot or point, or the task's state lacks a joint that
            moves it.
    """
    if not settings.points or not plugin_names(ROBOTS):
        return None
    robot = make_plugin(ROBOTS, settings.robot, 'trace.robot')
    try:
        model = robot.make_model()
    except Exception as error:  # such as a package with the robot's meshes that is not installed
        raise SettingsError([f"parameter 'trace.robot': {settings.robot!r}: {error}"]) from error
    points, problems = [], []
    for name, offset in settings.places():
        try:
            points.append(Point(model, task, name, offset))
        except ValueError as error:
            problems.append(f"parameter 'trace.points' has {name!r}: {error}")
    if problems:
        raise SettingsError(problems)
    return Trace(points, task)
