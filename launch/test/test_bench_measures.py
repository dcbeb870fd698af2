"""The measures that published figures are of, checked by hand."""

from __future__ import annotations

import math

import pytest

from mbrl_bringup.bench.measures import after, curve, number, spans, with_range
from mbrl_bringup.bench.rows import Row
from mbrl_bringup.testing_bench import row


def run(returns: list[float], seed: int = 0, steps: int = 1000) -> list[Row]:
    return [
        row(seed, i, episode_return=value, steps=steps, environment_steps=steps * (i + 1))
        for i, value in enumerate(returns)
    ]


def test_the_measures_of_one_seed() -> None:
    rows = run([1.0, 5.0, 3.0, 4.0])
    assert curve(rows, 'episode') == [(1000, 1.0), (2000, 5.0), (3000, 3.0), (4000, 4.0)]
    assert curve(rows, 'best_so_far') == [(1000, 1.0), (2000, 5.0), (3000, 5.0), (4000, 5.0)]
    assert curve(rows, 'mean_3000') == [(3000, 3.0), (4000, 4.0)]


def test_what_the_environment_pays_is_what_counts_if_it_pays() -> None:
    paid = [row(episode_return=1.0, score=7.0)]
    assert curve(paid, 'episode') == [(200, 7.0)]


def test_after_so_many_steps_each_seed_counts_with_its_last_episode_until_then() -> None:
    rows = run([1.0, 2.0, 9.0]) + run([3.0, 0.0, 0.0], seed=1)
    assert after(rows, 'episode', 2999) == [2.0, 0.0]
    assert after(rows, 'best_so_far', 2000) == [2.0, 3.0]
    assert after(rows, 'mean_3000', 3000) == [4.0, 1.0]


@pytest.mark.parametrize('steps', [999, 3001])
def test_no_value_where_no_episode_has_ended_or_not_every_seed_has_come(steps: int) -> None:
    rows = run([1.0, 2.0, 9.0, 9.0]) + run([3.0, 0.0, 0.0], seed=1)
    assert after(rows, 'episode', steps) == []


def test_spans_are_medians_and_ranges_of_episodes_that_all_seeds_have() -> None:
    rows = run([1.0, 2.0]) + run([5.0, 6.0, 7.0], seed=1) + run([3.0, 0.0], seed=2)
    assert spans(rows, 'episode') == [(1000, 1.0, 3.0, 5.0), (2000, 0.0, 2.0, 6.0)]


def test_numbers_are_short() -> None:
    assert [number(each) for each in (4204.53, -38.04, 0.0, 0.0123, math.nan)] == [
        '4205',
        '-38.0',
        '0.0',
        '0.012',
        '-',
    ]
    assert with_range([3.0, 1.0, math.nan, 2.0]) == '2.0 (1.0 to 3.0)'
    assert with_range([3.0]) == '3.0'
    assert with_range([]) == '-'
