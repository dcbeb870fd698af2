"""What the status comes to: faults by episode, predictions that came true, messages."""

from __future__ import annotations

from collections.abc import Iterable

from mbrl_bringup.report.logs import without_numbers
from mbrl_bringup.status_log import StatusRow

COUNTERS = {
    'late_plans': 'late plans',
    'late_steps': 'late control steps',
    'steps_lost': 'steps without a transition',
    'clamped_actions': 'clamped actions',
    'refused_states': 'refused states',
    'transitions_lost': 'lost transitions',
}
"""Counts since the controller started, and what each counts."""


def by_episode(rows: Iterable[StatusRow]) -> dict[str, dict[int, int]]:
    """How many of each kind came in each episode; an episode that has a status at all is there.

    A count that falls is that of a controller that was started again.
    """
    found: dict[str, dict[int, int]] = {name: {} for name in COUNTERS}
    before = dict.fromkeys(COUNTERS, 0)
    for row in rows:
        for name, counts in found.items():
            now = int(getattr(row, name))
            more = now - before[name] if now >= before[name] else now
            counts[row.episode] = counts.get(row.episode, 0) + more
            before[name] = now
    return found


def totals(rows: Iterable[StatusRow]) -> dict[str, int]:
    """How many of each kind there were in all."""
    return {name: sum(counts.values()) for name, counts in by_episode(rows).items()}


def predictions(rows: Iterable[StatusRow]) -> list[tuple[int, float, float]]:
    """Episode, predicted and received return of each plan that a status tells of, once each."""
    found: list[tuple[int, float, float]] = []
    for row in rows:
        pair = (row.predicted_return, row.received_return)
        if pair[0] == pair[0] and pair[1] == pair[1] and (not found or pair != found[-1][1:]):
            found.append((row.episode, *pair))
    return found


def messages(rows: Iterable[StatusRow]) -> list[tuple[int, str]]:
    """What the controller said, and in which episode first; one of those that differ in numbers
    alone."""
    found: dict[str, tuple[int, str]] = {}
    for row in rows:
        if row.text:
            found.setdefault(without_numbers(row.text), (row.episode, row.text))
    return list(found.values())


def waiting(rows: Iterable[StatusRow]) -> dict[str, int]:
    """How many messages, of one each second, told of each state that waits for something."""
    found: dict[str, int] = {}
    for row in rows:
        if row.state.startswith('WAITING'):
            what = row.state.removeprefix('WAITING_FOR_').lower()
            found[what] = found.get(what, 0) + 1
    return found
