"""Everything but the robot: dynamics, planner and controller, and RViz on request; for any task.

What hangs on its end publishes ``joint_states``, steps by ``command`` and has ``sim_bridge/reset``:
a simulation in lockstep. Commands also go out on ``effort_controller/commands``.
"""

from launch.actions import OpaqueFunction

from launch import LaunchDescription
from mbrl_bringup.graph import describe_control
from mbrl_bringup.launch_graph import declare_arguments, make_nodes, make_rviz


def generate_launch_description():
    return LaunchDescription(
        [
            *declare_arguments(),
            OpaqueFunction(function=lambda context: make_nodes(describe_control, context)),
            OpaqueFunction(function=make_rviz),
        ]
    )
