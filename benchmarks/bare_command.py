"""The floor under ``command_timing``: a bare rclpy node that sends the controller's commands.

Nothing but a subscription, a publisher and a timer, in rclpy's ordinary executor: each state is
answered at once, or commands go out at a rate and say which state they have seen last.
"""

from __future__ import annotations

import sys
from typing import Any

from builtin_interfaces.msg import Time
from rclpy.node import Node
from sensor_msgs.msg import JointState

from mbrl_common.node import run_node
from mbrl_common.qos import STANDARD
from mbrl_msgs.msg import Command


class BareCommander(Node):
    """Parameter ``rate``: commands per second [Hz]; 0: one for each state."""

    def __init__(self) -> None:
        super().__init__('bare_commander')
        self.declare_parameter('rate', 0.0)
        rate: float = self.get_parameter('rate').value
        self._newest = Time()
        self._command = self.create_publisher(Command, 'command', STANDARD)
        take: Any = self._keep if rate else self._send
        self.create_subscription(JointState, 'joint_states', take, STANDARD)
        if rate:
            self.create_timer(1.0 / rate, lambda: self._answer(self._newest))

    def _keep(self, state: JointState) -> None:
        self._newest = state.header.stamp

    def _send(self, state: JointState) -> None:
        self._answer(state.header.stamp)

    def _answer(self, stamp: Time) -> None:
        message = Command(state_stamp=stamp, action=[0.0])
        message.header.stamp = stamp
        self._command.publish(message)


if __name__ == '__main__':
    run_node(BareCommander, sys.argv[1:])
