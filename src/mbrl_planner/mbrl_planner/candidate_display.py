"""The candidates of a plan as lines for RViz, coloured by return; while somebody watches."""

from __future__ import annotations

import numpy as np
from rclpy.node import Node
from visualization_msgs.msg import MarkerArray

from mbrl_common.drawing import Shape, line_list, shades
from mbrl_common.drawing_bytes import marker_bytes
from mbrl_common.qos import STANDARD
from mbrl_common.watched import WatchedTimer
from mbrl_planner.planner import Planner
from mbrl_planner.settings import PlannerSettings
from mbrl_planner.trace import Trace, make_trace
from mbrl_planner.tube import thinned

MOST = 50  # paths, candidates times points; but always LEAST candidates
LEAST = 10
_LINES = 10  # of each
_WIDTH = 0.003  # [m]


class CandidateDisplay:
    """Publishes ``candidates``, after the answer with the plan has gone out."""

    def __init__(self, node: Node, settings: PlannerSettings, planner: Planner) -> None:
        self._node, self._planner = node, planner
        trace = make_trace(settings.trace, settings.task)
        if trace is None:
            node.get_logger().info(
                "no candidate is drawn: 'trace.points' names none of the robot's"
            )
            return
        self._trace = trace
        self._publisher = node.create_publisher(MarkerArray, 'candidates', STANDARD)
        self._timer = WatchedTimer(
            node, [self._publisher], settings.trace.rate, self._draw, self._on_watched
        )

    def _on_watched(self, watched: bool) -> None:
        self._planner.keeps_candidates = watched

    def _draw(self) -> None:
        candidates, self._planner.candidates = self._planner.candidates, None
        if candidates is None:
            return
        states, returns = candidates.some(max(MOST // self._trace.count, LEAST))
        lines = candidate_lines(self._trace, states, returns)
        self._publisher.publish(marker_bytes([lines], self._node.get_clock().now().to_msg()))


def candidate_lines(trace: Trace, states: np.ndarray, returns: np.ndarray) -> Shape:
    """Lines through the traced points of each candidate, from dark (the worst) to bright.

    Args:
        trace: says where the points are.
        states: [C, H + 1, S].
        returns: [C]; the best come last, and are drawn above the others.
    """
    kept = thinned(states.shape[1], _LINES + 1)
    points = trace(states[:, kept])  # [C, n, P, 3]
    paths = points.transpose(0, 2, 1, 3).reshape(-1, len(kept), 3)
    span = float(np.ptp(returns)) if len(returns) else 0.0
    shares = (returns - returns.min()) / span if span > 0 else np.ones(len(returns))
    colours = np.repeat(shades(shares), points.shape[2], axis=0)
    return line_list('candidates', paths, _WIDTH, colours if len(colours) else shades(np.ones(1)))
