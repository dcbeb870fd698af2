"""Messages as curves and remarks."""

from __future__ import annotations

import math
from typing import Any

import pytest

pytest.importorskip('mbrl_msgs')

from mbrl_bringup.watch.series import PLOTS, Controller, Rewards, Training, plan_values
from mbrl_msgs.msg import ControllerStatus, Plan, TrainingStatus, Transition


def test_every_value_has_a_plot() -> None:
    status = ControllerStatus(state=ControllerStatus.RUNNING)
    plan = Plan(term_names=['pole', 'effort'], term_returns=[3.0, -1.0], predicted_return=2.0)
    last = Transition(truncated=True)
    found = [
        *Controller().values(status),
        *Training().values(TrainingStatus()),
        *plan_values(plan),
        *Rewards().values(last),
    ]
    assert {name.partition('/')[0] for name, _ in found} == set(PLOTS)
    assert len({name for name, _ in found}) == len(found)


def test_what_is_not_known_is_left_out() -> None:
    status = ControllerStatus(plan_time_p50=math.nan, plan_time_p95=0.02, surprise=math.inf)
    values = dict(Controller().values(status))
    assert 'plan_time/median' not in values and 'surprise/last 50 steps' not in values
    assert values['plan_time/95 %'] == 20.0
    training = dict(Training().values(TrainingStatus(holdout_error=math.nan)))
    assert not [name for name in training if name.startswith(('model/', 'surprise/'))]


def test_the_terms_of_a_plan_are_curves_beside_their_sum() -> None:
    plan = Plan(term_names=['pole', 'effort'], term_returns=[3.0, -1.0], predicted_return=2.0)
    values = dict(plan_values(plan))
    assert (values['terms/all'], values['terms/pole'], values['terms/effort']) == (2.0, 3.0, -1.0)
    alone = Plan(term_names=['model'], term_returns=[2.0], predicted_return=2.0)
    assert [name for name, _ in plan_values(alone) if name.startswith('terms/')] == ['terms/all']


def episode(steps: range, **fields: Any) -> list[Transition]:
    made = [Transition(step=step, reward=0.5, **fields) for step in steps]
    made[-1].truncated = True
    return made


def returns(rewards: Rewards, transitions: list[Transition]) -> list[float]:
    values = [value for each in transitions for value in rewards.values(each)]
    return [value for name, value in values if name == 'return/episode']


def test_an_episode_that_was_seen_whole_has_a_return() -> None:
    rewards = Rewards()
    assert returns(rewards, episode(range(4))) == [2.0]
    assert returns(rewards, episode(range(2), episode=1)) == [1.0]


@pytest.mark.parametrize('steps', [range(2, 4), [0, 1, 3]])
def test_an_episode_with_a_gap_has_none(steps: Any) -> None:
    rewards = Rewards()
    assert returns(rewards, episode(steps)) == []
    assert returns(rewards, episode(range(3), episode=1)) == [1.5]


def test_steps_of_another_session_are_not_added() -> None:
    rewards = Rewards()
    returns(rewards, episode(range(3))[:-1])
    assert returns(rewards, episode(range(2, 4), session=7)) == []


def test_a_remark_is_made_when_something_is_new() -> None:
    controller = Controller()
    status = ControllerStatus(state=ControllerStatus.RUNNING, mode='every', episode=3, goal=[0.5])
    (first,) = controller.remarks(status)
    assert first.text == 'running, episode 3, mode every, model 0, goal 0.5' and not first.fault
    assert list(controller.remarks(status)) == []
    status.text = 'no plan'
    (fault,) = controller.remarks(status)
    assert fault.text == 'no plan' and fault.fault
    status.state = 99
    (unknown,) = controller.remarks(status)
    assert unknown.text.startswith('99, episode 3')


def test_a_training_that_failed_is_a_fault() -> None:
    training = Training()
    status = TrainingStatus(state=TrainingStatus.TRAINING, job_id=2, model_version=1)
    (begun,) = training.remarks(status)
    assert begun.text == 'dynamics: training, job 2, model 1' and not begun.fault
    status.progress = 0.5
    assert list(training.remarks(status)) == []
    status.state, status.text = TrainingStatus.FAILED, 'out of memory'
    (failed,) = training.remarks(status)
    assert failed.text == 'dynamics: failed, job 2, model 1: out of memory' and failed.fault
