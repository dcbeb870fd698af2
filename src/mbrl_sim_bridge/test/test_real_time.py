"""The simulation in real time, with a clock that the test turns."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import mujoco
import numpy as np
import pytest

from mbrl_common.settings import SettingsError
from mbrl_sim_bridge.commands import Command, CommandError, effort_command, trajectory_command
from mbrl_sim_bridge.environments.cartpole_pets import CartpolePets
from mbrl_sim_bridge.real_time import Measurement, RealTimeSimulation
from mbrl_sim_bridge.simulation import Simulation, SimulationError

MS = 1_000_000
START = 1_700_000_000_000_000_000  # the wall clock's
NOW = 5_000_000_000  # the steady clock's

Make = Callable[..., RealTimeSimulation]


@pytest.fixture
def make(settings) -> Make:
    """A cart-pole with steps of 1 ms and a state every 4 ms."""

    def make(**values: Any) -> RealTimeSimulation:
        sim = dataclasses.replace(settings.sim, **{'timestep': 0.001, 'real_time': True, **values})
        return RealTimeSimulation(Simulation(dataclasses.replace(settings, sim=sim)), START, NOW)

    return make


def efforts(value: float) -> Command:
    return effort_command([value], ['slider'])


def by_hand(actions: Iterable[float], seed: int = 0, timestep: float = 0.001) -> np.ndarray:
    """MuJoCo stepped with an action per physics step; returns [steps + 1, 4]."""
    environment = CartpolePets()
    model = environment.make_model()
    model.opt.timestep = timestep
    data = mujoco.MjData(model)
    environment.draw_initial_state(model, data, np.random.default_rng(seed))
    mujoco.mj_forward(model, data)
    states = [np.concatenate([data.qpos, data.qvel])]
    for action in actions:
        data.ctrl[0] = action
        mujoco.mj_step(model, data)
        states.append(np.concatenate([data.qpos, data.qvel]))
    return np.array(states)


def states(measured: list[Measurement]) -> list[list[float]]:
    return [measurement.state.tolist() for measurement in measured]


def stamps(measured: list[Measurement]) -> list[float]:
    """In milliseconds since the start."""
    return [(measurement.time_ns - START) / MS for measurement in measured]


def test_states_are_those_of_mujoco_with_each_command_in_force_from_its_arrival(make):
    simulation = make()
    measured = []
    # Times at which the loop wakes [ms], and commands that come before.
    for time_ms, action in ((3.2, 1.0), (5.5, -2.0), (9.0, None), (12.0, 0.5), (20.1, None)):
        if action is not None:
            simulation.command(efforts(action), NOW + round(time_ms * MS))
        measured += simulation.advance(NOW + round(time_ms * MS))
    # A command is in force from the first physics step, of 1 ms, that begins after it came.
    actions = [0.0] * 4 + [1.0] * 2 + [-2.0] * 6 + [0.5] * 8
    assert states(measured) == by_hand(actions)[::4].tolist()
    assert stamps(measured) == [0, 4, 8, 12, 16, 20]


def test_it_moves_though_nobody_commands_it_and_the_sensors_say_what_is_true(make):
    simulation = make()
    measured = simulation.advance(NOW + 100 * MS)
    assert states(measured) == by_hand([0.0] * 100)[::4].tolist()
    arrived = simulation.take_states(NOW + 100 * MS)
    assert [[*m.position, *m.velocity] for m in arrived] == states(measured)
    assert simulation.counts.states_sent == 26


def test_a_coarse_physics_timestep_is_allowed_where_the_rate_fits(make):
    simulation = make(timestep=0.0, state_rate=50.0)
    simulation.command(efforts(2.0), NOW + 1 * MS)
    measured = simulation.advance(NOW + 61 * MS)
    assert states(measured) == by_hand([0.0, 2.0, 2.0], timestep=0.02).tolist()


@pytest.mark.parametrize(
    ('timestep', 'rate', 'complaint'),
    [
        (0.02, 250.0, "rate' is 250; .* timestep, 0.02 s, as with 50 or 25 Hz.*timestep' to 0.004"),
        (0.02, 40.0, "as with 50 or 25 Hz; or set 'sim.timestep' to 0.0125"),
        (0.005, 90.0, "as with 100 or 66.6667 Hz; or set 'sim.timestep' to 0.0037037"),
    ],
)
def test_rate_that_does_not_fit_the_physics_is_refused(make, timestep, rate, complaint):
    with pytest.raises(SettingsError, match=complaint):
        make(timestep=timestep, state_rate=rate)


def test_without_a_timestep_physics_is_made_as_fine_as_the_rate_needs(make):
    simulation = make(timestep=0.0, state_rate=250.0)
    simulation.command(efforts(2.0), NOW + 1 * MS)
    measured = simulation.advance(NOW + 13 * MS)
    assert states(measured) == by_hand([0.0, 2.0, 2.0], timestep=0.004).tolist()


def test_it_says_when_it_is_to_be_woken(make):
    simulation = make(state_latency=0.001)
    assert simulation.next_due_ns() == NOW + 1 * MS  # the first state arrives
    simulation.take_states(NOW + 1 * MS)
    assert simulation.next_due_ns() == NOW + 4 * MS
    simulation.advance(NOW + 4 * MS)
    assert simulation.next_due_ns() == NOW + 5 * MS


@pytest.mark.parametrize('speed', [0.1, 3.0, 0.7])
def test_simulated_time_passes_at_its_speed(make, speed):
    simulation = make(speed=speed)
    count, now_ns = len(simulation.advance(NOW)), NOW
    while count <= 250:
        now_ns = max(simulation.next_due_ns(), now_ns + 1)
        measured = simulation.advance(now_ns)
        count += len(measured)
        simulation.take_states(now_ns)
        assert all(m.time_ns <= simulation.clock_ns(now_ns) for m in measured)
    assert (now_ns - NOW) * speed == pytest.approx(1000 * MS, abs=2 * speed + 2)


def test_what_it_can_make_good_is_made_good_without_a_gap(make):
    simulation = make(max_lag=0.1)
    measured = simulation.advance(NOW + 99 * MS)
    assert stamps(measured) == [4 * number for number in range(25)]
    assert simulation.counts.slips == 0


def test_what_is_beyond_is_given_up_and_stamps_are_the_clocks_again(make):
    simulation = make(max_lag=0.1)
    simulation.advance(NOW)
    measured = simulation.advance(NOW + 2001 * MS)
    late = stamps(measured)
    assert late[-1] == 2000
    assert np.diff(late).tolist() == [4.0] * (len(late) - 1)
    assert 96 <= late[-1] - late[0] <= 104  # what was computed; before it is the gap
    assert simulation.counts.slips == 1
    assert simulation.counts.lost_ns == (2000 - 4 * len(late)) * MS
    # The motion goes on from where it was.
    assert states(measured) == by_hand([0.0] * 4 * len(late))[4::4].tolist()
    assert simulation.lag(NOW + 2001 * MS) == 0.0


def test_command_from_before_a_long_gap_has_timed_out_after_it(make):
    simulation = make(max_lag=0.02, command_timeout=0.1)
    simulation.command(efforts(3.0), NOW)
    simulation.advance(NOW + 2000 * MS)
    assert simulation.timed_out and simulation.timeouts == 1
    assert simulation.take_states(NOW + 2000 * MS)[-1].effort.tolist() == [0.0, 0.0]


def test_action_is_zero_once_no_command_came_for_the_timeout(make):
    simulation = make(command_timeout=0.01)
    simulation.command(efforts(3.0), NOW)
    assert (
        states(simulation.advance(NOW + 40 * MS)) == by_hand([3.0] * 10 + [0.0] * 30)[::4].tolist()
    )
    assert (simulation.timed_out, simulation.timeouts) == (True, 1)
    simulation.command(efforts(1.0), NOW + 40 * MS)
    simulation.advance(NOW + 44 * MS)
    assert (simulation.timed_out, simulation.timeouts) == (False, 1)


def test_actions_are_clamped_and_counted(make):
    simulation = make()
    simulation.command(efforts(50.0), NOW)
    assert states(simulation.advance(NOW + 4 * MS)) == by_hand([3.0] * 4)[::4].tolist()
    assert (simulation.counts.commands, simulation.counts.commands_clamped) == (1, 1)


def test_trajectory_is_followed_by_the_robots_clock(make):
    simulation = make(command_timeout=0.0)
    command = trajectory_command(
        START + 3 * MS, ['slider'], [0, 2 * MS, 10 * MS], [[1.0], [2.0], [-1.0]], ['slider']
    )
    simulation.command(command, NOW + 1 * MS)
    actions = [0.0] * 3 + [1.0] * 2 + [2.0] * 8 + [-1.0] * 7
    assert states(simulation.advance(NOW + 20 * MS)) == by_hand(actions)[::4].tolist()


def test_trajectory_that_is_long_over_is_refused(make):
    simulation = make(command_timeout=0.1)
    old = trajectory_command(START, ['slider'], [0, 50 * MS], [[1.0], [2.0]], ['slider'])
    simulation.command(old, NOW + 150 * MS)
    with pytest.raises(CommandError, match=r'ended 0.151 s ago; its last point holds for 0.1 s'):
        simulation.command(old, NOW + 201 * MS)


def test_reset_is_measured_at_the_end_of_the_period_and_stamps_go_on(make):
    simulation = make()
    simulation.command(efforts(1.0), NOW)
    stamp = simulation.reset(7, 3, NOW + 9 * MS)
    assert stamp == START + 12 * MS
    simulation.command(efforts(-1.0), NOW + 9 * MS)
    measured = simulation.advance(NOW + 20 * MS)
    assert stamps(measured) == [0, 4, 8, 12, 16, 20]
    assert [(m.episode, m.step) for m in measured] == [(0, 0)] * 3 + [(3, 0)] * 3
    assert states(measured)[:3] == by_hand([1.0] * 8)[::4].tolist()
    assert states(measured)[3:] == by_hand([-1.0] * 8, seed=7)[::4].tolist()


def test_resets_within_a_period_have_one_stamp_and_the_last_one_counts(make):
    simulation = make()
    simulation.advance(NOW + 9 * MS)
    given = [simulation.reset(seed, seed, NOW + 10 * MS) for seed in range(1, 5)]
    assert given == [START + 12 * MS] * 4
    measured = simulation.advance(NOW + 12 * MS)
    assert stamps(measured) == [12]
    assert measured[0].episode == 4
    assert states(measured) == by_hand([], seed=4).tolist()


def test_stamp_of_a_reset_is_kept_even_if_time_is_given_up_right_after_it(make):
    simulation = make(max_lag=0.02)
    stamp = simulation.reset(7, 1, NOW + 9 * MS)
    simulation.advance(NOW + 10 * MS)
    measured = simulation.advance(NOW + 5000 * MS)
    assert simulation.counts.slips == 1
    assert measured[0].time_ns == stamp
    assert states(measured[:1]) == by_hand([], seed=7).tolist()


def test_reset_forgets_what_was_commanded_before(make):
    simulation = make(command_latency=0.01)
    simulation.command(efforts(1.0), NOW)
    simulation.advance(NOW + 10 * MS)
    simulation.command(efforts(2.0), NOW + 10 * MS)
    simulation.reset(7, 1, NOW + 12 * MS)
    assert (
        states(simulation.advance(NOW + 32 * MS))[-5:] == by_hand([0.0] * 16, seed=7)[::4].tolist()
    )
    assert simulation.timeouts == 0


def test_steps_of_an_episode_are_counted_in_control_periods(make):
    simulation = make()
    stamp = simulation.reset(0, 5, NOW)
    measured = simulation.advance(NOW + 90 * MS)
    assert [m.step for m in measured if m.time_ns >= stamp] == [0] * 10 + [1] * 10 + [2] * 2


def test_stamps_rise_whatever_happens(make):
    simulation = make(max_lag=0.02, state_latency=0.003, state_jitter=0.02, state_drop=0.2)
    generator = np.random.default_rng(0)
    now_ns, arrived = NOW, []
    for number in range(500):
        now_ns += int(generator.exponential(10 * MS))
        if number % 7 == 0:
            simulation.reset(number, number, now_ns)
        simulation.advance(now_ns)
        arrived += simulation.take_states(now_ns)
    assert (np.diff(stamps(arrived)) > 0).all()
    assert simulation.counts.slips > 0 and simulation.states_lost > 0


def test_latency_delays_joint_states_and_leaves_their_stamps(make):
    simulation = make(state_latency=0.010)
    simulation.advance(NOW + 9 * MS)
    assert simulation.take_states(NOW + 9 * MS) == []
    simulation.advance(NOW + 14 * MS)
    assert stamps(simulation.take_states(NOW + 14 * MS)) == [0, 4]


def test_latency_of_commands_delays_what_they_do(make):
    simulation = make(command_latency=0.003)
    simulation.command(efforts(2.0), NOW)
    assert states(simulation.advance(NOW + 8 * MS)) == by_hand([0.0] * 3 + [2.0] * 5)[::4].tolist()


def test_lost_commands_are_counted_and_not_obeyed(make):
    simulation = make(command_drop=1.0)
    simulation.command(efforts(2.0), NOW)
    assert states(simulation.advance(NOW + 8 * MS)) == by_hand([0.0] * 8)[::4].tolist()
    assert (simulation.commands_lost, simulation.counts.commands) == (1, 0)


def test_noise_is_on_the_sensors_and_not_on_the_truth(make):
    simulation = make(position_noise=0.1, velocity_noise=0.5, effort_noise=2.0, max_lag=10.0)
    measured = simulation.advance(NOW + 8000 * MS)
    assert states(measured) == by_hand([0.0] * 8000)[::4].tolist()
    position = np.array([m.position - m.state[:2] for m in measured])
    velocity = np.array([m.velocity - m.state[2:] for m in measured])
    effort = np.array([m.effort for m in measured])
    assert [position.std(), velocity.std(), effort.std()] == pytest.approx([0.1, 0.5, 2], rel=0.05)


def test_imperfections_are_the_seeds(make):
    def run(seed: int) -> list[Any]:
        simulation = make(seed=seed, position_noise=0.1, state_jitter=0.01, state_drop=0.3)
        arrived = []
        for now_ns in range(NOW, NOW + 200 * MS, 4 * MS):
            simulation.advance(now_ns)
            arrived += [(now_ns, m.position.tolist()) for m in simulation.take_states(now_ns)]
        return arrived

    assert run(1) == run(1) != run(2)


def test_diverged_physics_go_on_from_a_sound_state(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # MuJoCo writes a log file where it is
    simulation = make(seed=4)
    simulation.advance(NOW + 8 * MS)
    simulation.command(efforts(1.0), NOW + 8 * MS)
    simulation._simulation.data.qvel[1] = np.nan
    measured = simulation.advance(NOW + 16 * MS)
    assert stamps(measured) == [12, 16]
    assert states(measured) == by_hand([0.0] * 4, seed=4)[::4].tolist()
    assert simulation.counts.divergences == 1
    assert 'diverged' in simulation.error


def test_environment_that_cannot_begin_is_an_error_of_the_reset(make, monkeypatch):
    simulation = make()

    def draw(model: Any, data: Any, generator: Any) -> None:
        data.qpos[0] = np.nan

    environment = simulation._simulation.environment
    with monkeypatch.context() as broken:
        broken.setattr(environment, 'draw_initial_state', draw)
        with pytest.raises(SimulationError, match='diverged in this reset'):
            simulation.reset(0, 1, NOW + 5 * MS)
    measured = simulation.advance(NOW + 40 * MS)
    assert np.isfinite(states(measured)).all()
    assert (np.diff(stamps(measured)) > 0).all()
