"""Resampling against closed forms and the true physics."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from mbrl_dynamics.resampling import Commands, Signal, differentiate, in_force, known, resample
from mbrl_sim_bridge.environments.cartpole_pets import CartpolePets

MS = 1_000_000
PERIOD = 40 * MS
LIMITS = {'period': PERIOD, 'max_gap': 80 * MS, 'command_timeout': 80 * MS}


def signal(times_ms: np.ndarray, values: np.ndarray) -> Signal:
    return Signal((np.asarray(times_ms) * MS).astype(np.int64), np.asarray(values, dtype=float))


def commands(times_ms: list[float], values: list[float]) -> Commands:
    time = (np.asarray(times_ms, dtype=float) * MS).astype(np.int64)
    return Commands(time, np.array(values, dtype=float).reshape(len(times_ms), -1))


def test_states_lie_on_the_line_between_the_samples_around_them() -> None:
    times = np.cumsum(np.random.default_rng(0).uniform(1, 9, 400)) + 3
    line = signal(times, 0.0)
    line = Signal(line.time, 2.0 + 3e-9 * line.time)
    (steps,) = resample([line], [], commands([10 + 40 * i for i in range(30)], [0] * 30), **LIMITS)
    np.testing.assert_allclose(steps.state[:, 0], 2.0 + 3e-9 * steps.time, rtol=1e-12)
    assert steps.time[0] == 10 * MS
    assert set(np.diff(steps.time)) == {PERIOD}


def test_what_is_aligned_is_taken_as_it_is() -> None:
    generator = np.random.default_rng(1)
    values, actions = generator.normal(size=101), generator.normal(size=10)
    told = commands([40 * i for i in range(10)], actions.tolist())
    (steps,) = resample([signal(np.arange(0, 404, 4), values)], [], told, **LIMITS)
    np.testing.assert_array_equal(steps.state[:, 0], values[::10])
    np.testing.assert_array_equal(steps.action[:, 0], actions)


@pytest.mark.parametrize('period_ms', [3, 20])
def test_an_angle_that_is_wrapped_is_unrolled_and_not_interpolated_through_the_wrap(
    period_ms: int,
) -> None:
    times = np.arange(0, 4001, period_ms)
    true = 3.0 + 7.0 * times * 1e-3  # four turns
    wrapped = (true + np.pi) % (2 * np.pi) - np.pi
    told = commands([7 + 40 * i for i in range(98)], [0] * 98)
    (steps,) = resample([signal(times, wrapped)], [0], told, **LIMITS)
    np.testing.assert_allclose(steps.state[:, 0], 3.0 + 7e-9 * steps.time, atol=1e-9)


def test_an_angle_starts_an_episode_as_it_was_measured() -> None:
    times = np.concatenate([np.arange(0, 401, 10), np.arange(1000, 1401, 10)])
    wrapped = (5e-3 * times + np.pi) % (2 * np.pi) - np.pi
    told = commands([40 * i for i in range(35)], [0] * 35)
    first, second = resample([signal(times, wrapped)], [0], told, **LIMITS)
    assert first.state[0, 0] == 0.0
    assert abs(second.state[0, 0]) <= np.pi


def test_an_angle_that_counts_its_turns_is_left_alone() -> None:
    times = np.arange(0, 2000, 10)
    told = commands([40 * i for i in range(49)], [0] * 49)
    (steps,) = resample([signal(times, 20e-3 * times)], [0], told, **LIMITS)
    np.testing.assert_array_equal(steps.state[:, 0], 20e-3 * times[: 4 * len(steps.state) : 4])


@pytest.mark.parametrize(('gap_ms', 'episodes'), [(79, 1), (80, 1), (81, 2), (500, 2)])
def test_a_gap_in_any_joint_ends_an_episode(gap_ms: int, episodes: int) -> None:
    whole = np.arange(0, 2000, 4)
    told = commands([40 * i for i in range(50)], [0] * 50)
    broken = np.concatenate([np.arange(0, 1000, 4), np.arange(996 + gap_ms, 2000, 4)])
    found = resample([signal(whole, whole), signal(broken, broken)], [], told, **LIMITS)
    assert len(found) == episodes
    for steps in found:
        inside = (steps.time >= 996 * MS) & (steps.time <= (996 + gap_ms) * MS)
        assert not inside.any() or gap_ms <= 80
        np.testing.assert_allclose(steps.state[:, 0] * MS, steps.time)


def test_an_episode_begins_at_the_first_command_and_ends_when_commands_stop() -> None:
    times = np.arange(0, 2000, 4)
    told = commands([401 + 40 * i for i in range(10)], list(range(10)))
    (steps,) = resample([signal(times, times)], [], told, **LIMITS)
    assert steps.time[0] == 401 * MS
    # The last is sent at 761 ms and holds for 80 ms: two periods.
    np.testing.assert_array_equal(steps.action[:, 0], [*range(10), 9])


def test_a_command_that_is_not_finite_ends_the_last() -> None:
    told = commands([0, 40, 80, 120], [1, np.nan, 2, 3])
    assert in_force(told, 80 * MS) == [(0, 40 * MS), (80 * MS, 200 * MS)]
    times = np.arange(0, 400, 4)
    first, second = resample([signal(times, times)], [], told, **LIMITS)
    np.testing.assert_array_equal(first.action, [[1]])
    np.testing.assert_array_equal(second.action, [[2], [3], [3]])


def test_the_action_is_the_mean_over_the_step_of_the_commands_in_force() -> None:
    times = np.arange(0, 400, 4)
    told = commands([0, 40, 50, 70, 80, 119], [1, 2, 4, 8, 3, 7])
    (steps,) = resample([signal(times, times)], [], told, **LIMITS)
    expected = [1, (10 * 2 + 20 * 4 + 10 * 8) / 40, (39 * 3 + 1 * 7) / 40, 7]
    np.testing.assert_allclose(steps.action[:, 0], expected, rtol=1e-15)


@pytest.mark.parametrize('kind', ['jitter', 'slower', 'faster'])
def test_the_mean_command_moves_the_cart_pole_as_what_it_stands_for_does(kind: str) -> None:
    """The true physics under the mean come closer to what happened than under the command that
    was in force at the start, or for the longest part."""
    model = CartpolePets().make_model()
    model.opt.timestep = 1e-3
    data = mujoco.MjData(model)
    generator = np.random.default_rng(0)

    def run(start: np.ndarray, commands_per_ms: np.ndarray) -> np.ndarray:
        mujoco.mj_resetData(model, data)
        data.qpos[:], data.qvel[:] = start[:2], start[2:]
        states = [start]
        for command in commands_per_ms:
            data.ctrl[:] = command
            mujoco.mj_step(model, data)
            states.append(np.concatenate([data.qpos, data.qvel]))
        return np.array(states)

    length = 150
    sent = {
        'jitter': 40 * np.arange(length) + np.append(0, generator.integers(-5, 6, length - 1)),
        'slower': 41 * np.arange(length),
        'faster': 20 * np.arange(2 * length),
    }[kind]
    values = generator.uniform(-3, 3, len(sent))
    in_force_at = np.searchsorted(sent, np.arange(40 * length), side='right') - 1
    per_ms = values[in_force_at]
    states = run(np.zeros(4), per_ms)
    times = np.arange(len(states))
    (steps,) = resample(
        [signal(times, states[:, i]) for i in range(4)],
        [1],
        commands(sent.tolist(), values.tolist()),
        **LIMITS,
    )
    error = {'mean': 0.0, 'start': 0.0, 'longest': 0.0}
    for k in range(len(steps.action)):
        during = per_ms[40 * k : 40 * k + 40]
        if len(during) < 40:
            break
        np.testing.assert_allclose(steps.action[k, 0], during.mean(), rtol=1e-9)
        kinds, counts = np.unique(during, return_counts=True)
        choices = {
            'mean': steps.action[k, 0],
            'start': during[0],
            'longest': kinds[counts.argmax()],
        }
        for name, action in choices.items():
            reached = run(steps.state[k], np.full(40, action))[-1]
            error[name] += float(((reached - steps.state[k + 1])[2:] ** 2).sum())
    assert error['mean'] < 0.1 * min(error['start'], error['longest'])


def test_rates_are_exact_for_a_parabola_on_uneven_samples() -> None:
    times = np.cumsum(np.random.default_rng(2).uniform(1, 6, 200))
    seconds = times * 1e-3
    parabola = Signal((times * MS).astype(np.int64), 1 - 2 * seconds + 5 * seconds**2)
    rate = differentiate(parabola, False, 80 * MS)
    np.testing.assert_allclose(rate.value, -2 + 10 * rate.time * 1e-9, atol=1e-4)
    np.testing.assert_array_equal(rate.time, parabola.time)


def test_rates_are_taken_neither_through_a_wrap_nor_over_a_gap() -> None:
    times = np.concatenate([np.arange(0, 1000, 5), [1300], np.arange(1600, 2600, 5)])
    angle = (7e-3 * times + np.pi) % (2 * np.pi) - np.pi
    angle[times > 1500] += 1.0
    rate = differentiate(signal(times, angle), True, 80 * MS)
    np.testing.assert_allclose(rate.value, 7.0, rtol=1e-9)
    assert 1300 * MS not in rate.time


def test_samples_are_sorted_and_those_without_a_number_left_out() -> None:
    found = Signal.sorted(np.array([3, 1, 2, 2, 5]), np.array([30.0, 10, 20, 99, np.nan]))
    np.testing.assert_array_equal(found.time, [1, 2, 3])
    np.testing.assert_array_equal(found.value, [10, 20, 30])


def test_nothing_known_or_commanded_is_no_episode() -> None:
    none = Signal(np.empty(0, np.int64), np.empty(0))
    times = np.arange(0, 400, 4)
    told = commands([0, 40], [1, 2])
    assert known(none, 1) == []
    assert resample([signal(times, times), none], [], told, **LIMITS) == []
    silent = Commands(np.empty(0, np.int64), np.empty((0, 1)))
    assert resample([signal(times, times)], [], silent, **LIMITS) == []
    short = np.arange(0, 39, 4)
    assert resample([signal(short, short)], [], told, **LIMITS) == []
