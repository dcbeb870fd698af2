"""When a training is due: a function of the dataset alone, so that every way of running agrees."""

from __future__ import annotations

from mbrl_dynamics.settings import TrainingSettings


def updates_due(
    settings: TrainingSettings, size: int, trained_size: int, episodes_ended: int, has_model: bool
) -> int | None:
    """Gradient updates of the training that is due now; None if none is.

    A training is due when ``every_episodes`` episodes have ended, and, once there is a model,
    whenever ``every_steps`` transitions are new. 0 stands for as many as ``epochs`` passes take.

    Args:
        settings: which of the two, how long, and from how many transitions on.
        size: transitions in the dataset.
        trained_size: transitions in the dataset when the last training began.
        episodes_ended: how many episodes ended in those that are new since then.
        has_model: a training has succeeded before.
    """
    if size < settings.min_transitions or size <= trained_size:
        return None
    if 0 < settings.every_episodes <= episodes_ended:
        return 0 if settings.epochs else settings.updates_after_episode
    first = not has_model and settings.every_episodes == 0
    if (has_model or first) and 0 < settings.every_steps <= size - trained_size:
        return 0 if settings.epochs else settings.updates_within_episode
    return None
