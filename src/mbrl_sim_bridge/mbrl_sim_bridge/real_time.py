"""A simulation on the clock, as a robot is: it moves whether or not anybody commands it.

Nothing here reads a clock: every method is told the time by a steady clock, so all of it can be
run with a made-up one.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from mbrl_common.seeding import derive_seed
from mbrl_common.settings import SettingsError
from mbrl_sim_bridge.commands import Command, CommandError, Schedule
from mbrl_sim_bridge.imperfections import DelayLine, SensorNoise
from mbrl_sim_bridge.simulation import Simulation, SimulationError


class Measurement(NamedTuple):
    """The robot at one time. ``position``, ``velocity`` and ``effort`` are as its sensors say,
    of shape [joints]; ``state``, [state_dim], is the truth.
    """

    time_ns: int
    position: np.ndarray
    velocity: np.ndarray
    effort: np.ndarray
    state: np.ndarray
    episode: int
    step: int  # control periods since the reset


@dataclasses.dataclass
class Counts:
    """What has happened since the start."""

    states_sent: int = 0
    commands: int = 0  # that arrived and were taken
    commands_refused: int = 0
    commands_clamped: int = 0
    slips: int = 0
    lost_ns: int = 0  # given up in slips [ns]
    divergences: int = 0


class RealTimeSimulation:
    """Physics that follow a clock, commands and joint states with what delays and disturbs them.

    The robot's time is ``start_ns`` plus ``sim.speed`` times what has passed since. It is divided
    into periods of ``1 / sim.state_rate``; when one is over, its physics are computed and its end
    is measured. Within it, a command is in force from the first physics step that begins after it
    arrived. All times of settings (latencies, timeout) are the robot's.

    **When the machine cannot keep up**, physics are late. Up to ``sim.max_lag`` is made good, as
    fast as the machine can. What is beyond is given up: stamps jump forward, in whole periods, and
    the physics go on from where they were. A robot's stamps say when its sensors were read, and a
    controller judges by them how old a state is; were they to lag more and more, it would soon
    take every state for stale, and evaluate its plan at the wrong time. A jump is what a gap in a
    robot's messages looks like, and can be seen; what lies across it is no motion of this robot.
    """

    def __init__(self, simulation: Simulation, start_ns: int, now_ns: int) -> None:
        """Start the clock.

        Args:
            simulation: in its initial state; nobody else may step it.
            start_ns: stamp of that state: the wall clock [ns].
            now_ns: the same moment on the steady clock [ns].

        Raises:
            SettingsError: if a state's period is no multiple of the physics timestep.
        """
        settings = simulation.settings
        sim, seed = settings.sim, settings.sim.seed
        self._simulation = simulation
        self._steps = _steps_per_state(simulation)
        self._period_ns = self._steps * simulation.timestep_ns
        self._control_period_ns = round(settings.task.control_period * 1e9)
        self._max_lag_ns = max(round(sim.max_lag * 1e9), self._period_ns)
        self._timeout_ns = round(sim.command_timeout * 1e9)
        self._speed, self._seed = sim.speed, seed
        self._low, self._high = settings.task.bounds
        self._zero = np.zeros(settings.task.action_dim)
        self._start_ns, self._origin_ns = start_ns, now_ns

        self._noise = SensorNoise(
            sim.position_noise,
            sim.velocity_noise,
            sim.effort_noise,
            derive_seed(seed, 'sensor noise'),
        )
        self._states: DelayLine[Measurement] = DelayLine(
            sim.state_latency, sim.state_jitter, sim.state_drop, derive_seed(seed, 'states')
        )
        self._commands: DelayLine[Command] = DelayLine(
            sim.command_latency, sim.command_jitter, sim.command_drop, derive_seed(seed, 'commands')
        )
        self._schedule = Schedule(self._timeout_ns)
        self.counts = Counts()
        self.error = ''
        """What was said of the last divergence of the physics."""
        self.episode = 0
        self._held = False  # in an initial state, until this period is over
        simulation.time_ns = self._episode_ns = start_ns
        self._state = simulation.state
        self._measured = [self._measure()]

    @property
    def states_lost(self) -> int:
        """Joint states lost on their way."""
        return self._states.lost

    @property
    def commands_lost(self) -> int:
        """Commands lost on their way."""
        return self._commands.lost

    @property
    def timeouts(self) -> int:
        """How often no command came in time."""
        return self._schedule.timeouts

    @property
    def timed_out(self) -> bool:
        """Whether the action is zero because no command came in time."""
        return self._schedule.expired

    def clock_ns(self, now_ns: int) -> int:
        """The robot's time at a time of the steady clock [ns]."""
        return self._start_ns + round((now_ns - self._origin_ns) * self._speed)

    def lag(self, now_ns: int) -> float:
        """How late the physics are [s]."""
        due_ns = self._simulation.time_ns + self._period_ns
        return max(0, self.clock_ns(now_ns) - due_ns) * 1e-9

    def next_due_ns(self) -> int:
        """When :meth:`advance` or :meth:`take_states` has something to do next, on the steady
        clock [ns].
        """
        due_ns = self._simulation.time_ns + self._period_ns
        if self._states.next_due_ns is not None:
            due_ns = min(due_ns, self._states.next_due_ns)
        return self._origin_ns + int(-(-(due_ns - self._start_ns) // self._speed))

    def advance(self, now_ns: int) -> list[Measurement]:
        """Let the physics follow the clock; returns what was measured since the last call."""
        clock_ns = self.clock_ns(now_ns)
        if self._held and self._simulation.time_ns + self._period_ns <= clock_ns:
            self._finish_period()  # before a slip: its stamp was promised
        excess_ns = clock_ns - self._simulation.time_ns - self._period_ns - self._max_lag_ns
        if excess_ns > 0:
            lost_ns = -(-excess_ns // self._period_ns) * self._period_ns
            self._simulation.time_ns += lost_ns
            self.counts.slips += 1
            self.counts.lost_ns += lost_ns
        while self._simulation.time_ns + self._period_ns <= clock_ns:
            self._finish_period()
        measured, self._measured = self._measured, []
        return measured

    def take_states(self, now_ns: int) -> list[Measurement]:
        """The measurements that reach the controller now, in order."""
        arrived = [measurement for _, measurement in self._states.take(self.clock_ns(now_ns))]
        self.counts.states_sent += len(arrived)
        return arrived

    def command(self, command: Command, now_ns: int) -> None:
        """A command was sent.

        Raises:
            CommandError: if it ended so long ago that the timeout has passed since.
        """
        clock_ns = self.clock_ns(now_ns)
        if command.start_ns is not None and self._timeout_ns:
            late_ns = clock_ns - command.start_ns - command.times_ns[-1]
            if late_ns > self._timeout_ns:
                raise CommandError(
                    f'the trajectory ended {late_ns * 1e-9:.3f} s ago; its last point holds for '
                    f'{self._timeout_ns * 1e-9:g} s (sim.command_timeout)'
                )
        self._commands.put(clock_ns, command)

    def reset(self, seed: int, episode: int, now_ns: int) -> int:
        """Put the robot into an initial state; commands on their way are forgotten.

        It is held there until the period that has begun is over, and measured then. Another reset
        within that period takes the place of this one.

        Returns:
            The stamp of that measurement [ns].

        Raises:
            SimulationError: if the environment drew a state that is not finite.
        """
        # What is due belongs to the old episode, and is sent when advance() is called next.
        self._measured = self.advance(now_ns)
        self._begin_again(seed)
        self._held = True
        self.episode = episode
        return self._episode_ns

    def _finish_period(self) -> None:
        if self._held:
            self._held = False
            self._simulation.time_ns += self._period_ns
        else:
            self._compute_period()
        self._measured.append(self._measure())

    def _compute_period(self) -> None:
        """One period of physics, each step with the action that is in force when it begins."""
        simulation = self._simulation
        end_ns = simulation.time_ns + self._period_ns
        try:
            while simulation.time_ns < end_ns:
                time_ns = simulation.time_ns
                self._receive(time_ns)
                action = self._schedule.in_force(time_ns)
                change_ns = min(end_ns, self._next_change_ns(time_ns))
                steps = -(-(change_ns - time_ns) // simulation.timestep_ns)
                self._state = simulation.advance(self._zero if action is None else action, steps)
        except SimulationError as error:
            self.error = str(error)
            self.counts.divergences += 1
            simulation.time_ns = end_ns - self._period_ns
            self._begin_again(self._seed)
            simulation.time_ns = end_ns

    def _receive(self, time_ns: int) -> None:
        for arrival_ns, command in self._commands.take(time_ns):
            self.counts.commands += 1
            actions = np.clip(command.actions, self._low, self._high)
            self.counts.commands_clamped += bool((actions != command.actions).any())
            self._schedule.add(dataclasses.replace(command, actions=actions), arrival_ns)

    def _next_change_ns(self, time_ns: int) -> int:
        change_ns = self._schedule.next_change_ns(time_ns)
        arrival_ns = self._commands.next_due_ns
        return change_ns if arrival_ns is None else min(change_ns, arrival_ns)

    def _begin_again(self, seed: int) -> None:
        """An initial state, to be measured at the end of this period, commanded by nobody."""
        time_ns = self._simulation.time_ns
        self._commands.clear()
        self._schedule.clear()
        try:
            self._state = self._simulation.reset(seed)
        finally:
            self._simulation.time_ns = time_ns
        self._episode_ns = time_ns + self._period_ns

    def _measure(self) -> Measurement:
        simulation = self._simulation
        measurement = Measurement(
            simulation.time_ns,
            *self._noise.measure(*simulation.joints()),
            state=self._state,
            episode=self.episode,
            step=(simulation.time_ns - self._episode_ns) // self._control_period_ns,
        )
        self._states.put(simulation.time_ns, measurement)
        return measurement


def _steps_per_state(simulation: Simulation) -> int:
    """Physics steps between two joint states."""
    rate, timestep = simulation.settings.sim.state_rate, simulation.timestep_ns * 1e-9
    steps = round(1.0 / (rate * timestep))
    if steps < 1 or abs(steps * timestep - 1.0 / rate) > 1e-8:
        near = max(1, steps)
        rates = sorted({1.0 / (n * timestep) for n in (near, near + 1)}, reverse=True)
        raise SettingsError(
            [
                f"parameter 'sim.state_rate' is {rate:g}; its period must be a multiple of the "
                f'physics timestep, {timestep:g} s, as with '
                f'{" or ".join(f"{value:.6g}" for value in rates)} Hz; or set '
                f"'sim.timestep' to {1.0 / (rate * max(1.0, np.ceil(1 / (rate * timestep)))):.6g}"
            ]
        )
    return steps
