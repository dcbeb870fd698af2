"""The READMEs name every parameter there is."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from mbrl_common.settings import describe
from mbrl_common.task import TaskSettings

ROOT = Path(__file__).parent.parent
NODES = {
    'mbrl_dynamics': 'DynamicsSettings',
    'mbrl_mpc': 'MpcSettings',
    'mbrl_planner': 'PlannerSettings',
    'mbrl_sim_bridge': 'SimBridgeSettings',
}


@pytest.mark.parametrize('package', NODES)
def test_every_parameter_is_in_the_packages_readme(package: str) -> None:
    settings = getattr(importlib.import_module(f'{package}.settings'), NODES[package])
    text = (ROOT / 'src' / package / 'README.md').read_text()
    own = [leaf.name for leaf in describe(settings) if not leaf.name.startswith('task.')]
    missing = [name for name in own if f'`{name}`' not in text]
    assert not missing


def test_the_tasks_parameters_are_in_the_readme_of_what_is_shared() -> None:
    text = (ROOT / 'src' / 'mbrl_common' / 'README.md').read_text()
    missing = [leaf.name for leaf in describe(TaskSettings) if f'`task.{leaf.name}`' not in text]
    assert not missing


def test_every_interface_is_in_the_readme_of_the_messages() -> None:
    folder = ROOT / 'src' / 'mbrl_msgs'
    text = (folder / 'README.md').read_text()
    files = [path for kind in ('msg', 'srv', 'action') for path in (folder / kind).iterdir()]
    missing = [path.name for path in files if path.stem not in text]
    assert not missing
