"""The node over real DDS says how good its models are, and goes on with everything else."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('mbrl_msgs')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from mbrl_common.messages import from_field, to_field
from mbrl_common.qos import LATCHED, RECORD
from mbrl_common.testing import NodeProcess, Probe, isolated_domain
from mbrl_dynamics.bag import EpisodeBag
from mbrl_dynamics.evaluate import evaluate
from mbrl_dynamics.evaluation import LEVELS, About, load
from mbrl_dynamics.evaluation_job import EvaluationError
from mbrl_dynamics.model import DynamicsModel
from mbrl_dynamics.transition import Transition
from mbrl_dynamics.transitions import Transitions
from mbrl_msgs import msg
from mbrl_msgs.srv import Evaluate, Retrain

STATE = ['slider.position', 'hinge.position', 'slider.velocity', 'hinge.velocity']
PARAMETERS = {
    'task.name': 'cartpole_swingup',
    'task.state': STATE,
    'task.angles': ['hinge.position'],
    'task.action': ['slider'],
    'task.action_low': [-3.0],
    'task.action_high': [3.0],
    'task.control_period': 0.04,
    'task.max_steps': 200,
    'model.members': 3,
    'model.hidden': [32, 32],
    'training.updates_after_episode': 1500,
    'training.every_steps': 0,
    'training.min_transitions': 10,
    'training.holdout_fraction': 0.3,
    'training.holdout_block': 12,
    'evaluation.horizon': 8,
    'evaluation.plots': False,
}
PICTURES = ['calibration.png', 'error_over_horizon.png', 'open_loop.png']
PICTURES += ['predicted_against_true.png']


class Bench:
    """A node under test, its models, and what it says of them."""

    def __init__(self, probe: Probe, folder: Path, parameters: dict[str, Any]) -> None:
        self.probe, self.folder = probe, folder
        self.models: list[msg.ModelSnapshot] = probe.collect('model', msg.ModelSnapshot, LATCHED)
        self.acks: list[msg.TransitionAck] = probe.collect(
            'transition_ack', msg.TransitionAck, RECORD
        )
        self.statuses: list[msg.TrainingStatus] = probe.collect(
            'training_status', msg.TrainingStatus, LATCHED
        )
        self.evaluations: list[msg.ModelEvaluation] = probe.collect(
            'model_evaluation', msg.ModelEvaluation, LATCHED
        )
        self._parameters = PARAMETERS | {'data.folder': str(folder)} | parameters
        self.node = self.start()

    def start(self) -> NodeProcess:
        """Start the node (again)."""
        self.node = NodeProcess('mbrl_dynamics', 'dynamics', parameters=self._parameters)
        self.node.wait_for_output('ready:')
        return self.node

    def send(self, transitions: list[Transition]) -> None:
        """Send transitions, and again every 2 s until the last is acknowledged, as a controller
        does: on a busy machine the two may know each other only after the first was sent."""
        last = transitions[-1]
        deadline = time.monotonic() + 20.0
        while not self._stored(last):
            assert time.monotonic() < deadline, f'{len(self.acks)} acknowledgements in 20 s'
            for each in transitions:
                self.probe.publish('transition', msg.Transition, to_message(each), RECORD)
            with contextlib.suppress(TimeoutError):
                self.probe.wait_until(lambda: self._stored(last), 2.0)

    def _stored(self, last: Transition) -> bool:
        return any(
            ack.session == last.session and ack.next_sequence > last.sequence for ack in self.acks
        )

    def evaluation(self, version: int) -> msg.ModelEvaluation:
        """The evaluation of a version, once it is there."""

        def find() -> Any:
            return next((e for e in self.evaluations if e.model_version == version), None)

        return self.probe.wait_until(find, 40.0, f'the evaluation of model {version}')

    def ask(self, **request: Any) -> Evaluate.Response:
        """Call the service."""
        return self.probe.call('dynamics/evaluate', Evaluate, Evaluate.Request(**request), 60.0)


@contextlib.contextmanager
def bench(folder: Path, **parameters: Any) -> Iterator[Bench]:
    with isolated_domain(), Probe() as probe:
        made = Bench(probe, folder, parameters)
        try:
            yield made
        except BaseException:
            print(made.node.output())
            raise
        finally:
            made.node.stop()


def to_message(each: Transition) -> msg.Transition:
    message = msg.Transition(
        robot=each.robot,
        session=each.session,
        sequence=each.sequence,
        episode=each.episode,
        step=each.step,
        state=to_field(each.state),
        action=to_field(each.action),
        next_state=to_field(each.next_state),
        reward=each.reward,
        terminated=each.terminated,
        truncated=each.truncated,
    )
    for name in ('stamp', 'next_stamp'):
        second, nanosecond = divmod(getattr(each, name), 1_000_000_000)
        getattr(message, name).sec, getattr(message, name).nanosec = second, nanosecond
    return message


@pytest.fixture
def episode(cartpole: Any, make_transition: Callable[..., Transition]) -> Callable[..., Any]:
    """Makes the transitions of a random episode of the true cart-pole, 200 steps."""

    def make(number: int = 0, **changes: Any) -> list[Transition]:
        state, action, next_state = cartpole.random_data(1, seed=number)
        return [
            make_transition(
                number * 200 + i,
                200,
                state=state[i],
                action=action[i],
                next_state=next_state[i],
                **changes,
            )
            for i in range(200)
        ]

    return make


def test_each_new_model_is_measured_and_latecomers_are_told(
    tmp_path: Path, episode: Callable[..., Any]
) -> None:
    with bench(tmp_path) as b:
        b.send(episode())
        found = b.evaluation(1)
        assert (found.source, found.state, found.horizon) == ('', STATE, 8)
        assert found.transitions == 60 and found.windows[0] == 60 and found.windows[7] > 0
        assert found.relative_error < 1.0 and found.good
        assert from_field(found.level).tolist() == LEVELS.tolist()
        for name, shape in (
            ('error', (4,)),
            ('coverage', (11, 4)),
            ('open_loop_error', (8, 4)),
            ('open_loop_spread', (8, 4)),
        ):
            assert np.isfinite(from_field(getattr(found, name), shape)).all(), name
        assert math.isnan(found.reward_error)
        # The same number that its training has measured.
        assert found.relative_error == pytest.approx(b.models[-1].holdout_error, rel=1e-3)

        with Probe('latecomer') as late:
            again = late.wait_for('model_evaluation', msg.ModelEvaluation, qos=LATCHED)
        assert again.text == found.text
        diagnostics = b.probe.wait_for('/diagnostics', DiagnosticArray)
        assert [s.name for s in diagnostics.status] == ['/dynamics: learning', '/dynamics: model']
        status = diagnostics.status[1]
        assert status.level == DiagnosticStatus.OK and status.message == found.text
        values = {each.key: each.value for each in status.values}
        assert values['model version'] == '1' and float(values['relative error after 8 steps']) < 1

        folder = tmp_path / 'evaluation' / 'model_00001'
        assert load(folder).describe() == found.text
        assert not list(folder.glob('*.png'))

        b.node.stop()
        b.evaluations.clear()
        b.start()
        assert b.evaluation(1).relative_error == found.relative_error, 'a model found at the start'


def test_pictures_are_drawn_beside_and_survive_the_end(
    tmp_path: Path, episode: Callable[..., Any]
) -> None:
    with bench(tmp_path, **{'evaluation.plots': True}) as b:
        b.send(episode())
        b.evaluation(1)
        folder = tmp_path / 'evaluation' / 'model_00001'
        b.probe.wait_until(lambda: list(folder.glob('*.png')), 60.0, 'a picture')
        b.probe.wait_until(
            lambda: sorted(path.name for path in folder.glob('*.png')) == PICTURES, 60.0, 'pictures'
        )
        assert all(path.read_bytes()[:4] == b'\x89PNG' for path in folder.glob('*.png'))


def test_a_bag_is_measured_on_request_with_pictures(
    tmp_path: Path, episode: Callable[..., Any]
) -> None:
    bag = EpisodeBag(tmp_path, 0)
    other = episode(7, robot='teleoperation')
    for each in other:
        bag.write(each)
    bag.finish()
    with bench(tmp_path / 'run', **{'evaluation.after_training': False}) as b:
        b.send(episode())
        b.probe.wait_until(lambda: b.models, 40.0, 'a model')
        answer = b.ask(source=str(bag.path), horizon=30, plots=True)
        assert answer.success and answer.error_code == Evaluate.Response.NONE, answer.message
        model = DynamicsModel.from_bytes(bytes(b.models[-1].data))
        about = About(model_version=1)
        expected = evaluate(model, Transitions.from_list(other), horizon=30, about=about)
        found = answer.evaluation
        assert found.source == str(bag.path) and found.transitions == 200
        np.testing.assert_array_equal(from_field(found.error), expected.one_step.error)
        np.testing.assert_array_equal(
            from_field(found.open_loop_error, (30, 4)), expected.open_loop.error
        )
        assert answer.message == found.text == expected.describe()
        assert answer.folder == str(tmp_path / 'run' / 'evaluation' / 'model_00001_episode_00000')
        assert sorted(p.name for p in Path(answer.folder).glob('*.png')) == PICTURES
        assert b.evaluations == [], 'the topic is about held-out data alone'
        held_out = b.ask()
        assert held_out.success and held_out.evaluation.transitions == 60
        assert b.evaluation(1).text == held_out.message


def test_it_answers_and_acknowledges_while_a_training_runs(
    tmp_path: Path, episode: Callable[..., Any]
) -> None:
    with bench(tmp_path) as b:
        b.send(episode())
        b.evaluation(1)
        b.node.stop()
    with bench(tmp_path, **{'training.updates_after_episode': 10_000_000}) as b:
        b.send(episode(1))
        b.probe.wait_until(lambda: b.statuses[-1].progress > 0, 30.0, 'a training in progress')
        answers: list[Evaluate.Response] = []
        thread = threading.Thread(target=lambda: answers.append(b.ask()))
        thread.start()
        acknowledged = 0
        more = episode(2)
        while not answers and acknowledged < 200:
            b.send(more[acknowledged : acknowledged + 1])
            acknowledged += 1
            time.sleep(0.02)
        thread.join()
        assert acknowledged > 10, 'transitions went on while it was measured'
        assert answers[0].success, answers[0].message
        # Of the second and third episode, too, it knows what was held out.
        assert answers[0].evaluation.model_version == 1
        assert answers[0].evaluation.transitions > 60
        assert b.statuses[-1].state == msg.TrainingStatus.TRAINING
        assert len(b.models) == 1


def test_what_cannot_be_done_is_refused_with_what_would_be_right(
    tmp_path: Path, episode: Callable[..., Any]
) -> None:
    with bench(tmp_path, **{'data.folder': '', 'training.holdout_fraction': 0.0}) as b:

        def refusal(**request: Any) -> tuple[int, str]:
            answer = b.ask(**request)
            assert not answer.success and answer.folder == ''
            return answer.error_code, answer.message

        code, text = refusal()
        assert code == EvaluationError.NO_MODEL and 'there is no model yet' in text
        b.send(episode())
        b.probe.wait_until(lambda: b.models, 40.0, 'a model')
        code, text = refusal(source='/nowhere/at_all.mcap')
        assert code == EvaluationError.INVALID_SOURCE and '/nowhere/at_all.mcap' in text
        code, text = refusal(horizon=1001)
        assert code == EvaluationError.INVALID_REQUEST and 'at most 1000' in text
        code, text = refusal(plots=True)
        assert code == EvaluationError.INVALID_REQUEST and "set 'data.folder'" in text
        code, text = refusal()
        assert code == EvaluationError.NO_DATA and "'training.holdout_fraction'" in text
        status = b.probe.wait_for('/diagnostics', DiagnosticArray).status[1]
        assert status.level == DiagnosticStatus.OK and status.message.startswith('not measured:')
        assert b.evaluations == []
        assert 'refused: evaluate: there is no model yet' in b.node.output()


def test_while_it_measures_all_else_is_served_and_its_death_is_told(
    tmp_path: Path, episode: Callable[..., Any]
) -> None:
    with bench(tmp_path) as b, Probe('second') as second:
        b.send(episode())
        b.evaluation(1)
        assert second.call('dynamics/evaluate', Evaluate, Evaluate.Request(), 60.0).success
        before = children(b.node.pid)
        answers: list[Evaluate.Response] = []
        thread = threading.Thread(target=lambda: answers.append(b.ask()))
        thread.start()
        new = b.probe.wait_until(lambda: children(b.node.pid) - before, what='the process')
        (process,) = new
        os.kill(process, signal.SIGSTOP)  # as long as all below takes
        busy = second.call('dynamics/evaluate', Evaluate, Evaluate.Request())
        assert busy.error_code == EvaluationError.BUSY and 'wait for it' in busy.message
        diagnostics = b.probe.collect('/diagnostics', DiagnosticArray)
        b.probe.wait_until(lambda: len(diagnostics) >= 2, what='diagnostics')
        assert second.call('dynamics/retrain', Retrain, Retrain.Request()).success
        assert b.evaluation(2).good, 'trainings are measured meanwhile'
        assert not answers

        os.kill(process, signal.SIGKILL)
        thread.join()
        assert answers[0].error_code == EvaluationError.INTERNAL_ERROR
        assert 'ended with code -9' in answers[0].message
        assert b.ask().success
        assert children(b.node.pid) == before


def test_a_model_that_knows_nothing_is_warned_of(
    tmp_path: Path, episode: Callable[..., Any]
) -> None:
    with bench(tmp_path, **{'training.updates_after_episode': 1, 'model.members': 1}) as b:
        b.send(episode())
        found = b.evaluation(1)
        assert not found.good and found.relative_error >= 1
        status = b.probe.wait_for(
            '/diagnostics', DiagnosticArray, lambda m: m.status[1].level == DiagnosticStatus.WARN
        ).status[1]
        assert "no better than 'nothing changes'" in status.message
        assert "no better than 'nothing changes'" in b.node.output()


def command_line(process: Path) -> bytes:
    return (process / 'cmdline').read_bytes()


def children(pid: int) -> set[int]:
    """Those that run a program of their own: until then, their parent waits for them."""
    found = set()
    for entry in Path('/proc').iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / 'stat').read_text().rsplit(')', 1)[1].split()
                is_its = int(fields[1]) == pid and fields[0] != 'Z'
                if is_its and command_line(entry) != command_line(Path(f'/proc/{pid}')):
                    found.add(int(entry.name))
    return found
