"""The cart-pole task, as settings and as parameters of the node."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from mbrl_common.settings import build
from mbrl_sim_bridge.settings import SimBridgeSettings

PARAMETERS: dict[str, Any] = {
    'task': {
        'name': 'cartpole_swingup',
        'state': ['slider.position', 'hinge.position', 'slider.velocity', 'hinge.velocity'],
        'angles': ['hinge.position'],
        'action': ['slider'],
        'action_low': [-3.0],
        'action_high': [3.0],
        'control_period': 0.04,
        'max_steps': 200,
    },
    'sim': {'environment': 'cartpole_pets'},
}


@pytest.fixture
def settings() -> SimBridgeSettings:
    return build(SimBridgeSettings, PARAMETERS)


@pytest.fixture(scope='session')
def task_parameters() -> Callable[..., dict[str, Any]]:
    """Parameters of the node, with other values in the task."""

    def change(**values: Any) -> dict[str, Any]:
        return {'task': {**PARAMETERS['task'], **values}, 'sim': dict(PARAMETERS['sim'])}

    return change


@pytest.fixture
def parameters(task_parameters: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return task_parameters()


@pytest.fixture
def with_task(settings: SimBridgeSettings) -> Callable[..., SimBridgeSettings]:
    """The settings with other values in the task."""

    def change(**values: Any) -> SimBridgeSettings:
        task = dataclasses.replace(settings.task, **values)
        return dataclasses.replace(settings, task=task)

    return change
