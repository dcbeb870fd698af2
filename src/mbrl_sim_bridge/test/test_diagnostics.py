from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from mbrl_sim_bridge.commands import effort_command
from mbrl_sim_bridge.diagnostics import Health
from mbrl_sim_bridge.real_time import RealTimeSimulation
from mbrl_sim_bridge.simulation import Simulation

SECOND = 1_000_000_000


class Robot:
    """A simulation and its health, with a clock that the test turns."""

    def __init__(self, settings: Any, **values: Any) -> None:
        fast = {'real_time': True, 'state_rate': 50.0, 'max_lag': 0.02}
        sim = dataclasses.replace(settings.sim, **(fast | values))
        simulation = Simulation(dataclasses.replace(settings, sim=sim))
        self.physics = simulation
        self.simulation = RealTimeSimulation(simulation, 0, 0)
        self.health = Health('/robot', sim, self.simulation, 0)

    def report(self, now_ns: int) -> tuple[Any, dict[str, str]]:
        status = self.health.report(now_ns)
        return status, {entry.key: entry.value for entry in status.values}

    def run(self, begin_ns: int, end_ns: int) -> None:
        for now_ns in range(begin_ns, end_ns + 1, SECOND // 50):
            self.simulation.advance(now_ns)
            self.simulation.take_states(now_ns)


@pytest.mark.parametrize('speed', [1.0, 3.0])
def test_a_robot_in_time_is_ok(settings, speed):
    robot = Robot(settings, speed=speed, max_lag=0.1)
    robot.run(0, SECOND)
    status, values = robot.report(SECOND)
    assert (status.level, status.name) == (DiagnosticStatus.OK, '/robot: real time')
    assert float(values['real_time_factor']) == speed
    assert int(values['states_sent']) == 50 * speed + 1


def test_time_given_up_lowers_the_factor_of_its_second_only(settings):
    robot = Robot(settings)
    robot.run(0, SECOND // 2)
    robot.simulation.advance(SECOND)  # late by half a second
    status, values = robot.report(SECOND)
    assert status.level == DiagnosticStatus.WARN
    assert 'too slow' in status.message
    assert float(values['real_time_factor']) == pytest.approx(0.5, abs=0.05)
    assert (values['slips'], values['time_lost']) == ('1', '0.460')
    robot.run(SECOND, 2 * SECOND)
    status, values = robot.report(2 * SECOND)
    assert status.level == DiagnosticStatus.OK
    assert float(values['real_time_factor']) == 1.0


def test_missing_commands_warn_once_and_are_said_as_long_as_they_are_missing(settings):
    robot = Robot(settings, command_timeout=0.1)
    robot.simulation.command(effort_command([1.0], ['slider']), 0)
    levels = []
    for second in (1, 2):
        robot.run((second - 1) * SECOND, second * SECOND)
        status, values = robot.report(second * SECOND)
        assert status.message == 'no command for 0.1 s: the action is zero'
        assert values['command_timeouts'] == '1'
        levels.append(status.level)
    assert levels == [DiagnosticStatus.WARN, DiagnosticStatus.OK]


def test_refusals_and_divergences_warn_and_are_counted(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # MuJoCo writes a log file where it is
    robot = Robot(settings)
    robot.simulation.counts.commands_refused += 1
    robot.physics.data.qvel[0] = np.nan
    robot.run(0, SECOND)
    status, values = robot.report(SECOND)
    assert status.level == DiagnosticStatus.WARN
    assert status.message == 'the physics diverged and were reset; a command was refused'
    assert (values['commands_refused'], values['divergences']) == ('1', '1')
    robot.run(SECOND, 2 * SECOND)
    assert robot.report(2 * SECOND)[0].level == DiagnosticStatus.OK
