"""The node ``planner``: plan requests in, plans out, and the model that arrives on a topic."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from rclpy.node import Node

from mbrl_common.hot_path import HotPath
from mbrl_common.messages import from_field, to_field
from mbrl_common.node import declare_settings, run_node
from mbrl_common.qos import LATCHED
from mbrl_dynamics.snapshot import SnapshotError
from mbrl_msgs.msg import ModelSnapshot, Plan
from mbrl_msgs.srv import PlanActions
from mbrl_planner.planner import (
    ModelOutdatedError,
    NoModelError,
    Planner,
    PlannerError,
    PlanRequest,
    PlanRequestError,
    PlanResult,
)
from mbrl_planner.settings import PlannerSettings
from mbrl_planner.warm_start import WarmStart

_ERROR_CODES = {
    NoModelError: PlanActions.Response.NO_MODEL,
    ModelOutdatedError: PlanActions.Response.MODEL_OUTDATED,
    PlanRequestError: PlanActions.Response.INVALID_REQUEST,
}


class PlannerNode(Node):
    """Serves ``~/plan``; takes ``model``. Keeps nothing between requests but the model."""

    def __init__(self) -> None:
        super().__init__('planner', automatically_declare_parameters_from_overrides=True)
        self.settings = declare_settings(self, PlannerSettings, self._on_change)
        self._planner = Planner(self.settings)
        self._models_refused = 0
        self.hot_path = HotPath(self)
        self.hot_path.create_subscription(ModelSnapshot, 'model', self._on_model, LATCHED)
        self.hot_path.create_service(PlanActions, '~/plan', self._on_plan)
        self.get_logger().info(
            f'ready: {self.settings.optimizer.name}, horizon {self.settings.planner.horizon}, '
            f'objective {self.settings.objective.name!r}; waiting for a model'
        )

    def _on_change(self, settings: PlannerSettings) -> None:
        """New weights of the objective: they hold from the next plan on."""
        self._planner.set_objective(settings.objective)
        self.get_logger().info(f'objective weights: {list(settings.objective.weights)}')

    def _on_model(self, snapshot: ModelSnapshot) -> None:
        """Use a model if it is whole; otherwise keep the old one."""
        try:
            self._planner.set_model(bytes(snapshot.data), snapshot.version)
        except SnapshotError as error:
            self._models_refused += 1
            kept = self._planner.model_version
            self.get_logger().error(
                f'refused model version {snapshot.version} ({self._models_refused} refused so '
                f'far): {error}. {f"Version {kept} stays in use" if kept else "There is none yet"}'
            )
            return
        self.get_logger().info(
            f'model version {snapshot.version} in use: {snapshot.dataset_size} transitions, '
            f'held-out error {snapshot.holdout_error:.3g}'
        )

    def _on_plan(
        self, request: PlanActions.Request, response: PlanActions.Response
    ) -> PlanActions.Response:
        """Answer a request with a plan, or with what is wrong."""
        self.hot_path.rest()
        try:
            result = self._planner.plan(self._read(request))
        except PlannerError as error:
            response.error_code = _ERROR_CODES.get(
                type(error), PlanActions.Response.PLANNING_FAILED
            )
            response.error_msg = str(error)
        except Exception as error:  # an objective is a third party's code: answer all the same
            self.get_logger().error(f'planning failed: {type(error).__name__}: {error}')
            response.error_code = PlanActions.Response.PLANNING_FAILED
            response.error_msg = f'{type(error).__name__}: {error}'
        else:
            self._write(response.plan, request, result)
        return response

    def _read(self, request: PlanActions.Request) -> PlanRequest:
        """The request as the core takes it; what arrays alone cannot say is checked here."""
        if request.plan_id == 0:
            raise PlanRequestError('plan_id is 0; it must be a number above, given by the caller')
        shape = (self.settings.planner.horizon, self.settings.task.action_dim)
        warm_start = None
        if request.warm_start_mean:
            warm_start = WarmStart(
                _shaped('warm_start_mean', request.warm_start_mean, shape),
                _shaped('warm_start_elites', request.warm_start_elites, (-1, *shape)),
            )
        elif request.warm_start_elites:
            raise PlanRequestError(
                'warm_start_elites are given without warm_start_mean; give both, or none'
            )
        return PlanRequest(
            state=request.state,
            goal=request.goal,
            seed=request.seed,
            min_model_version=request.min_model_version,
            warm_start=warm_start,
            past_states=_rows('past_states', request.past_states, self.settings.task.state_dim),
            past_actions=_rows('past_actions', request.past_actions, self.settings.task.action_dim),
        )

    def _write(self, plan: Plan, request: PlanActions.Request, result: PlanResult) -> None:
        """Fill the message."""
        task = self.settings.task
        plan.header.stamp = request.stamp
        plan.id = request.plan_id
        plan.step = task.control_period
        plan.interpolation = Plan.INTERPOLATION_ZERO_ORDER_HOLD
        plan.horizon = self.settings.planner.horizon
        plan.action_dim = task.action_dim
        plan.state_dim = task.state_dim
        plan.actions = to_field(result.actions)
        plan.state_mean = to_field(result.state_mean)
        plan.state_std = to_field(result.state_std)
        plan.predicted_return = result.predicted_return
        plan.warm_start_mean = to_field(result.warm_start.mean)
        plan.warm_start_elites = to_field(result.warm_start.elites)
        plan.history = result.history
        plan.model_version = result.model_version
        plan.model_steps = result.model_steps
        plan.planning_time = result.planning_time


def _rows(name: str, field: array[float], width: int) -> np.ndarray:
    """A field as rows of a width, or PlanRequestError."""
    if len(field) % width:
        raise PlanRequestError(
            f'{name} has {len(field)} entries; it must have a multiple of {width}'
        )
    return from_field(field, (-1, width))


def _shaped(name: str, field: array[float], shape: tuple[int, ...]) -> np.ndarray:
    """A field in its shape, or PlanRequestError."""
    horizon, action_dim = shape[-2:]
    try:
        if shape[0] != -1 and len(field) != horizon * action_dim:
            raise ValueError
        return from_field(field, shape)
    except ValueError:
        whole = 'a multiple of ' if shape[0] == -1 else ''
        raise PlanRequestError(
            f'{name} has {len(field)} entries; it must have {whole}{horizon * action_dim}: '
            f'horizon {horizon} times {action_dim} entries of the action'
        ) from None


def main(args: Any = None) -> None:
    """Entry point of the executable ``planner``."""
    run_node(PlannerNode, args)
