"""The node ``dynamics``: stores transitions, trains in a process of its own, sends models.

What it says of their quality is in ``mbrl_dynamics.node_evaluation``.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.node import Node
from rclpy.task import Future

from mbrl_common.hot_path import HotPath
from mbrl_common.node import declare_settings, run_node
from mbrl_common.qos import LATCHED, RECORD, STANDARD
from mbrl_common.settings import SettingsError
from mbrl_dynamics.bag import BagError
from mbrl_dynamics.bag_schema import from_message
from mbrl_dynamics.evaluation_job import EvaluationOutcome
from mbrl_dynamics.learner import FolderError, Learner
from mbrl_dynamics.node_evaluation import NodeEvaluation
from mbrl_dynamics.settings import DynamicsSettings
from mbrl_dynamics.training import (
    Progress,
    TrainingError,
    TrainingJob,
    TrainingOutcome,
    refuse,
)
from mbrl_dynamics.training_messages import to_feedback, to_result, to_snapshot_message
from mbrl_dynamics.worker import Worker
from mbrl_msgs.action import Train
from mbrl_msgs.msg import ModelSnapshot, TrainingStatus, Transition, TransitionAck
from mbrl_msgs.srv import Retrain


class DynamicsNode(Node):
    """Owns the dataset and the models; training never keeps it from answering."""

    def __init__(self) -> None:
        super().__init__('dynamics', automatically_declare_parameters_from_overrides=True)
        self.settings = declare_settings(self, DynamicsSettings)
        _forward_logs(self.get_logger())
        self._learner = self._open_learner()
        self._job: TrainingJob | None = None
        self._job_id = 0
        self._from_scratch = False
        self._progress = 0.0
        self._last: TrainingOutcome | None = None
        self._refused = 0
        self._text = 'no training yet'
        self._goal_handle: Any = None
        self._finished: Future | None = None

        # Transitions and the worker's news are served first; requests by people can wait 20 ms.
        self.hot_path = hot = HotPath(self)
        self._ack = hot.create_publisher(TransitionAck, 'transition_ack', RECORD)
        self._model = hot.create_publisher(ModelSnapshot, 'model', LATCHED)
        self._status = hot.create_publisher(TrainingStatus, 'training_status', LATCHED)
        self._worker = Worker(lambda: hot.call_soon(self._on_news), self.settings.training.niceness)
        self._evaluation = NodeEvaluation(self, hot, self._learner, self._worker)
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', STANDARD)
        self.create_service(Retrain, '~/retrain', self._on_retrain)
        self._action = ActionServer(
            self,
            Train,
            '~/train',
            execute_callback=self._on_train,
            goal_callback=lambda _: GoalResponse.ACCEPT,  # refusals carry a code: in the result
            cancel_callback=self._on_cancel,
            result_timeout=900,
        )
        self.create_timer(1.0, self._on_timer)

        self._publish_model()
        if self._learner.training_due:  # an earlier process ended before it had done it
            self._start_training()
        else:
            self._evaluation.measure(keep=False)
        self._publish_status()
        hot.create_subscription(Transition, 'transition', self._on_transition, RECORD)
        self.get_logger().info(
            f'ready: {self._learner.dataset_size} transitions, '
            f'{self._learner.episodes} episodes, model version {self._learner.version}'
        )

    def shut_down(self) -> None:
        """Finish the bags and end the other processes."""
        self._learner.close()
        self._worker.close()
        self._evaluation.close()

    def _open_learner(self) -> Learner:
        data = self.settings.data
        if not data.folder:
            self.get_logger().warning(
                "'data.folder' is empty: transitions and models are kept in memory alone"
            )
        try:
            folder = Path(data.folder).expanduser() if data.folder else None
            return Learner(self.settings, folder, data.resume)
        except (FolderError, BagError, OSError) as error:
            raise SettingsError([f"node '{self.get_fully_qualified_name()}': {error}"]) from error

    # Transitions ---------------------------------------------------------------------------------

    def _on_transition(self, message: Transition) -> None:
        """Store it, begin the training that it makes due, and only then acknowledge it."""
        self.hot_path.rest()
        training_due = False
        try:
            ack = self._learner.add(from_message(message))
            training_due = ack.training_due
            if not ack.stored:
                return  # the sender keeps it, and sends it again
        except ValueError as error:
            self._refused += 1
            self.get_logger().error(f'refused: {error}')
        if self._job is None and self._learner.training_due:
            self._start_training()
        self._ack.publish(
            TransitionAck(
                stamp=self.get_clock().now().to_msg(),
                robot=message.robot,
                session=message.session,
                next_sequence=self._learner.next_sequence(message.robot, message.session),
                dataset_size=self._learner.dataset_size,
                training_due=training_due,
                training_job=self._job_id if training_due else 0,
                model_version=self._learner.version,
            )
        )

    # Training ------------------------------------------------------------------------------------

    def _start_training(self, from_scratch: bool = False) -> None:
        self._job = self._learner.job(from_scratch)
        self._job_id += 1
        self._from_scratch = from_scratch
        self._progress = 0.0
        updates = self._job.updates
        extent = f'{updates} updates' if updates else f'{self._job.settings.epochs} epochs'
        self._text = f'training {self._job_id}: {extent}'
        self._worker.submit(self._job)
        self._publish_status()

    def _on_news(self) -> None:
        for event in self._worker.receive():
            if isinstance(event, EvaluationOutcome):
                self._evaluation.take(event)
            elif self._job is None:
                self.get_logger().warning('the training process died while it had nothing to do')
            elif isinstance(event, Progress):
                self._progress = event.update / event.updates
                self._publish_status()
                if self._goal_handle is not None:
                    self._goal_handle.publish_feedback(to_feedback(event))
            else:
                self._finish_training(self._job, event)

    def _finish_training(self, job: TrainingJob, outcome: TrainingOutcome) -> None:
        self._learner.finish(job, outcome)
        self._job = None
        self._last = outcome
        if outcome.error is TrainingError.NONE:
            self._text = (
                f'model version {self._learner.version}: {outcome.dataset_size} transitions, '
                f'held-out error {outcome.holdout_error:.3g}, {outcome.training_time:.1f} s'
            )
            self.get_logger().info(self._text)
            self._publish_model()
        else:
            self._text = f'training {self._job_id}: {outcome.message}'
            self.get_logger().error(self._text)
        if self._learner.training_due:  # more came in meanwhile
            self._start_training()
        else:
            self._publish_status()
            if outcome.error is TrainingError.NONE:
                self._evaluation.measure(keep=self._learner.keeps_evaluation)
        if self._finished is not None:
            self._finished.set_result(outcome)
            self._finished = None

    def _busy(self) -> TrainingOutcome:
        return TrainingOutcome(
            TrainingError.BUSY, f'training {self._job_id} is running; wait for it or cancel it'
        )

    def _on_retrain(self, request: Retrain.Request, response: Retrain.Response) -> Retrain.Response:
        if self._job is not None and request.from_scratch and not self._from_scratch:
            refusal: TrainingOutcome | None = self._busy()
        else:
            refusal = refuse(self.settings.training, self._learner.dataset_size)
        if refusal is not None:
            response.error_code, response.message = int(refusal.error), refusal.message
            self.get_logger().error(f'refused: retrain: {refusal.message}')
            return response
        running = self._job is not None
        if not running:
            self._start_training(request.from_scratch)
        response.success = True
        response.job_id = self._job_id
        response.message = f'training {self._job_id} ' + (
            'is running already' if running else 'was started'
        )
        return response

    async def _on_train(self, goal_handle: Any) -> Train.Result:
        outcome: TrainingOutcome | None
        if goal_handle.is_cancel_requested:
            outcome = TrainingOutcome(TrainingError.CANCELLED, 'cancelled before it began')
        elif self._job is not None:
            outcome = self._busy()
        else:
            outcome = refuse(self.settings.training, self._learner.dataset_size)
        if outcome is not None:
            self.get_logger().error(f'refused: train: {outcome.message}')
        else:
            self._goal_handle = goal_handle
            self._finished = finished = Future(executor=self.executor)
            self._start_training(goal_handle.request.from_scratch)
            await finished
            self._goal_handle = None
            outcome = finished.result()
            assert outcome is not None
        if outcome.error is TrainingError.NONE:
            goal_handle.succeed()
        elif outcome.error is TrainingError.CANCELLED and goal_handle.is_cancel_requested:
            goal_handle.canceled()
        else:
            goal_handle.abort()
        return to_result(outcome, self._learner.version)

    def _on_cancel(self, goal_handle: Any) -> CancelResponse:
        if goal_handle is self._goal_handle:
            self._worker.cancel()
        return CancelResponse.ACCEPT

    # What others see -----------------------------------------------------------------------------

    def _publish_model(self) -> None:
        snapshot = self._learner.snapshot
        if snapshot is None:
            return
        task = self.settings.task
        message = to_snapshot_message(snapshot, task.state_dim, task.action_dim)
        message.header.stamp = self.get_clock().now().to_msg()
        self._model.publish(message)

    def _publish_status(self) -> None:
        learner, last, snapshot = self._learner, self._last, self._learner.snapshot
        state = TrainingStatus.IDLE
        if self._job is not None:
            state = TrainingStatus.TRAINING
        elif last is not None and last.error not in (TrainingError.NONE, TrainingError.CANCELLED):
            state = TrainingStatus.FAILED
        self._status.publish(
            TrainingStatus(
                stamp=self.get_clock().now().to_msg(),
                state=state,
                job_id=self._job_id,
                model_version=learner.version,
                dataset_size=learner.dataset_size,
                episodes=learner.episodes,
                transitions_lost=learner.transitions_lost,
                transitions_refused=self._refused,
                write_errors=learner.write_errors,
                train_loss=math.nan if last is None else last.train_loss,
                holdout_error=math.nan if snapshot is None else snapshot.holdout_error,
                training_time=0.0 if last is None else last.training_time,
                progress=self._progress,
                text=self._text,
            )
        )

    def _on_timer(self) -> None:
        self._publish_status()
        learner, last = self._learner, self._last
        level, text = DiagnosticStatus.OK, self._text
        if last is not None and last.error not in (TrainingError.NONE, TrainingError.CANCELLED):
            level = DiagnosticStatus.WARN
        if learner.transitions_lost or self._refused:
            level = DiagnosticStatus.WARN
            text = f'{learner.transitions_lost} transitions lost, {self._refused} refused'
        if learner.write_errors:
            level = DiagnosticStatus.ERROR
            text = f'{learner.write_errors} errors of the disk'
        values = {
            'dataset size': learner.dataset_size,
            'episodes': learner.episodes,
            'model version': learner.version,
            'training': self._job is not None,
            'transitions lost': learner.transitions_lost,
            'transitions refused': self._refused,
            'write errors': learner.write_errors,
        }
        name = self.get_fully_qualified_name()
        status = DiagnosticStatus(
            level=level,
            name=f'{name}: learning',
            message=text,
            hardware_id=self.settings.task.name,
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
        )
        message = DiagnosticArray(status=[status, self._evaluation.diagnostic()])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)


def _forward_logs(logger: Any) -> None:
    """Let what the core logs appear as this node's own messages."""

    class Forward(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage()
            if record.levelno >= logging.ERROR:
                logger.error(text)
            elif record.levelno >= logging.WARNING:
                logger.warning(text)
            else:
                logger.info(text)

    core = logging.getLogger('mbrl_dynamics')
    core.addHandler(Forward())
    core.setLevel(logging.INFO)
    core.propagate = False


def main(args: list[str] | None = None) -> None:
    """Entry point of the executable ``dynamics``."""
    run_node(DynamicsNode, args)
