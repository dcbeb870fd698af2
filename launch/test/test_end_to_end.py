"""The whole graph over real DDS: it learns, it repeats one process bit for bit, it survives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from mcap.reader import make_reader

from mbrl_bringup.learn import learn
from mbrl_bringup.tasks import params_file_of
from mbrl_bringup.testing import (
    PACKAGES,
    fill,
    run_episodes,
    run_episodes_after_crash,
    running,
)
from mbrl_common.qos import LATCHED, RECORD
from mbrl_common.testing import NodeProcess, Probe, isolated_domain
from mbrl_dynamics.bag import read_folder
from mbrl_msgs.action import RunEpisodes
from mbrl_msgs.msg import TrainingStatus, TransitionAck

PARAMS = params_file_of('cartpole_swingup')

# Enough to go through every motion of the graph, and not enough to learn.
SHORT = {
    'dynamics': {
        'training.updates_after_episode': 100,
        'training.updates_within_episode': 50,
    },
}


@pytest.mark.timeout(400)
def test_the_graph_learns_the_swing_up_exactly_as_one_process_does(tmp_path: Path) -> None:
    seed = 1
    with running(seed, tmp_path / 'graph') as (_, probe):
        result = run_episodes(
            probe, episodes=6, exploration_episodes=1, seed=seed, target_return=170.0
        ).result(300.0)
    assert result.error_code == RunEpisodes.Result.NONE, result.error_msg
    returns = [episode.episode_return for episode in result.episodes]
    assert result.target_reached, f'not learned: returns {returns}'
    assert returns[0] < 100.0, 'acting at random must not solve the task'
    steps = result.episodes[-1].model_steps_per_action
    assert 0 < steps <= 10_000

    alone = learn(PARAMS, seed=seed, episodes=len(returns), folder=tmp_path / 'alone')
    recorded = read_folder(tmp_path / 'graph' / 'data')
    expected = [transition for episode in alone for transition in episode.transitions]
    assert len(recorded) == len(expected) == sum(e.steps for e in result.episodes)
    for ours, theirs in zip(recorded, expected):
        place = f'episode {theirs.episode}, step {theirs.step}'
        assert (ours.episode, ours.step) == (theirs.episode, theirs.step)
        np.testing.assert_array_equal(ours.state, theirs.state, err_msg=place)
        np.testing.assert_array_equal(ours.action, theirs.action, err_msg=place)
        np.testing.assert_array_equal(ours.next_state, theirs.next_state, err_msg=place)
        assert ours.reward == theirs.reward, place


OTHER_MODELS = {
    'history, reward and particles': {
        'dynamics': {'model.history': 3, 'model.reward': True, **SHORT['dynamics']},
        'planner': {
            'planner.reward': 'model',
            'planner.propagation': 'ts1',
            'planner.particles': 7,
        },
    },
    'PDDM': {
        'dynamics': {'preset': 'pddm', 'training.epochs': 2, 'training.batch_size': 64},
        'planner': {'planner.propagation': 'expectation', 'planner.disagreement_penalty': 0.1},
    },
}


@pytest.mark.timeout(200)
@pytest.mark.parametrize('name', OTHER_MODELS)
def test_so_it_does_with_other_models(name: str, tmp_path: Path) -> None:
    overrides = OTHER_MODELS[name]
    with running(2, tmp_path / 'graph', overrides) as (_, probe):
        goal = {'episodes': 2, 'exploration_episodes': 1, 'seed': 2, 'max_steps': 60}
        result = run_episodes(probe, **goal).result(120.0)
    assert result.error_code == RunEpisodes.Result.NONE, result.error_msg
    learn(
        PARAMS, seed=2, episodes=2, max_steps=60, folder=tmp_path / 'process', overrides=overrides
    )
    graph, process = (read_folder(tmp_path / each / 'data') for each in ('graph', 'process'))
    assert len(graph) == len(process) == 120
    for ours, theirs in zip(graph, process):
        for field in ('state', 'action', 'next_state', 'reward'):
            np.testing.assert_array_equal(getattr(ours, field), getattr(theirs, field))


@pytest.mark.timeout(200)
@pytest.mark.parametrize('victim', ['dynamics', 'planner', 'sim_bridge'])
def test_a_node_killed_in_mid_trial_comes_back_and_nothing_stored_is_lost(
    victim: str, tmp_path: Path
) -> None:
    with running(0, tmp_path, SHORT) as (graph, probe):
        acknowledged = probe.collect('transition_ack', TransitionAck, RECORD)
        feedback: list[Any] = []
        goal = run_episodes(probe, feedback, episodes=3, exploration_episodes=1, seed=0)
        # In the middle of the second trial, which plans.
        probe.wait_until(
            lambda: any(f.current.episode == 1 and f.current.steps > 20 for f in feedback),
            60.0,
            'the second trial',
        )
        probe.wait_until(lambda: acknowledged, 30.0, 'an acknowledgement')
        graph.crash_and_restart(victim)
        before = acknowledged[-1]
        result = goal.result(120.0)
        assert result.error_code == RunEpisodes.Result.NONE, result.error_msg
        assert len(result.episodes) == 3
        planned = result.episodes[1]
        if victim == 'sim_bridge':  # its physics died with it: the trial is cut off
            assert planned.truncated and planned.steps < 200
        else:
            assert planned.steps == 200
        assert result.episodes[2].steps == 200
    recorded = read_folder(tmp_path / 'data')
    # What was sent while the dynamics node was away came again after what was sent since.
    sequences = sorted(transition.sequence for transition in recorded)
    assert sequences == list(range(sum(e.steps for e in result.episodes)))
    assert before.next_sequence <= len(sequences)
    assert all(np.isfinite(transition.next_state).all() for transition in recorded)


@pytest.mark.timeout(200)
def test_a_full_disk_stops_no_episode_and_all_is_stored_when_there_is_room_again(
    small_disk: Path,
) -> None:
    with running(0, small_disk, SHORT) as (graph, probe):
        statuses = probe.collect('training_status', TrainingStatus, LATCHED)
        feedback: list[Any] = []
        goal = run_episodes(probe, feedback, episodes=3, exploration_episodes=1, seed=0)
        probe.wait_until(
            lambda: any(f.current.episode == 1 and f.current.steps > 20 for f in feedback),
            60.0,
            'the second trial',
        )
        ballast = fill(small_disk)
        result = goal.result(120.0)
        assert result.error_code == RunEpisodes.Result.NONE, result.error_msg
        assert [episode.steps for episode in result.episodes] == [200, 200, 200]

        status = statuses[-1]
        assert status.write_errors > 0 and 200 < status.dataset_size < 400
        assert 'No space left on device' in graph.nodes['dynamics'].output()
        probe.wait_for(
            '/diagnostics',
            DiagnosticArray,
            lambda m: (
                m.status[0].name == '/dynamics: learning'
                and m.status[0].level == DiagnosticStatus.ERROR
            ),
        )
        before = [transition.sequence for transition in read_folder(small_disk / 'data')]
        assert before == list(range(status.dataset_size))

        ballast.unlink()
        probe.wait_until(lambda: statuses[-1].dataset_size == 600, 30.0, 'all transitions')
        assert statuses[-1].transitions_lost == 0
        graph.nodes['dynamics'].stop()
        # Each once, and in any order: there may be room again amid a round of sending them again.
        recorded = read_folder(small_disk / 'data')
        assert sorted(transition.sequence for transition in recorded) == list(range(600))
        for path in (small_disk / 'data').iterdir():
            with path.open('rb') as file:
                assert make_reader(file).get_summary() is not None, path


@pytest.mark.timeout(200)
def test_a_killed_controller_comes_back_and_the_dataset_goes_on(tmp_path: Path) -> None:
    with running(0, tmp_path, SHORT) as (graph, probe):
        acknowledged = probe.collect('transition_ack', TransitionAck, RECORD)
        run_episodes(probe, episodes=50, exploration_episodes=50, seed=0)
        probe.wait_until(lambda: len(acknowledged) > 50, 60.0, 'fifty transitions')
        graph.crash_and_restart('mpc_controller')
        stored = acknowledged[-1].dataset_size
        graph.nodes['mpc_controller'].wait_for_output('active: task')
        result = run_episodes_after_crash(
            probe, episodes=2, exploration_episodes=1, first_episode=50, seed=0
        ).result(120.0)
        assert result.error_code == RunEpisodes.Result.NONE, result.error_msg
        assert [episode.steps for episode in result.episodes] == [200, 200]
    recorded = read_folder(tmp_path / 'data')
    assert len(recorded) >= stored + 400
    assert len({(t.session, t.sequence) for t in recorded}) == len(recorded)


@pytest.mark.timeout(100)
def test_the_graph_runs_in_a_namespace(tmp_path: Path) -> None:
    with isolated_domain(), Probe(namespace='robot1') as probe:
        nodes = [
            # the installed executables themselves
            NodeProcess(package, name, namespace='robot1', params_file=PARAMS, copied=False)
            for name, package in PACKAGES.items()
        ]
        try:
            result = run_episodes(
                probe, episodes=1, exploration_episodes=1, max_steps=30, seed=0
            ).result(60.0)
            assert result.error_code == RunEpisodes.Result.NONE, result.error_msg
            assert result.episodes[0].steps == 30
        finally:
            for node in nodes:
                node.stop()
