"""The kinds of random actions, by name: without numpy and torch, for a quick ``mbrl --help``."""

from __future__ import annotations

KINDS = {
    'held': 'each held for control.exploration_hold steps',
    'white': 'a new one at each step',
    'coloured': 'noise whose power falls with frequency (robot.exploration_colour)',
    'walk': 'a walk between the bounds, in steps of at most robot.exploration_stride',
}
"""Every kind, and what it does, for people."""
