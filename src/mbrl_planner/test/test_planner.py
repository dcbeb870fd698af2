"""The planner: what it refuses, what it counts, and that nothing but request and model matters."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from mbrl_common.settings import SettingsError
from mbrl_dynamics.model import DynamicsModel, Prediction
from mbrl_dynamics.snapshot import SnapshotError
from mbrl_planner.objectives import ObjectiveSettings
from mbrl_planner.planner import (
    ModelOutdatedError,
    NoModelError,
    Planner,
    PlanningFailedError,
    PlanRequest,
    PlanRequestError,
    WarmStart,
)

STATE = np.array([0.1, -0.2, 0.3, 0.4])
HORIZON = 20


@pytest.fixture
def planner(make_settings, snapshot):
    planner = Planner(make_settings())
    planner.set_model(snapshot, version=3)
    return planner


def fingerprint(result):
    """All of a result that must repeat."""
    arrays = (
        result.actions,
        result.state_mean,
        result.state_std,
        np.array(result.predicted_return),
        result.warm_start.mean,
        result.warm_start.elites,
    )
    return hashlib.sha256(b''.join(a.tobytes() for a in arrays)).hexdigest()


def test_a_plan_has_the_shapes_bounds_and_numbers_it_should(planner):
    result = planner.plan(PlanRequest(STATE, seed=5))
    assert result.actions.shape == (HORIZON, 1)
    assert np.abs(result.actions).max() <= 3.0
    assert result.state_mean.shape == result.state_std.shape == (HORIZON + 1, 4)
    np.testing.assert_array_equal(result.state_mean[0], STATE)
    np.testing.assert_array_equal(result.state_std[0], 0.0)
    assert result.state_std[1:].min() > 0.0
    assert result.warm_start.mean.shape == (HORIZON, 1)
    assert result.warm_start.elites.shape == (2, HORIZON, 1)
    np.testing.assert_array_equal(result.warm_start.elites[0], result.actions)
    assert result.model_version == 3
    assert result.model_steps == (32 + 26) * HORIZON * 5
    assert 0.0 < result.planning_time < 5.0
    for array in (result.actions, result.state_mean, result.state_std, result.warm_start.mean):
        assert array.dtype == np.float64


def test_the_predicted_return_is_that_of_the_predicted_states(planner, make_settings, snapshot):
    """With one candidate chosen, its return is the mean over members; here, of one member alone."""

    class FirstMember:
        members, state_dim, action_dim, history = 1, 4, 1, 1
        learns_reward = learns_termination = False
        target_scale = torch.ones(4)

        def __init__(self):
            self.whole = DynamicsModel.from_bytes(snapshot)

        def predict(self, state, action, variance=True):
            five = [t.expand(5, -1, -1).contiguous() for t in (state, action)]
            mean = self.whole.predict(*five).mean[:1]
            return Prediction(mean, None, None, None)

    planner.use_model(FirstMember(), 1)
    result = planner.plan(PlanRequest(STATE))
    x, theta = result.state_mean[1:, 0], result.state_mean[1:, 1]
    distance = (x - 0.6 * np.sin(theta)) ** 2 + (-0.6 * np.cos(theta) - 0.6) ** 2
    rewards = np.exp(-distance / 0.36) - 0.01 * result.actions[:, 0] ** 2
    np.testing.assert_allclose(result.predicted_return, rewards.sum(), rtol=1e-4)
    np.testing.assert_allclose(result.state_std, 0.0, atol=1e-6)


@pytest.mark.parametrize('changes', [{}, {'optimizer__name': 'cem'}, {'planner__knots': 4}])
def test_the_terms_of_a_plan_add_up_to_its_return(make_settings, snapshot, changes):
    planner = Planner(make_settings(objective__weights=['control=0.3'], **changes))
    planner.set_model(snapshot, 1)
    result = planner.plan(PlanRequest(STATE))
    assert list(result.term_returns) == ['tip', 'control']
    control = -0.3 * (result.actions**2).sum()
    assert result.term_returns['control'] == pytest.approx(control, rel=1e-5)
    total = sum(result.term_returns.values())
    assert total == pytest.approx(result.predicted_return, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize('changes', [{}, {'optimizer__name': 'cem', 'planner__knots': 5}])
def test_a_plan_says_how_its_iterations_went(make_settings, snapshot, changes):
    planner = Planner(make_settings(optimizer__iterations=4, **changes))
    planner.set_model(snapshot, 1)
    result = planner.plan(PlanRequest(STATE))
    best, mean, spread = result.iteration_best, result.iteration_mean, result.iteration_spread
    assert best.shape == mean.shape == spread.shape == (4,)
    assert (best > mean).all()
    assert 0.2 < spread[0] < 0.7  # the distribution at the start has a deviation of 0.5
    assert spread[-1] < spread[0]
    if result.warm_start.elites.size:  # the best candidate of the last iteration is the plan
        assert best[-1] == result.predicted_return


@pytest.mark.parametrize('robots', [1, 3])
def test_out_of_time_no_iteration_begins_but_the_first(make_settings, snapshot, robots):
    plans = {}
    for budget in (0.0, 1e-6, 1000.0):
        planner = Planner(make_settings(optimizer__iterations=5, planner__time_budget=budget))
        planner.set_model(snapshot, 1)
        requests = [PlanRequest(STATE * robot, seed=robot) for robot in range(robots)]
        first = planner.plan_many(requests[:1])[0].warm_start
        requests[0] = dataclasses.replace(requests[0], warm_start=first)  # a batch of its own
        plans[budget] = planner.plan_many(requests)
    for never, short, long in zip(*plans.values()):
        assert len(short.iteration_best) == 1
        assert short.model_steps == 32 * HORIZON * 5
        assert np.isfinite(short.predicted_return)
        assert len(never.iteration_best) == len(long.iteration_best) == 5
        assert never.model_steps == long.model_steps


@pytest.mark.parametrize(
    ('changes', 'steps', 'elites'),
    [
        # CEM's mean is evaluated once more, for the prediction
        ({'optimizer__name': 'cem'}, (32 + 32 + 1) * HORIZON * 5, 0),
        ({'optimizer__icem__execute_best': False}, (32 + 26 + 1) * HORIZON * 5, 2),
        ({'planner__propagation': 'ts_inf'}, (32 + 26) * HORIZON * 20, 2),
        ({'planner__propagation': 'ts1', 'planner__particles': 7}, (32 + 26) * HORIZON * 10, 2),
        ({'planner__propagation': 'expectation'}, (32 + 26) * HORIZON * 5, 2),
        ({'planner__propagation': 'moment_matching'}, (32 + 26) * HORIZON * 5 * 20, 2),
    ],
)
def test_all_model_steps_are_counted(make_settings, snapshot, changes, steps, elites):
    planner = Planner(make_settings(**changes))
    planner.set_model(snapshot, 1)
    result = planner.plan(PlanRequest(STATE))
    assert result.model_steps == steps
    assert len(result.warm_start.elites) == elites
    again = planner.plan(PlanRequest(STATE, warm_start=result.warm_start.shifted(1)))
    assert np.isfinite(again.predicted_return)


def test_the_same_request_gives_the_same_plan_whatever_came_between(planner):
    first = planner.plan(PlanRequest(STATE, seed=1))
    request = PlanRequest(STATE, [0.5], 2, warm_start=first.warm_start.shifted(1))
    second = planner.plan(request)
    for seed in range(3):
        planner.plan(PlanRequest(STATE * 10, seed=seed, warm_start=second.warm_start.shifted(4)))
    assert fingerprint(planner.plan(request)) == fingerprint(second)
    assert fingerprint(planner.plan(dataclasses.replace(request, seed=3))) != fingerprint(second)


SCRIPT = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_planner import STATE, fingerprint
from mbrl_common.settings import build
from mbrl_planner.planner import Planner, PlanRequest
from mbrl_planner.settings import PlannerSettings

parameters = json.loads(sys.argv[2])
planner = Planner(build(PlannerSettings, parameters))
planner.set_model(Path(sys.argv[3]).read_bytes(), 1)
result = planner.plan(PlanRequest(STATE, seed=7))
request = PlanRequest(STATE, seed=8, warm_start=result.warm_start.shifted(1))
print(fingerprint(planner.plan(request)))
"""


@pytest.mark.parametrize(
    'changes', [{}, {'planner.propagation': 'ts_inf'}, {'optimizer.name': 'cem'}]
)
def test_two_processes_make_the_same_plan_bit_for_bit(parameters, snapshot, tmp_path, changes):
    model = tmp_path / 'model.safetensors'
    model.write_bytes(snapshot)
    arguments = [
        str(__import__('pathlib').Path(__file__).parent),
        json.dumps({**parameters, **changes}),
    ]
    command = [sys.executable, '-c', SCRIPT, *arguments, str(model)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert len(outputs[0]) == 64
    assert outputs[0] == outputs[1]


def test_a_goal_and_a_weight_change_the_plan_without_another_model(planner):
    plain = planner.plan(PlanRequest(STATE))
    moved = planner.plan(PlanRequest(STATE, goal=[1.0]))
    assert fingerprint(plain) != fingerprint(moved)
    planner.set_objective(ObjectiveSettings('cartpole_swingup', ('control=10',)))
    careful = planner.plan(PlanRequest(STATE))
    assert np.abs(careful.actions).mean() < 0.5 * np.abs(plain.actions).mean()
    planner.set_objective(ObjectiveSettings('cartpole_swingup'))
    assert fingerprint(planner.plan(PlanRequest(STATE))) == fingerprint(plain)


def warm(horizon=HORIZON, action_dim=1, elites=2, value=0.0):
    return WarmStart(np.full((horizon, action_dim), value), np.zeros((elites, horizon, action_dim)))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'state': [0.0] * 3}, r'shape \[3\]; the task has 4 entries: slider.position, hinge'),
        ({'state': [0.0, np.nan, 0.0, 0.0]}, 'hinge.position = nan; every entry must be finite'),
        ({'state': [0.0, 0.0, 0.0, -np.inf]}, 'hinge.velocity = -inf'),
        ({'goal': [0.0, 1.0]}, r'takes 1 entries \(x of the tip \[m\]\)'),
        ({'goal': [np.nan]}, 'all finite'),
        ({'seed': 2**64}, 'from 0 to'),
        ({'warm_start': warm(horizon=19)}, r'mean of shape \[19, 1\]; it must be \[20, 1\]'),
        ({'warm_start': warm(action_dim=2)}, r'it must be \[20, 1\]'),
        (
            {'warm_start': WarmStart(np.zeros((20, 1)), np.zeros((2, 19, 1)))},
            r'elites of shape \[2, 19, 1\]; it must be \[K, 20, 1\]',
        ),
        ({'warm_start': warm(value=np.nan)}, 'mean that are not finite'),
    ],
)
def test_a_wrong_request_is_refused_with_what_would_be_right(planner, changes, message):
    with pytest.raises(PlanRequestError, match=message):
        planner.plan(PlanRequest(**{'state': STATE, **changes}))
    assert planner.plan(PlanRequest(STATE)).model_version == 3


def test_no_model_and_an_old_model_are_told_apart(make_settings, snapshot):
    planner = Planner(make_settings())
    with pytest.raises(NoModelError, match='no model'):
        planner.plan(PlanRequest(STATE))
    planner.set_model(snapshot, 4)
    assert planner.plan(PlanRequest(STATE, min_model_version=4)).model_version == 4
    with pytest.raises(ModelOutdatedError, match='version 4; the request wants 5'):
        planner.plan(PlanRequest(STATE, min_model_version=5))


def test_a_bad_snapshot_is_refused_and_the_old_one_stays(planner, snapshot):
    before = fingerprint(planner.plan(PlanRequest(STATE)))
    for data, version in ((snapshot[:-100], 4), (b'', 4), (b'nonsense' * 100, 4), (snapshot, 0)):
        with pytest.raises(SnapshotError):
            planner.set_model(data, version)
    assert planner.model_version == 3
    assert fingerprint(planner.plan(PlanRequest(STATE))) == before


def test_a_model_of_another_task_is_refused(planner, linear_model):
    other = linear_model(np.ones((2, 3, 3)), np.ones((2, 3, 2)))
    with pytest.raises(SnapshotError, match=r'has 3 entries of state and 2 of action; .* 4 and 1'):
        planner.use_model(other, 5)
    assert planner.model_version == 3


@pytest.mark.parametrize('name', ['icem', 'cem'])
def test_a_model_that_diverges_everywhere_gives_no_plan(make_settings, linear_model, name):
    planner = Planner(make_settings(optimizer__name=name))
    planner.use_model(linear_model(np.full((2, 4, 4), np.nan), np.ones((2, 4, 1))), 1)
    with pytest.raises(PlanningFailedError, match='no candidate has a finite return'):
        planner.plan(PlanRequest(STATE))


def test_actions_stay_within_bounds_that_float32_rounds_outwards(make_settings, snapshot):
    planner = Planner(make_settings(task__action_low=[-0.1], task__action_high=[0.1]))
    planner.set_model(snapshot, 1)
    result = planner.plan(PlanRequest(STATE, warm_start=warm(value=7.0)))
    assert np.float64(np.float32(0.1)) > 0.1
    assert np.abs(result.actions).max() <= 0.1


class Delayed:
    """A model with a history of 2: the position moves by the action before the last."""

    members, state_dim, action_dim, history = 1, 4, 1, 2
    learns_reward = learns_termination = False
    target_scale = torch.ones(4)

    def predict(self, state, action, variance=True):
        """See ``mbrl_dynamics.propagation.Model``."""
        assert state.shape[-1] == 8 and action.shape[-1] == 2
        mean = state[..., :4].clone()
        mean[..., 0] += action[..., 1] + 100 * (state[..., 0] - state[..., 4])
        return Prediction(mean, None, None, None)


def test_a_model_with_a_history_sees_what_the_request_says_happened(planner):
    planner.use_model(Delayed(), 1)
    past = {'past_states': [[9.0] * 4, STATE], 'past_actions': [[9.0], [0.25]]}
    result = planner.plan(PlanRequest(STATE, **past))
    assert result.history == 2
    # The first step is the past action's, whatever was planned; the oldest one counts nothing.
    np.testing.assert_allclose(result.state_mean[1, 0], STATE[0] + 0.25, rtol=1e-6)


def test_at_an_episodes_start_the_first_state_is_repeated_with_actions_of_zero(planner):
    planner.use_model(Delayed(), 1)
    result = planner.plan(PlanRequest(STATE))
    np.testing.assert_allclose(result.state_mean[1], STATE, rtol=1e-6)


@pytest.mark.parametrize(
    ('past', 'text'),
    [
        ({'past_states': [STATE]}, '1 past states come with 0 past actions'),
        ({'past_states': [STATE], 'past_actions': [[np.nan]]}, 'must be finite'),
    ],
)
def test_a_past_that_makes_no_sense_is_refused(planner, past, text):
    with pytest.raises(PlanRequestError, match=text):
        planner.plan(PlanRequest(STATE, **past))


@pytest.mark.parametrize('name', ['reward', 'termination'])
def test_a_model_that_did_not_learn_what_is_asked_of_it_is_refused(make_settings, snapshot, name):
    planner = Planner(make_settings(**{f'planner__{name}': 'model'}))
    with pytest.raises(SnapshotError, match=f"'planner.{name}' is 'model', and the model has not"):
        planner.set_model(snapshot, 1)


def test_one_particle_cannot_be_matched(make_settings):
    with pytest.raises(SettingsError, match=r"'planner.particles' is 1; 'moment_matching' needs"):
        make_settings(planner__propagation='moment_matching', planner__particles=1)


def test_threads_share_the_work_and_do_not_change_the_plan(make_settings, snapshot):
    """Enough rows for several chunks: 5 x 400 in a step."""
    plans = []
    for threads in (1, 2, 1):
        planner = Planner(
            make_settings(
                planner__threads=threads,
                planner__propagation='ts_inf',
                planner__horizon=3,
                optimizer__candidates=500,
            )
        )
        planner.set_model(snapshot, 1)
        plans.append(planner.plan(PlanRequest(STATE, seed=3)))
    assert torch.get_num_threads() == 1
    for each in plans[1:]:
        np.testing.assert_array_equal(each.actions, plans[0].actions)
        assert each.predicted_return == plans[0].predicted_return
