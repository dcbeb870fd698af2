"""The description of the graph, and the command lines made from it."""

from __future__ import annotations

import itertools
from pathlib import Path

import yaml

from mbrl_bringup.graph import (
    GraphOptions,
    describe_control,
    describe_graph,
    describe_simulation,
)

PARAMS = Path('/tasks/swing up.yaml')


def parameters_on(arguments: list[str]) -> dict[str, object]:
    """What rcl would read from ``-p name:=value``."""
    given = [b for a, b in itertools.pairwise(arguments) if a == '-p']
    return {
        name: yaml.safe_load(value) for name, _, value in (each.partition(':=') for each in given)
    }


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


def test_a_namespace_may_be_given_with_or_without_slashes() -> None:
    for namespace in ('robots/r1', '/robots/r1', '/robots/r1/'):
        (node,) = describe_simulation(GraphOptions(PARAMS, namespace=namespace))
        assert '__ns:=/robots/r1' in node.ros_arguments()
    (node,) = describe_simulation(GraphOptions(PARAMS))
    assert not any('__ns' in argument for argument in node.ros_arguments())


def test_arguments_survive_yaml_whatever_is_in_them() -> None:
    folder = Path('/runs/a: b #1 "x" [y]')
    dynamics = describe_control(GraphOptions(PARAMS, seed=3, run_folder=folder))[0]
    arguments = dynamics.ros_arguments()
    assert arguments[0] == '--ros-args'
    assert parameters_on(arguments) == {'seed': 3, 'data.folder': str(folder)}
    assert arguments[arguments.index('--params-file') + 1] == str(PARAMS)
    assert arguments[-2:] == ['--log-level', 'info']
