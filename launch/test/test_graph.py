"""The description of the graph, and the command lines made from it."""

from __future__ import annotations

from pathlib import Path

import pytest
import rclpy
from rclpy.node import Node

from mbrl_bringup.graph import (
    GraphOptions,
    describe_control,
    describe_graph,
    describe_simulation,
)
from mbrl_bringup.tasks import params_file_of

PARAMS = Path('/tasks/swing up.yaml')


def test_the_graph_is_the_simulation_and_the_control() -> None:
    options = GraphOptions(PARAMS)
    assert describe_graph(options) == describe_simulation(options) + describe_control(options)
    assert [node.name for node in describe_graph(options)] == [
        'sim_bridge',
        'dynamics',
        'planner',
        'mpc_controller',
    ]


def test_only_the_controller_has_a_life_cycle() -> None:
    lifecycle = [node.name for node in describe_graph(GraphOptions(PARAMS)) if node.lifecycle]
    assert lifecycle == ['mpc_controller']


def test_what_is_not_chosen_is_left_to_the_parameter_file() -> None:
    for node in describe_graph(GraphOptions(PARAMS)):
        assert node.parameter_files == (PARAMS,)
        assert node.parameters == {}


def test_choices_reach_the_nodes_that_they_are_for() -> None:
    options = GraphOptions(PARAMS, seed=7, run_folder=Path('/runs/a'), autostart=False)
    assert {node.name: dict(node.parameters) for node in describe_graph(options)} == {
        'sim_bridge': {'sim.seed': 7},
        'dynamics': {'seed': 7, 'data.folder': '/runs/a'},
        'planner': {},
        'mpc_controller': {'autostart': False},
    }


def test_a_namespace_may_be_given_with_or_without_slashes(tmp_path: Path) -> None:
    for namespace in ('robots/r1', '/robots/r1', '/robots/r1/'):
        (node,) = describe_simulation(GraphOptions(PARAMS, namespace=namespace))
        assert '__ns:=/robots/r1' in node.ros_arguments(tmp_path)
    (node,) = describe_simulation(GraphOptions(PARAMS))
    assert not any('__ns' in argument for argument in node.ros_arguments(tmp_path))


@pytest.mark.parametrize('namespace', ['', 'lab'])
def test_several_robots_share_one_planner_and_one_dataset(namespace: str) -> None:
    nodes = describe_graph(GraphOptions(PARAMS, namespace, robots=2))
    assert [node.path for node in nodes] == [
        'robot0/sim_bridge',
        'robot1/sim_bridge',
        'dynamics',
        'planner',
        'robot0/mpc_controller',
        'robot1/mpc_controller',
    ]
    assert len({node.label for node in nodes}) == len({node.enclave for node in nodes}) == 6
    top = f'/{namespace}' if namespace else ''
    for node in nodes:
        place = f'/{node.place}' if node.place else ''
        assert node.enclave == f'{top}{place}/{node.name}'
        if node.name == 'mpc_controller':
            assert ('planner/plan', f'{top}/planner/plan') in node.remappings
            assert ('transition', f'{top}/transition') in node.remappings
            assert f'{node.place}/mpc_controller/run_episodes' in node.services


def test_one_robot_is_in_the_graphs_own_namespace() -> None:
    for node in describe_graph(GraphOptions(PARAMS, 'lab', robots=1)):
        assert (node.namespace, node.path, node.remappings) == ('lab', node.name, ())


@pytest.mark.parametrize('namespace', ['', 'robots/r1'])
def test_choices_win_over_the_files_sections(namespace: str, tmp_path: Path) -> None:
    folder = Path('/runs/a: b #1 "x" [y]')
    options = GraphOptions(params_file_of('cartpole_swingup'), namespace, seed=3, run_folder=folder)
    dynamics = describe_control(options)[0]
    context = rclpy.Context()
    rclpy.init(args=dynamics.ros_arguments(tmp_path), context=context)
    node = Node('any', context=context, automatically_declare_parameters_from_overrides=True)
    try:
        assert node.get_parameter('seed').value == 3  # the file's section for dynamics says 0
        assert node.get_parameter('data.folder').value == str(folder)
        assert node.get_parameter('model.members').value == 5
    finally:
        node.destroy_node()
        context.try_shutdown()
