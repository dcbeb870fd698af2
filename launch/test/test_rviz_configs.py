"""Every RViz configuration against the graph as it runs: topics, types, QoS and frames.

There is no RViz where ROS comes from wheels; what it would ask for is asked for here.
"""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Path as PathMessage
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    LivelinessPolicy,
    QoSCompatibility,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)
from visualization_msgs.msg import Marker, MarkerArray

from mbrl_bringup.tasks import params_file_of, rviz_config_of, task_names
from mbrl_bringup.testing import run_episodes, running
from mbrl_common.qos import RECORD, STANDARD
from mbrl_common.testing import Probe
from mbrl_msgs.msg import Observation, Transition
from mbrl_msgs.msg import Plan as PlanMessage
from mbrl_planner.objectives.cartpole import POLE_LENGTH

FOLDER = Path(__file__).parent.parent / 'rviz'
CONFIGS = sorted(FOLDER.glob('*.rviz'))
TYPES = {
    'rviz_default_plugins/MarkerArray': 'visualization_msgs/msg/MarkerArray',
    'rviz_default_plugins/Path': 'nav_msgs/msg/Path',
}
# Little training: what is drawn need not be good.
SHORT = {'dynamics': {'training.updates_after_episode': 200, 'training.every_steps': 0}}


def manager(config: Path) -> dict[str, Any]:
    return yaml.safe_load(config.read_text())['Visualization Manager']


def displays(config: Path) -> list[dict[str, Any]]:
    """Those that show a topic."""
    return [each for each in manager(config)['Displays'] if 'Topic' in each]


def qos_of(topic: dict[str, Any]) -> QoSProfile:
    def of(kind: Any, policy: str) -> Any:
        return kind[topic[f'{policy} Policy'].upper().replace(' ', '_')]

    return QoSProfile(
        depth=topic['Depth'],
        durability=of(DurabilityPolicy, 'Durability'),
        history=of(HistoryPolicy, 'History'),
        reliability=of(ReliabilityPolicy, 'Reliability'),
        liveliness=LivelinessPolicy.AUTOMATIC,
    )


pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope='module')
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Probe, dict[str, list[Any]]]]:
    """The graph of the cart-pole that has learned a little and planned, and what was published."""
    folder = tmp_path_factory.mktemp('run')
    with running(0, folder, SHORT) as (_, probe):
        run_episodes(probe, timeout=90.0, episodes=1, exploration_episodes=1, max_steps=60).result(
            120.0
        )
        messages: dict[str, list[Any]] = {
            topic: probe.collect(topic, MarkerArray, STANDARD)
            for topic in ('markers', 'plan_markers', 'candidates')
        }
        messages['plan_path'] = probe.collect('plan_path', PathMessage, STANDARD)
        messages['observation'] = probe.collect('observation', Observation, STANDARD)
        messages['transition'] = probe.collect('transition', Transition, RECORD)
        messages['plan'] = probe.collect('plan', PlanMessage, STANDARD)
        messages['/diagnostics'] = probe.collect('/diagnostics', DiagnosticArray, STANDARD)
        goal = run_episodes(probe, timeout=90.0, episodes=50, exploration_episodes=0, seed=1)
        drawn = ('plan_markers', 'candidates', 'plan_path')
        probe.wait_until(
            lambda: all(len(messages[topic]) >= 20 for topic in drawn), 120.0, 'drawings'
        )
        probe.wait_until(lambda: tubes(messages['plan_markers']), 60.0, 'a tube')
        # Drawings go on between episodes; these are of the one that has begun.
        probe.wait_until(
            lambda: sum(bool(path.poses) for path in list(messages['plan_path'])) >= 20,
            120.0,
            'drawings of plans',
        )
        probe.wait_until(lambda: len(messages['transition']) >= 60, 60.0, 'states')
        goal.cancel()
        yield probe, messages


def tubes(messages: list[MarkerArray]) -> list[Marker]:
    return [
        marker
        for message in list(messages)
        for marker in message.markers
        if marker.ns == 'tube' and marker.action == Marker.ADD
    ]


def of(message: MarkerArray, name: str) -> Marker:
    (marker,) = [marker for marker in message.markers if marker.ns == name]
    return marker


def places(points: Any) -> np.ndarray:
    return np.array([(point.x, point.y, point.z) for point in points]).reshape(-1, 3)


@pytest.mark.parametrize('config', CONFIGS, ids=lambda path: path.stem)
def test_every_display_shows_what_the_graph_publishes(
    config: Path, seen: tuple[Probe, dict[str, list[Any]]]
) -> None:
    probe, messages = seen
    assert len(displays(config)) >= 4
    for display in displays(config):
        topic = display['Topic']['Value']
        publishers = probe.node.get_publishers_info_by_topic(f'/{topic}')
        assert publishers, f'nobody publishes {topic}'
        for publisher in publishers:
            assert publisher.topic_type == TYPES[display['Class']]
            compatibility, reason = qos_check_compatible(
                publisher.qos_profile, qos_of(display['Topic'])
            )
            assert compatibility == QoSCompatibility.OK, reason
        frame = manager(config)['Global Options']['Fixed Frame']
        for message in messages[topic]:
            parts = message.markers if isinstance(message, MarkerArray) else [message]
            assert {part.header.frame_id for part in parts} == {frame}


@pytest.mark.parametrize('task', task_names())
def test_every_task_has_a_configuration_of_its_own(task: str) -> None:
    assert rviz_config_of(params_file_of(task)).stem == task


def test_another_task_gets_the_general_configuration(tmp_path: Path) -> None:
    path = tmp_path / 'mine.yaml'
    path.write_text('/**: {ros__parameters: {task: {name: mine}}}\n')
    assert rviz_config_of(path).name == 'any.rviz'
    assert rviz_config_of(path).is_file()


def test_the_configurations_are_those_that_the_tool_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, 'path', [str(Path(__file__).parents[2] / 'tools'), *sys.path])
    tool = importlib.import_module('rviz_configs')
    assert {path.stem for path in CONFIGS} == set(tool.VIEWS)
    for path in CONFIGS:
        assert path.read_text() == tool.text_of(tool.VIEWS[path.stem]), path.name


def test_all_that_is_drawn_is_finite_and_whole(seen: tuple[Probe, dict[str, list[Any]]]) -> None:
    for topic in ('markers', 'plan_markers', 'candidates'):
        for message in seen[1][topic]:
            for marker in message.markers:
                assert np.isfinite(places(marker.points)).all()
                assert marker.points or marker.action == Marker.DELETE or topic == 'markers'
                assert marker.color.a > 0 and marker.scale.x > 0
                quaternion = marker.pose.orientation
                parts = (quaternion.x, quaternion.y, quaternion.z, quaternion.w)
                assert math.hypot(*parts) == pytest.approx(1.0)


def test_the_plan_begins_where_the_robot_really_is(
    seen: tuple[Probe, dict[str, list[Any]]],
) -> None:
    messages = seen[1]
    tips = {}
    for observation in messages['observation']:
        stamp = (observation.header.stamp.sec, observation.header.stamp.nanosec)
        x, angle = observation.state[:2]
        tips[stamp] = (x - POLE_LENGTH * math.sin(angle), 0.0, -POLE_LENGTH * math.cos(angle))
    compared = 0
    for path in messages['plan_path']:
        if not path.poses:
            continue
        first = path.poses[0]
        tip = tips.get((first.header.stamp.sec, first.header.stamp.nanosec))
        if tip is not None:
            compared += 1
            np.testing.assert_allclose(places([first.pose.position])[0], tip, atol=2e-3)
        assert len(path.poses) == 21
    assert compared >= 10


def test_the_markers_of_the_plan_are_one_list_of_each_kind(
    seen: tuple[Probe, dict[str, list[Any]]],
) -> None:
    for message in seen[1]['plan_markers']:
        named = [(marker.ns, marker.id) for marker in message.markers]
        assert sorted(named) == sorted(
            (name, 0) for name in ('plan', 'tube', 'goal', 'taken', 'predicted')
        )
        np.testing.assert_allclose(places(of(message, 'goal').points), [[0, 0, POLE_LENGTH]])
        lines = places(of(message, 'plan').points)
        if len(lines):
            assert len(lines) == 40  # a line for each step of the horizon
            np.testing.assert_array_equal(lines[1:-1:2], lines[2::2])
    assert max(len(of(m, 'predicted').points) for m in seen[1]['plan_markers']) > 2
    assert max(len(of(m, 'taken').points) for m in seen[1]['plan_markers']) > 20


def test_the_path_taken_is_the_tips(seen: tuple[Probe, dict[str, list[Any]]]) -> None:
    # Not of observations: their publisher keeps few, and on a busy machine some are lost.
    tips = {
        (t.next_stamp.sec, t.next_stamp.nanosec): (
            t.next_state[0] - POLE_LENGTH * math.sin(t.next_state[1]),
            -POLE_LENGTH * math.cos(t.next_state[1]),
        )
        for t in seen[1]['transition']
    }
    # Until the first state of a new episode the path of the one before is drawn.
    taken = [of(message, 'taken') for message in seen[1]['plan_markers']]
    longest = max(
        (m for m in taken if (m.header.stamp.sec, m.header.stamp.nanosec) in tips),
        key=lambda m: len(m.points),
    )
    assert len(longest.points) > 20
    for x, _, z in places(longest.points)[-20:]:
        assert min(math.hypot(x - a, z - b) for a, b in tips.values()) < 2e-3


def test_the_tube_is_closed_around_the_plan_and_widens(
    seen: tuple[Probe, dict[str, list[Any]]],
) -> None:
    for message in seen[1]['plan_markers']:
        tube, plan = of(message, 'tube'), places(of(message, 'plan').points)
        if tube.action == Marker.DELETE:
            continue
        corners = places(tube.points)
        assert len(corners) % 3 == 0
        distance = np.linalg.norm(corners[:, None] - plan[None], axis=-1).min(1)
        assert distance.max() < 5.0
        begin = np.linalg.norm(corners - plan[0], axis=1).min()
        assert begin < 1e-6, 'the start state is known'
    assert tubes(seen[1]['plan_markers'])


def test_candidates_are_few_and_the_better_the_brighter(
    seen: tuple[Probe, dict[str, list[Any]]],
) -> None:
    for message in seen[1]['candidates']:
        (marker,) = message.markers
        assert len(marker.points) == len(marker.colors)
        assert 0 < len(marker.points) <= 50 * 2 * 10
        brightness = [colour.g for colour in marker.colors]
        assert brightness == sorted(brightness)  # the best is drawn last, above the others
        starts = places(marker.points)[:: 2 * 10]
        np.testing.assert_allclose(starts, np.repeat(starts[:1], len(starts), 0), atol=1e-5)


def test_every_node_tells_how_it_is(seen: tuple[Probe, dict[str, list[Any]]]) -> None:
    names = {status.name for m in seen[1]['/diagnostics'] for status in m.status}
    assert {'/mpc_controller', '/planner', '/sim_bridge: lockstep'} <= names


def test_a_robot_in_real_time_is_drawn_as_well(tmp_path: Path) -> None:
    overrides: dict[str, dict[str, Any]] = {
        'sim_bridge': {'sim.real_time': True},
        'mpc_controller': {'realtime.enabled': True},
        'planner': {'planner.backend': 'mujoco', 'planner.simulator': 'cartpole_pets'},
        **SHORT,
    }
    with running(0, tmp_path, overrides) as (_, probe):
        messages = probe.collect('plan_markers', MarkerArray, STANDARD)
        tried = probe.collect('candidates', MarkerArray, STANDARD)
        goal = run_episodes(probe, timeout=90.0, episodes=20, exploration_episodes=0, seed=1)

        def whole() -> Any:
            names = ('plan', 'taken', 'predicted', 'goal')
            return next(
                (m for m in list(messages) if all(of(m, name).points for name in names)), None
            )

        message = probe.wait_until(whole, 60.0, 'all that is drawn')
        probe.wait_until(lambda: tried, 30.0, 'candidates')
        goal.cancel()
    # it hangs near the middle of the rail, 0.6 m long
    assert np.abs(places(of(message, 'taken').points)).max() < 3.5
    # the true model knows what comes: it may be off by what the clock is
    before, came = (places(of(message, name).points) for name in ('predicted', 'taken'))
    apart = np.linalg.norm(before[:, None] - came[None], axis=-1).min(1)
    assert np.median(apart) < 0.3
