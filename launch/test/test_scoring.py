"""Transitions are scored as the controller scores them, one by one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from mbrl_bringup.scoring import scorer
from mbrl_bringup.tasks import params_file_of
from mbrl_common.settings import SettingsError
from mbrl_common.taskfile import node_settings
from mbrl_dynamics.transitions import Transitions
from mbrl_mpc.pilot import Pilot
from mbrl_mpc.settings import MpcSettings

FAR_OUT = """
import torch
from mbrl_planner.objectives import Objective


def make(task):
    return Objective(
        name='far_out',
        terms={'one': lambda state, action, next_state, goal: torch.ones_like(state[..., 0])},
        weights={'one': 1.0},
        termination=lambda next_state: next_state[..., 0].abs() > 1.0,
    )
"""


OBJECTIVE = 'objective:\n      name: '
WAVE = [0.1, 0.5, 0.7, 0.0, 0.0, 0.2, 1.1, 0.3]  # centre, amplitude, frequency, phase of each joint


@pytest.mark.parametrize(
    ('objective', 'goal'), [('cartpole_swingup', [0.3]), ('tracking', WAVE)], ids=['stays', 'moves']
)
def test_rewards_are_those_of_the_controller(
    objective: str, goal: list[float], tmp_path: Path
) -> None:
    params_file = tmp_path / 'task.yaml'
    text = params_file_of('cartpole_swingup').read_text()
    params_file.write_text(text.replace(f'{OBJECTIVE}cartpole_swingup', f'{OBJECTIVE}{objective}'))
    states = np.random.default_rng(0).normal(size=(31, 4))
    pilot = Pilot(node_settings(params_file, 'mpc_controller', MpcSettings))
    pilot.set_goal(np.array(goal))
    pilot.begin(0, 0, explore=True)
    pilot.observe(states[0], 0)
    taken = []
    for number, state in enumerate(states[1:]):
        pilot.act()
        pilot.observe(state, number + 1)
        taken.append(pilot.take_transition())
    transitions = Transitions.from_list([each for each in taken if each is not None])
    assert len(transitions) == 30
    unknown = dataclasses.replace(transitions, reward=np.full(30, np.nan))
    found = scorer(params_file, goal)(unknown)
    np.testing.assert_allclose(found.reward, transitions.reward, rtol=1e-14)
    assert not found.terminated.any()
    assert np.abs(scorer(params_file)(unknown).reward - found.reward).max() > 0.01


def test_an_objectives_termination_ends_episodes_and_wins_over_the_time_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'far_out.py').write_text(FAR_OUT)
    about = tmp_path / 'far_out-1.0.dist-info'
    about.mkdir()
    (about / 'METADATA').write_text('Metadata-Version: 2.1\nName: far_out\nVersion: 1.0\n')
    (about / 'entry_points.txt').write_text('[mbrl_planner.objectives]\nfar_out = far_out:make\n')
    monkeypatch.syspath_prepend(tmp_path)
    params_file = tmp_path / 'task.yaml'
    text = params_file_of('cartpole_swingup').read_text()
    params_file.write_text(text.replace(f'{OBJECTIVE}cartpole_swingup', f'{OBJECTIVE}far_out'))

    state, next_state = np.random.default_rng(0).normal(size=(2, 30, 4))
    found = scorer(params_file)(
        Transitions.from_arrays(
            state, np.zeros((30, 1)), next_state, truncated=np.ones(30, dtype=bool)
        )
    )
    np.testing.assert_array_equal(found.terminated, np.abs(next_state[:, 0]) > 1.0)
    np.testing.assert_array_equal(found.truncated, ~found.terminated)
    assert 0 < found.terminated.sum() < 30
    np.testing.assert_array_equal(found.reward, np.ones(30))


def test_a_goal_that_does_not_fit_is_refused() -> None:
    with pytest.raises(SettingsError, match='the goal has shape'):
        scorer(params_file_of('cartpole_swingup'), [1.0, 2.0])
