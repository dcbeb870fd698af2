"""Learning in a running graph: trials by action, each of them on record as soon as it ends."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

from mbrl_bringup.client import GraphClient, GraphError
from mbrl_bringup.episodes import EpisodeLog, EpisodeRow
from mbrl_msgs.action import RunEpisodes, Train
from mbrl_msgs.msg import EpisodeSummary


class Display(Protocol):
    """Who shows what happens."""

    def progress(self, summary: Any) -> None:
        """An episode goes on."""

    def row(self, row: EpisodeRow) -> None:
        """An episode has ended."""

    def note(self, text: str) -> None:
        """Something else happened."""


class ControllerLostError(RuntimeError):
    """The controller's process ended, and with it the action."""


def learn_trials(
    graph: GraphClient,
    log: EpisodeLog,
    display: Display,
    *,
    trials: int,
    exploration_trials: int,
    seed: int,
    target_return: float,
    watch: Callable[[], object],
    max_steps: int = 0,
) -> bool:
    """Run trials until one reaches the target, or all are used up.

    A graph with data goes on from it: no random trials, and episode numbers follow on. If the
    controller's process ends, the trials that are left are run once it is back.

    Args:
        graph: the graph, with all nodes up.
        log: where episodes go.
        display: where progress goes.
        trials: how many, random ones included.
        exploration_trials: how many of them are random, where there is no data.
        seed: of resets, exploration and plans.
        target_return: enough for a planned trial; NaN: none is.
        watch: called twice a second; raises :class:`ControllerLostError` if the action is lost.
        max_steps: of a trial, at most the task's; 0: the task's.

    Returns:
        Whether the target was reached.

    Raises:
        GraphError: if the graph refuses, or does not answer.
    """
    status = _training_status(graph)
    exploring = exploration_trials
    if status.dataset_size > 0:
        exploring = 0
        display.note(f'{status.dataset_size} steps of {status.episodes} episodes are there already')
        if status.model_version == 0:
            exploring = _train_first(graph, display, watch) and exploration_trials
    done = 0
    while done < trials:
        status = _training_status(graph)
        goal = RunEpisodes.Goal(
            episodes=trials - done,
            exploration_episodes=min(max(exploring - done, 0), trials - done),
            max_steps=max_steps,
            seed=seed,
            first_episode=status.episodes,
            target_return=target_return,
        )
        # Steps of trials that were cut off count, too: they are in the dataset.
        ended = _Ended(log, display, status.dataset_size)

        def on_feedback(feedback: RunEpisodes.Feedback, ended: _Ended = ended) -> None:
            if feedback.episode_ended:
                ended.add(feedback.current)
            else:
                display.progress(feedback.current)

        try:
            result = graph.run_episodes(goal, on_feedback, watch)
        except ControllerLostError as error:
            done += ended.count
            display.note(f'{error}; going on once it is back')
            # Only the new process can send this: what was heard of the old one does not count.
            graph.controller_status = None
            graph.wait_until(
                lambda: graph.controller_status, 60.0, lambda: 'mpc_controller did not come back'
            )
            continue
        # Feedback may be lost, the result is not.
        for summary in result.episodes[ended.count :]:
            ended.add(summary)
        if result.error_code != RunEpisodes.Result.NONE:
            raise GraphError(f'the trials ended early: {result.error_msg}')
        return bool(result.target_reached)
    return False


def _training_status(graph: GraphClient) -> Any:
    return graph.wait_until(
        lambda: graph.training_status, 15.0, lambda: 'no training_status from the dynamics node'
    )


class _Ended:
    """Puts trials on record as they end."""

    def __init__(self, log: EpisodeLog, display: Display, steps_before: int) -> None:
        self._log = log
        self._display = display
        self._steps = steps_before
        self.count = 0

    def add(self, summary: EpisodeSummary) -> None:
        row = EpisodeRow.from_summary(summary, self._steps)
        self._steps = row.total_steps
        self.count += 1
        self._log.append(row)
        self._display.row(row)


def _train_first(graph: GraphClient, display: Display, watch: Callable[[], object]) -> bool:
    """Data without a model: train on it. Returns whether random trials are needed after all."""
    display.note('training on them, for there is no model yet')
    result = graph.train(math.inf, watch)
    if result.error_code in (Train.Result.NONE, Train.Result.BUSY):
        return False
    if result.error_code in (Train.Result.NO_DATA, Train.Result.DATASET_TOO_SMALL):
        return True
    raise GraphError(f'the training failed: {result.error_msg}')
