"""``mbrl bench --graph``: the rows of the real graph are those of one process, but for times."""

from __future__ import annotations

import dataclasses
import math
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mbrl_bringup.bench.graph_runs import write_parameters
from mbrl_bringup.bench.recipes import recipe
from mbrl_bringup.bench.replay import replayed_score
from mbrl_bringup.bench.rows import Row, read
from mbrl_bringup.bench.runs import Bench
from mbrl_bringup.learn import learn
from mbrl_bringup.tasks import params_file_of
from mbrl_bringup.testing_command import mbrl, processes_of, wait_for_none
from mbrl_common.taskfile import node_settings
from mbrl_common.testing import isolated_domain
from mbrl_dynamics.settings import DynamicsSettings
from mbrl_mpc.pilot import reset_seed_of
from mbrl_planner.settings import PlannerSettings
from mbrl_sim_bridge.settings import SimBridgeSettings

pytestmark = pytest.mark.timeout(400)

TASK = 'cartpole_swingup'
OF_THE_RUN = ('plan_time_p50', 'plan_time_p95', 'training_time', 'wall_time')
QUICK = (TASK, '--recipe', 'suite', '--params-file', 'small.yaml', '--max-steps', '20')


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A working folder in a ROS domain of its own, with a task that takes no time to learn."""
    document: dict[str, Any] = yaml.safe_load(params_file_of(TASK).read_text())
    document['/**/dynamics']['ros__parameters'] |= {
        'model': {'hidden': [8], 'members': 2},
        'training': {
            'updates_after_episode': 5,
            'updates_within_episode': 5,
            'every_steps': 10,
            'min_transitions': 10,
        },
    }
    document['/**/planner']['ros__parameters'] |= {
        'planner': {'horizon': 3},
        'optimizer': {'name': 'icem', 'candidates': 4, 'elites': 2},
    }
    (tmp_path / 'small.yaml').write_text(yaml.safe_dump(document))
    with isolated_domain():
        yield tmp_path


def bench(folder: Path, *arguments: str) -> None:
    with mbrl(folder, 'bench', *QUICK, *arguments) as command:
        assert command.process.wait(300) == 0, command.output()


def without_times(rows: list[Row]) -> list[str]:
    named = {'recipe': 'suite', 'settings': '', **dict.fromkeys(OF_THE_RUN, 0.0)}
    return [repr(dataclasses.replace(row, **named)) for row in rows]  # type: ignore[arg-type]


def test_the_graph_gives_the_rows_of_one_process_and_both_stay_apart(folder: Path) -> None:
    size = ('--seeds', '1', '--episodes', '2')
    bench(folder, *size)
    bench(folder, *size, '--graph', '--namespace', 'r1')
    wait_for_none(folder)
    results = folder / 'benchmarks' / 'results' / 'bench'
    assert sorted(path.name for path in results.iterdir()) == [
        f'{TASK}-suite-graph.csv',
        f'{TASK}-suite.csv',
        f'{TASK}.png',
    ]
    alone, graph = (read(results / f'{TASK}-suite{end}.csv') for end in ('', '-graph'))
    assert [(row.kind, row.steps) for row in alone] == [('random', 20), ('planned', 20)]
    assert alone[1].model_version > alone[0].model_version > 0
    assert without_times(graph) == without_times(alone)
    assert {row.recipe for row in graph} == {'suite-graph'}
    assert {row.settings for row in graph} == {alone[0].settings + '-graph'}
    assert graph[1].plan_time_p50 > 0 and all(row.wall_time > 0 for row in graph)

    other = str(results / f'{TASK}-suite.csv')
    with mbrl(folder, 'bench', *QUICK, *size, '--graph', '--out', other) as command:
        assert command.process.wait(60) == 2
    assert "recipe 'suite', not of" in command.output()


def test_stopped_in_mid_run_it_leaves_nothing_behind_and_goes_on_with_the_seed(
    folder: Path,
) -> None:
    size = ('--seeds', '2', '--episodes', '2', '--graph', '--out', 'rows.csv')
    with mbrl(folder, 'bench', *QUICK, *size) as command:
        command.wait_for('random', 120.0)
        assert any('__node:=planner ' in line for line in processes_of(folder).values())
        assert command.end(signal.SIGINT) == 130, command.output()
    wait_for_none(folder)
    assert 'Traceback' not in command.output()
    before = read(folder / 'rows.csv')
    assert 1 <= len(before) < 4
    bench(folder, *size)
    rows = read(folder / 'rows.csv')
    assert [row.key for row in rows] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert without_times(rows)[: len(before)] == without_times(before)
    assert len({row.episode_return for row in rows}) == 4
    assert not (folder / 'rows.runs').exists()


def test_a_node_that_is_lost_ends_the_run_with_its_name(folder: Path) -> None:
    size = ('--seeds', '1', '--episodes', '200', '--graph', '--out', 'rows.csv')
    with mbrl(folder, 'bench', *QUICK, *size) as command:
        command.wait_for('planned', 120.0)
        lines = processes_of(folder).items()
        (pid,) = (pid for pid, line in lines if '__node:=sim_bridge ' in line)
        os.kill(pid, signal.SIGKILL)
        assert command.process.wait(100) == 1, command.output()
    assert 'seed 0: sim_bridge ended in mid run; see ' in command.output()
    wait_for_none(folder)


def test_the_model_free_line_is_refused(folder: Path) -> None:
    with mbrl(folder, 'bench', TASK, '--recipe', 'sac', '--graph') as command:
        assert command.process.wait(60) == 2
    assert "the recipe 'sac' has no graph" in command.output()


def test_the_parameter_file_of_a_seed_has_the_recipe_in_it(tmp_path: Path) -> None:
    file = params_file_of('half_cheetah_pets')
    chosen = recipe('pets_full', 'half_cheetah_pets', file)
    what = Bench(
        task='half_cheetah_pets',
        params_file=file,
        recipe=chosen,
        settings='',
        unchanged=False,
        seeds=1,
        episodes=1,
        exploration_episodes=1,
        max_steps=5000,
        out=tmp_path / 'rows.csv',
        graph='',
    )
    path = tmp_path / 'parameters.yaml'
    write_parameters(path, what)
    for node, cls in (('planner', PlannerSettings), ('dynamics', DynamicsSettings)):
        overrides = dict(chosen.overrides[node]) | {'task.max_steps': 5000}
        if node == 'dynamics':
            overrides['data.keep_models'] = 10**9
        expected = node_settings(file, node, cls, overrides)
        assert node_settings(path, node, cls) == expected != node_settings(file, node, cls)


@pytest.mark.parametrize('task', ['half_cheetah', 'cartpole_swingup'])
def test_the_score_of_a_recorded_episode_is_found_by_simulating_it_again(
    task: str, tmp_path: Path
) -> None:
    file = params_file_of(task)
    (episode,) = learn(file, seed=3, episodes=1, max_steps=25, folder=tmp_path)
    settings = node_settings(file, 'sim_bridge', SimBridgeSettings)
    bag = tmp_path / 'data' / 'episode_00000.mcap'
    score = replayed_score(settings, reset_seed_of(3, 0), bag)
    assert score == episode.score or (math.isnan(score) and math.isnan(episode.score))
    assert math.isnan(score) == (task == 'cartpole_swingup')
    with pytest.raises(ValueError, match='step 0 leads to another state'):
        replayed_score(settings, reset_seed_of(4, 0), bag)
