"""What is asked of a graph to learn: a graph that answers from a script."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mbrl_bringup.client import GraphError
from mbrl_bringup.episodes import EpisodeLog, EpisodeRow
from mbrl_bringup.trials import ControllerLostError, learn_trials
from mbrl_msgs.action import RunEpisodes, Train
from mbrl_msgs.msg import ControllerStatus, EpisodeSummary, TrainingStatus


class ScriptedGraph:
    """Runs every goal at once; an episode's return is ten times its number."""

    def __init__(self, episodes: int = 0, model: bool = False) -> None:
        self.training_status: Any = TrainingStatus(
            episodes=episodes, dataset_size=200 * episodes, model_version=int(model)
        )
        self.controller_status: Any = ControllerStatus()
        self.goals: list[Any] = []
        self.trainings = 0
        self.train_error = Train.Result.NONE
        self.lose_controller_at: int | None = None
        self.lose_feedback = False
        self.refuse = 0

    def wait_until(self, condition: Callable[[], Any], *_: Any) -> Any:
        self.controller_status = self.controller_status or ControllerStatus()
        return condition()

    def train(self, *_: Any) -> Any:
        self.trainings += 1
        return Train.Result(error_code=self.train_error, error_msg='no')

    def run_episodes(self, goal: Any, on_feedback: Callable[[Any], None], _watch: Any) -> Any:
        self.goals.append(goal)
        result = RunEpisodes.Result(error_code=self.refuse, error_msg='because')
        if self.refuse:
            return result
        for number in range(goal.episodes):
            episode = goal.first_episode + number
            explore = number < goal.exploration_episodes
            summary = EpisodeSummary(
                episode=episode,
                source=EpisodeSummary.SOURCE_EXPLORATION if explore else EpisodeSummary.SOURCE_PLAN,
                steps=200,
                episode_return=10.0 * episode,
                model_error=math.nan,
            )
            on_feedback(RunEpisodes.Feedback(current=summary, episode_ended=False))
            if episode == self.lose_controller_at:
                self.lose_controller_at = None
                raise ControllerLostError('mpc_controller ended')
            if not self.lose_feedback:
                on_feedback(RunEpisodes.Feedback(current=summary, episode_ended=True))
            self.training_status.episodes = episode + 1
            self.training_status.dataset_size += summary.steps
            result.episodes.append(summary)
            if not explore and summary.episode_return >= goal.target_return:
                result.target_reached = True
                break
        return result


class Silence:
    """A display that shows nothing."""

    def progress(self, summary: Any) -> None: ...

    def row(self, row: EpisodeRow) -> None: ...

    def note(self, text: str) -> None: ...


@pytest.fixture
def log(tmp_path: Path) -> EpisodeLog:
    return EpisodeLog(tmp_path / 'episodes.csv')


def learn(graph: ScriptedGraph, log: EpisodeLog, trials: int = 6, target: float = 30.0) -> bool:
    return learn_trials(
        graph,  # type: ignore[arg-type]
        log,
        Silence(),
        trials=trials,
        exploration_trials=1,
        seed=9,
        target_return=target,
        watch=lambda: None,
    )


def test_a_new_run_explores_first_and_ends_when_solved(log: EpisodeLog) -> None:
    graph = ScriptedGraph()
    assert learn(graph, log)
    (goal,) = graph.goals
    assert (goal.episodes, goal.exploration_episodes, goal.first_episode) == (6, 1, 0)
    assert (goal.seed, goal.target_return) == (9, 30.0)
    assert [(row.episode, row.kind) for row in log.rows] == [
        (0, 'random'),
        (1, 'planned'),
        (2, 'planned'),
        (3, 'planned'),
    ]


def test_used_up_trials_are_no_success(log: EpisodeLog) -> None:
    assert not learn(ScriptedGraph(), log, trials=3)
    assert len(log.rows) == 3


def test_a_resumed_run_goes_on_without_random_trials(log: EpisodeLog) -> None:
    graph = ScriptedGraph(episodes=2, model=True)
    assert learn(graph, log)
    (goal,) = graph.goals
    assert (goal.exploration_episodes, goal.first_episode) == (0, 2)
    assert graph.trainings == 0


def test_data_without_a_model_is_trained_on_first(log: EpisodeLog) -> None:
    graph = ScriptedGraph(episodes=1)
    learn(graph, log)
    assert graph.trainings == 1
    assert graph.goals[0].exploration_episodes == 0


def test_too_little_data_is_added_to_at_random(log: EpisodeLog) -> None:
    graph = ScriptedGraph(episodes=1)
    graph.train_error = Train.Result.DATASET_TOO_SMALL
    learn(graph, log)
    assert (graph.goals[0].exploration_episodes, graph.goals[0].first_episode) == (1, 1)


def test_a_failed_training_is_an_error(log: EpisodeLog) -> None:
    graph = ScriptedGraph(episodes=1)
    graph.train_error = Train.Result.DIVERGED
    with pytest.raises(GraphError, match='training failed: no'):
        learn(graph, log)


def test_a_refusal_is_an_error_with_the_reason(log: EpisodeLog) -> None:
    graph = ScriptedGraph()
    graph.refuse = RunEpisodes.Result.NOT_ACTIVE
    with pytest.raises(GraphError, match='ended early: because'):
        learn(graph, log)


def test_a_controller_that_comes_back_runs_the_trials_that_are_left(log: EpisodeLog) -> None:
    graph = ScriptedGraph()
    graph.lose_controller_at = 2
    graph.training_status.dataset_size = 0
    assert not learn(graph, log, trials=3)
    first, second = graph.goals
    assert (first.episodes, first.exploration_episodes) == (3, 1)
    assert (second.episodes, second.exploration_episodes, second.first_episode) == (1, 0, 2)
    assert [row.episode for row in log.rows] == [0, 1, 2]


def test_steps_of_a_trial_that_was_cut_off_count(log: EpisodeLog) -> None:
    graph = ScriptedGraph(episodes=2, model=True)
    graph.training_status.dataset_size = 333
    learn(graph, log)
    assert [row.total_steps for row in log.rows] == [533, 733]


def test_lost_feedback_costs_no_rows(log: EpisodeLog) -> None:
    graph = ScriptedGraph()
    graph.lose_feedback = True
    assert learn(graph, log)
    assert [row.episode for row in log.rows] == [0, 1, 2, 3]
