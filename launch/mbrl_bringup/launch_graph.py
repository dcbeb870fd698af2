"""The described graph as actions of ROS's launch system. Needs ``launch`` and ``launch_ros``."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable
from pathlib import Path

from ament_index_python.packages import get_packages_with_prefixes
from launch.action import Action
from launch.actions import DeclareLaunchArgument, LogInfo, SetEnvironmentVariable
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext
from mbrl_bringup import discovery
from mbrl_bringup.graph import LOG_LEVELS, GraphOptions, NodeDescription
from mbrl_bringup.tasks import rviz_config_of, share_folder

_TRUTH = ('true', 'false')


def declare_arguments(task: str | None = None) -> list[Action]:
    """The launch arguments of a graph; ``task`` gives the parameter file's default."""
    params_file = None if task is None else str(share_folder() / 'config' / f'{task}.yaml')
    return [
        DeclareLaunchArgument(
            'params_file',
            default_value=params_file,
            description="Parameter file with a section per node; see this package's config folder",
        ),
        DeclareLaunchArgument(
            'namespace', default_value='', description='Namespace of all nodes, topics and services'
        ),
        DeclareLaunchArgument(
            'robots',
            default_value='1',
            description='How many; of several, each is in a namespace robot0, robot1, ... of its '
            'own, and all share a planner and a dataset',
        ),
        DeclareLaunchArgument(
            'network',
            default_value='false',
            choices=_TRUTH,
            description='See, and be seen by, other machines; otherwise this one alone, unless '
            f'{discovery.RANGE} says more',
        ),
        DeclareLaunchArgument(
            'seed',
            default_value='',
            description='Seed of learning and of the first state; empty: as params_file says',
        ),
        DeclareLaunchArgument(
            'run_folder',
            default_value='',
            description='Folder for bags and models; one that holds a run is gone on with. '
            "Empty: a new one in ~/.ros/mbrl (ROS_HOME); 'none': nothing is kept on disk",
        ),
        DeclareLaunchArgument(
            'autostart',
            default_value='true',
            choices=_TRUTH,
            description='Configure and activate the controller at start; it acts only while active',
        ),
        DeclareLaunchArgument(
            'real_time',
            default_value='false',
            choices=_TRUTH,
            description='By the clock, as with a robot, instead of in lockstep',
        ),
        DeclareLaunchArgument(
            'use_respawn',
            default_value='false',
            choices=_TRUTH,
            description='Start a node again when its process has ended',
        ),
        DeclareLaunchArgument(
            'log_level',
            default_value='info',
            choices=LOG_LEVELS,
            description='Log level of all nodes',
        ),
        DeclareLaunchArgument(
            'headless',
            default_value='false',
            choices=_TRUTH,
            description='Open no window, whatever else is asked for',
        ),
        DeclareLaunchArgument(
            'use_rviz',
            default_value='false',
            choices=_TRUTH,
            description='Show the robot, its plan and the candidates in RViz; of several robots, '
            'the first',
        ),
        DeclareLaunchArgument(
            'rviz_config_file',
            default_value='',
            description="RViz configuration; empty: this package's for the task of params_file",
        ),
    ]


def make_nodes(
    describe: Callable[[GraphOptions], list[NodeDescription]], context: LaunchContext
) -> list[LaunchDescriptionEntity]:
    """Nodes from a function of ``mbrl_bringup.graph``; for an ``OpaqueFunction``."""

    def value(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    params_file = Path(value('params_file')).expanduser()
    if not params_file.is_file():
        raise FileNotFoundError(f"params_file: there is no file '{params_file}'")
    seed = value('seed')
    if seed and not seed.isdecimal():
        raise ValueError(f"seed is '{seed}'; it must be an integer of at least 0, or empty")
    robots = value('robots')
    if not robots.isdecimal() or int(robots) < 1:
        raise ValueError(f"robots is '{robots}'; it must be an integer of at least 1")
    options = GraphOptions(
        params_file=params_file,
        namespace=value('namespace').strip('/'),
        seed=int(seed) if seed else None,
        run_folder=_run_folder(value('run_folder'), params_file.stem),
        log_level=value('log_level'),
        autostart=value('autostart') == 'true',
        real_time=value('real_time') == 'true',
        robots=int(robots),
    )
    respawn = value('use_respawn') == 'true'
    reach = discovery.reach(
        value('network') == 'true', context.environment, discovery.takes_profile()
    )
    return [
        *(SetEnvironmentVariable(name, text) for name, text in reach.items()),
        *(_action(node, respawn) for node in describe(options)),
    ]


def make_rviz(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """RViz, if it is asked for; for an ``OpaqueFunction`` after the arguments are declared."""

    def value(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    if value('use_rviz') != 'true' or value('headless') == 'true':
        return []
    if 'rviz2' not in get_packages_with_prefixes():  # a robot's graph goes on without a window
        return [LogInfo(msg='RViz is not opened: there is no package rviz2 (ros-jazzy-rviz2)')]
    params_file = Path(value('params_file')).expanduser()
    config = value('rviz_config_file') or str(rviz_config_of(params_file))
    namespace = value('namespace').strip('/')
    options = GraphOptions(params_file, namespace, robots=int(value('robots')))
    place = '/'.join(part for part in (namespace, options.places[0]) if part)
    remappings = [('candidates', f'/{namespace}/candidates'.replace('//', '/'))]
    return [
        Node(
            package='rviz2',
            executable='rviz2',
            namespace=place,
            remappings=remappings if options.robots > 1 else [],
            arguments=['-d', config],
            output='screen',
        )
    ]


def _action(node: NodeDescription, respawn: bool) -> Node:
    return Node(
        package=node.package,
        executable=node.executable,
        name=node.name,
        namespace=node.namespace,
        parameters=[str(path) for path in node.parameter_files]
        + ([dict(node.parameters)] if node.parameters else []),
        remappings=list(node.remappings),
        arguments=['--ros-args', '--enclave', node.enclave, '--log-level', node.log_level],
        output='screen',
        respawn=respawn,
        respawn_delay=2.0,
    )


def _run_folder(text: str, name: str) -> Path | None:
    if text == 'none':
        return None
    if text:
        return Path(text).expanduser().resolve()
    home = Path(os.environ.get('ROS_HOME', '~/.ros')).expanduser()
    stamp = datetime.datetime.now().strftime('%Y-%m-%d_%H-%M-%S')
    return home / 'mbrl' / f'{name}_{stamp}'
