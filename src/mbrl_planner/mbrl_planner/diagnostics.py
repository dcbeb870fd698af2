"""How the planner is, for ``/diagnostics``."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from mbrl_common.qos import STANDARD
from mbrl_common.watched import WatchedTimer
from mbrl_planner.plan import ModelOutdatedError, NoModelError, PlannerError, PlanResult
from mbrl_planner.planner import Planner

_RECENT = 200  # plans


class Diagnostics:
    """Counts answers, and tells once a second, while somebody listens. WARN in a second in which a
    request got no plan, unless the model it needs is still to come."""

    def __init__(self, node: Node, planner: Planner, task: str) -> None:
        self._node, self._planner, self._task = node, planner, task
        self._times: deque[float] = deque(maxlen=_RECENT)
        self._plans = self._failures = self._told = 0
        self._error = ''
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', STANDARD)
        self._timer = WatchedTimer(node, [self._publisher], 1.0, self._tell)

    def answered(self, answers: Iterable[PlanResult | PlannerError]) -> None:
        """These answers were given."""
        for answer in answers:
            if isinstance(answer, PlanResult):
                self._plans += 1
                self._times.append(answer.planning_time)
            elif not isinstance(answer, (NoModelError, ModelOutdatedError)):
                self._failures += 1
                self._error = str(answer)

    def _tell(self) -> None:
        failed, self._told = self._failures > self._told, self._failures
        p50, p95 = np.percentile(self._times, (50, 95)) * 1e3 if self._times else (0.0, 0.0)
        values = {
            'model version': self._planner.model_version,
            'plans': self._plans,
            'requests without a plan': self._failures,
            'plan time p50 [ms]': round(float(p50), 3),
            'plan time p95 [ms]': round(float(p95), 3),
            'last error': self._error,
        }
        message = DiagnosticArray()
        message.header.stamp = self._node.get_clock().now().to_msg()
        message.status = [
            DiagnosticStatus(
                level=DiagnosticStatus.WARN if failed else DiagnosticStatus.OK,
                name=self._node.get_fully_qualified_name(),
                message=self._error if failed else self._state(),
                hardware_id=self._task,
                values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
            )
        ]
        self._publisher.publish(message)

    def _state(self) -> str:
        return 'ready' if self._planner.ready else 'waiting for a model'
