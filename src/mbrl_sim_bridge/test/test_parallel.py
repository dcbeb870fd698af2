"""Simulations in threads: what each episode comes to is what one simulation alone comes to."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

import numpy as np
import pytest

from mbrl_common.settings import build
from mbrl_sim_bridge.parallel import Act, Ends, ParallelSimulations, Played
from mbrl_sim_bridge.settings import SimBridgeSettings
from mbrl_sim_bridge.simulation import ActionError, Simulation, SimulationError

SEEDS = [5, 1, 4, 1, 9, 2, 6]


@pytest.fixture
def hopper() -> SimBridgeSettings:
    """With a score of its own, and efforts in its state."""
    task = {
        'name': 'hopper',
        'state': ['rootz.position', 'thigh_joint.velocity', 'leg_joint.effort'],
        'action': ['thigh_joint', 'leg_joint', 'foot_joint'],
        'action_low': [-1.0] * 3,
        'action_high': [1.0] * 3,
        'control_period': 0.008,
        'max_steps': 100,
    }
    return build(SimBridgeSettings, {'task': task, 'sim': {'environment': 'gymnasium:Hopper-v5'}})


def random_actions(width: int, size: float = 3.5) -> Callable[[int, int], Act]:
    """Actions that depend on episode, step and state; some are out of bounds."""

    def begin(episode: int, thread: int) -> Act:
        def act(step: int, state: np.ndarray) -> np.ndarray:
            random = np.random.default_rng([episode, step])
            return random.uniform(-size, size, width) + 0.01 * state[0]

        return act

    return begin


def one_by_one(settings: SimBridgeSettings, steps: int, width: int) -> list[Played]:
    """The same by a new simulation for each episode, without any of what is tested."""
    found = []
    for episode, seed in enumerate(SEEDS):
        simulation = Simulation(settings)
        act = random_actions(width)(episode, 0)
        states, actions, scores = [simulation.reset(seed)], [], []
        for step in range(steps):
            states.append(simulation.step(act(step, states[-1])))
            actions.append(simulation.action)
            scores.append(simulation.score)
        found.append(Played(np.array(states), np.array(actions), np.array(scores), False))
    return found


def ends_at(step: int) -> Ends:
    """Ends the first episode after so many steps, whatever its states are."""
    counted = itertools.count(1)
    return lambda states: np.array([next(counted) == step for _ in states])


def assert_same(left: Played, right: Played, steps: int | None = None) -> None:
    """Bit for bit, NaN included; of ``right`` the first so many steps."""
    until = len(right.actions) if steps is None else steps
    assert left.states.tobytes() == right.states[: until + 1].tobytes()
    assert left.actions.tobytes() == right.actions[:until].tobytes()
    assert left.scores.tobytes() == right.scores[:until].tobytes()


@pytest.mark.parametrize('threads', [1, 2, 5])
def test_episodes_are_those_of_one_simulation_in_their_order(
    threads: int, settings: SimBridgeSettings, hopper: SimBridgeSettings
) -> None:
    for each, width in ((settings, 1), (hopper, 3)):
        simulations = ParallelSimulations(each, threads)
        expected = one_by_one(each, 70, width)
        for _ in range(2):  # what was played before does not matter
            played = list(simulations.play(SEEDS, 70, random_actions(width)))
            assert len(played) == len(expected)
            for ours, theirs in zip(played, expected):
                assert_same(ours, theirs)
        assert np.isnan(played[0].scores).all() == (each is settings)


@pytest.mark.parametrize('threads', [1, 3])
def test_an_episode_ends_with_the_first_state_that_ends_it(
    threads: int, settings: SimBridgeSettings
) -> None:
    def ends(states: np.ndarray) -> np.ndarray:
        return states[:, 0] > 0.3  # m

    whole = one_by_one(settings, 100, 1)
    lengths = []
    simulations = ParallelSimulations(settings, threads)
    for ours, theirs in zip(simulations.play(SEEDS, 100, random_actions(1), ends), whole):
        over = np.flatnonzero(ends(theirs.states[1:]))
        assert ours.ended == bool(len(over))
        lengths.append(int(over[0]) + 1 if len(over) else 100)
        assert_same(ours, theirs, lengths[-1])
    assert len(set(lengths)) > 2 and 100 in lengths and min(lengths) < 100


def test_threads_really_run_at_once_and_never_share_a_place(settings: SimBridgeSettings) -> None:
    at_once = threading.Barrier(3, timeout=60)
    used: list[int] = []
    busy: set[int] = set()

    def begin(episode: int, thread: int) -> Act:
        assert thread not in busy
        busy.add(thread)
        used.append(thread)

        def act(step: int, state: np.ndarray) -> np.ndarray:
            if episode < 3 and step == 0:
                at_once.wait()  # breaks unless three are here together
            if step == 9:
                busy.discard(thread)
            return np.zeros(1)

        return act

    played = list(ParallelSimulations(settings, 3).play(list(range(9)), 10, begin))
    assert len(played) == len(used) == 9
    assert set(used) == {0, 1, 2}


@pytest.mark.parametrize('threads', [1, 2])
def test_what_goes_wrong_in_an_episode_comes_out_in_its_turn(
    threads: int, settings: SimBridgeSettings
) -> None:
    simulations = ParallelSimulations(settings, threads)

    def begin(episode: int, thread: int) -> Act:
        return lambda step, state: np.zeros(2 if episode == 2 and step == 5 else 1)

    episodes = simulations.play(SEEDS, 20, begin)
    assert len(next(episodes).actions) == len(next(episodes).actions) == 20
    with pytest.raises(ActionError, match=r'shape \[2\]'):
        next(episodes)
    assert len(list(simulations.play(SEEDS, 20, random_actions(1)))) == len(SEEDS)


def test_physics_that_diverge_are_an_error_unless_the_episode_had_ended(
    settings: SimBridgeSettings,
) -> None:
    simulations = ParallelSimulations(settings, 1)

    def begin(episode: int, thread: int) -> Act:
        def act(step: int, state: np.ndarray) -> np.ndarray:
            if step == 7:
                simulations._simulations[thread].data.qvel[1] = np.nan
            return np.zeros(1)

        return act

    with pytest.raises(SimulationError, match='diverged in this step'):
        list(simulations.play([1], 20, begin))
    for limit in (4, 7):  # found only after the step that diverges
        (played,) = simulations.play([1], 20, begin, ends_at(limit))
        assert (len(played.actions), played.ended) == (limit, True)


def test_episodes_that_nobody_waits_for_any_more_are_given_up(settings: SimBridgeSettings) -> None:
    steps: list[int] = []

    def begin(episode: int, thread: int) -> Act:
        def act(step: int, state: np.ndarray) -> np.ndarray:
            steps.append(episode)
            return np.zeros(1)

        return act

    episodes = ParallelSimulations(settings, 2).play(list(range(50)), 1000, begin)
    next(episodes)
    episodes.close()  # type: ignore[attr-defined]
    known = len(steps)
    assert known < 20 * 1000
    assert threading.active_count() < 10
    assert len(steps) == known, 'a thread goes on'


def test_no_threads_are_refused(settings: SimBridgeSettings) -> None:
    with pytest.raises(ValueError, match='threads is 0; it must be at least 1'):
        ParallelSimulations(settings, 0)
