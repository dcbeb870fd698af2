"""What may be asked of a controller while it runs: another goal, another mode, a new plan."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from rclpy.node import Node

from mbrl_common.messages import from_field
from mbrl_common.qos import LATCHED
from mbrl_mpc.modes import Mode, ModeError
from mbrl_mpc.pilot import Pilot
from mbrl_mpc.realtime import RealtimeSession
from mbrl_mpc.session import Session
from mbrl_msgs.msg import Goal
from mbrl_msgs.srv import Replan, SetGoal, SetMode


class Requests:
    """The services ``~/set_goal``, ``~/replan`` and ``~/set_mode``, and the topic ``goal``."""

    def __init__(
        self,
        node: Node,
        pilot: Pilot,
        session: Callable[[], Session | RealtimeSession | None],
        refused: Callable[[str], None],
    ) -> None:
        """
        Args:
            node: the node that offers them.
            pilot: is told.
            session: the episodes that run now, or None.
            refused: told of a goal of the topic that was refused, and why.
        """
        self._pilot = pilot
        self._session = session
        self._refused = refused
        node.create_subscription(Goal, 'goal', self._on_goal, LATCHED)
        node.create_service(SetGoal, '~/set_goal', self._on_set_goal)
        node.create_service(Replan, '~/replan', self._on_replan)
        node.create_service(SetMode, '~/set_mode', self._on_set_mode)

    def _on_goal(self, message: Goal) -> None:
        problem = self._set_goal(from_field(message.goal))
        if problem:
            self._refused(f'goal: {problem}')

    def _on_set_goal(
        self, request: SetGoal.Request, response: SetGoal.Response
    ) -> SetGoal.Response:
        problem = self._set_goal(from_field(request.goal))
        response.success = not problem
        response.message = problem or f'goal set to {self._pilot.goal.tolist()}'
        response.error_code = response.INVALID_GOAL if problem else response.NONE
        return response

    def _set_goal(self, goal: np.ndarray) -> str:
        try:
            self._pilot.set_goal(goal)
        except ValueError as error:
            return str(error)
        return ''

    def _on_replan(self, _: Replan.Request, response: Replan.Response) -> Replan.Response:
        session = self._session()
        if session is None or self._pilot.record.explore:
            response.message = 'no planned episode is running; the next one begins with a new plan'
            self._pilot.drop_plan()
            return response
        response.success = True
        response.plan_id = session.replan()
        response.message = f'plan {response.plan_id} is made afresh, without warm start'
        return response

    def _on_set_mode(
        self, request: SetMode.Request, response: SetMode.Response
    ) -> SetMode.Response:
        try:
            mode = Mode(request.mode, request.every or 1, request.bound or 1.0)
        except ModeError as error:
            response.error_code, response.message = response.INVALID_MODE, str(error)
            return response
        self._pilot.mode = mode
        response.success = True
        response.message = f'from the next step on: {mode.text}'
        return response
