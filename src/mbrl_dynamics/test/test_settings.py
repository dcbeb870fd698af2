"""What is wrong in the parameters is refused with what would be right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mbrl_common.settings import SettingsError
from mbrl_dynamics.settings import DynamicsSettings
from mbrl_dynamics.snapshot import Limits


@pytest.mark.parametrize(
    ('changes', 'text'),
    [
        ({'model__hidden': []}, "'model.hidden' is empty"),
        ({'model__elites': 4}, "'model.elites' is 4; it must not be above 'model.members', 3"),
        ({'model__kind': 'bayesian'}, "one of 'probabilistic', 'deterministic'"),
        ({'model__activation': 'sine'}, "one of 'silu', 'relu'"),
        (
            {'model__targets_absolute': ['hinge.speed']},
            "'model.targets_absolute' has 'hinge.speed'",
        ),
        ({'model__state_low': [0.0]}, "'model.state_low' has 1 entries; 'task.state' has 4"),
        (
            {'model__state_low': [1.0] * 4, 'model__state_high': [1.0] * 4},
            "'model.state_low' must be below 'model.state_high'",
        ),
        (
            {
                'model__targets_left_out': ['slider.position'],
                'model__targets_absolute': ['slider.position'],
            },
            "both have 'slider.position'",
        ),
        ({'training__batches': 'none'}, "one of 'bootstrap', 'shuffled', 'shared'"),
        (
            {'training__weight_decay': [0.1, 0.2]},
            'has 2 entries; it must have one, or one for each',
        ),
        (
            {'training__learning_rate': 1e-3, 'training__final_learning_rate': 1e-2},
            "'training.final_learning_rate' is 0.01; it must not be above",
        ),
        ({'training__patience': 3, 'training__holdout_fraction': 0.0}, 'needs held-out data'),
        ({'training__after_episode': True}, "unknown parameter 'training.after_episode'"),
    ],
)
def test_wrong_settings_are_refused(
    make_settings: Callable[..., DynamicsSettings], changes: dict[str, Any], text: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        make_settings(**changes)
    assert text in str(caught.value)


def test_declarations_by_name_become_indices(
    make_settings: Callable[..., DynamicsSettings],
) -> None:
    settings = make_settings(
        model__inputs_left_out=['slider.position'],
        model__targets_absolute=['hinge.velocity', 'slider.velocity'],
        model__targets_left_out=['hinge.position'],
        model__history=2,
        model__state_low=[-2.5, -100.0, -50.0, -50.0],
        model__input_clip=5.0,
    )
    encoding = settings.architecture().encoding
    assert (encoding.angles, encoding.inputs_left_out) == ((1,), (0,))
    assert (encoding.targets_absolute, encoding.targets_left_out) == ((2, 3), (1,))
    assert encoding.input_dim == 2 * (2 + 2 + 1)
    assert settings.limits() == Limits(5.0, (-2.5, -100.0, -50.0, -50.0))
