"""The plan, the goal and the path taken as standard messages, for RViz; while somebody watches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from nav_msgs.msg import Path
from rclpy.node import Node
from visualization_msgs.msg import MarkerArray

from mbrl_common.drawing import Colour, Shape, line_list, line_strip, spheres, triangles
from mbrl_common.drawing_bytes import marker_bytes, path_bytes
from mbrl_common.messages import from_field, nanoseconds
from mbrl_common.qos import STANDARD
from mbrl_common.watched import WatchedTimer
from mbrl_mpc.conversions import to_time
from mbrl_mpc.pilot import Pilot
from mbrl_mpc.plan_view import PlanView, Prediction, View
from mbrl_mpc.settings import MpcSettings
from mbrl_msgs.msg import Plan
from mbrl_planner.trace import make_trace
from mbrl_planner.tube import faces, thinned, tube

_LINES = 50  # of a path
_RINGS = 25  # of a tube
_TRAIL = 200  # places on the paths taken, of all points together
_PLAN: Colour = (0.1, 0.8, 1.0, 1.0)
_TUBE: Colour = (0.1, 0.6, 1.0, 0.25)
_TAKEN: Colour = (1.0, 1.0, 1.0, 1.0)
_PREDICTED: Colour = (1.0, 0.55, 0.1, 1.0)
_GOAL: Colour = (0.2, 1.0, 0.3, 0.8)


class PlanDisplay:
    """Publishes ``plan_path`` and ``plan_markers`` beside the control loop, never in it."""

    def __init__(
        self, node: Node, settings: MpcSettings, pilot: Pilot, plan: Callable[[], Plan | None]
    ) -> None:
        """
        Args:
            node: whose names and executor are used.
            settings: what is traced, and how often it is drawn.
            pilot: knows the episode.
            plan: the newest plan, or None.
        """
        self._pilot, self._plan = pilot, plan
        trace = make_trace(settings.trace, settings.task)
        if trace is None:
            node.get_logger().info("no plan is drawn: 'trace.points' names none of the robot's")
            return
        self._view = PlanView(trace)
        self._last: tuple[Plan, Prediction] | None = None
        self._path = node.create_publisher(Path, 'plan_path', STANDARD)
        self._markers = node.create_publisher(MarkerArray, 'plan_markers', STANDARD)
        watched = (self._path, self._markers)
        self._timer = WatchedTimer(node, watched, settings.trace.rate, self._draw)

    def _draw(self) -> None:
        if not self._pilot.stamp:
            return  # no state yet
        view = self._view.look(self._pilot, self._prediction())
        if self._path.get_subscription_count():
            self._path.publish(plan_path(view))
        if self._markers.get_subscription_count():
            self._markers.publish(marker_bytes(shapes(view), to_time(view.stamp)))

    def _prediction(self) -> Prediction | None:
        plan = self._plan()
        if plan is None:
            return None
        if self._last is None or self._last[0] is not plan:
            shape = (plan.horizon + 1, plan.state_dim)
            prediction = Prediction(
                nanoseconds(plan.header.stamp),
                round(plan.step * 1e9),
                from_field(plan.state_mean, shape),
                from_field(plan.state_std, shape),
            )
            self._last = (plan, prediction)
        return self._last[1]


def plan_path(view: View) -> bytes:
    """The way of the first traced point, with the times at which it is to be there, as bytes of a
    ``Path``."""
    times = view.start + np.arange(len(view.plan)) * view.step
    return path_bytes(view.plan[:, 0], times, to_time(view.stamp))


def shapes(view: View) -> list[Shape]:
    """One shape for each kind; one for each point of the path taken and the one predicted.

    Lines are as wide as suits what is drawn: a fiftieth of the way that the points have gone, and
    will go, between 2 mm and 2 cm.
    """
    ways = [way for way in (view.plan, view.taken) if len(way)]
    reach = max((float(np.ptp(way, axis=0).max()) for way in ways), default=0.0)
    width = min(max(reach / 50, 0.002), 0.02)
    short = view.plan[thinned(len(view.plan), _LINES)]
    array = [
        line_list('plan', short.transpose(1, 0, 2), width, [_PLAN]),
        _tubes(view),
        spheres('goal', view.goal, 5 * width, _GOAL),
    ]
    trail = view.taken[thinned(len(view.taken), max(_TRAIL // max(view.taken.shape[1], 1), 2))]
    for number in range(view.taken.shape[1]):
        array.append(line_strip('taken', number, trail[:, number], width, _TAKEN))
        before = view.predicted[:, number]
        array.append(line_strip('predicted', number, before, width, _PREDICTED))
    return array


def _tubes(view: View) -> Shape:
    """Around the plan of each point, as wide as the members' predictions of it are apart."""
    rings = thinned(len(view.plan), _RINGS)
    corners, sides = [np.empty((0, 3))], [np.empty((0, 3), dtype=np.intp)]
    for number in range(view.plan.shape[1] if len(rings) > 1 else 0):
        radius = view.radius[rings, number]
        if radius.any():
            sides.append(faces(len(rings)) + sum(map(len, corners)))
            corners.append(tube(view.plan[rings, number], radius).reshape(-1, 3))
    return triangles('tube', np.concatenate(corners), np.concatenate(sides), _TUBE)
