from __future__ import annotations

import os
import threading

import pytest
from rclpy.duration import Duration
from std_msgs.msg import Int64

from mbrl_common.qos import STANDARD
from mbrl_common.testing import Probe, isolated_domain


def test_domains_in_use_are_not_given_again() -> None:
    before = os.environ.get('ROS_DOMAIN_ID')
    with isolated_domain() as first, isolated_domain() as second:
        assert first != second
        assert os.environ['ROS_DOMAIN_ID'] == str(second)
    assert os.environ.get('ROS_DOMAIN_ID') == before


@pytest.mark.parametrize('error', [TimeoutError, OSError, ValueError])
def test_an_error_inside_a_domain_comes_out_as_it_is(error: type[Exception]) -> None:
    with pytest.raises(error, match='what was waited for'), isolated_domain():
        raise error('what was waited for')


def test_a_probe_that_is_held_up_misses_nothing() -> None:
    held, go_on = threading.Event(), threading.Event()

    def hold(_: Int64) -> None:
        held.set()
        go_on.wait(30.0)

    with isolated_domain(), Probe() as probe, Probe('sender') as sender:
        probe.node.create_subscription(Int64, 'begin', hold, 1)
        numbers = probe.collect('numbers', Int64)
        sender.publish('begin', Int64, Int64())
        assert held.wait(30.0)
        publisher = sender.node.create_publisher(Int64, 'numbers', STANDARD)
        sender.wait_until(publisher.get_subscription_count)
        for number in range(100):  # many more than STANDARD keeps
            publisher.publish(Int64(data=number))
            assert publisher.wait_for_all_acked(Duration(seconds=10))
        go_on.set()
        probe.wait_until(lambda: len(numbers) >= 100, what='a hundred numbers')
        assert [number.data for number in numbers] == list(range(100))
