"""The kinds of random actions, by name: without numpy and torch, for a quick ``mbrl --help``."""

from __future__ import annotations

KINDS = {
    'held': 'each held for control.exploration_hold steps',
    'white': 'a new one at each step',
    'coloured': 'noise whose power falls with frequency (robot.exploration_colour)',
    'walk': 'a walk between the bounds, in steps of at most robot.exploration_stride; it begins at '
    'control.safe_action where that is given',
}
"""Every kind, and what it does, for people."""
