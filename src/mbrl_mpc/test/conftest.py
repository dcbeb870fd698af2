"""The cart-pole's settings, from the parameter file that the nodes get."""

from pathlib import Path

import pytest

from mbrl_common.task import TaskSettings
from mbrl_common.taskfile import node_settings
from mbrl_mpc.settings import MpcSettings

PARAMS = Path(__file__).parents[3] / 'launch' / 'config' / 'cartpole_swingup.yaml'


@pytest.fixture(scope='session')
def settings() -> MpcSettings:
    return node_settings(PARAMS, 'mpc_controller', MpcSettings)


@pytest.fixture(scope='session')
def task(settings: MpcSettings) -> TaskSettings:
    return settings.task
