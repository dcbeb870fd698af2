"""Nothing is done while nobody watches, in a real node with real subscribers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import pytest
from rclpy.node import Node
from std_msgs.msg import Float64

from mbrl_common.qos import STANDARD
from mbrl_common.testing import Probe, isolated_domain
from mbrl_common.watched import WatchedTimer


class Owner:
    """Counts the drawings of a node."""

    def __init__(self, node: Node) -> None:
        self.drawn = 0
        self.fails = False
        self.changes: list[bool] = []
        topics = [node.create_publisher(Float64, name, STANDARD) for name in ('one', 'two')]
        self.timer = WatchedTimer(node, topics, 20.0, self._draw, self.changes.append)

    def has_drawn(self, count: int) -> bool:
        return self.drawn >= count

    def _draw(self) -> None:
        self.drawn += 1
        if self.fails:
            raise ValueError('of a message that nobody thought of')


@pytest.fixture
def owner() -> Iterator[tuple[Owner, Probe]]:
    with isolated_domain(), Probe() as probe, Probe('owner') as owner:
        yield Owner(owner.node), probe


def test_work_begins_with_a_subscriber_and_ends_with_it(owner: tuple[Owner, Probe]) -> None:
    node, probe = owner
    time.sleep(2.5)
    assert node.drawn == 0 and node.changes == []
    for topic in ('one', 'two'):  # either will do
        subscription = probe.node.create_subscription(Float64, topic, lambda _: None, STANDARD)
        before = node.drawn
        begin = time.monotonic()
        probe.wait_until(partial(node.has_drawn, before + 40), 30.0, 'drawings')
        assert time.monotonic() - begin > 1.8  # 40 of them at 20 Hz, and no faster
        assert node.changes[-1] is True
        probe.node.destroy_subscription(subscription)
        probe.wait_until(lambda: node.changes[-1] is False, 10.0, 'the end')
        after = node.drawn
        time.sleep(1.5)
        assert node.drawn == after
    assert node.changes == [True, False, True, False]


def test_what_cannot_be_drawn_ends_nothing(owner: tuple[Owner, Probe]) -> None:
    node, probe = owner
    node.fails = True
    probe.node.create_subscription(Float64, 'one', lambda _: None, STANDARD)
    probe.wait_until(lambda: node.drawn > 3, 10.0, 'drawings after the first failure')
