"""States in lockstep: one message from the simulation holds all of it.

For a robot with several senders, in real time, see ``robot_io``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import JointState

from mbrl_common.hot_path import HotPath
from mbrl_common.qos import STANDARD
from mbrl_mpc.settings import MpcSettings
from mbrl_mpc.state import StateAssembler, StateError, check_stamp
from mbrl_msgs.msg import Observation


class LockstepStates:
    """Listens to ``joint_states`` or ``observation``, whichever ``control.state_source`` says."""

    def __init__(
        self,
        hot: HotPath,
        settings: MpcSettings,
        on_state: Callable[[np.ndarray, int], None],
        on_refused: Callable[[str], None],
    ) -> None:
        """
        Args:
            hot: where the subscription is made.
            settings: of the controller.
            on_state: takes a state [S] and its stamp [ns].
            on_refused: is told of a message that no state can be made of, and why.
        """
        self._assembler = StateAssembler(settings.task)
        self._on_state = on_state
        self._on_refused = on_refused
        if settings.control.state_source == 'joint_states':
            hot.create_subscription(JointState, 'joint_states', self._on_joint_state, STANDARD)
        else:
            hot.create_subscription(Observation, 'observation', self._on_observation, STANDARD)

    def _on_joint_state(self, message: JointState) -> None:
        try:
            state = self._assembler.from_joints(
                message.name, message.position, message.velocity, message.effort
            )
            stamp = _stamp(message.header.stamp)
        except StateError as error:
            self._on_refused(f'joint_states: {error}')
            return
        self._on_state(state, stamp)

    def _on_observation(self, message: Observation) -> None:
        try:
            state = self._assembler.from_vector(message.state)
            stamp = _stamp(message.header.stamp)
        except StateError as error:
            self._on_refused(f'observation: {error}')
            return
        self._on_state(state, stamp)


def _stamp(time: Time) -> int:
    return check_stamp(time.sec, time.nanosec)
