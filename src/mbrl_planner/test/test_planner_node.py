"""The node over real DDS, in a process of its own."""

from __future__ import annotations

import time
from array import array

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter

from mbrl_common.messages import to_field
from mbrl_common.node import EXIT_BAD_PARAMETERS
from mbrl_common.qos import LATCHED
from mbrl_common.settings import build
from mbrl_common.testing import NodeProcess, Probe, isolated_domain
from mbrl_msgs.msg import ModelSnapshot
from mbrl_msgs.srv import PlanActions, PlanBatch
from mbrl_planner.planner import Planner, PlanRequest, WarmStart
from mbrl_planner.settings import PlannerSettings

STATE = [0.1, -0.2, 0.3, 0.4]
HORIZON = 20
Answer = PlanActions.Response


@pytest.fixture(scope='module')
def domain():
    with isolated_domain() as number:
        yield number


@pytest.fixture
def probe(domain):
    with Probe() as probe:
        yield probe


@pytest.fixture
def node(domain, parameters):
    with NodeProcess('mbrl_planner', 'planner', parameters=parameters) as process:
        process.wait_for_output('waiting for a model')
        yield process


def model_message(data: bytes, version: int) -> ModelSnapshot:
    message = ModelSnapshot(version=version, architecture='probabilistic_ensemble')
    message.state_dim, message.action_dim = 4, 1
    message.dataset_size, message.holdout_error = 100, 0.5
    message.data = array('B', data)
    return message


def plan(probe, **fields):
    arrays = ('state', 'goal', 'warm_start_mean', 'warm_start_elites')
    arrays += ('lead_actions', 'lead_durations')
    fields = {'plan_id': 7, 'state': STATE, 'seed': 11, **fields}
    fields = {name: to_field(v) if name in arrays else v for name, v in fields.items()}
    return probe.call('planner/plan', PlanActions, PlanActions.Request(**fields))


def give_model(probe, node, data, version):
    probe.publish('model', ModelSnapshot, model_message(data, version), LATCHED)
    node.wait_for_output(f'model version {version} in use')


def test_a_plan_over_the_wire_is_the_plan_of_the_core(probe, node, parameters, snapshot):
    give_model(probe, node, snapshot, 2)
    core = Planner(build(PlannerSettings, parameters))
    core.set_model(snapshot, 2)

    expected = core.plan(PlanRequest(STATE, seed=11))
    request = {'min_model_version': 2}
    for plan_id in (7, 8):
        answer = plan(probe, plan_id=plan_id, **request)
        assert answer.error_code == Answer.NONE and answer.error_msg == ''
        got = answer.plan
        assert (got.id, got.horizon, got.action_dim, got.state_dim) == (plan_id, HORIZON, 1, 4)
        assert got.step == 0.04 and got.interpolation == got.INTERPOLATION_ZERO_ORDER_HOLD
        assert got.model_version == 2
        assert got.model_steps == expected.model_steps <= 10_000
        assert got.predicted_return == expected.predicted_return
        assert 0 < got.planning_time < 5
        np.testing.assert_array_equal(got.actions, expected.actions.ravel())
        np.testing.assert_array_equal(got.state_mean, expected.state_mean.ravel())
        np.testing.assert_array_equal(got.state_std, expected.state_std.ravel())
        # the second request carries the first one's warm start and a goal
        shifted = WarmStart(
            np.array(got.warm_start_mean).reshape(HORIZON, 1),
            np.array(got.warm_start_elites).reshape(-1, HORIZON, 1),
        ).shifted(1)
        request = {
            'goal': [0.5],
            'warm_start_mean': shifted.mean,
            'warm_start_elites': shifted.elites,
        }
        expected = core.plan(PlanRequest(STATE, [0.5], 11, 0, expected.warm_start.shifted(1)))


def test_a_plan_with_a_lead_over_the_wire_is_that_of_the_core_at_its_stamp(
    probe, node, parameters, snapshot
):
    give_model(probe, node, snapshot, 2)
    core = Planner(build(PlannerSettings, parameters))
    core.set_model(snapshot, 2)
    lead = {'lead_actions': [[0.5], [-2.0]], 'lead_durations': [0.25, 1.0]}
    answer = plan(probe, stamp=Time(sec=3, nanosec=50_000_000), **lead)
    assert answer.error_msg == ''
    expected = core.plan(PlanRequest(STATE, seed=11, **lead))
    assert answer.plan.header.stamp == Time(sec=3, nanosec=50_000_000)
    np.testing.assert_array_equal(answer.plan.actions, expected.actions.ravel())
    np.testing.assert_array_equal(answer.plan.state_mean, expected.state_mean.ravel())
    assert np.abs(answer.plan.state_mean[0] - STATE[0]) > 1e-3

    batch = plan_batch(
        probe,
        lead_counts=[0, 2, 1],
        lead_actions=[0.5, -2.0, 1.0],
        lead_durations=[0.25, 1.0, 0.5],
    )
    assert list(batch.error_msg) == [''] * 3
    leads = [{}, lead, {'lead_actions': [[1.0]], 'lead_durations': [0.5]}]
    requests = [PlanRequest(STATE, seed=11 + robot, **each) for robot, each in enumerate(leads)]
    for got, result in zip(batch.plans, core.plan_many(requests)):
        np.testing.assert_array_equal(got.actions, result.actions.ravel())
        np.testing.assert_array_equal(got.state_mean, result.state_mean.ravel())


def test_wrong_requests_are_told_what_would_be_right_and_the_node_goes_on(probe, node, snapshot):
    answer = plan(probe)
    assert answer.error_code == Answer.NO_MODEL
    assert 'no model has been received' in answer.error_msg
    give_model(probe, node, snapshot, 2)
    for fields, message in (
        ({'state': [0.0] * 5}, 'the task has 4 entries: slider.position'),
        ({'state': []}, 'the task has 4 entries'),
        ({'state': [0.0, 0.0, np.nan, 0.0]}, 'slider.velocity = nan; every entry must be finite'),
        ({'goal': [1.0, 2.0]}, 'takes 1 entries (x of the tip [m])'),
        ({'goal': [np.inf]}, 'all finite'),
        ({'plan_id': 0}, 'plan_id is 0'),
        ({'warm_start_mean': [0.0] * 19}, 'warm_start_mean has 19 entries; it must have 20'),
        (
            {'warm_start_mean': [0.0] * 20, 'warm_start_elites': [0.0] * 30},
            'warm_start_elites has 30 entries; it must have a multiple of 20',
        ),
        ({'warm_start_elites': [0.0] * 20}, 'without warm_start_mean'),
        ({'warm_start_mean': [np.nan] * 20}, 'not finite'),
        ({'lead_actions': [1.0]}, 'lead_durations has shape [0] and lead_actions has 1 rows'),
        ({'lead_actions': [np.nan], 'lead_durations': [1.0]}, 'lead_actions has slider = nan'),
        ({'lead_actions': [1.0], 'lead_durations': [2.0]}, 'lead_durations has 2.0 in place 0'),
    ):
        answer = plan(probe, **fields)
        assert answer.error_code == Answer.INVALID_REQUEST
        assert message in answer.error_msg
    answer = plan(probe, min_model_version=3)
    assert answer.error_code == Answer.MODEL_OUTDATED
    assert 'version 2; the request wants 3' in answer.error_msg
    assert plan(probe).error_code == Answer.NONE


def plan_batch(probe, **fields):
    arrays = ('states', 'goals', 'past_states', 'past_actions', 'lead_actions', 'lead_durations')
    arrays += ('warm_start_mean', 'warm_start_elites')
    fields = {'plan_ids': [7, 8, 9], 'states': STATE * 3, 'seeds': [11, 12, 13], **fields}
    fields = {name: to_field(v) if name in arrays else v for name, v in fields.items()}
    return probe.call('planner/plan_batch', PlanBatch, PlanBatch.Request(**fields))


def test_a_batch_over_the_wire_is_the_batch_of_the_core(probe, node, parameters, snapshot):
    give_model(probe, node, snapshot, 2)
    core = Planner(build(PlannerSettings, parameters))
    core.set_model(snapshot, 2)
    states = np.random.default_rng(0).normal(0, 0.3, (3, 4))
    seeds = [11, 12, 13]
    expected = core.plan_many([PlanRequest(s, seed=k) for s, k in zip(states, seeds)])
    stamps = [Time(sec=3), Time(sec=4), Time(sec=5)]
    answer = plan_batch(probe, states=states, stamps=stamps)
    assert list(answer.error_code) == [PlanBatch.Response.NONE] * 3
    assert list(answer.error_msg) == [''] * 3
    for robot, (got, result) in enumerate(zip(answer.plans, expected)):
        assert (got.id, got.header.stamp) == (7 + robot, stamps[robot])
        np.testing.assert_array_equal(got.actions, result.actions.ravel())
        np.testing.assert_array_equal(got.state_mean, result.state_mean.ravel())
        np.testing.assert_array_equal(got.warm_start_elites, result.warm_start.elites.ravel())
        np.testing.assert_array_equal(got.iteration_best, result.iteration_best)
        assert list(got.term_names) == list(result.term_returns)
        assert list(got.term_returns) == list(result.term_returns.values())

    # the next batch: the first robot brings elites, the second none, the third starts cold
    warm = [result.warm_start.shifted(1) for result in expected]
    warm[1] = WarmStart(warm[1].mean, warm[1].elites[:0])
    requests = [
        PlanRequest(states[0], [0.1], 11, warm_start=warm[0]),
        PlanRequest(states[1], [0.2], 12, warm_start=warm[1]),
        PlanRequest(states[2], [0.3], 13, past_states=[STATE], past_actions=[[1.0]]),
    ]
    answer = plan_batch(
        probe,
        states=states,
        goals=[0.1, 0.2, 0.3],
        past_counts=[0, 0, 1],
        past_states=STATE,
        past_actions=[1.0],
        warm=[True, True, False],
        warm_start_mean=[w.mean for w in warm],
        elites_counts=[2, 0, 0],
        warm_start_elites=warm[0].elites,
        min_model_version=2,
    )
    assert list(answer.error_msg) == [''] * 3
    for got, result in zip(answer.plans, core.plan_many(requests)):
        np.testing.assert_array_equal(got.actions, result.actions.ravel())
        assert got.predicted_return == result.predicted_return


def test_in_a_batch_each_wrong_request_is_told_what_would_be_right(probe, node, snapshot):
    codes = PlanBatch.Response
    assert list(plan_batch(probe).error_code) == [codes.NO_MODEL] * 3
    give_model(probe, node, snapshot, 2)
    answer = plan_batch(probe, plan_ids=[7, 0, 9], states=[*STATE, *STATE, np.nan, 0.0, 0.0, 0.0])
    assert list(answer.error_code) == [codes.NONE, codes.INVALID_REQUEST, codes.INVALID_REQUEST]
    assert 'plan_id is 0' in answer.error_msg[1]
    assert 'slider.position = nan' in answer.error_msg[2]
    assert [plan.id for plan in answer.plans] == [7, 0, 0]
    alone = plan(probe)
    np.testing.assert_allclose(answer.plans[0].actions, alone.plan.actions, atol=2e-3)
    answer = plan_batch(
        probe,
        warm=[True, False, False],
        warm_start_mean=[0.0] * 60,
        elites_counts=[0, 1, 0],
        warm_start_elites=[0.0] * 20,
    )
    assert list(answer.error_code) == [codes.NONE, codes.INVALID_REQUEST, codes.NONE]
    assert 'a robot that is not warm' in answer.error_msg[1]
    lead = {'lead_counts': [1, 0, 1], 'lead_actions': [1.0] * 2, 'lead_durations': [1.0, -1.0]}
    answer = plan_batch(probe, **lead)
    assert list(answer.error_code) == [codes.NONE, codes.NONE, codes.INVALID_REQUEST]
    assert 'lead_durations has -1.0 in place 0' in answer.error_msg[2]
    answer = plan_batch(probe, min_model_version=3)
    assert list(answer.error_code) == [codes.MODEL_OUTDATED] * 3


def test_a_batch_whose_arrays_do_not_fit_together_is_refused_whole(probe, node, snapshot):
    give_model(probe, node, snapshot, 2)
    for fields, message in (
        ({'plan_ids': []}, 'plan_ids is empty'),
        ({'seeds': [1]}, 'seeds has 1 entries; it must have 3 as plan_ids, or none'),
        ({'stamps': [Time()]}, 'stamps has 1 entries'),
        ({'states': [0.0] * 11}, 'states has 11 entries; it must have 12: 4 for each of 3 robots'),
        ({'goals': [0.0, 1.0]}, 'goals has 2 entries'),
        ({'past_counts': [1, 0, 0], 'past_states': STATE}, 'past_actions has 0 entries; it must'),
        ({'past_states': STATE}, 'past_states has 4 entries; it must have 0'),
        ({'lead_counts': [1]}, 'lead_counts has 1 entries; it must have 3 as plan_ids, or none'),
        (
            {'lead_counts': [1, 0, 1], 'lead_actions': [1.0] * 2, 'lead_durations': [1.0]},
            'lead_durations has 1 entries; it must have 2: 1 for each of 2 rows, the sum of lead',
        ),
        ({'lead_actions': [1.0]}, 'lead_actions has 1 entries; it must have 0'),
        ({'warm': [True] * 3}, 'warm_start_mean has 0 entries; it must have 3 times 20'),
        (
            {
                'warm': [True] * 3,
                'warm_start_mean': [0.0] * 60,
                'elites_counts': [1, 1, 0],
                'warm_start_elites': [0.0] * 20,
            },
            'warm_start_elites has 20 entries; it must have 40',
        ),
    ):
        answer = plan_batch(probe, **fields)
        robots = max(1, len(fields.get('plan_ids', [7, 8, 9])))
        assert list(answer.error_code) == [PlanBatch.Response.INVALID_REQUEST] * robots
        assert len(answer.plans) == robots
        for text in answer.error_msg:
            assert message in text
    assert list(plan_batch(probe).error_code) == [PlanBatch.Response.NONE] * 3


def test_a_bad_snapshot_is_refused_and_counted_and_the_old_one_stays(
    probe, node, snapshot, nan_snapshot
):
    give_model(probe, node, snapshot, 2)
    before = plan(probe).plan
    bad = (snapshot[: len(snapshot) // 2], nan_snapshot, b'')
    for count, data in enumerate(bad, start=1):
        probe.publish('model', ModelSnapshot, model_message(data, 2 + count), LATCHED)
        node.wait_for_output(f'refused model version {2 + count} ({count} refused so far)')
    assert 'Version 2 stays in use' in node.output()
    after = plan(probe).plan
    assert after.model_version == 2
    np.testing.assert_array_equal(after.actions, before.actions)
    give_model(probe, node, snapshot, 9)
    assert plan(probe).plan.model_version == 9


def test_after_a_crash_the_latched_model_arrives_again(probe, node, parameters, snapshot):
    give_model(probe, node, snapshot, 5)
    before = plan(probe).plan
    node.kill()
    with NodeProcess('mbrl_planner', 'planner', parameters=parameters) as again:
        again.wait_for_output('model version 5 in use')
        after = plan(probe).plan
    np.testing.assert_array_equal(after.actions, before.actions)
    np.testing.assert_array_equal(after.warm_start_elites, before.warm_start_elites)


def test_in_the_true_model_no_other_is_waited_for_and_none_is_taken(domain, probe, parameters):
    parameters['planner'] = {'backend': 'mujoco', 'simulator': 'cartpole_pets'}
    core = Planner(build(PlannerSettings, parameters))
    expected = core.plan(PlanRequest(STATE, seed=11))
    with NodeProcess('mbrl_planner', 'planner', parameters=parameters) as process:
        process.wait_for_output("plans in the true 'cartpole_pets'")
        for _ in range(2):
            got = plan(probe, min_model_version=3).plan
            np.testing.assert_array_equal(got.actions, expected.actions.ravel())
            assert got.model_version == 0
            assert list(got.term_names) == ['tip', 'control']
            assert sum(got.term_returns) == pytest.approx(got.predicted_return, rel=1e-6)
            probe.publish('model', ModelSnapshot, model_message(b'nonsense', 4), LATCHED)
        assert 'refused' not in process.output()


def set_weights(probe, weights):
    parameter = Parameter('objective.weights', value=weights).to_parameter_msg()
    request = SetParameters.Request(parameters=[parameter])
    return probe.call('planner/set_parameters', SetParameters, request).results[0]


def test_weights_change_while_the_node_runs(probe, node, snapshot):
    give_model(probe, node, snapshot, 1)
    plain = np.abs(plan(probe).plan.actions).mean()
    assert set_weights(probe, ['control=10']).successful
    assert np.abs(plan(probe).plan.actions).mean() < 0.5 * plain
    refused = set_weights(probe, ['speed=1'])
    assert not refused.successful
    assert "no term 'speed'; its terms are 'tip', 'control'" in refused.reason
    assert plan(probe).error_code == Answer.NONE


def test_wrong_parameters_end_the_node_with_all_that_is_wrong(domain, parameters):
    wrong = {**parameters, 'planner': {'horizont': 10}, 'objective': {'name': 'cartpole_swingup'}}
    wrong['optimizer'] = {'candidates': 1}
    del wrong['task']['max_steps']
    with NodeProcess('mbrl_planner', 'planner', parameters=wrong) as process:
        assert process.wait(20) == EXIT_BAD_PARAMETERS
        output = process.output()
    assert "unknown parameter 'planner.horizont'; did you mean 'planner.horizon'" in output
    assert "'optimizer.candidates' is 1" in output
    assert "missing parameter 'task.max_steps'" in output


def test_sigint_ends_the_node_cleanly(node):
    began = time.monotonic()
    assert node.stop() == 0
    assert time.monotonic() - began < 4
