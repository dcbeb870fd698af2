"""The cart-pole in simulation, the nodes that learn and control it, and RViz on request."""

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import AndSubstitution, LaunchConfiguration, NotSubstitution
from launch_ros.actions import Node

from launch import LaunchDescription
from mbrl_bringup.graph import describe_simulation
from mbrl_bringup.launch_graph import declare_arguments, make_nodes
from mbrl_bringup.tasks import share_folder


def generate_launch_description():
    share = share_folder()
    return LaunchDescription(
        [
            *declare_arguments('cartpole_swingup'),
            DeclareLaunchArgument(
                'headless',
                default_value='false',
                choices=('true', 'false'),
                description='Open no window, whatever else is asked for',
            ),
            DeclareLaunchArgument(
                'use_rviz',
                default_value='false',
                choices=('true', 'false'),
                description='Show the cart-pole in RViz',
            ),
            DeclareLaunchArgument(
                'rviz_config_file',
                default_value=str(share / 'rviz' / 'cartpole_swingup.rviz'),
                description='RViz configuration',
            ),
            OpaqueFunction(function=lambda context: make_nodes(describe_simulation, context)),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(str(share / 'launch' / 'bringup.launch.py')),
                launch_arguments={'params_file': LaunchConfiguration('params_file')}.items(),
            ),
            Node(
                package='rviz2',
                executable='rviz2',
                namespace=LaunchConfiguration('namespace'),
                arguments=['-d', LaunchConfiguration('rviz_config_file')],
                condition=IfCondition(
                    AndSubstitution(
                        LaunchConfiguration('use_rviz'),
                        NotSubstitution(LaunchConfiguration('headless')),
                    )
                ),
                output='screen',
            ),
        ]
    )
