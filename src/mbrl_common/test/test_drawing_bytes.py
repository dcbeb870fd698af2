"""Bytes of shapes and paths, against messages that rclpy makes and serialises itself."""

from __future__ import annotations

import time

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion, Vector3
from nav_msgs.msg import Path
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from mbrl_common.drawing import Shape
from mbrl_common.drawing_bytes import marker_bytes, path_bytes
from mbrl_common.qos import STANDARD
from mbrl_common.testing import Probe, isolated_domain

STAMP = Time(sec=1_700_000_000, nanosec=999_999_999)
KINDS = (Marker.CUBE, Marker.LINE_LIST, Marker.SPHERE_LIST, Marker.TRIANGLE_LIST)


def shape_of(random: np.random.Generator, points: int, coloured: bool) -> Shape:
    numbers = random.normal(size=14)
    return Shape(
        'n' * int(random.integers(0, 9)) + 'ü' * int(random.integers(0, 2)),
        int(random.choice(KINDS)),
        tuple(numbers[:3].tolist()),
        tuple(numbers[3:7].tolist()),
        random.normal(size=(points, 3)),
        random.random((points * coloured, 4)),
        number=int(random.integers(-5, 1000)),
        position=numbers[7:10].tolist(),
        quaternion=numbers[10:14].tolist(),
    )


def message_of(shape: Shape) -> Marker:
    x, y, z, w = shape.quaternion
    listed = shape.kind != Marker.CUBE
    return Marker(
        header=Header(stamp=STAMP, frame_id='world'),
        ns=shape.name,
        id=shape.number,
        type=shape.kind,
        action=Marker.DELETE if listed and not len(shape.points) else Marker.ADD,
        pose=Pose(
            position=Point(**dict(zip('xyz', shape.position))),
            orientation=Quaternion(x=x, y=y, z=z, w=w),
        ),
        scale=Vector3(**dict(zip('xyz', shape.scale))),
        color=ColorRGBA(**dict(zip('rgba', shape.colour))),
        points=[Point(x=x, y=y, z=z) for x, y, z in shape.points.tolist()],
        colors=[ColorRGBA(r=r, g=g, b=b, a=a) for r, g, b, a in shape.colours.tolist()],
    )


def same(ours: bytes, message: object) -> None:
    """As long as rclpy's own, and the same when it is read again; what is between two numbers is
    nobody's."""
    theirs = serialize_message(message)
    kind = type(message)
    assert len(ours) == len(theirs)
    assert ours[:4] == theirs[:4]
    assert deserialize_message(ours, kind) == deserialize_message(theirs, kind)


@pytest.mark.parametrize('seed', range(20))
def test_shapes_are_the_message_that_rclpy_would_send(seed: int) -> None:
    random = np.random.default_rng(seed)
    shapes = [
        shape_of(random, int(random.integers(0, 4)), bool(random.integers(2)))
        for _ in range(random.integers(0, 6))
    ]
    same(marker_bytes(shapes, STAMP), MarkerArray(markers=[message_of(each) for each in shapes]))


def test_arrays_of_any_kind_and_order_are_taken() -> None:
    points = np.arange(24, dtype=np.float32).reshape(3, 8).T[::2]
    (marker,) = deserialize_message(
        marker_bytes([Shape('a', Marker.LINE_LIST, (1.0, 0.0, 0.0), (1.0,) * 4, points)], STAMP),
        MarkerArray,
    ).markers
    np.testing.assert_array_equal([(p.x, p.y, p.z) for p in marker.points], points)


@pytest.mark.parametrize('count', [0, 1, 2, 7])
def test_a_path_is_the_message_that_rclpy_would_send(count: int) -> None:
    random = np.random.default_rng(count)
    places = random.normal(size=(count, 3))
    times = random.integers(0, 2**31 * 10**9, count)
    poses = [
        PoseStamped(
            header=Header(stamp=Time(sec=when // 10**9, nanosec=when % 10**9), frame_id='world'),
            pose=Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(w=1.0)),
        )
        for when, (x, y, z) in zip(times.tolist(), places.tolist())
    ]
    message = Path(header=Header(stamp=STAMP, frame_id='world'), poses=poses)
    same(path_bytes(places, times, STAMP), message)


def test_a_subscriber_gets_them_as_a_message() -> None:
    shape = shape_of(np.random.default_rng(3), 500, coloured=True)
    with isolated_domain(), Probe() as probe, Probe('drawer') as drawer:
        seen = probe.collect('markers', MarkerArray)
        publisher = drawer.node.create_publisher(MarkerArray, 'markers', STANDARD)
        probe.wait_until(publisher.get_subscription_count, 10.0, 'the subscriber')
        publisher.publish(marker_bytes([shape], STAMP))
        probe.wait_until(lambda: seen, 10.0, 'the message')
    (marker,) = seen[0].markers
    np.testing.assert_array_equal([(p.x, p.y, p.z) for p in marker.points], shape.points)
    colours = [(c.r, c.g, c.b, c.a) for c in marker.colors]
    np.testing.assert_array_equal(colours, shape.colours.astype(np.float32))


def test_a_thousand_points_take_less_than_a_tenth_of_the_time_of_a_message() -> None:
    shape = shape_of(np.random.default_rng(0), 1000, coloured=True)

    def shortest(work: object) -> float:
        times = []
        for _ in range(20):
            begin = time.perf_counter()
            work()
            times.append(time.perf_counter() - begin)
        return min(times)

    message = shortest(lambda: serialize_message(MarkerArray(markers=[message_of(shape)])))
    assert shortest(lambda: marker_bytes([shape], STAMP)) < 0.1 * message
