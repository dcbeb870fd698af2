"""The node ``planner``: plan requests in, plans out, and the model that arrives on a topic."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from builtin_interfaces.msg import Time
from rclpy.node import Node

from mbrl_common.hot_path import HotPath
from mbrl_common.node import declare_settings, run_node
from mbrl_common.qos import LATCHED
from mbrl_dynamics.snapshot import SnapshotError
from mbrl_msgs.msg import ModelSnapshot, Plan
from mbrl_msgs.srv import PlanActions, PlanBatch
from mbrl_planner.candidate_display import CandidateDisplay
from mbrl_planner.conversions import error_code, read_batch, read_request, write_plan
from mbrl_planner.diagnostics import Diagnostics
from mbrl_planner.plan import PlannerError, PlanningFailedError, PlanRequest, PlanResult
from mbrl_planner.planner import Planner
from mbrl_planner.settings import PlannerSettings
from mbrl_planner.waiting import take_waiting


class PlannerNode(Node):
    """Serves ``~/plan`` and ``~/plan_batch``; takes ``model``. Keeps nothing between requests but
    the model."""

    def __init__(self) -> None:
        super().__init__('planner', automatically_declare_parameters_from_overrides=True)
        self.settings = declare_settings(self, PlannerSettings, self._on_change)
        self._planner = Planner(self.settings)
        self._models_refused = 0
        self.hot_path = HotPath(self)
        self.hot_path.create_subscription(ModelSnapshot, 'model', self._on_model, LATCHED)
        self._plan = self.hot_path.create_service(PlanActions, '~/plan', self._on_plan)
        self.hot_path.create_service(PlanBatch, '~/plan_batch', self._on_plan_batch)
        self._diagnostics = Diagnostics(self, self._planner, self.settings.task.name)
        CandidateDisplay(self, self.settings, self._planner)
        planning = self.settings.planner
        learned = planning.backend == 'model'
        self.get_logger().info(
            f'ready: {self.settings.optimizer.name}, horizon {planning.horizon}, '
            f'objective {self.settings.objective.name!r}; '
            + ('waiting for a model' if learned else f'plans in the true {planning.simulator!r}')
        )

    def _on_change(self, settings: PlannerSettings) -> None:
        """New weights of the objective: they hold from the next plan on."""
        self._planner.set_objective(settings.objective)
        self.get_logger().info(f'objective weights: {list(settings.objective.weights)}')

    def _on_model(self, snapshot: ModelSnapshot) -> None:
        """Use a model if it is whole; otherwise keep the old one."""
        if self.settings.planner.backend != 'model':
            self.get_logger().debug(
                f'model version {snapshot.version} is not used: the true one is planned in'
            )
            return
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
        self, message: PlanActions.Request, response: PlanActions.Response
    ) -> PlanActions.Response:
        """Answer a request with a plan, or with what is wrong; and with it, in one batch, those of
        other robots that have arrived by now."""
        self.hot_path.rest()
        others = list(take_waiting(self._plan))
        messages = [message, *(other for other, _ in others)]
        first, *rest = self._answer([self._read(each) for each in messages])
        for (other, header), answer in zip(others, rest):
            reply = PlanActions.Response()
            self._write(reply, other, answer)
            self._plan.send_response(reply, header)
        self._write(response, message, first)
        return response

    def _read(self, message: PlanActions.Request) -> PlanRequest | PlannerError:
        try:
            return read_request(message, self.settings)
        except PlannerError as error:
            return error

    def _write(
        self,
        response: PlanActions.Response,
        message: PlanActions.Request,
        answer: PlanResult | PlannerError,
    ) -> None:
        if isinstance(answer, PlannerError):
            response.error_code = error_code(answer)
            response.error_msg = str(answer)
        else:
            write_plan(response.plan, message.plan_id, message.stamp, answer, self.settings)

    def _on_plan_batch(
        self, message: PlanBatch.Request, response: PlanBatch.Response
    ) -> PlanBatch.Response:
        """Answer each robot's request with a plan, or with what is wrong."""
        self.hot_path.rest()
        requests: Sequence[PlanRequest | PlannerError]
        try:
            requests = read_batch(message, self.settings)
        except PlannerError as error:
            requests = [error] * max(1, len(message.plan_ids))
        stamps = message.stamps or [Time()] * len(requests)
        for robot, answer in enumerate(self._answer(requests)):
            plan, code, text = Plan(), response.NONE, ''
            if isinstance(answer, PlannerError):
                code, text = error_code(answer), str(answer)
            else:
                write_plan(plan, message.plan_ids[robot], stamps[robot], answer, self.settings)
            response.error_code.append(code)
            response.error_msg.append(text)
            response.plans.append(plan)
        return response

    def _answer(
        self, requests: Sequence[PlanRequest | PlannerError]
    ) -> list[PlanResult | PlannerError]:
        """Plans for the requests that could be read; what is wrong with the others."""
        readable = [each for each in requests if not isinstance(each, PlannerError)]
        plans: Iterator[PlanResult | PlannerError]
        try:
            plans = iter(self._planner.plan_many(readable))
        except Exception as error:  # an objective is a third party's code: answer all the same
            text = f'{type(error).__name__}: {error}'
            self.get_logger().error(f'planning failed: {text}')
            plans = itertools.repeat(PlanningFailedError(text))
        answers = [each if isinstance(each, PlannerError) else next(plans) for each in requests]
        self._diagnostics.answered(answers)
        return answers


def main(args: Any = None) -> None:
    """Entry point of the executable ``planner``."""
    run_node(PlannerNode, args)
