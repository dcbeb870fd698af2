"""The pictures show the numbers, say what was found, and can be drawn of any model."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mbrl_dynamics import plots
from mbrl_dynamics.evaluate import evaluate
from mbrl_dynamics.evaluation import LEVELS, About, Evaluation, save
from mbrl_dynamics.model import Prediction
from mbrl_dynamics.transitions import Transitions


class Walk:
    """A model of a random walk: members with drifts of their own, and a deviation."""

    def __init__(self, width: int, members: int, deviation: float | None) -> None:
        self.members, self.state_dim, self.action_dim, self.history = members, width, 1, 1
        self.learns_reward = self.learns_termination = False
        self.target_scale = torch.ones(width)
        self._drift = torch.linspace(-0.1, 0.1, members)[:, None, None] if members > 1 else 0.0
        self._deviation = deviation

    def predict(
        self, state: torch.Tensor, action: torch.Tensor, variance: bool = True
    ) -> Prediction:
        mean = state + action + self._drift
        spread = None
        if variance and self._deviation is not None:
            spread = torch.full_like(mean, self._deviation**2)
        return Prediction(mean, spread, None, None)


def measure(
    width: int = 2,
    members: int = 3,
    deviation: float | None = 0.5,
    count: int = 400,
    episode: int = 20,
    **about: Any,
) -> Evaluation:
    """Evaluate a walk whose true deviation is 0.5 per step, along actions of deviation 1."""
    generator = np.random.default_rng(0)
    actions = generator.normal(size=(count, 1))
    steps = actions + generator.normal(size=(count, width)) * 0.5
    state = np.cumsum(steps, axis=0)
    number = np.arange(count)
    data = Transitions.from_arrays(
        state - steps, actions, state, episode=number // episode, step=number % episode
    )
    model = Walk(width, members, deviation)
    return evaluate(model, data, horizon=15, about=About(4, **about))


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    """A picture that cannot be drawn well is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        yield


def text_of(figure: Any) -> str:
    below = [legend.get_title().get_text() for legend in figure.legends]
    if not below:
        below = [figure.get_supxlabel()]
    return '\n'.join([figure.get_suptitle(), *below])


def lines_of(axes: Any) -> list[np.ndarray]:
    return [np.array(line.get_data()) for line in axes.lines]


NAMED: dict[str, Any] = {
    'state': ('hinge.position', 'hinge.velocity'),
    'angles': ('hinge.position',),
    'period': 0.04,
}


def test_predicted_against_true_has_a_dot_for_each_transition() -> None:
    found = measure(**NAMED)
    figure = plots.draw_predicted_against_true(found)
    for entry, axes in enumerate(figure.axes):
        _, dots = lines_of(axes)
        np.testing.assert_array_equal(dots[0], found.one_step.change[:, entry])
        np.testing.assert_array_equal(dots[1], found.one_step.predicted_change[:, entry])
    assert [axes.get_xlabel() for axes in figure.axes] == ['recorded [rad]', 'recorded [rad/s]']
    assert figure.axes[1].get_title().startswith('hinge.velocity: error 0.48, ')
    percent = f'{found.one_step.relative_error * 100:.0f} %'
    assert f'One step ahead, the error is {percent} of that of "nothing changes"' in text_of(figure)
    assert 'Model version 4, held-out data' in text_of(figure)


def test_open_loop_has_the_truth_within_its_fan() -> None:
    found = measure(**NAMED)
    figure = plots.draw_open_loop(found)
    assert len(figure.axes) == 2 * 3
    median, truth = lines_of(figure.axes[4])[:2]
    np.testing.assert_allclose(truth[0], np.arange(16) * 0.04)
    np.testing.assert_array_equal(truth[1], found.open_loop.truth[1, :, 1])
    np.testing.assert_array_equal(median[1], found.open_loop.quantiles[1, :, 2, 1])
    assert 'After 15 steps (0.6 s), the error is' in text_of(figure)
    labels = [each.get_text() for each in figure.legends[0].get_texts()]
    assert labels == ['recorded', 'median of the particles', '50 % of them', '90 %']


@pytest.mark.parametrize(
    ('deviation', 'finding'),
    [
        (0.5, 'As far as 400 transitions tell, the predicted spread is right'),
        (0.36, 'The model is over-confident'),
        (0.2, 'The model is badly over-confident'),
        (0.9, 'The model is under-confident'),
    ],
)
def test_calibration_says_whether_the_spread_is_right(deviation: float, finding: str) -> None:
    found = measure(members=1, deviation=deviation)
    figure = plots.draw_calibration(found)
    assert text_of(figure).startswith(f'{finding}: intervals of 90 % hold')
    lines = lines_of(figure.axes[0])
    for entry in range(2):
        np.testing.assert_array_equal(lines[1 + entry][0], LEVELS)
        np.testing.assert_array_equal(lines[1 + entry][1], found.one_step.coverage[:, entry])


def test_error_over_horizon_has_both_predictors_and_the_number_of_windows() -> None:
    found = measure()
    figure = plots.draw_error_over_horizon(found)
    shown = [line[1] for line in lines_of(figure.axes[1])]
    many = found.open_loop
    for ours, theirs in zip(shown, (many.trivial, many.error, many.spread, many.disagreement)):
        np.testing.assert_array_equal(ours, theirs[:, 1])
    counts = f'{many.windows[0]} windows of 1 step, {many.windows[14]} of 15'
    assert counts in text_of(figure)
    assert 'After 15 steps, the error is' in text_of(figure)


def unbounded(found: Evaluation) -> Evaluation:
    """As of a model that runs off to infinity."""
    many = found.open_loop
    last = np.arange(15) > 9
    return dataclasses.replace(
        found,
        open_loop=dataclasses.replace(
            many,
            error=np.where(last[:, None], math.inf, many.error),
            relative_error=np.where(last, math.inf, many.relative_error),
            spread=np.where(last[:, None], math.inf, many.spread),
            quantiles=np.where(np.arange(16)[:, None, None] > 10, math.inf, many.quantiles),
        ),
    )


@pytest.mark.parametrize(
    'make',
    [
        lambda: measure(width=1),
        lambda: measure(members=1, deviation=None),
        lambda: measure(members=5, deviation=None),
        lambda: measure(count=1),
        lambda: measure(episode=1),
        lambda: measure(width=30),
        lambda: unbounded(measure()),
        lambda: measure(source='/bags/teleoperation.mcap', **NAMED),
    ],
    ids=['one entry', 'no spread', 'members', 'one', 'one step', 'wide', 'infinite', 'bag'],
)
def test_any_evaluation_can_be_drawn(make: Callable[[], Evaluation], tmp_path: Path) -> None:
    paths = plots.draw(make(), tmp_path)
    assert len(paths) == 4 and sorted(tmp_path.iterdir()) == sorted(paths)
    for path in paths:
        assert path.read_bytes()[:4] == b'\x89PNG'
        assert path.stat().st_size < 500_000


def test_of_many_entries_those_that_are_predicted_worst_are_shown() -> None:
    found = measure(width=30)
    one = found.one_step
    figure = plots.draw_predicted_against_true(found)
    shown = [int(axes.get_title().split('[')[1].split(']')[0]) for axes in figure.axes]
    ratio = one.error / one.trivial
    assert shown == sorted(np.argsort(-ratio)[:12].tolist())
    assert 'The 12 of 30 entries that are predicted worst' in text_of(figure)
    figure = plots.draw_open_loop(found)
    assert len(figure.axes) == 6 * 3 and 'The 6 of 30 entries' in text_of(figure)


def test_the_command_draws_a_folder_and_complains_of_what_it_has_not(tmp_path: Path) -> None:
    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, '-m', 'mbrl_dynamics.plots', *arguments],
            capture_output=True,
            text=True,
            check=False,
        )

    save(measure(), tmp_path)
    done = command(str(tmp_path), '5')
    assert (done.returncode, done.stderr) == (0, '')
    assert (tmp_path / 'calibration.png').exists()
    missing = command(str(tmp_path / 'missing'))
    assert missing.returncode == 1 and 'no pictures of' in missing.stderr
