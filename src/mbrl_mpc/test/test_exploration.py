"""Exploration is repeatable from any step, within bounds, and of the colour it says."""

import dataclasses
import functools

import numpy as np
import pytest

from mbrl_mpc.exploration import LONGEST_SERIES, WALK_PART, exploration
from mbrl_mpc.modes import Mode
from mbrl_mpc.pilot import Pilot

LOW, HIGH = np.array([-1.0, 2.0]), np.array([3.0, 2.5])


def series(kind, steps, episode=3, seed=7, **options):
    draw = functools.partial(exploration, kind, LOW, HIGH, seed=seed, episode=episode, **options)
    return np.array([draw(step=step) for step in range(steps)])


@pytest.mark.parametrize('hold', [1, 4])
def test_held_is_what_the_pilot_does_in_lockstep(settings, hold):
    control = dataclasses.replace(settings.control, exploration_hold=hold)
    pilot = Pilot(dataclasses.replace(settings, control=control))
    pilot.begin(5, 11, explore=True)
    for step in range(9):
        pilot.observe(np.zeros(4), step * 40_000_000)
        pilot.take_transition()
        mine = exploration(
            'held', pilot.guard.low, pilot.guard.high, seed=11, episode=5, step=step, hold=hold
        )
        np.testing.assert_array_equal(mine, pilot.act())


def test_held_changes_every_so_many_steps_and_white_at_each():
    held = series('held', 12, hold=3)
    assert len(np.unique(held[:, 0])) == 4 and (held[0] == held[2]).all()
    white = series('white', 12, hold=3)
    assert len(np.unique(white[:, 0])) == 12
    np.testing.assert_array_equal(white, series('held', 12, hold=1))


@pytest.mark.parametrize('kind', ['held', 'white', 'coloured', 'walk'])
def test_a_step_depends_on_seed_episode_and_number_alone(kind):
    forth = series(kind, 20, max_steps=50)
    back = [
        exploration(kind, LOW, HIGH, seed=7, episode=3, step=step, max_steps=50)
        for step in reversed(range(20))
    ]
    np.testing.assert_array_equal(forth, back[::-1])
    assert not np.isin(forth, series(kind, 20, episode=4, max_steps=50)).any()
    assert not np.isin(forth, series(kind, 20, seed=8, max_steps=50)).any()


@pytest.mark.parametrize('kind', ['white', 'coloured', 'walk'])
def test_each_step_is_uniform_between_the_bounds(kind):
    """The Kolmogorov-Smirnov distance of one step over many episodes; 1.63 is 1% by chance."""
    count = 2000
    actions = np.array([
        exploration(kind, LOW, HIGH, seed=1, episode=k, step=5, colour=2.0, max_steps=64)
        for k in range(count)
    ])  # fmt: skip
    assert (actions >= LOW).all() and (actions <= HIGH).all()
    for column in ((actions - LOW) / (HIGH - LOW)).T:
        ranks = np.arange(1, count + 1) / count
        distance = np.abs(np.sort(column) - ranks).max() + 1 / count
        assert distance * np.sqrt(count) < 1.63


@pytest.mark.parametrize('colour', [0.0, 1.0, 2.0])
def test_neighbouring_steps_are_correlated_as_a_spectrum_of_that_slope_says(colour):
    """From the spectrum f^-beta to the Gaussian's correlation, and from that to the one of its
    ranks, by (6 / pi) asin(r / 2)."""
    length, lag = 64, 1
    actions = np.array([
        series('coloured', 12, episode=k, colour=colour, max_steps=length) for k in range(1500)
    ])  # fmt: skip
    frequency = np.arange(length // 2 + 1) / length
    frequency[0] = 1 / length
    power = frequency**-colour
    power[1:-1] *= 2
    wave = np.cos(2 * np.pi * np.arange(length // 2 + 1) / length * lag)
    gaussian = (power * wave).sum() / power.sum()
    expected = 6 / np.pi * np.arcsin(gaussian / 2)
    centred = (actions - LOW) / (HIGH - LOW) - 0.5
    found = 12 * (centred[:, :-lag] * centred[:, lag:]).mean((0, 1))
    np.testing.assert_allclose(found, expected, atol=0.04)


def test_joints_are_coloured_independently():
    actions = np.concatenate([
        series('coloured', 8, episode=k, max_steps=64) - (LOW + HIGH) / 2 for k in range(800)
    ])  # fmt: skip
    assert abs(np.corrcoef(actions.T)[0, 1]) < 0.08


def test_an_episode_longer_than_the_series_goes_on_with_another():
    actions = series('coloured', 30, max_steps=10)
    assert not np.isin(actions[10:20], actions[:10]).any()
    late = exploration(
        'coloured', LOW, HIGH, seed=0, episode=0, step=LONGEST_SERIES + 3, max_steps=10**6
    )
    assert (late >= LOW).all() and (late <= HIGH).all()
    exploration('coloured', LOW, HIGH, seed=0, episode=0, step=3, max_steps=1)


@pytest.mark.parametrize('stride', [0.02, 0.3, 1.0])
def test_a_walk_takes_steps_of_up_to_its_stride_and_reaches_both_bounds(stride):
    actions = (series('walk', 20_000, stride=stride) - LOW) / (HIGH - LOW)
    assert (actions >= 0).all() and (actions <= 1).all()
    assert (actions.min(0) < 0.01).all() and (actions.max(0) > 0.99).all()
    changes = np.abs(np.diff(actions, axis=0))
    assert changes.max() <= stride + 1e-12
    # away from the bounds, every change up to the stride is as probable as any other
    inside = (np.abs(actions[:-1] - 0.5) <= 0.5 - stride).all(1) if stride < 0.5 else []
    if np.any(inside):
        assert changes[inside].max() > 0.99 * stride
        np.testing.assert_allclose(changes[inside].mean(0), stride / 2, rtol=0.03)


def test_a_walk_forgets_where_it_began_as_fast_as_reflected_diffusion_does():
    """Its slowest wave, cos(pi x), fades by the mean of cos(pi u) at each step of u."""
    stride, lag = 0.2, 8
    actions = np.array([series('walk', lag + 1, episode=k, stride=stride) for k in range(3000)])
    wave = np.cos(np.pi * (actions - LOW) / (HIGH - LOW))
    expected = (np.sin(np.pi * stride) / (np.pi * stride)) ** lag
    np.testing.assert_allclose(2 * (wave[:, 0] * wave[:, -1]).mean(0), expected, atol=0.05)


def test_a_long_walk_goes_on_where_it_was():
    draw = functools.partial(exploration, 'walk', LOW, HIGH, seed=1, episode=2, stride=0.01)
    around = np.array([draw(step=WALK_PART * 9 + k) for k in (-2, -1, 0, 1)])
    assert (np.abs(np.diff(around, axis=0)) <= 0.01 * (HIGH - LOW) + 1e-12).all()
    last = draw(step=999_999)  # of the longest episode that there is
    np.testing.assert_array_equal(last, draw(step=999_999))


def test_a_walk_begins_where_it_is_told_to_and_goes_on_by_the_same_steps(settings):
    start = (2.9, 2.1)
    told, free = (series('walk', 200, stride=0.05, **o) for o in ({'start': start}, {}))
    np.testing.assert_allclose(told[0], start, rtol=0, atol=1e-12)
    assert abs(free[0] - start).max() > 0.05
    assert (told >= LOW).all() and (told <= HIGH).all()
    steps = [abs(np.diff(each, axis=0)) / (HIGH - LOW) for each in (told, free)]
    assert steps[0].max() <= 0.05 + 1e-12
    away_from_bounds = np.all(
        [abs(each[1:] - (LOW + HIGH) / 2) < 0.45 * (HIGH - LOW) for each in (told, free)], axis=0
    )
    assert away_from_bounds.sum() > 30
    np.testing.assert_allclose(steps[0][away_from_bounds], steps[1][away_from_bounds], atol=1e-12)

    control = dataclasses.replace(settings.control, safe_action=(1.25,))
    robot = dataclasses.replace(settings.robot, exploration='walk')
    pilot = Pilot(dataclasses.replace(settings, control=control, robot=robot))
    pilot.begin(0, 1, explore=True)
    pilot.observe(np.zeros(4), 0)
    np.testing.assert_allclose(pilot.act(), [1.25], rtol=0, atol=1e-12)


def test_a_long_walk_from_somewhere_goes_on_where_it_was():
    draw = functools.partial(
        exploration, 'walk', LOW, HIGH, seed=1, episode=2, stride=0.01, start=(0.0, 2.2)
    )
    before, after = draw(step=WALK_PART - 1), draw(step=WALK_PART)
    assert (abs(after - before) / (HIGH - LOW)).max() <= 0.01 + 1e-12


def test_joints_walk_independently():
    actions = np.concatenate([series('walk', 5, episode=k, stride=1.0) for k in range(2000)])
    assert abs(np.corrcoef(actions.T)[0, 1]) < 0.05


@pytest.mark.parametrize('explore', [True, False])
@pytest.mark.parametrize('kind', ['held', 'white', 'coloured', 'walk'])
def test_the_mode_names_the_kind_with_the_settings_of_each(settings, kind, explore):
    robot = dataclasses.replace(
        settings.robot, exploration='white', exploration_colour=2.0, exploration_stride=0.03
    )
    control = dataclasses.replace(settings.control, exploration_hold=3)
    pilot = Pilot(dataclasses.replace(settings, robot=robot, control=control))
    pilot.begin(4, 9, explore=explore, max_steps=50)

    def draw(kind):
        bounds = pilot.guard.low, pilot.guard.high
        options = {'hold': 3, 'colour': 2.0, 'stride': 0.03, 'max_steps': 50}
        return exploration(kind, *bounds, seed=9, episode=4, step=7, **options)

    pilot.mode = Mode(f'explore_{kind}')
    assert pilot.explores and not pilot.needs_plan
    np.testing.assert_array_equal(pilot.explore_at(7), draw(kind))
    pilot.mode = Mode('explore')
    np.testing.assert_array_equal(pilot.explore_at(7), draw('white'))


def test_another_kind_is_refused():
    with pytest.raises(
        ValueError, match="'pink'; it must be 'held', 'white', 'coloured' or 'walk'"
    ):
        exploration('pink', LOW, HIGH, seed=0, episode=0, step=0)
