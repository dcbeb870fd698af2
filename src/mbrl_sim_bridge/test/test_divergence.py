"""What the bridge does when physics break, with its simulation within reach."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
import yaml

from mbrl_common.messages import nanoseconds
from mbrl_common.testing import isolated_domain
from mbrl_msgs.msg import Command
from mbrl_msgs.srv import Reset
from mbrl_sim_bridge.sim_bridge_node import SimBridge

PERIOD = 40_000_000


@pytest.fixture
def bridge(parameters: dict[str, Any], tmp_path: Path) -> Iterator[SimBridge]:
    path = tmp_path / 'parameters.yaml'
    path.write_text(yaml.safe_dump({'/**': {'ros__parameters': parameters}}))
    with isolated_domain():
        rclpy.init(args=['--ros-args', '--params-file', str(path)])
        node = SimBridge()
        try:
            yield node
        finally:
            node.shut_down()
            node.hot_path.destroy()
            node.destroy_node()
            rclpy.try_shutdown()


def test_diverged_physics_close_the_episode_and_leave_a_gap_in_time(bridge: SimBridge) -> None:
    answer = bridge._on_reset(Reset.Request(seed=1), Reset.Response())
    before = nanoseconds(answer.stamp)
    bridge.simulation.data.qvel[1] = np.nan
    bridge._on_command(Command(state_stamp=answer.stamp, action=[0.0]))
    # A controller waits for the next period; any other time tells it that its episode is over.
    assert bridge.simulation.time_ns == before + 2 * PERIOD
    assert nanoseconds(bridge._joint_state.header.stamp) == bridge.simulation.time_ns
    assert np.isfinite(bridge.simulation.state).all()

    time_ns = bridge.simulation.time_ns
    bridge._on_command(Command(state_stamp=bridge._joint_state.header.stamp, action=[0.0]))
    assert bridge.simulation.time_ns == time_ns, 'no episode is open'
    assert bridge._on_reset(Reset.Request(seed=1), Reset.Response()).success
