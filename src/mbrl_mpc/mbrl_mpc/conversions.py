"""Between the messages of the suite and the controller's own types."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time

from mbrl_common.messages import from_field, nanoseconds, to_field
from mbrl_common.task import TaskSettings
from mbrl_dynamics.transition import Transition
from mbrl_mpc.ports import PlanFailure
from mbrl_mpc.series import EpisodesGoal, Summary
from mbrl_mpc.storage import Training
from mbrl_msgs import msg
from mbrl_msgs.action import RunEpisodes
from mbrl_msgs.srv import PlanActions
from mbrl_planner.planner import PlanRequest, PlanResult, WarmStart


def to_time(stamp: int) -> Time:
    """A stamp in nanoseconds as a message."""
    return Time(sec=stamp // 1_000_000_000, nanosec=stamp % 1_000_000_000)


def transition_message(transition: Transition) -> msg.Transition:
    """A transition as a message."""
    return msg.Transition(
        stamp=to_time(transition.stamp),
        next_stamp=to_time(transition.next_stamp),
        robot=transition.robot,
        session=transition.session,
        sequence=transition.sequence,
        episode=transition.episode,
        step=transition.step,
        state=to_field(transition.state),
        action=to_field(transition.action),
        next_state=to_field(transition.next_state),
        reward=transition.reward,
        terminated=transition.terminated,
        truncated=transition.truncated,
    )


def plan_request_message(plan_id: int, request: PlanRequest, stamp: Time) -> PlanActions.Request:
    """A question to the planner as a message."""
    message = PlanActions.Request(
        stamp=stamp,
        plan_id=plan_id,
        state=to_field(request.state),
        past_states=to_field(request.past_states),
        past_actions=to_field(request.past_actions),
        lead_actions=to_field(request.lead_actions),
        lead_durations=to_field(request.lead_durations),
        goal=to_field(request.goal),
        seed=request.seed,
        min_model_version=request.min_model_version,
    )
    if request.warm_start is not None:
        message.warm_start_mean = to_field(request.warm_start.mean)
        message.warm_start_elites = to_field(request.warm_start.elites)
    return message


def plan_from_response(
    response: PlanActions.Response, task: TaskSettings, plan_id: int | None = None
) -> PlanResult | PlanFailure:
    """The planner's answer from its message; one that cannot be followed is no plan, nor is one of
    another number than ``plan_id``, if that is given."""
    if response.error_code != PlanActions.Response.NONE:
        try:
            return PlanFailure(response.error_code)
        except ValueError:  # of a newer planner
            return PlanFailure.PLANNING_FAILED
    if why_not_followed(response.plan, task, plan_id):
        return PlanFailure.PLANNING_FAILED
    try:
        result = _plan_result(response.plan)
    except ValueError:  # an array that does not fit the dimensions
        return PlanFailure.PLANNING_FAILED
    numbers = (
        result.actions,
        result.state_mean,
        result.warm_start.mean,
        result.warm_start.elites,
        result.planning_time,
    )
    finite = all(np.isfinite(values).all() for values in numbers)
    return result if finite else PlanFailure.PLANNING_FAILED


def why_not_followed(plan: msg.Plan, task: TaskSettings, plan_id: int | None = None) -> str:
    """What of a plan's head does not fit the task or the question, for people; empty: all does."""
    if plan_id is not None and plan.id != plan_id:
        return f'the planner answers with plan {plan.id}; {plan_id} was asked for'
    if (plan.state_dim, plan.action_dim) != (task.state_dim, task.action_dim) or plan.horizon < 1:
        return (
            f'the plan has {plan.horizon} steps, of {plan.state_dim} entries of state and '
            f'{plan.action_dim} of action; task {task.name!r} has {task.state_dim} and '
            f'{task.action_dim}'
        )
    if plan.interpolation != msg.Plan.INTERPOLATION_ZERO_ORDER_HOLD:  # what PlanTrack does
        return (
            f'the plan is of interpolation {plan.interpolation}; only actions that hold are known'
        )
    if not math.isclose(plan.step, task.control_period, rel_tol=1e-6):
        return (
            f"the plan's steps are of {plan.step:g} s, 'task.control_period' of the controller is "
            f'{task.control_period:g} s; do planner and controller have the same parameter file?'
        )
    return ''


def _plan_result(plan: msg.Plan) -> PlanResult:
    steps = (plan.horizon, plan.action_dim)
    states = (plan.horizon + 1, plan.state_dim)
    return PlanResult(
        actions=from_field(plan.actions, steps),
        state_mean=from_field(plan.state_mean, states),
        state_std=from_field(plan.state_std, states),
        predicted_return=plan.predicted_return,
        warm_start=WarmStart(
            from_field(plan.warm_start_mean, steps),
            from_field(plan.warm_start_elites, (-1, *steps)),
        ),
        model_version=plan.model_version,
        model_steps=plan.model_steps,
        planning_time=plan.planning_time,
        history=plan.history,
        iteration_best=from_field(plan.iteration_best),
        iteration_mean=from_field(plan.iteration_mean),
        iteration_spread=from_field(plan.iteration_spread),
        term_returns=dict(zip(plan.term_names, plan.term_returns)),
    )


def training_from_status(status: msg.TrainingStatus) -> Training:
    """The trainer's status from its message."""
    return Training(
        stamp=nanoseconds(status.stamp),
        job=status.job_id,
        active=status.state == msg.TrainingStatus.TRAINING,
        model_version=status.model_version,
        holdout_error=status.holdout_error,
        training_time=status.training_time,
    )


def goal_from_message(goal: RunEpisodes.Goal, max_steps: int) -> EpisodesGoal:
    """An action goal from its message; raises ValueError if a field is out of range.

    Args:
        goal: the message.
        max_steps: the task's limit of an episode.
    """
    if goal.episodes < 1:
        raise ValueError(f'episodes is {goal.episodes}; it must be at least 1')
    if goal.exploration_episodes > goal.episodes:
        raise ValueError(
            f'exploration_episodes is {goal.exploration_episodes}; '
            f'it must be at most episodes, {goal.episodes}'
        )
    if goal.max_steps > max_steps:
        raise ValueError(
            f"max_steps is {goal.max_steps}; it must be at most the task's, {max_steps}, or 0"
        )
    if goal.first_episode + goal.episodes > 2**32:
        raise ValueError(
            f'first_episode is {goal.first_episode}; with {goal.episodes} episodes it must be at '
            f'most {2**32 - goal.episodes}'
        )
    return EpisodesGoal(
        episodes=goal.episodes,
        exploration_episodes=goal.exploration_episodes,
        seed=goal.seed,
        first_episode=goal.first_episode,
        max_steps=goal.max_steps,
        target_return=goal.target_return or math.nan,
    )


def summary_message(summary: Summary) -> msg.EpisodeSummary:
    """An episode's summary as a message."""
    record = summary.record
    return msg.EpisodeSummary(
        episode=record.episode,
        source=(
            msg.EpisodeSummary.SOURCE_EXPLORATION
            if record.explore
            else msg.EpisodeSummary.SOURCE_PLAN
        ),
        steps=record.steps,
        total_steps=summary.total_steps,
        episode_return=record.episode_return,
        terminated=record.terminated,
        truncated=record.truncated,
        model_version=record.model_version,
        model_error=record.model_error,
        holdout_error=summary.holdout_error,
        plan_time_p50=record.plan_time(50),
        plan_time_p95=record.plan_time(95),
        model_steps_per_action=record.model_steps,
        training_time=summary.training_time,
        wall_time=summary.wall_time,
    )


def finite_or(value: Any, otherwise: float) -> float:
    """``value`` if it is finite: diagnostics read better without NaN."""
    return float(value) if math.isfinite(value) else otherwise
