"""Every task's parameter file, against the settings of every node that reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mbrl_bringup.tasks import LearningSettings, params_file_of, task_names
from mbrl_common.settings import SettingsError
from mbrl_common.taskfile import node_settings
from mbrl_dynamics.settings import DynamicsSettings
from mbrl_mpc.settings import MpcSettings
from mbrl_planner.settings import PlannerSettings
from mbrl_sim_bridge.environments import make_environment
from mbrl_sim_bridge.real_time import RealTimeSimulation
from mbrl_sim_bridge.settings import SimBridgeSettings
from mbrl_sim_bridge.simulation import Simulation

READERS: dict[str, type] = {
    'sim_bridge': SimBridgeSettings,
    'mpc_controller': MpcSettings,
    'planner': PlannerSettings,
    'dynamics': DynamicsSettings,
    'mbrl': LearningSettings,
}


@pytest.fixture(params=task_names())
def document(request: pytest.FixtureRequest) -> Any:
    return yaml.safe_load(params_file_of(request.param).read_text())


def write(folder: Path, document: Any) -> Path:
    path = folder / 'task.yaml'
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.mark.parametrize('node', READERS)
@pytest.mark.parametrize('task', task_names())
def test_a_task_file_is_complete_and_right_for_each_node(task: str, node: str) -> None:
    settings: Any = node_settings(params_file_of(task), node, READERS[node])
    assert settings.task.name == task


@pytest.mark.parametrize('task', task_names())
def test_a_task_names_an_environment_that_exists(task: str) -> None:
    settings = node_settings(params_file_of(task), 'sim_bridge', SimBridgeSettings)
    make_environment(settings.sim.environment)


@pytest.mark.parametrize('task', task_names())
def test_a_task_can_be_simulated_in_lockstep_and_in_real_time_and_seen(task: str) -> None:
    path = params_file_of(task)
    simulation = Simulation(node_settings(path, 'sim_bridge', SimBridgeSettings))
    assert len(simulation.step(simulation.settings.task.bounds[1])) == len(simulation.state)
    cameras = ['', *(simulation.model.camera(i).name for i in range(simulation.model.ncam))]
    assert simulation.settings.sim.camera in cameras
    on_the_clock = node_settings(path, 'sim_bridge', SimBridgeSettings, {'sim.real_time': True})
    RealTimeSimulation(Simulation(on_the_clock), 0, 0)
    node_settings(path, 'mpc_controller', MpcSettings, {'realtime.enabled': True})


@pytest.mark.parametrize('task', task_names())
def test_controller_and_planner_pursue_the_same_objective_and_draw_the_same_points(
    task: str,
) -> None:
    planner = node_settings(params_file_of(task), 'planner', PlannerSettings)
    controller = node_settings(params_file_of(task), 'mpc_controller', MpcSettings)
    assert planner.objective == controller.objective
    assert planner.trace == controller.trace
    assert planner.trace.points, 'nothing of this task can be watched'


def test_a_task_file_has_no_section_that_nobody_reads(document: Any) -> None:
    # In any namespace, hence with /**; a mistyped name would be ignored by ROS in silence.
    assert set(document) == {'/**'} | {f'/**/{node}' for node in READERS}


@pytest.mark.parametrize('node', READERS)
def test_an_unknown_parameter_is_refused_by_name(node: str, document: Any, tmp_path: Path) -> None:
    document[f'/**/{node}']['ros__parameters']['tsak'] = {'name': 'x'}
    with pytest.raises(SettingsError, match=rf"{node}.*unknown parameter 'tsak.name'"):
        node_settings(write(tmp_path, document), node, READERS[node])


@pytest.mark.parametrize('node', READERS)
def test_a_missing_parameter_is_asked_for_by_name(node: str, document: Any, tmp_path: Path) -> None:
    del document['/**']['ros__parameters']['task']['control_period']
    with pytest.raises(SettingsError, match=rf"{node}.*missing parameter 'task.control_period'"):
        node_settings(write(tmp_path, document), node, READERS[node])


def test_a_task_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(SettingsError, match=r"no task 'walk'; there is .*cartpole_swingup"):
        params_file_of('walk')
