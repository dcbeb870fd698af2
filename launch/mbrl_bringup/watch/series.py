"""Messages of a graph as curves: values with the names they are plotted by, and remarks."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

from mbrl_bringup.status_log import STATES
from mbrl_msgs.msg import TrainingStatus

PLOTS = {
    'return': 'Return',
    'reward': 'Reward of each step',
    'terms': 'What the plan is to bring, by term',
    'model': 'Model error, and what it expects',
    'surprise': 'Surprise: error / error expected',
    'plan_time': 'Plan time [ms]',
    'late': 'Late, clamped, refused, lost',
    'training': 'Training: progress, steps [1000]',
}
"""First part of a value's name, to the plot's title."""


@dataclasses.dataclass(frozen=True)
class Remark:
    """Something to read."""

    text: str
    fault: bool = False


class Controller:
    """What a controller's ``ControllerStatus`` messages say."""

    def __init__(self) -> None:
        self._last: tuple[Any, ...] = ()
        self._text = ''

    def values(self, status: Any) -> Iterator[tuple[str, float]]:
        """Name and value of what is known; times in ms."""
        yield from _known(
            ('return/episode so far', status.episode_return),
            ('return/plan promised', status.predicted_return),
            ('return/plan brought', status.received_return),
            ('model/error in this episode', status.model_error),
            ('surprise/last 50 steps', status.surprise),
            ('plan_time/median', status.plan_time_p50 * 1e3),
            ('plan_time/95 %', status.plan_time_p95 * 1e3),
            ('late/plans', status.late_plans),
            ('late/steps', status.late_steps),
            ('late/steps lost', status.steps_lost),
            ('late/actions clamped', status.clamped_actions),
            ('late/states refused', status.refused_states),
        )

    def remarks(self, status: Any) -> Iterator[Remark]:
        """What is new: state, mode, episode, model version, goal; and faults."""
        state = STATES[status.state] if status.state < len(STATES) else str(status.state)
        news = (state, status.mode, status.episode, status.model_version, tuple(status.goal))
        if news != self._last:
            self._last = news
            text = (
                f'{state.replace("_", " ").lower()}, episode {status.episode}, '
                f'mode {status.mode}, model {status.model_version}'
            )
            if goal := ', '.join(f'{value:g}' for value in status.goal):
                text += f', goal {goal}'
            yield Remark(text)
        if status.text and status.text != self._text:
            yield Remark(status.text, fault=True)
        self._text = status.text


class Training:
    """What the ``TrainingStatus`` messages of a dynamics node say."""

    def __init__(self) -> None:
        self._last: tuple[Any, ...] = ()

    def values(self, status: Any) -> Iterator[tuple[str, float]]:
        """Name and value of what is known."""
        progress = status.progress if status.state == TrainingStatus.TRAINING else 0.0
        yield from _known(
            ('training/progress', progress),
            ('training/dataset', status.dataset_size / 1e3),
            ('model/expected: held-out error', status.holdout_error),
            ('surprise/expected', 1.0 if math.isfinite(status.holdout_error) else math.nan),
        )

    def remarks(self, status: Any) -> Iterator[Remark]:
        """A training that began or ended, and what is said of it."""
        news = (status.state, status.job_id, status.model_version, status.text)
        if news == self._last:
            return
        self._last = news
        failed = status.state == TrainingStatus.FAILED
        what = (
            'failed'
            if failed
            else 'training'
            if status.state == TrainingStatus.TRAINING
            else 'idle'
        )
        text = f'dynamics: {what}, job {status.job_id}, model {status.model_version}'
        yield Remark(f'{text}: {status.text}' if status.text else text, failed)


def plan_values(plan: Any) -> Iterator[tuple[str, float]]:
    """What a ``Plan`` promises, and how long it took [ms]."""
    yield from _known(
        ('plan_time/each', plan.planning_time * 1e3),
        ('terms/all', plan.predicted_return),
        *(
            (f'terms/{name}', value)
            for name, value in zip(plan.term_names, plan.term_returns)
            if len(plan.term_names) > 1
        ),
    )


class Rewards:
    """What the ``Transition`` messages bring."""

    def __init__(self) -> None:
        self._next: tuple[int, int, int] | None = None
        self._sum = 0.0

    def values(self, transition: Any) -> Iterator[tuple[str, float]]:
        """The step's reward; at the end of an episode that was seen from its first step to its
        last, its return."""
        here = (transition.session, transition.episode, transition.step)
        if transition.step == 0:
            self._sum = 0.0
        elif here != self._next:
            self._sum = math.nan
        self._next = (transition.session, transition.episode, transition.step + 1)
        self._sum += transition.reward
        yield from _known(('reward/step', transition.reward))
        if transition.terminated or transition.truncated:
            yield from _known(('return/episode', self._sum))


def _known(*values: tuple[str, float]) -> Iterator[tuple[str, float]]:
    return ((name, float(value)) for name, value in values if math.isfinite(value))
