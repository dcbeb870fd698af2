"""Status messages as lines for people."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from mbrl_bringup.status_log import STATES as _CONTROLLER

_TRAINING = ('IDLE', 'TRAINING', 'FAILED')
_SILENCE = 5.0  # [s]


def controller_rows(status: Any) -> Iterator[tuple[str, str]]:
    """Name and value of what an ``mbrl_msgs/ControllerStatus`` says."""
    yield 'state', _name(status, _CONTROLLER)
    yield 'episode', f'{status.episode}, step {status.step}, return {status.episode_return:.1f}'
    yield 'goal', ', '.join(f'{value:g}' for value in status.goal)
    yield 'mode', status.mode
    yield 'control rate', f'{status.control_rate:.1f} Hz'
    yield 'real time factor', _number(status.real_time_factor)
    yield 'plan time', f'{_ms(status.plan_time_p50)} median, {_ms(status.plan_time_p95)} 95 %'
    yield 'model', f'version {status.model_version}, error {_number(status.model_error)}'
    yield 'state refused', str(status.refused_states)
    yield 'surprise', f'{_number(status.surprise)} times the error expected'
    promised, brought = _number(status.predicted_return), _number(status.received_return)
    yield 'plans', f'promised {promised}, brought {brought}'
    yield 'late', f'{status.late_plans} plans, {status.late_steps} steps; {status.steps_lost} lost'
    yield 'actions clamped', str(status.clamped_actions)
    yield 'not yet stored', str(status.unacknowledged)
    if status.text:
        yield 'says', status.text


def age_row(seconds: float) -> str:
    """Beside a node's name: how long it has said nothing, if that is long; it does each second."""
    return '' if seconds < _SILENCE else f'silent for {seconds:.0f} s'


def training_rows(status: Any) -> Iterator[tuple[str, str]]:
    """Name and value of what an ``mbrl_msgs/TrainingStatus`` says."""
    state = _name(status, _TRAINING)
    if status.state == status.TRAINING:
        state += f', job {status.job_id}, {status.progress:.0%}'
    yield 'state', state
    yield 'dataset', f'{status.dataset_size} steps of {status.episodes} episodes'
    yield 'model', f'version {status.model_version}, held-out error {_number(status.holdout_error)}'
    yield 'last training', f'{_number(status.training_time)} s'
    yield 'lost, refused', f'{status.transitions_lost}, {status.transitions_refused}'
    yield 'write errors', str(status.write_errors)
    if status.text:
        yield 'says', status.text


def _name(status: Any, names: tuple[str, ...]) -> str:
    found = next((name for name in names if getattr(status, name) == status.state), None)
    return str(status.state) if found is None else found.replace('_', ' ').lower()


def _ms(seconds: float) -> str:
    return '-' if math.isnan(seconds) else f'{seconds * 1e3:.1f} ms'


def _number(value: float) -> str:
    return '-' if math.isnan(value) else f'{value:.3g}'
