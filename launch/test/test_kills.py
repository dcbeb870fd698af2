"""Nodes killed at random moments while a robot is controlled: safe all the time, and soon back."""

from __future__ import annotations

from pathlib import Path

import pytest

from mbrl_bringup.testing import PACKAGES, running
from mbrl_bringup.testing_kills import OVERRIDES, Killing
from mbrl_msgs.msg import Command

ROUNDS = 1  # benchmarks/kill_nodes.py does 25


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_whatever_is_killed_commands_stay_safe_control_comes_back_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    with running(0, tmp_path, OVERRIDES) as (graph, probe):
        killing = Killing(graph, probe, seed=0)
        killing.begin(exploration_steps=75)
        kills = [killing.kill(node) for _ in range(ROUNDS) for node in PACKAGES]
        wrong = [(kill.node, text) for kill in kills for text in kill.violations]
        wrong += [('dataset', text) for text in killing.end(tmp_path)]
        assert not wrong
        witness = killing.witness
        assert sum(c.source == Command.SOURCE_PLAN for c in witness.commands) > 200
        assert any(effort for _, _, effort in witness.states), 'the robot must have been moved'
        assert len(witness.stored) == 1 + ROUNDS, 'each controller has a session of its own'
