"""What the node says of its models' quality: after trainings, on request, and in diagnostics."""

from __future__ import annotations

import subprocess
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.task import Future

from mbrl_common.hot_path import HotPath
from mbrl_common.messages import to_field
from mbrl_common.qos import LATCHED
from mbrl_dynamics.child import Child, start
from mbrl_dynamics.evaluation import LEVELS, Evaluation
from mbrl_dynamics.evaluation_job import EvaluationError, EvaluationJob, EvaluationOutcome
from mbrl_dynamics.learner import Learner
from mbrl_dynamics.worker import Worker
from mbrl_msgs.msg import ModelEvaluation
from mbrl_msgs.srv import Evaluate

LONGEST_HORIZON = 1000
_DRAWING_NICENESS = '19'
_LAST_PICTURES = 3.0  # s that they are waited for at the end


class NodeEvaluation:
    """Topic ``model_evaluation``, service ``~/evaluate`` and the status of the model.

    New models are measured by the training process, which drops that for anything more urgent.
    What someone asks for is measured by a process of its own, so it delays nobody.
    """

    def __init__(self, node: Node, hot_path: HotPath, learner: Learner, worker: Worker) -> None:
        self._node = node
        self._hot_path = hot_path
        self._learner = learner
        self._worker = worker
        self._niceness = learner.settings.training.niceness
        self._last: Evaluation | None = None
        self._text = 'no model yet'
        self._evaluator: Child | None = None
        self._finished: Future | None = None
        self._drawing: subprocess.Popen[bytes] | None = None
        self._publisher = hot_path.create_publisher(ModelEvaluation, 'model_evaluation', LATCHED)
        # A group of its own, or nothing else of the node would be served until the answer.
        group = ReentrantCallbackGroup()
        node.create_service(Evaluate, '~/evaluate', self._on_request, callback_group=group)

    def measure(self, keep: bool) -> None:
        """Have the newest model measured by the training process, which must be idle.

        Args:
            keep: whether numbers and pictures go to the run folder.
        """
        learner = self._learner
        if learner.snapshot is not None and learner.settings.evaluation.after_training:
            self._worker.evaluate(learner.evaluation_job(keep=keep))

    def take(self, outcome: EvaluationOutcome) -> None:
        """What the training process has measured."""
        evaluation = outcome.evaluation
        if outcome.message:
            level = 'warning' if outcome.error is not EvaluationError.NO_DATA else 'debug'
            getattr(self._node.get_logger(), level)(f'evaluation: {outcome.message}')
        if evaluation is None:
            self._last, self._text = None, f'not measured: {outcome.message}'
            return
        self._publish(evaluation)
        drawing = self._drawing is not None and self._drawing.poll() is None
        if outcome.folder and self._learner.settings.evaluation.plots and not drawing:
            self._drawing = start('mbrl_dynamics.plots', outcome.folder, _DRAWING_NICENESS)

    def diagnostic(self) -> DiagnosticStatus:
        """Whether the newest model that was measured is fit to be used."""
        last = self._last
        values: dict[str, Any] = {}
        if last is not None:
            steps = last.open_loop.longest
            values = {
                'model version': last.about.model_version,
                'relative error': f'{last.one_step.relative_error:.3g}',
                f'relative error after {steps} steps': (
                    f'{last.open_loop.relative_error[steps - 1]:.3g}'
                ),
                '90 % intervals hold': f'{last.coverage_90:.3g}',
                'held-out transitions': last.one_step.transitions,
            }
        bad = last is not None and bool(last.complaints)
        return DiagnosticStatus(
            level=DiagnosticStatus.WARN if bad else DiagnosticStatus.OK,
            name=f'{self._node.get_fully_qualified_name()}: model',
            message=self._text,
            hardware_id=self._learner.settings.task.name,
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
        )

    def close(self) -> None:
        """End the processes."""
        if self._evaluator is not None:
            self._evaluator.close()
        if self._drawing is not None:
            try:
                self._drawing.wait(_LAST_PICTURES)
            except subprocess.TimeoutExpired:
                self._drawing.kill()
                self._drawing.wait()

    def _publish(self, evaluation: Evaluation) -> None:
        text = evaluation.describe()
        if evaluation.complaints and (
            self._last is None or self._last.complaints != evaluation.complaints
        ):
            self._node.get_logger().warning(text)
        self._last, self._text = evaluation, text
        self._publisher.publish(self._message(evaluation))

    def _message(self, evaluation: Evaluation) -> ModelEvaluation:
        message = to_message(evaluation)
        message.header.stamp = self._node.get_clock().now().to_msg()
        return message

    # Requests ------------------------------------------------------------------------------------

    async def _on_request(
        self, request: Evaluate.Request, response: Evaluate.Response
    ) -> Evaluate.Response:
        outcome = self._refusal(request)
        if outcome is None:
            job = self._learner.evaluation_job(request.horizon, request.source, request.plots)
            self._finished = finished = Future(executor=self._node.executor)
            self._begin(job)
            await finished
            outcome = finished.result()
            assert outcome is not None
        response.error_code, response.folder = int(outcome.error), outcome.folder
        response.success = outcome.error is EvaluationError.NONE
        response.message = outcome.message
        if outcome.evaluation is None:
            self._node.get_logger().error(f'refused: evaluate: {outcome.message}')
            return response
        if not request.source:
            self._publish(outcome.evaluation)
        response.evaluation = self._message(outcome.evaluation)
        response.message = response.message or outcome.evaluation.describe()
        return response

    def _refusal(self, request: Evaluate.Request) -> EvaluationOutcome | None:
        if self._evaluator is not None:
            return EvaluationOutcome(
                EvaluationError.BUSY, 'another evaluation is being worked on; wait for it'
            )
        if self._learner.snapshot is None:
            return EvaluationOutcome(
                EvaluationError.NO_MODEL, 'there is no model yet: run an episode, or train'
            )
        if request.horizon > LONGEST_HORIZON:
            return EvaluationOutcome(
                EvaluationError.INVALID_REQUEST,
                f'horizon is {request.horizon} steps; it must be at most {LONGEST_HORIZON}',
            )
        if request.plots and not self._learner.settings.data.folder:
            return EvaluationOutcome(
                EvaluationError.INVALID_REQUEST,
                "plots were asked for, and there is no run folder to put them: set 'data.folder'",
            )
        return None

    def _begin(self, job: EvaluationJob) -> None:
        def wake() -> None:
            self._hot_path.call_soon(self._on_news)

        self._evaluator = Child('mbrl_dynamics.evaluator', wake, self._niceness)
        self._evaluator.send(job)

    def _on_news(self) -> None:
        evaluator, finished = self._evaluator, self._finished
        if evaluator is None or finished is None:
            return  # it was heard already
        for outcome in evaluator.receive()[:1]:
            if outcome is None:
                outcome = EvaluationOutcome(
                    EvaluationError.INTERNAL_ERROR,
                    f'the measuring process ended with code {evaluator.exit_code()}',
                )
            evaluator.close()
            self._evaluator = self._finished = None
            finished.set_result(outcome)


def to_message(evaluation: Evaluation) -> ModelEvaluation:
    """An evaluation as a message; without a stamp."""
    one, many, about = evaluation.one_step, evaluation.open_loop, evaluation.about
    return ModelEvaluation(
        model_version=about.model_version,
        source=about.source,
        state=list(about.state),
        transitions=one.transitions,
        relative_error=one.relative_error,
        error=to_field(one.error),
        error_of_no_change=to_field(one.trivial),
        spread=to_field(one.spread),
        disagreement=to_field(one.disagreement),
        level=to_field(LEVELS),
        coverage=to_field(one.coverage),
        calibration_error=to_field(one.calibration_error),
        negative_log_likelihood=to_field(one.surprise),
        joint_negative_log_likelihood=one.joint_surprise,
        horizon=len(many.windows),
        windows=many.windows.tolist(),
        open_loop_relative_error=to_field(many.relative_error),
        open_loop_error=to_field(many.error),
        open_loop_error_of_no_change=to_field(many.trivial),
        open_loop_spread=to_field(many.spread),
        open_loop_disagreement=to_field(many.disagreement),
        open_loop_coverage=to_field(many.coverage),
        reward_error=one.reward_error,
        reward_deviation=one.reward_deviation,
        end_log_loss=one.end_log_loss,
        end_accuracy=one.end_accuracy,
        end_share=one.end_share,
        evaluation_time=evaluation.time,
        good=not evaluation.complaints,
        text=evaluation.describe(),
    )
