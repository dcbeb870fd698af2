"""Messages of what there is to see, and what it takes to have them made."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from nav_msgs.msg import Path as NavPath
from rclpy.serialization import deserialize_message
from visualization_msgs.msg import Marker, MarkerArray

from mbrl_common.drawing_bytes import marker_bytes
from mbrl_common.node import EXIT_BAD_PARAMETERS
from mbrl_common.qos import STANDARD
from mbrl_common.testing import NodeProcess, Probe, isolated_domain
from mbrl_mpc.pilot import Pilot
from mbrl_mpc.plan_display import PlanDisplay, plan_path, shapes
from mbrl_mpc.plan_view import View
from mbrl_mpc.settings import MpcSettings

PARAMS = Path(__file__).parents[3] / 'launch' / 'config' / 'cartpole_swingup.yaml'


def view_of(points: int, horizon: int, taken: int, predicted: int, goals: int) -> View:
    random = np.random.default_rng(0)
    length = horizon + 1 if horizon else 0
    return View(
        stamp=5_000_000_000,
        plan=np.cumsum(random.normal(0, 0.05, (length, points, 3)), 0),
        radius=np.linspace(0.0, 0.3, length)[:, None] * np.ones(points),
        start=5_100_000_000,
        step=40_000_000,
        taken=random.normal(size=(taken, points, 3)),
        predicted=random.normal(size=(predicted, points, 3)),
        goal=random.normal(size=(goals, 3)),
    )


def places(points: Any) -> np.ndarray:
    return np.array([(point.x, point.y, point.z) for point in points]).reshape(-1, 3)


def markers(view: View) -> list[Marker]:
    return list(deserialize_message(marker_bytes(shapes(view), Time()), MarkerArray).markers)


def of(array: list[Marker], name: str) -> list[Marker]:
    return [marker for marker in array if marker.ns == name]


def test_each_kind_has_its_points() -> None:
    view = view_of(points=2, horizon=12, taken=30, predicted=6, goals=2)
    array = markers(view)
    assert len({(marker.ns, marker.id) for marker in array}) == len(array) == 3 + 2 + 2
    (plan,) = of(array, 'plan')
    assert len(plan.points) == 2 * 12 * 2
    np.testing.assert_array_equal(places(plan.points)[:24:2], view.plan[:-1, 0])
    for number in range(2):
        (taken,) = [each for each in of(array, 'taken') if each.id == number]
        np.testing.assert_array_equal(places(taken.points), view.taken[:, number])
        (before,) = [each for each in of(array, 'predicted') if each.id == number]
        np.testing.assert_array_equal(places(before.points), view.predicted[:, number])
    np.testing.assert_array_equal(places(of(array, 'goal')[0].points), view.goal)
    assert all(marker.action == Marker.ADD for marker in array)


def test_the_tube_is_as_wide_as_the_plan_is_unsure() -> None:
    view = view_of(points=2, horizon=12, taken=0, predicted=0, goals=0)
    (tube,) = of(markers(view), 'tube')
    assert tube.type == Marker.TRIANGLE_LIST and tube.color.a < 0.5
    corners = np.unique(places(tube.points).round(9), axis=0)
    for number in range(2):
        distance = np.linalg.norm(corners[:, None] - view.plan[:, number], axis=-1)
        for place, radius in enumerate(view.radius[:, number]):
            on_ring = np.abs(distance[:, place] - radius) < 1e-6
            assert on_ring.sum() >= (6 if radius else 1)


def test_where_nothing_spreads_there_is_no_tube() -> None:
    view = view_of(points=1, horizon=12, taken=0, predicted=0, goals=0)
    view.radius[:] = 0.0
    assert of(markers(view), 'tube')[0].action == Marker.DELETE


def test_what_is_not_there_is_deleted() -> None:
    array = markers(view_of(points=1, horizon=0, taken=0, predicted=0, goals=0))
    assert len(array) == 5
    assert {marker.action for marker in array} == {Marker.DELETE}


def test_long_plans_are_thinned() -> None:
    array = markers(view_of(points=1, horizon=1000, taken=200, predicted=0, goals=0))
    assert len(of(array, 'plan')[0].points) <= 100
    assert len(of(array, 'tube')[0].points) <= 24 * 6 * 2 * 3
    assert sum(len(marker.points) for marker in array) < 1300


def test_the_path_says_when_it_will_be_where() -> None:
    view = view_of(points=2, horizon=12, taken=0, predicted=0, goals=0)
    path = deserialize_message(plan_path(view), NavPath)
    assert path.header.frame_id == 'world' and len(path.poses) == 13
    np.testing.assert_array_equal(places([p.pose.position for p in path.poses]), view.plan[:, 0])
    stamps = [pose.header.stamp.sec + pose.header.stamp.nanosec * 1e-9 for pose in path.poses]
    np.testing.assert_allclose(stamps, 5.1 + 0.04 * np.arange(13))
    assert {pose.pose.orientation.w for pose in path.poses} == {1.0}


def test_nothing_is_computed_while_nobody_subscribes(settings: MpcSettings) -> None:
    asked = []
    with isolated_domain(), Probe() as probe, Probe('controller') as controller:
        node = controller.node
        pilot = Pilot(settings)
        pilot.begin(0, seed=0, explore=True)
        pilot.observe(np.zeros(4), 10**9)
        PlanDisplay(node, settings, pilot, lambda: asked.append(1))
        time.sleep(2.5)
        assert not asked
        seen: list[MarkerArray] = []
        subscription = probe.node.create_subscription(
            MarkerArray, 'plan_markers', seen.append, STANDARD
        )
        probe.wait_until(lambda: len(seen) > 3, 20.0, 'markers')
        (goal,) = of(seen[-1].markers, 'goal')
        np.testing.assert_allclose(places(goal.points), [[0, 0, 0.6]])
        probe.node.destroy_subscription(subscription)
        probe.wait_until(
            lambda: node.count_subscribers('plan_markers') == 0, 10.0, 'nobody to watch'
        )
        time.sleep(1.5)
        count = len(asked)
        time.sleep(1.5)
        assert len(asked) == count > 3


def controller(trace: dict[str, Any]) -> NodeProcess:
    return NodeProcess('mbrl_mpc', 'mpc_controller', params_file=PARAMS, parameters=trace)


def test_a_wrong_point_ends_the_node_with_the_right_ones() -> None:
    with isolated_domain(), controller({'trace.points': ['hand']}) as node:
        assert node.wait(30.0) == EXIT_BAD_PARAMETERS
        assert "'trace.points' has 'hand': the robot has no site or body 'hand'" in node.output()
        assert 'cart, pole' in node.output()


def test_a_task_without_points_runs_and_says_once_that_nothing_is_drawn(tmp_path: Path) -> None:
    text = '\n'.join(line for line in PARAMS.read_text().splitlines() if 'trace:' not in line)
    (tmp_path / 'params.yaml').write_text(text)
    with (
        isolated_domain(),
        Probe() as probe,
        NodeProcess('mbrl_mpc', 'mpc_controller', params_file=tmp_path / 'params.yaml') as node,
    ):
        node.wait_for_output("active: task 'cartpole_swingup'", 30.0)
        assert node.output().count('no plan is drawn') == 1
        probe.wait_until(lambda: probe.node.get_publishers_info_by_topic('/plan'), 20.0, 'the node')
        assert not probe.node.get_publishers_info_by_topic('/plan_markers')
        assert not probe.node.get_publishers_info_by_topic('/plan_path')


def test_the_paths_of_many_points_are_thinned_so_that_a_drawing_takes_no_longer() -> None:
    view = view_of(points=4, horizon=7, taken=200, predicted=3, goals=1)
    trails = [marker for marker in markers(view) if marker.ns == 'taken']
    assert len(trails) == 4 and sum(len(trail.points) for trail in trails) == 200
    for number, trail in enumerate(trails):
        ends = places([trail.points[0], trail.points[-1]])
        np.testing.assert_allclose(ends, view.taken[[0, -1], number])
