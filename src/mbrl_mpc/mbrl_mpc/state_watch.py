"""What is wrong with a state that arrives: its time, its place, or that it is not a new one.

The watch believes as little as it can. What it refuses must not be planned from, stored or
answered; what it accepts outside of the allowed region is true, and must be answered with the safe
command.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
import time
from collections.abc import Callable

import numpy as np

from mbrl_common.task import TaskSettings
from mbrl_mpc.robot_settings import RobotSettings


class Kind(enum.Enum):
    """What there is to find."""

    REPEATED = 'repeated'  # the stamp of the last one; no error, several may tell the same
    BACKWARDS = 'backwards'  # its stamp is before the last one's
    FUTURE = 'future'  # its stamp is ahead of the clock
    OLD = 'old'  # too old on arrival
    JUMP = 'jump'  # it changed faster than the robot can
    FROZEN = 'frozen'  # new stamps, and the same to the last bit for long
    OUTSIDE = 'outside'  # not in the allowed region; accepted
    CLOCK = 'clock'  # the clock was set back; accepted, but no step of the robot leads to it
    STALE = 'stale'  # none was accepted for long


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that is wrong, and a text for people; REPEATED has none."""

    kind: Kind
    text: str = ''


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What to do with a state."""

    accepted: bool
    """It is the robot's state."""
    inside: bool
    """It is in the allowed region; if not, the safe command must be sent. False if refused."""
    continuous: bool
    """The robot moved to it from the last accepted state; if not, no transition leads to it."""
    findings: tuple[Finding, ...] = ()


class StateWatch:
    """Looks at each state once, in the order of arrival, and counts what it finds."""

    def __init__(
        self,
        task: TaskSettings,
        robot: RobotSettings,
        steady: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """
        Args:
            task: the state's names, and which are angles.
            robot: the limits.
            steady: a clock [ns] that nobody sets, against which states are missed: with simulated
                time the clock of the stamps may stop.
        """
        self._names = task.state
        self._angles = np.isin(np.arange(task.state_dim), task.angle_indices)
        self._max_rate = np.array(robot.max_state_rate) if robot.max_state_rate else None
        self._patience = robot.jump_patience
        self._low = np.array(robot.state_low) if robot.state_low else None
        self._high = np.array(robot.state_high) if robot.state_high else None
        self._period = task.control_period
        self._max_age = round(robot.max_age * 1e9)
        self._tolerance = round(robot.clock_tolerance * 1e9)
        self._max_frozen = round(robot.max_frozen * 1e9)
        self._timeout = round(robot.state_timeout * 1e9)
        self._steady = steady
        self._now: int | None = None
        self.counts: collections.Counter[Kind] = collections.Counter()
        self.forget()

    def forget(self) -> None:
        """Take the next state as the first, as after the robot was reset or moved by hand."""
        self._last: tuple[np.ndarray, int] | None = None  # accepted
        self._doubted: tuple[np.ndarray, int] | None = (
            None  # the last that jumped or went backwards
        )
        self._doubts = 0  # how many of those agree with each other
        self._doubted_as = Kind.JUMP
        self._changed: tuple[np.ndarray, int] | None = None  # values, and stamp of their first
        self._accepted_at = self._steady()
        self._was_stale = False

    def check(self, state: np.ndarray, stamp: int, now: int) -> Verdict:
        """Judge a state.

        Args:
            state: shape [state_dim], finite.
            stamp: when it was measured [ns].
            now: on the clock of the stamps [ns].
        """
        findings = []
        if self._now is not None and now < self._now:
            step = (self._now - now) * 1e-9
            self.forget()
            findings.append(Finding(Kind.CLOCK, f'the clock was set back by {step:.3f} s'))
        self._now = now
        refusal = self._time_problem(stamp, now) or self._value_problem(state, stamp)
        if refusal is not None:
            return self._verdict(False, False, False, [*findings, refusal])
        if self._doubts:
            findings.append(
                Finding(
                    self._doubted_as,
                    f'states were refused ({self._doubted_as.value}), and {self._doubts} in a row '
                    'agree: they are believed',
                )
            )
        continuous = self._last is not None and not findings
        outside = self._outside(state)
        if outside is not None:
            findings.append(outside)
        self._last = state.copy(), stamp
        self._doubted, self._doubts = None, 0
        self._accepted_at = self._steady()
        self._was_stale = False
        return self._verdict(True, outside is None, continuous, findings)

    def stale(self) -> Finding | None:
        """Whether no state was accepted for too long, since the last one or since ``forget``.

        To be called several times a second. A stop is counted once.
        """
        waited = self._steady() - self._accepted_at
        if waited <= self._timeout:
            return None
        if not self._was_stale:
            self._was_stale = True
            self.counts[Kind.STALE] += 1
        return Finding(Kind.STALE, f'no state to go by for {waited * 1e-9:.2f} s')

    def _verdict(
        self, accepted: bool, inside: bool, continuous: bool, findings: list[Finding]
    ) -> Verdict:
        self.counts.update(finding.kind for finding in findings)
        return Verdict(accepted, inside, continuous, tuple(findings))

    def _time_problem(self, stamp: int, now: int) -> Finding | None:
        if self._last is not None and stamp == self._last[1]:
            return Finding(Kind.REPEATED)
        if stamp - now > self._tolerance:
            return Finding(
                Kind.FUTURE,
                f'the state is of {(stamp - now) * 1e-9:.3f} s from now; are the clocks of robot '
                'and controller synchronised?',
            )
        if now - stamp > self._max_age:
            if stamp == 0:
                why = 'the state has the stamp 0; does its sender fill in header.stamp?'
            else:
                why = (
                    f'the state is {(now - stamp) * 1e-9:.3f} s old on arrival (limit '
                    f'{self._max_age * 1e-9:g} s)'
                )
            return Finding(Kind.OLD, why)
        return None

    def _value_problem(self, state: np.ndarray, stamp: int) -> Finding | None:
        refusal = None
        if self._last is not None and stamp < self._last[1]:
            back = (self._last[1] - stamp) * 1e-9
            refusal = Finding(Kind.BACKWARDS, f'the state is {back:.3f} s older than the last one')
        elif self._last is not None:
            jump = self._jump(*self._last, state, stamp)
            refusal = Finding(Kind.JUMP, jump) if jump else None
        if refusal is None:
            self._doubted, self._doubts = None, 0
            return self._frozen(state, stamp)
        if self._doubted is not None and stamp == self._doubted[1]:
            return Finding(Kind.REPEATED)
        agrees = self._doubted is not None and self._follows(state, stamp)
        self._doubts = self._doubts + 1 if agrees else 1
        self._doubted = state.copy(), stamp
        self._doubted_as = refusal.kind
        return None if self._doubts >= self._patience else refusal

    def _follows(self, state: np.ndarray, stamp: int) -> bool:
        """Whether a state goes on from the doubted one."""
        if self._doubted is None or stamp < self._doubted[1]:
            return False
        return not self._jump(*self._doubted, state, stamp)

    def _jump(self, before: np.ndarray, then: int, state: np.ndarray, stamp: int) -> str:
        """What changed too fast, for people; empty: nothing."""
        if self._max_rate is None:
            return ''
        # Over less than a control period, noise and uneven stamps would count for motion.
        interval = max((stamp - then) * 1e-9, self._period)
        turn = 2 * np.pi
        with np.errstate(over='ignore', invalid='ignore'):  # what is too large for a number is fast
            change = state - before
            change = np.where(self._angles, (change + np.pi) % turn - np.pi, change)
            fast = ~(np.abs(change) <= self._max_rate * interval)
        if not fast.any():
            return ''
        entry = int(np.argmax(fast))
        return (
            f"'{self._names[entry]}' jumped by {change[entry]:.4g} in {interval:.4f} s; "
            f'{self._max_rate[entry]:g} a second are believed'
        )

    def _frozen(self, state: np.ndarray, stamp: int) -> Finding | None:
        if self._changed is None or not np.array_equal(state, self._changed[0]):
            self._changed = state.copy(), stamp
        same = stamp - self._changed[1]
        if not 0 < self._max_frozen < same:
            return None
        return Finding(
            Kind.FROZEN,
            f'the state has been the same to the last bit for {same * 1e-9:.2f} s; is the sensor '
            'alive?',
        )

    def _outside(self, state: np.ndarray) -> Finding | None:
        turn = 2 * np.pi
        value = np.where(self._angles, (state + np.pi) % turn - np.pi, state)
        for limit, beyond in ((self._low, np.less), (self._high, np.greater)):
            if limit is None:
                continue
            wrong = beyond(value, limit)
            if wrong.any():
                entry = int(np.argmax(wrong))
                side = 'below' if beyond is np.less else 'above'
                return Finding(
                    Kind.OUTSIDE,
                    f"'{self._names[entry]}' is {value[entry]:.4g}, {side} its limit "
                    f'{limit[entry]:g}',
                )
        return None
