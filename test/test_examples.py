"""The examples show what they say: run with their own settings, by their own functions."""

from __future__ import annotations

import dataclasses
import functools
import subprocess
import sys
from pathlib import Path

import cliff_mismatch
import cliff_picture
import maze_coverage
import maze_picture
import numpy as np
import pytest
import torch
from PIL import Image

from mbrl_sim_bridge.environments.cliff import EDGE, resting_height
from mbrl_sim_bridge.environments.point_maze import START

EXAMPLES = Path(__file__).parent.parent / 'examples'
TOP = float(resting_height(EDGE))


@functools.cache
def maze_run(seed: int) -> maze_coverage.Result:
    torch.set_num_threads(1)
    return maze_coverage.run(seed)


@functools.cache
def cliff_run(seed: int) -> cliff_mismatch.Run:
    torch.set_num_threads(1)
    return cliff_mismatch.run(seed)


@pytest.fixture(params=[0, 1])
def maze(request: pytest.FixtureRequest) -> maze_coverage.Result:
    return maze_run(request.param)


@pytest.fixture(params=[0, 1])
def cliff(request: pytest.FixtureRequest) -> cliff_mismatch.Run:
    return cliff_run(request.param)


def is_in_room(states: np.ndarray) -> np.ndarray:
    return np.abs(states[:, :2]).max(axis=1) < 0.95


def test_disagreement_ranks_cells_without_data_above_those_with_data(maze):
    coverage = maze.coverage
    without = coverage.disagreement[coverage.visits == 0]
    visited = coverage.disagreement[coverage.visits > 0]
    above = np.mean(without[:, None] > visited[None])
    assert len(without) > 300 and len(visited) > 300
    assert above >= 0.9
    assert coverage.auc == pytest.approx(above, abs=1e-9)


def test_the_model_is_wrong_where_it_has_no_data(maze):
    error, visits = maze.coverage.error, maze.coverage.visits
    assert np.median(error[visits == 0]) > 3 * np.median(error[visits > 0])


def test_without_a_price_on_disagreement_the_plan_ends_in_the_dead_end(maze):
    states = maze.free.episode.states
    assert not maze.free.reached
    assert is_in_room(states[-30:]).all()


def test_with_a_price_on_disagreement_the_plan_takes_the_known_way_to_the_goal(maze):
    states = maze.careful.episode.states
    assert maze.careful.reached
    assert not is_in_room(states).any()
    assert maze_coverage.is_known(states[:, :2]).mean() > 0.8


def test_the_maze_s_data_are_what_the_simulation_does_and_begin_in_the_known_part():
    simulation = maze_coverage.make_simulation()
    episodes = maze_coverage.collect(simulation, 3, 200)
    assert sum(len(episode.actions) for episode in episodes) >= 200
    for episode in episodes:
        assert maze_coverage.is_known(episode.states[:-1, :2]).all()
        maze_coverage.begin_at(simulation, episode.states[0, :2], episode.states[0, 2:])
        replayed = [simulation.step(action) for action in episode.actions]
        np.testing.assert_array_equal(replayed, episode.states[1:])


@dataclasses.dataclass
class ShiftedTruth:
    """Two members: the simulation itself, and the same with a constant added to one entry."""

    simulation: object
    shift: float
    members: int = 2
    target_scale: torch.Tensor = dataclasses.field(default_factory=lambda: torch.full((4,), 2.0))

    def predict_mean(self, state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        following = []
        for begin, force in zip(state[0].numpy(), action[0].numpy()):
            maze_coverage.begin_at(self.simulation, begin[:2], begin[2:])
            following.append(self.simulation.step(force))
        truth = torch.from_numpy(np.array(following))
        shifted = truth.clone()
        shifted[:, 2] += self.shift
        return torch.stack([truth, shifted])


def test_error_and_disagreement_are_those_of_a_model_whose_errors_are_known():
    simulation = maze_coverage.make_simulation()
    episodes = maze_coverage.collect(simulation, 3, 200)
    model = ShiftedTruth(simulation, shift=0.8)
    coverage = maze_coverage.map_coverage(simulation, model, episodes, 0)
    cells = ~np.isnan(coverage.visits)
    # The mean of the members is off by 0.4, and so are both from it, in one entry of four; in
    # units of 2.0. The model's inputs are float32.
    np.testing.assert_allclose(coverage.disagreement[cells], 0.2 / 4, atol=1e-4)
    np.testing.assert_allclose(coverage.error[cells], 0.2 / 2, atol=2e-3)
    assert np.nansum(coverage.visits) == sum(len(episode.actions) for episode in episodes)
    assert 800 < cells.sum() < 1600


def test_area_under_the_curve_counts_pairs_and_half_of_ties():
    random = np.random.default_rng(0)
    positives, negatives = random.integers(0, 9, 70) + 1, random.integers(0, 9, 50)
    pairs = positives[:, None] - negatives[None]
    expected = np.mean((pairs > 0) + 0.5 * (pairs == 0))
    assert maze_coverage.area_under_curve(positives, negatives) == pytest.approx(expected)


def test_the_cliff_s_first_data_only_climb_and_stay_away_from_the_edge(cliff):
    for episode in cliff.data:
        assert np.diff(episode.states[:, 0]).min() > 0
        assert episode.states[:, 0].max() < EDGE - 1.0


def test_the_first_plan_leads_over_the_edge_because_the_model_has_the_slope_go_on(cliff):
    for attempt in cliff.iterations[0]:
        assert attempt.fell
        on_the_top = [plan for step, plan in attempt.plans if 1.2 < plan[0, 0] < EDGE]
        assert all(plan[-1, 1] > TOP + 0.2 for plan in on_the_top)
        assert on_the_top


def test_the_last_plan_stays_on_the_top(cliff):
    last = cliff.iterations[-1]
    heights = [attempt.final_height for attempt in last]
    assert not any(attempt.fell for attempt in last)
    assert np.median(heights) > 0.95 * TOP
    assert min(heights) > 0.75 * TOP


def test_pictures_are_written(tmp_path):
    maze_picture.draw([maze_run(0)], maze_coverage.GOAL, tmp_path / 'maze.png')
    cliff_picture.draw([cliff_run(0)], tmp_path / 'cliff.png')
    for name in ('maze', 'cliff'):
        pixels = np.asarray(Image.open(tmp_path / f'{name}.png').convert('L'))
        assert min(pixels.shape) > 600
        assert pixels.std() > 20


@pytest.mark.parametrize('name', ['maze_coverage', 'cliff_mismatch'])
def test_help_needs_no_ros(name):
    code = (
        f'import runpy, sys; sys.argv = ["{name}.py", "--help"]\n'
        f'try: runpy.run_path("{name}.py", run_name="__main__")\n'
        'except SystemExit as end: assert not end.code\n'
        'assert not [module for module in sys.modules if module.split(".")[0] == "rclpy"]'
    )
    done = subprocess.run(
        [sys.executable, '-c', f'import sys; sys.path.insert(0, "."); {code}'],
        cwd=EXAMPLES,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert '--seed' in done.stdout and '--output' in done.stdout


def test_start_of_the_maze_is_where_the_data_are():
    assert maze_coverage.is_known(np.array(START))
