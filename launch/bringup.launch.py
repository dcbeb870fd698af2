"""Everything but the robot: dynamics, planner and controller, for any task.

The robot (or its simulation) publishes ``joint_states`` and takes ``command`` or
``effort_controller/commands``; remap these where they have other names.
"""

from launch.actions import OpaqueFunction

from launch import LaunchDescription
from mbrl_bringup.graph import describe_control
from mbrl_bringup.launch_graph import declare_arguments, make_nodes


def generate_launch_description():
    return LaunchDescription(
        [
            *declare_arguments(),
            OpaqueFunction(function=lambda context: make_nodes(describe_control, context)),
        ]
    )
