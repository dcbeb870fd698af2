"""What a parameter file may say, and what it is told when it is wrong."""

from __future__ import annotations

import pytest
import torch

from mbrl_common.settings import SettingsError


def test_the_defaults_stay_within_the_budget_of_model_steps(make_settings):
    settings = make_settings()
    optimizer = settings.optimizer
    members = 5
    steps = optimizer.candidates * optimizer.iterations * settings.planner.horizon * members
    assert steps <= 10_000


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (
            {'planner__horizont': 3},
            "unknown parameter 'planner.horizont'; did you mean 'planner.horizon'",
        ),
        ({'planner__horizon': 0}, "'planner.horizon' is 0; it must be an integer from 1"),
        ({'planner__propagation': 'ts2'}, "one of 'mean', 'expectation', 'moment_matching'"),
        ({'optimizer__name': 'mpi'}, r"one of 'cem', .*'random_shooting' \(did you mean 'mppi'"),
        ({'optimizer__options': ['reach']}, "an entry must be 'name=value'"),
        ({'optimizer__elites': 32}, "must be below 'optimizer.candidates', which is 32"),
        ({'optimizer__icem__decay': 0.5}, "'optimizer.icem.decay'"),
        ({'objective__name': 'nothing'}, "must be one of .*'cartpole_swingup'"),
        ({'objective__weights': ['speed=1']}, "no term 'speed'"),
    ],
)
def test_wrong_parameters_are_refused_with_what_would_be_right(make_settings, changes, message):
    with pytest.raises(SettingsError, match=message):
        make_settings(**changes)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'planner__knots': 21}, "'planner.knots' is 21; it must be at most 'planner.horizon'"),
        ({'planner__knots': 1}, "'planner.knots' is 1; a spline 'linear' must have at least 2"),
        ({'planner__spline': 'square'}, "one of 'zero', 'linear', 'cubic'"),
        ({'planner__time_budget': -1.0}, "'planner.time_budget' is -1.0"),
        ({'planner__worst_share': 0.0}, "'planner.worst_share' is 0.0"),
        (
            {'planner__backend': 'mujoco'},
            "'planner.simulator' is ''; it must be one of .*'cartpole_pets'.*the backend 'mujoco'",
        ),
        (
            {
                'planner__backend': 'mujoco',
                'planner__simulator': 'cartpole_pets',
                'planner__reward': 'model',
            },
            "'planner.reward' is 'model'; with the backend 'mujoco' nothing is learned",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(make_settings, changes, message):
    with pytest.raises(SettingsError, match=message):
        make_settings(**changes)


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a CUDA device here')
def test_a_device_that_is_not_there_is_refused(make_settings):
    with pytest.raises(SettingsError, match=r"'planner.device' is 'cuda', and torch finds"):
        make_settings(planner__device='cuda')


def test_one_held_knot_is_enough(make_settings):
    assert make_settings(planner__knots=1, planner__spline='zero').planner.knots == 1
