"""The published figures: complete, sane, and what is said of them elsewhere in the suite."""

from __future__ import annotations

import math
import re

import pytest

from mbrl_bringup.bench.measures import MEASURES
from mbrl_bringup.bench.published import Figure, figures, figures_of
from mbrl_bringup.pictures import PETS
from mbrl_bringup.tasks import params_file_of, task_names
from mbrl_common.taskfile import node_parameters

# Highest and lowest that can be paid per control step: the cart-pole's reward is at most 1.
_WITHIN = {
    'cartpole_swingup': (0.0, 200.0),
    'inverted_pendulum': (0.0, 1000.0),
    'reacher_pets': (-400.0, 0.0),
    'pusher_pets': (-400.0, 0.0),
}


def name(figure: Figure) -> str:
    return f'{figure.task}-{figure.method}-{figure.steps}'


@pytest.mark.parametrize('figure', figures(), ids=name)
def test_each_figure_is_complete_and_possible(figure: Figure) -> None:
    assert figure.task in task_names()
    assert figure.measure in MEASURES
    assert figure.method and figure.source.title and figure.source.how
    assert re.fullmatch(r'https://[\w.-]+/\S+', figure.source.url)
    assert figure.steps > 0 and figure.source.seeds >= 0
    assert math.isfinite(figure.value)
    low, high = _WITHIN.get(figure.task, (-math.inf, math.inf))
    assert low <= figure.value <= high
    if not math.isnan(figure.spread):
        assert figure.spread > 0 and figure.source.spread_is


def test_no_figure_is_there_twice() -> None:
    keys = [(f.task, f.method, f.steps, f.measure, f.source.title) for f in figures()]
    assert len(keys) == len(set(keys))


def test_what_is_best_so_far_never_falls() -> None:
    series: dict[tuple[str, str], list[Figure]] = {}
    for figure in figures():
        if figure.measure == 'best_so_far':
            series.setdefault((figure.task, figure.method), []).append(figure)
    assert series
    for found in series.values():
        values = [figure.value for figure in sorted(found, key=lambda each: each.steps)]
        assert values == sorted(values)


def test_others_environments_are_said_to_be_others() -> None:
    """Nothing but the cart-pole, which was rebuilt from its definition, is the published one."""
    for figure in figures():
        environment = node_parameters(params_file_of(figure.task), 'sim_bridge')['sim.environment']
        assert bool(figure.differs) == (environment != 'cartpole_pets'), figure


def test_the_picture_of_a_run_shows_the_same_figures() -> None:
    known = {f.steps: f.value for f in figures_of('cartpole_swingup') if f.method == 'PETS'}
    for steps, value in PETS['cartpole_swingup']:
        assert known[steps] == value


def test_a_task_without_figures_has_none() -> None:
    assert figures_of('my_own') == ()
