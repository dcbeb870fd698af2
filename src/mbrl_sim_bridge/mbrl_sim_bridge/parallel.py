"""Many episodes at once, in threads: MuJoCo lets go of Python's lock while it steps.

For random data and for evaluation: what acts is a function of the episode and the step, or keeps
something for each thread. An episode is played by one simulation from its reset to its end, so what
it comes to does not depend, bit for bit, on how many threads there are.

``mujoco.rollout`` steps without Python between two control steps, but knows of no score, no bounds
and no end of an episode; where none of these matter, as in planning, it is the better choice.
"""

from __future__ import annotations

import collections
import dataclasses
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

import numpy as np

from mbrl_sim_bridge.settings import SimBridgeSettings
from mbrl_sim_bridge.simulation import Simulation, SimulationError

Act = Callable[[int, np.ndarray], np.ndarray]
"""``act(step, state [S]) -> action [A]``: what to do in an episode."""
Ends = Callable[[np.ndarray], np.ndarray]
"""``ends(states [k, S]) -> bool [k]``: which states end an episode."""

_CHUNK = 32  # steps between two looks for the end; what is played beyond it is thrown away
_AHEAD = 2  # episodes per thread that may be done before they are asked for


@dataclasses.dataclass(frozen=True)
class Played:
    """An episode of n steps.

    Attributes:
        states: [n + 1, S], from the initial one to the last.
        actions: [n, A], as executed.
        scores: [n], what the environment itself paid; NaN if it pays nothing.
        ended: the last state ended it, rather than the number of steps.
    """

    states: np.ndarray
    actions: np.ndarray
    scores: np.ndarray
    ended: bool


class ParallelSimulations:
    """Simulations of one task, one for each thread."""

    def __init__(self, settings: SimBridgeSettings, threads: int) -> None:
        """
        Args:
            settings: of each simulation.
            threads: at least 1; with 1, everything happens in the calling thread.

        Raises:
            SettingsError: see ``Simulation``.
        """
        if threads < 1:
            raise ValueError(f'threads is {threads}; it must be at least 1')
        self._simulations = [Simulation(settings) for _ in range(threads)]

    @property
    def threads(self) -> int:
        """How many there are."""
        return len(self._simulations)

    def play(
        self,
        reset_seeds: Sequence[int],
        steps: int,
        begin: Callable[[int, int], Act],
        ends: Ends | None = None,
    ) -> Iterator[Played]:
        """Play episodes, and yield them in their order.

        Args:
            reset_seeds: of each episode's initial state.
            steps: of an episode that nothing ends.
            begin: ``begin(episode, thread)`` begins the episode of that index, in a thread, and
                returns what acts in it. Two calls at once never have the same ``thread``, which is
                from 0 to ``threads`` - 1: it may keep something for each.
            ends: which states end an episode; None: none does. It must look at each by itself.

        Raises:
            SimulationError: the physics of an episode diverged; the ones before it were yielded.
        """
        stop = threading.Event()
        if self.threads == 1:
            for episode, seed in enumerate(reset_seeds):
                yield self._play(0, seed, steps, begin(episode, 0), ends, stop)
            return
        free: SimpleQueue[int] = SimpleQueue()
        for thread in range(self.threads):
            free.put(thread)

        def one(episode: int) -> Played:
            thread = free.get()
            try:
                act = begin(episode, thread)
                return self._play(thread, reset_seeds[episode], steps, act, ends, stop)
            finally:
                free.put(thread)

        waiting: collections.deque[Future[Played]] = collections.deque()
        with ThreadPoolExecutor(self.threads) as pool:
            try:
                for episode in range(len(reset_seeds)):
                    waiting.append(pool.submit(one, episode))
                    if len(waiting) > _AHEAD * self.threads:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:  # also where the caller has seen enough
                stop.set()
                for future in waiting:
                    future.cancel()

    def _play(
        self,
        thread: int,
        seed: int,
        steps: int,
        act: Act,
        ends: Ends | None,
        stop: threading.Event,
    ) -> Played:
        simulation = self._simulations[thread]
        states = [simulation.reset(seed)]
        actions: list[np.ndarray] = []
        scores: list[float] = []
        error: SimulationError | None = None
        looked = 0
        while len(actions) < steps and error is None and not stop.is_set():
            try:
                for step in range(len(actions), min(len(actions) + _CHUNK, steps)):
                    states.append(simulation.step(act(step, states[-1])))
                    actions.append(simulation.action)
                    scores.append(simulation.score)
            except SimulationError as caught:  # unless the episode had ended before
                error = caught
            if ends is not None and len(states) > looked + 1:
                ended = np.flatnonzero(ends(np.array(states[looked + 1 :])))
                if len(ended):
                    count = looked + int(ended[0]) + 1
                    return _played(states[: count + 1], actions[:count], scores[:count], True)
            looked = len(actions)
        if error is not None:
            raise error
        return _played(states, actions, scores, False)


def _played(
    states: list[np.ndarray], actions: list[np.ndarray], scores: list[float], ended: bool
) -> Played:
    width = len(actions[0]) if actions else 0
    return Played(
        states=np.array(states),
        actions=np.array(actions).reshape(len(actions), width),
        scores=np.array(scores),
        ended=ended,
    )
