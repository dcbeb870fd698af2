"""Measure how good a model is, on transitions that it was never trained on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from mbrl_common.seeding import derive_seed
from mbrl_dynamics.evaluation import About, Evaluation
from mbrl_dynamics.model import Prediction
from mbrl_dynamics.one_step import measure_one_step
from mbrl_dynamics.open_loop import measure_open_loop
from mbrl_dynamics.propagation import Model
from mbrl_dynamics.training_data import LARGEST_EVALUATION
from mbrl_dynamics.transitions import Transitions
from mbrl_dynamics.unseen import choose_windows

_NOTHING_KNOWN = About()


class NothingHeldOutError(ValueError):
    """There is nothing to measure on; the text says what would be right."""


class InterruptedEvaluationError(RuntimeError):
    """It was given up, because whoever asked has something more urgent."""


def evaluate(
    model: Model,
    data: Transitions,
    held_out: np.ndarray | None = None,
    *,
    horizon: int = 25,
    particles: int = 20,
    windows: int = 500,
    seed: int = 0,
    about: About = _NOTHING_KNOWN,
    interrupted: Callable[[], bool] | None = None,
) -> Evaluation:
    """Measure a model one step and many steps ahead.

    What is compared are the model's predictions in physical units with what was recorded, as it
    was recorded: angles are not wrapped, because their changes are what is predicted. A window of k
    steps lies wholly in held-out transitions that follow each other; where a model has a history,
    it sees what came before, as it does when it is used.

    The same arguments give the same numbers. Nothing random but a generator of its own is touched.

    Args:
        model: with one member or several, with or without variance, history or learned heads.
        data: N transitions.
        held_out: bool [N], those that were not trained on; None: all.
        horizon: largest k.
        particles: that each window is carried along with.
        windows: at most so many are taken; those of one step are at most ``LARGEST_EVALUATION``.
        seed: of what the particles draw.
        about: what this is, to be remembered.
        interrupted: asked after each prediction; true gives it up.

    Raises:
        NothingHeldOutError: if there is nothing to measure on.
        InterruptedEvaluationError: if ``interrupted`` said so.
    """
    began = time.perf_counter()
    mask = np.ones(len(data), dtype=bool) if held_out is None else held_out
    places = np.flatnonzero(mask)
    if not len(places):
        raise NothingHeldOutError(
            f'none of {len(data)} transitions is held out: a larger dataset, or a larger '
            "'training.holdout_fraction', would give some to measure on"
        )
    watched: Any = model if interrupted is None else _Watched(model, interrupted)
    generator = torch.Generator().manual_seed(derive_seed(seed, 'evaluation', about.model_version))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            some = places[:: max(1, -(-len(places) // LARGEST_EVALUATION))]
            one_step = measure_one_step(watched, data, some)
            chosen = choose_windows(data, mask, horizon, windows)
            open_loop = measure_open_loop(watched, data, chosen, particles, generator)
    finally:
        torch.set_num_threads(threads)
    counted = np.isfinite(model.target_scale.numpy())
    return Evaluation(about, counted, one_step, open_loop, time.perf_counter() - began)


class _Watched:
    """A model that is given up when it is asked to predict and something else is more urgent."""

    def __init__(self, model: Model, interrupted: Callable[[], bool]) -> None:
        self._model = model
        self._interrupted = interrupted

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def predict(self, *arguments: Any, **named: Any) -> Prediction:
        """As the model does."""
        if self._interrupted():
            raise InterruptedEvaluationError
        return self._model.predict(*arguments, **named)

    def only(self, members: Sequence[int]) -> Model:
        """As the model does, interrupted likewise."""
        return _Watched(self._model.only(members), self._interrupted)
