"""What a parameter file may say, and what it is told when it is wrong."""

from __future__ import annotations

import pytest

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
        ({'optimizer__name': 'mppi'}, "one of 'icem', 'cem'"),
        ({'optimizer__elites': 32}, "must be below 'optimizer.candidates', which is 32"),
        ({'optimizer__icem__decay': 0.5}, "'optimizer.icem.decay'"),
        ({'objective__name': 'nothing'}, "must be one of 'cartpole_swingup'"),
        ({'objective__weights': ['speed=1']}, "no term 'speed'"),
    ],
)
def test_wrong_parameters_are_refused_with_what_would_be_right(make_settings, changes, message):
    with pytest.raises(SettingsError, match=message):
        make_settings(**changes)
