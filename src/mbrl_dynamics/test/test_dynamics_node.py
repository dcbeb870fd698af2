"""The node over real DDS: it stores, acknowledges, trains, refuses, and survives."""

from __future__ import annotations

import contextlib
import math
import os
import random
import resource
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('mbrl_msgs')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from mcap.reader import make_reader

from mbrl_common.messages import to_field
from mbrl_common.qos import LATCHED, RECORD
from mbrl_common.testing import NodeProcess, Probe, isolated_domain
from mbrl_dynamics.bag import bags, read_folder
from mbrl_dynamics.model import DynamicsModel
from mbrl_dynamics.training import TrainingError
from mbrl_dynamics.transition import Transition
from mbrl_msgs import msg
from mbrl_msgs.action import Train
from mbrl_msgs.srv import Retrain

Make = Callable[..., Transition]
PARAMETERS = {
    'task.name': 'cartpole_swingup',
    'task.state': ['slider.position', 'hinge.position', 'slider.velocity', 'hinge.velocity'],
    'task.angles': ['hinge.position'],
    'task.action': ['slider'],
    'task.action_low': [-3.0],
    'task.action_high': [3.0],
    'task.control_period': 0.04,
    'task.max_steps': 200,
    'model.members': 3,
    'model.hidden': [16, 16],
    'training.updates_after_episode': 200,
    'training.updates_within_episode': 100,
    'training.every_steps': 8,
    'training.min_transitions': 10,
    'evaluation.plots': False,
}
LONG = {'training.updates_after_episode': 1_000_000}
NO_TRAINING = {'training.min_transitions': 1_000_000}


def to_message(transition: Transition) -> msg.Transition:
    message = msg.Transition(
        robot=transition.robot,
        session=transition.session,
        sequence=transition.sequence,
        episode=transition.episode,
        step=transition.step,
        state=to_field(transition.state),
        action=to_field(transition.action),
        next_state=to_field(transition.next_state),
        reward=transition.reward,
        terminated=transition.terminated,
        truncated=transition.truncated,
    )
    for name in ('stamp', 'next_stamp'):
        second, nanosecond = divmod(getattr(transition, name), 1_000_000_000)
        getattr(message, name).sec, getattr(message, name).nanosec = second, nanosecond
    return message


class Bench:
    """A node under test, and everything that it says."""

    def __init__(self, probe: Probe, folder: Path, **parameters: Any) -> None:
        self.probe = probe
        self.folder = folder
        self._parameters = PARAMETERS | parameters | {'data.folder': str(folder)}
        self.acks: list[msg.TransitionAck] = probe.collect(
            'transition_ack', msg.TransitionAck, RECORD
        )
        self.models: list[msg.ModelSnapshot] = probe.collect('model', msg.ModelSnapshot, LATCHED)
        self.statuses: list[msg.TrainingStatus] = probe.collect(
            'training_status', msg.TrainingStatus, LATCHED
        )
        self.node = self.start()

    def start(self) -> NodeProcess:
        """Start the node (again)."""
        self.node = NodeProcess('mbrl_dynamics', 'dynamics', parameters=self._parameters)
        self.node.wait_for_output('ready:')
        return self.node

    def send(self, *transitions: Transition) -> msg.TransitionAck:
        """Send transitions, and again every 2 s until the last is acknowledged, as a controller
        does: a node that was started anew may not be known yet. Returns that acknowledgement."""
        before, last = len(self.acks), transitions[-1]

        def find() -> Any:
            for ack in self.acks[before:]:
                if ack.session == last.session and ack.next_sequence > last.sequence:
                    return ack
            return None

        for _ in range(5):
            for transition in transitions:
                self.probe.publish('transition', msg.Transition, to_message(transition), RECORD)
            with contextlib.suppress(TimeoutError):
                return self.probe.wait_until(find, 2.0)
        raise TimeoutError(f'{len(self.acks) - before} acknowledgements in 10 s')

    def wait_for_model(self, version: int) -> msg.ModelSnapshot:
        """The model of a version, once it is there."""

        def find() -> Any:
            return next((m for m in self.models if m.version == version), None)

        return self.probe.wait_until(find, 20.0, f'model {version}')

    def wait_for_status(self, **fields: Any) -> msg.TrainingStatus:
        """The newest status, once its fields have these values."""

        def find() -> Any:
            newest = self.statuses[-1] if self.statuses else None
            good = newest and all(getattr(newest, k) == v for k, v in fields.items())
            return newest if good else None

        return self.probe.wait_until(find, 20.0, f'a status with {fields}')


@contextlib.contextmanager
def bench(folder: Path, **parameters: Any) -> Iterator[Bench]:
    with isolated_domain(), Probe() as probe:
        made = Bench(probe, folder, **parameters)
        try:
            yield made
        finally:
            made.node.stop()


def episode(make_transition: Make, number: int = 0) -> list[Transition]:
    return [make_transition(number * 20 + step) for step in range(20)]


def test_an_episode_is_stored_acknowledged_and_learned_from(
    tmp_path: Path, make_transition: Make, assert_same: Callable[..., None]
) -> None:
    with bench(tmp_path) as b:
        transitions = episode(make_transition)
        for transition in transitions[:-1]:
            ack = b.send(transition)
            assert ack.next_sequence == transition.sequence + 1
            assert (ack.robot, ack.session) == (transition.robot, transition.session)
            assert not ack.training_due
        ack = b.send(transitions[-1])
        assert ack.training_due and ack.dataset_size == 20 and ack.model_version == 0
        # At the acknowledgement, the status said already that a training is on: no race.
        states = [(s.state, s.job_id) for s in b.statuses]
        assert (msg.TrainingStatus.TRAINING, 1) in states

        model = b.wait_for_model(1)
        status = b.wait_for_status(state=msg.TrainingStatus.IDLE, model_version=1)
        assert status.stamp.sec + status.stamp.nanosec * 1e-9 > (
            ack.stamp.sec + ack.stamp.nanosec * 1e-9
        )
        assert (status.dataset_size, status.episodes, status.job_id) == (20, 1, 1)
        assert math.isfinite(status.train_loss) and status.training_time > 0
        assert (model.state_dim, model.action_dim, model.dataset_size) == (4, 1, 20)
        assert DynamicsModel.from_bytes(bytes(model.data)).members == 3

        for transition in episode(make_transition, 1)[:8]:
            ack = b.send(transition)
        assert ack.training_due, 'eight transitions are new, and there is a model'
        b.wait_for_model(2)
        b.wait_for_status(state=msg.TrainingStatus.IDLE, model_version=2)
        assert b.node.stop() == 0
    for ours, number in zip(read_folder(tmp_path / 'data'), range(28)):
        assert_same(ours, make_transition(number))


STALL = """
import os, time

def fsync(descriptor):
    while os.path.exists(os.environ['STALL']):
        time.sleep(0.01)
    real(descriptor)

real, os.fsync = os.fsync, fsync
"""


def test_a_disk_that_stalls_at_an_episodes_end_keeps_no_answer_back(
    tmp_path: Path, make_transition: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'sitecustomize.py').write_text(STALL)
    monkeypatch.setenv('PYTHONPATH', str(tmp_path), prepend=os.pathsep)
    stall = tmp_path / 'stall'
    monkeypatch.setenv('STALL', str(stall))
    stall.touch()
    with bench(tmp_path / 'run', **NO_TRAINING) as b:
        data = tmp_path / 'run' / 'data'
        ack = b.send(*episode(make_transition))
        assert ack.next_sequence == ack.dataset_size == 20
        partial = data / 'episode_00000.mcap.partial'
        b.probe.wait_until(partial.exists, 10.0, 'the bag to be finished')
        ack = b.send(*episode(make_transition, 1))
        assert ack.next_sequence == ack.dataset_size == 40
        b.wait_for_status(dataset_size=40)
        response = b.probe.call('dynamics/retrain', Retrain, Retrain.Request())
        assert response.error_code == TrainingError.DATASET_TOO_SMALL
        assert partial.exists() and not any(map(is_whole, bags(data)))
        assert [t.sequence for t in read_folder(data)] == list(range(40))
        stall.unlink()
        b.probe.wait_until(lambda: all(map(is_whole, bags(data))), 20.0, 'whole bags')
        assert b.node.stop() == 0
    assert [t.sequence for t in read_folder(data)] == list(range(40))


def test_malformed_transitions_are_refused_with_a_message_and_the_node_goes_on(
    tmp_path: Path, make_transition: Make
) -> None:
    with bench(tmp_path) as b:
        b.send(make_transition(0))
        b.send(make_transition(1, state=np.array([0.0, math.nan, 0.0, 0.0])))
        b.send(make_transition(2, action=np.zeros(2)))
        b.send(make_transition(3, next_state=np.zeros(3)))
        ack = b.send(make_transition(4))
        assert ack.next_sequence == 5 and ack.dataset_size == 2
        b.wait_for_status(transitions_refused=3, dataset_size=2)
        output = b.node.output()
        assert 'state[1] is nan; every entry must be finite' in output
        assert 'action has shape (2,); it must be (1,)' in output
        assert 'next_state has shape (3,); it must be (4,)' in output
        diagnostics = b.probe.wait_for('/diagnostics', DiagnosticArray)
        assert diagnostics.status[0].message == '0 transitions lost, 3 refused'
    assert [t.sequence for t in read_folder(tmp_path / 'data')] == [0, 4]


def test_without_data_training_is_refused_by_name(tmp_path: Path, make_transition: Make) -> None:
    with bench(tmp_path) as b:
        response = b.probe.call('dynamics/retrain', Retrain, Retrain.Request())
        assert not response.success and response.error_code == TrainingError.NO_DATA
        assert 'the dataset is empty' in response.message
        result = b.probe.send_goal('dynamics/train', Train, Train.Goal()).result()
        assert result.error_code == Train.Result.NO_DATA
        assert 'the dataset is empty' in result.error_msg
        b.send(make_transition(0))
        result = b.probe.send_goal('dynamics/train', Train, Train.Goal()).result()
        assert result.error_code == Train.Result.DATASET_TOO_SMALL
        assert "'training.min_transitions' asks for 10" in result.error_msg


def test_retrain_answers_at_once_and_train_gives_feedback(
    tmp_path: Path, make_transition: Make
) -> None:
    with bench(tmp_path) as b:
        b.send(*episode(make_transition))
        b.wait_for_status(state=msg.TrainingStatus.IDLE, model_version=1)
        response = b.probe.call('dynamics/retrain', Retrain, Retrain.Request(from_scratch=True))
        assert response.success and response.job_id == 2
        b.wait_for_model(2)
        b.wait_for_status(state=msg.TrainingStatus.IDLE, job_id=2)

        feedback: list[Train.Feedback] = []
        goal = b.probe.send_goal('dynamics/train', Train, Train.Goal(), feedback)
        result = goal.result()
        assert result.error_code == Train.Result.NONE, result.error_msg
        assert (result.model_version, result.dataset_size) == (3, 20)
        assert result.train_loss < 2.0 and result.training_time > 0
        b.probe.wait_until(lambda: feedback, what='feedback')
        assert feedback[-1].updates == 200 and len(feedback[-1].train_loss) == 3
        assert feedback[-1].samples_per_second > 0
        assert feedback[-1].epoch == 200, 'a batch is as large as the dataset'
        assert len(feedback[-1].holdout_loss) == 3
        assert result.updates == 200


def test_a_training_by_epochs_says_so(tmp_path: Path, make_transition: Make) -> None:
    with bench(tmp_path, **{'training.epochs': 30}) as b:
        b.send(*episode(make_transition))
        b.wait_for_status(state=msg.TrainingStatus.IDLE, model_version=1)
        texts = [status.text for status in b.statuses]
        assert 'training 1: 30 epochs' in texts
        assert not any(' 0 updates' in text for text in texts)
        result = b.probe.send_goal('dynamics/train', Train, Train.Goal()).result()
        assert result.updates == 30, 'one each, as a batch is as large as the dataset'


def test_a_cancelled_training_keeps_the_old_model_and_the_node_answers_meanwhile(
    tmp_path: Path, make_transition: Make
) -> None:
    with bench(tmp_path) as b:
        b.send(*episode(make_transition))
        b.wait_for_status(state=msg.TrainingStatus.IDLE, model_version=1)
        b.node.stop()
    with bench(tmp_path, **LONG) as b:
        feedback: list[Train.Feedback] = []
        goal = b.probe.send_goal('dynamics/train', Train, Train.Goal(), feedback)
        b.probe.wait_until(lambda: feedback, 20.0, 'feedback')
        ack = b.send(make_transition(20))
        assert ack.next_sequence == 21, 'it records while it trains'
        busy = b.probe.send_goal('dynamics/train', Train, Train.Goal()).result()
        assert busy.error_code == Train.Result.BUSY
        response = b.probe.call('dynamics/retrain', Retrain, Retrain.Request())
        assert response.success and 'is running already' in response.message
        goal.cancel()
        result = goal.result()
        assert result.error_code == Train.Result.CANCELLED
        assert result.model_version == 1
        b.wait_for_status(state=msg.TrainingStatus.IDLE, model_version=1)
        assert [model.version for model in b.models] == [1]


def test_a_kill_loses_nothing_acknowledged_and_the_model_is_there_again(
    tmp_path: Path, make_transition: Make
) -> None:
    with bench(tmp_path) as b:
        b.send(*episode(make_transition))
        before = b.wait_for_model(1)
        b.wait_for_status(state=msg.TrainingStatus.IDLE, model_version=1)
        acknowledged = b.send(*episode(make_transition, 1)[:5]).next_sequence
        b.node.kill()
        b.models.clear()
        b.start()
        assert bytes(b.wait_for_model(1).data) == bytes(before.data)
        b.wait_for_status(dataset_size=acknowledged, model_version=1)
        ack = b.send(make_transition(24))
        assert ack.next_sequence == 25 and ack.dataset_size == 25, 'a duplicate is stored once'
        ack = b.send(*[make_transition(number) for number in (25, 26, 27)])
        assert ack.training_due, 'three before the kill and five after it'
        b.wait_for_model(2)
    assert [t.sequence for t in read_folder(tmp_path / 'data')] == list(range(28))


def test_the_bag_that_a_kill_cut_off_is_whole_after_the_next_start_which_says_so_once(
    tmp_path: Path, make_transition: Make
) -> None:
    def whole() -> list[bool]:
        return [is_whole(path) for path in bags(tmp_path / 'data')]

    with bench(tmp_path, **NO_TRAINING) as b:
        b.send(*[make_transition(number, length=5) for number in range(8)])
        b.probe.wait_until(lambda: whole() == [True, False], 20.0, 'the first bag to be finished')
        b.node.kill()
        (cut,) = [path for path in bags(tmp_path / 'data') if not is_whole(path)]
        b.start()
        assert whole() == [True, True]
        assert b.node.output().count('finished; its recording had been cut off') == 1
        assert f'{cut}: finished' in b.node.output()
        b.statuses.clear()
        b.wait_for_status(dataset_size=8)  # the node is known here, and hears what is sent
        b.send(make_transition(8, length=5))
        assert whole().count(False) == 1
        b.node.stop()
        b.start()
        assert 'cut off' not in b.node.output()
    assert [t.sequence for t in read_folder(tmp_path / 'data')] == list(range(9))


def is_whole(path: Path) -> bool:
    """Whether a bag has the summary that other tools look for."""
    with path.open('rb') as file, contextlib.suppress(Exception):
        return make_reader(file).get_summary() is not None
    return False


def test_kills_while_transitions_stream_in_lose_nothing_acknowledged(
    tmp_path: Path, make_transition: Make
) -> None:
    moments = random.Random(0)

    def acknowledged() -> int:
        return b.acks[-1].next_sequence if b.acks else 0

    def stream(enough: int, seconds: float) -> None:
        """Send until so many are acknowledged, and for some time more; what is not
        acknowledged for half a second is sent again, oldest first."""
        done = number = acknowledged()
        now = since = time.monotonic()
        end = math.inf
        while now < end:
            b.probe.publish(
                'transition', msg.Transition, to_message(make_transition(number, length=5)), RECORD
            )
            number += 1
            time.sleep(0.002)
            now = time.monotonic()
            if acknowledged() > done:
                done, since = acknowledged(), now
            elif now - since > 0.5:
                number, since = done, now
            if done >= enough and end == math.inf:
                end = now + seconds

    with bench(tmp_path, **NO_TRAINING) as b:
        for _ in range(4):
            stream(acknowledged() + 1, moments.uniform(0.0, 0.3))
            b.node.kill()
            time.sleep(0.3)  # for acknowledgements on their way
            recorded = [transition.sequence for transition in read_folder(tmp_path / 'data')]
            assert set(recorded) >= set(range(acknowledged()))
            b.start()
        stream(acknowledged() + 50, 0.0)
        assert b.node.stop() == 0
    recorded = [transition.sequence for transition in read_folder(tmp_path / 'data')]
    assert set(recorded) >= set(range(acknowledged()))
    assert len(recorded) == len(set(recorded)), 'nothing is stored twice'


def test_a_full_disk_is_reported_and_recording_goes_on_when_there_is_room(
    tmp_path: Path, make_transition: Make
) -> None:
    with bench(tmp_path, **NO_TRAINING) as b:
        b.send(*[make_transition(number, length=1000) for number in range(40)])
        (bag,) = (tmp_path / 'data').iterdir()
        _, most = resource.prlimit(b.node.pid, resource.RLIMIT_FSIZE)
        limit = bag.stat().st_size + 100
        resource.prlimit(b.node.pid, resource.RLIMIT_FSIZE, (limit, most))
        unstored = [make_transition(number, length=1000) for number in range(40, 50)]
        for transition in unstored:
            b.probe.publish('transition', msg.Transition, to_message(transition), RECORD)
        status = b.wait_for_status(write_errors=10)
        assert status.dataset_size == 40 and b.acks[-1].next_sequence == 40
        assert 'transitions are not stored, from 40 on' in b.node.output()
        diagnostics = b.probe.wait_for('/diagnostics', DiagnosticArray).status[0]
        assert (diagnostics.level, diagnostics.message) == (
            DiagnosticStatus.ERROR,
            '10 errors of the disk',
        )
        assert [t.sequence for t in read_folder(tmp_path / 'data')] == list(range(40))

        resource.prlimit(b.node.pid, resource.RLIMIT_FSIZE, (most, most))
        ack = b.send(*unstored)
        assert ack.next_sequence == ack.dataset_size == 50
        assert 'transitions are stored again, from 40 on' in b.node.output()
        assert b.node.stop() == 0
    assert [t.sequence for t in read_folder(tmp_path / 'data')] == list(range(50))


def test_a_kill_in_a_training_starts_it_again_and_leaves_no_process(
    tmp_path: Path, make_transition: Make
) -> None:
    with bench(tmp_path, **LONG) as b:
        b.send(*episode(make_transition))
        b.probe.wait_until(lambda: b.statuses[-1].progress > 0, 20.0, 'progress')
        workers = children(b.node.pid)
        assert len(workers) == 1
        b.node.kill()
        b.probe.wait_until(lambda: not is_alive(workers[0]), 10.0, 'the end of the worker')
        b.statuses.clear()
        b.start()
        b.wait_for_status(state=msg.TrainingStatus.TRAINING, job_id=1)


def test_the_death_of_the_training_process_is_reported_and_made_good(
    tmp_path: Path, make_transition: Make
) -> None:
    with bench(tmp_path, **LONG) as b:
        b.send(*episode(make_transition)[:15])
        goal = b.probe.send_goal('dynamics/train', Train, Train.Goal())
        b.probe.wait_until(lambda: b.statuses and b.statuses[-1].progress > 0, 60.0, 'progress')
        os.kill(children(b.node.pid)[0], signal.SIGKILL)
        result = goal.result(60.0)
        assert result.error_code == Train.Result.INTERNAL_ERROR
        assert 'ended with code -9' in result.error_msg
        b.wait_for_status(state=msg.TrainingStatus.FAILED, model_version=0)
        again = b.probe.send_goal('dynamics/train', Train, Train.Goal())
        b.wait_for_status(state=msg.TrainingStatus.TRAINING, job_id=2)
        again.cancel()
        assert again.result(60.0).error_code == Train.Result.CANCELLED


def test_a_folder_of_another_task_is_refused_at_the_start(
    tmp_path: Path, make_transition: Make
) -> None:
    with bench(tmp_path) as b:
        b.send(make_transition(0))
        b.node.stop()
        other = PARAMETERS | {
            'task.state': ['a.position'],
            'task.angles': ['a.position'],
            'data.folder': str(tmp_path),
        }
        node = NodeProcess('mbrl_dynamics', 'dynamics', parameters=other)
        assert node.wait() == 2
        assert 'does not fit the task' in node.output()
        assert 'state has shape (4,); it must be (1,)' in node.output()


def children(pid: int) -> list[int]:
    found = []
    for entry in Path('/proc').iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / 'stat').read_text().rsplit(')', 1)[1].split()
                if int(fields[1]) == pid:
                    found.append(int(entry.name))
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[0] != 'Z'
    except OSError:
        return False


def test_idle_it_takes_next_to_no_processor_time(tmp_path: Path) -> None:
    def spent(pid: int) -> float:
        fields = Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    with bench(tmp_path) as b:
        time.sleep(1.0)
        before = spent(b.node.pid)
        time.sleep(2.0)
        assert spent(b.node.pid) - before < 0.6
