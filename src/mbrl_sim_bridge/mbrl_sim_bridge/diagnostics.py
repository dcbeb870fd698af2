"""How a simulation is, for ``/diagnostics``."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from mbrl_sim_bridge.real_time import RealTimeSimulation
from mbrl_sim_bridge.settings import SimSettings

LEAST_FACTOR = 0.95


class Health:
    """Makes a status of what has happened since it was asked last."""

    def __init__(
        self, name: str, sim: SimSettings, simulation: RealTimeSimulation, now_ns: int
    ) -> None:
        self._name, self._sim, self._simulation = name, sim, simulation
        self._last_ns = now_ns
        self._last_lost_ns = 0
        self._last = (0, 0, 0)

    def report(self, now_ns: int) -> DiagnosticStatus:
        """The status at a time of the steady clock [ns].

        WARN if less than 95 % of the time that has passed was simulated, or since the last report
        a command was refused, none came in time, or the physics diverged.
        """
        simulation, sim = self._simulation, self._sim
        counts = simulation.counts
        passed_ns = (now_ns - self._last_ns) * sim.speed
        lost_ns = counts.lost_ns - self._last_lost_ns
        kept = max(0.0, 1.0 - lost_ns / passed_ns) if passed_ns > 0 else 1.0
        self._last_ns, self._last_lost_ns = now_ns, counts.lost_ns
        events = (counts.divergences, counts.commands_refused, simulation.timeouts)
        diverged, refused, late = (new > old for new, old in zip(events, self._last))
        self._last = events

        problems = []
        if diverged:
            problems.append('the physics diverged and were reset')
        if kept < LEAST_FACTOR:
            problems.append(f'too slow: {kept:.0%} of the time is simulated')
        if refused:
            problems.append('a command was refused')
        if late or simulation.timed_out:
            problems.append(f'no command for {sim.command_timeout:g} s: the action is zero')
        warned = diverged or kept < LEAST_FACTOR or refused or late
        values = {
            'real_time_factor': f'{kept * sim.speed:.3f}',
            'speed': f'{sim.speed:g}',
            'state_rate': f'{sim.state_rate:g}',
            'lag': f'{simulation.lag(now_ns):.4f}',
            'slips': counts.slips,
            'time_lost': f'{counts.lost_ns * 1e-9:.3f}',
            'episode': simulation.episode,
            'states_sent': counts.states_sent,
            'states_lost': simulation.states_lost,
            'commands': counts.commands,
            'commands_clamped': counts.commands_clamped,
            'commands_refused': counts.commands_refused,
            'commands_lost': simulation.commands_lost,
            'command_timeouts': simulation.timeouts,
            'divergences': counts.divergences,
        }
        return DiagnosticStatus(
            level=DiagnosticStatus.WARN if warned else DiagnosticStatus.OK,
            name=f'{self._name}: real time',
            message='; '.join(problems) or 'simulated in real time',
            hardware_id=sim.environment,
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
        )


class LockstepHealth:
    """Counts what was wrong with commands in lockstep, and makes a status of it."""

    def __init__(self, name: str, environment: str) -> None:
        self._name, self._environment = name, environment
        self._last = (0, 0)
        self.ignored = 0
        """Commands that answered no state, or came outside of an episode."""
        self.refused = 0
        """Commands whose action made no sense."""

    def report(self, episode: int, step: int, running: bool) -> DiagnosticStatus:
        """The status; WARN if since the last report a command was ignored or refused."""
        counts = (self.ignored, self.refused)
        warned, self._last = counts != self._last, counts
        values = {
            'episode': episode,
            'step': step,
            'commands_ignored': self.ignored,
            'commands_refused': self.refused,
        }
        return DiagnosticStatus(
            level=DiagnosticStatus.WARN if warned else DiagnosticStatus.OK,
            name=f'{self._name}: lockstep',
            message='an episode is open' if running else 'waiting for a reset',
            hardware_id=self._environment,
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
        )
