"""When a training is due: a function of the dataset alone, so that every way of running agrees."""

from __future__ import annotations

from mbrl_dynamics.settings import TrainingSettings


def updates_due(
    settings: TrainingSettings, size: int, trained_size: int, episode_ended: bool, has_model: bool
) -> int:
    """Gradient updates of the training that is due now; 0 if none is.

    A training is due when an episode has ended, and, once there is a model, whenever
    ``train_every_steps`` transitions are new.

    Args:
        settings: which of the two, how long, and from how many transitions on.
        size: transitions in the dataset.
        trained_size: transitions in the dataset when the last training began.
        episode_ended: an episode ended in one of those that are new since then.
        has_model: a training has succeeded before.
    """
    if size < settings.min_transitions or size <= trained_size:
        return 0
    if settings.after_episode and episode_ended:
        return settings.updates_after_episode
    every = settings.train_every_steps
    if has_model and every > 0 and size - trained_size >= every:
        return settings.updates_within_episode
    return 0
