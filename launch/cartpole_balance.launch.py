"""The cart-pole with a quadratic cost: ``cartpole_swingup.launch.py``, other parameters."""

from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from launch import LaunchDescription
from mbrl_bringup.launch_graph import declare_arguments
from mbrl_bringup.tasks import share_folder


def generate_launch_description():
    return LaunchDescription(
        [
            *declare_arguments('cartpole_balance'),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(
                    str(share_folder() / 'launch' / 'cartpole_swingup.launch.py')
                ),
                launch_arguments={'params_file': LaunchConfiguration('params_file')}.items(),
            ),
        ]
    )
