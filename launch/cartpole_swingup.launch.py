"""The cart-pole in simulation, the nodes that learn and control it, and RViz on request."""

from launch.actions import IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription
from mbrl_bringup.graph import describe_simulation
from mbrl_bringup.launch_graph import declare_arguments, make_nodes
from mbrl_bringup.tasks import share_folder


def generate_launch_description():
    share = share_folder()
    return LaunchDescription(
        [
            *declare_arguments('cartpole_swingup'),
            OpaqueFunction(function=lambda context: make_nodes(describe_simulation, context)),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(str(share / 'launch' / 'bringup.launch.py')),
                launch_arguments={'params_file': LaunchConfiguration('params_file')}.items(),
            ),
        ]
    )
