"""The whole graph in real time on a disk that is full: control goes on, and nothing is hidden."""

from __future__ import annotations

from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from mbrl_bringup.testing import fill
from mbrl_bringup.testing_real_time import assert_within_bounds, in_flight, overridden
from mbrl_common.qos import LATCHED
from mbrl_dynamics.bag import read_folder
from mbrl_msgs.msg import TrainingStatus

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_a_full_disk_stops_no_control_and_all_is_stored_when_there_is_room_again(
    small_disk: Path,
) -> None:
    with in_flight(small_disk, overridden()) as flight:
        probe = flight.probe
        statuses = probe.collect('training_status', TrainingStatus, LATCHED)
        goal = flight.fly()
        ballast = fill(small_disk)
        probe.wait_until(lambda: statuses[-1].write_errors > 0, 20.0, 'an error of the disk')
        flight.wait_for_planned(100)
        assert not goal.done
        waiting = flight.wait_for_status(lambda s: s.unacknowledged > 20, 'what is not stored')
        assert waiting.transitions_lost == 0
        assert 'No space left on device' in flight.graph.nodes['dynamics'].output()
        probe.wait_for(
            '/diagnostics',
            DiagnosticArray,
            lambda m: (
                m.status[0].name == '/dynamics: learning'
                and m.status[0].level == DiagnosticStatus.ERROR
            ),
        )
        ballast.unlink()
        flight.land()
        flight.wait_for_status(lambda s: s.unacknowledged == 0, 'all to be stored', 30.0)
        sent = {t.sequence for t in flight.transitions}
        flight.graph.nodes['dynamics'].stop()
        recorded = [t.sequence for t in read_folder(small_disk / 'data')]
        assert sorted(recorded) == sorted(sent) == list(range(len(sent)))
        assert statuses[-1].transitions_lost == 0
        assert_within_bounds(flight.commands)
