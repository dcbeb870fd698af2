"""What a training does, and what comes of it, as messages."""

from __future__ import annotations

from array import array

from mbrl_dynamics.snapshot import Snapshot
from mbrl_dynamics.training import Progress, TrainingOutcome
from mbrl_msgs.action import Train
from mbrl_msgs.msg import ModelSnapshot


def to_feedback(progress: Progress) -> Train.Feedback:
    """How far it is."""
    return Train.Feedback(
        update=progress.update,
        updates=progress.updates,
        epoch=progress.epoch,
        train_loss=progress.train_loss.tolist(),
        holdout_loss=progress.holdout_loss.tolist(),
        holdout_error=progress.holdout_error.tolist(),
        samples_per_second=progress.samples_per_second,
        time_left=progress.time_left,
    )


def to_result(outcome: TrainingOutcome, version: int) -> Train.Result:
    """How it ended; ``version`` is that of the model in use from now on."""
    return Train.Result(
        error_code=int(outcome.error),
        error_msg=outcome.message,
        model_version=version,
        dataset_size=outcome.dataset_size,
        train_loss=outcome.train_loss,
        updates=outcome.updates,
        holdout_loss=outcome.holdout_loss,
        holdout_error=outcome.holdout_error,
        training_time=outcome.training_time,
    )


def to_snapshot_message(snapshot: Snapshot, state_dim: int, action_dim: int) -> ModelSnapshot:
    """A model; without a stamp."""
    return ModelSnapshot(
        version=snapshot.version,
        architecture=snapshot.architecture,
        state_dim=state_dim,
        action_dim=action_dim,
        dataset_size=snapshot.dataset_size,
        holdout_error=snapshot.holdout_error,
        data=array('B', snapshot.data),
    )
