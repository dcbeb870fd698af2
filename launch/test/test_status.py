"""Status messages as lines, and a status that is followed."""

from __future__ import annotations

import io
import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip('mbrl_msgs')
from rich.console import Console

from mbrl_bringup.display import Terminal
from mbrl_bringup.status import age_row, controller_rows, training_rows
from mbrl_common.qos import LATCHED
from mbrl_common.testing import Probe, isolated_domain
from mbrl_msgs.msg import ControllerStatus, TrainingStatus


def test_rates_lateness_model_episode_and_faults_are_there() -> None:
    status = ControllerStatus(
        state=ControllerStatus.RUNNING,
        episode=3,
        step=17,
        control_rate=25.0,
        plan_time_p50=0.02,
        plan_time_p95=0.035,
        late_plans=2,
        late_steps=5,
        steps_lost=1,
        model_version=4,
        model_error=0.12,
        surprise=2.5,
        predicted_return=14.0,
        received_return=math.nan,
        text='no plan',
    )
    rows = dict(controller_rows(status))
    assert rows['state'] == 'running'
    assert rows['episode'] == '3, step 17, return 0.0'
    assert rows['control rate'] == '25.0 Hz'
    assert rows['plan time'] == '20.0 ms median, 35.0 ms 95 %'
    assert rows['late'] == '2 plans, 5 steps; 1 lost'
    assert rows['model'] == 'version 4, error 0.12'
    assert rows['surprise'] == '2.5 times the error expected'
    assert rows['plans'] == 'promised 14, brought -'
    assert rows['says'] == 'no plan'
    assert 'says' not in dict(training_rows(TrainingStatus()))


def test_a_node_that_says_nothing_is_said_to_be_silent() -> None:
    assert age_row(1.2) == ''
    assert age_row(7.6) == 'silent for 8 s'


def test_where_there_is_a_terminal_tables_are_drawn_in_place() -> None:
    terminal = Terminal()
    output = io.StringIO()
    terminal.console = Console(file=output, force_terminal=True, width=40)
    with terminal.live() as show:
        show([(('dynamics', ''), [('state', 'idle')])])
        show([(('dynamics', ''), [('state', 'training')])])
    assert 'idle' in output.getvalue() and 'training' in output.getvalue()
    assert '\x1b[1A' in output.getvalue()  # up, over what was there


def test_a_status_is_followed_until_a_signal(tmp_path: Path) -> None:
    command = 'from mbrl_bringup.cli import main; main()'
    file = tmp_path / 'output'
    with isolated_domain(), Probe() as probe, file.open('wb') as output:
        controller = probe.node.create_publisher(ControllerStatus, 'controller_status', LATCHED)
        training = probe.node.create_publisher(TrainingStatus, 'training_status', LATCHED)
        training.publish(TrainingStatus())
        controller.publish(ControllerStatus(mode='every'))
        process = subprocess.Popen(
            [sys.executable, '-c', command, 'status', '--follow', '--timeout', '30'],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            for mode in ('every', 'hold'):
                controller.publish(ControllerStatus(mode=mode))
                deadline = time.monotonic() + 60.0
                while mode not in file.read_text():
                    assert process.poll() is None and time.monotonic() < deadline
                    time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            assert process.wait(30.0) == 130
        finally:
            process.kill()
            process.wait()
    assert 'Traceback' not in file.read_text()
